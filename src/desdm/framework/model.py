"""Typed records of runs as the database knows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from desdm.schema.states import AttemptState, DataState, JobState, RunClass

__all__ = ["Attempt", "Job", "WrapperRow"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a unit."""

    id: int
    reqnum: int
    unitname: str
    attnum: int
    task_id: int
    pipeline: str
    state: AttemptState
    data_state: DataState
    run_class: RunClass
    operator: str
    submittime: datetime
    endtime: datetime | None
    archive_path: str
    fingerprint: str
    token: str | None
    submitter_host: str | None
    submitter_pid: int | None
    submitter_start: int | None
    cancel_requested: bool

    @property
    def run(self) -> str:
        """``<unit>_r<req>p<att>``."""
        return f"{self.unitname}_r{self.reqnum}p{self.attnum:02d}"


class Job(NamedTuple):
    """One job of an attempt."""

    task_id: int
    blknum: int
    block: str
    jobnum: int
    jobkeys: str
    state: JobState
    tries: int
    token: str | None
    jobroot: str | None
    comment: str | None


class WrapperRow(NamedTuple):
    """One wrapper of a job, by its numbers and state."""

    task_id: int
    job_task_id: int
    wrapnum: int
    modname: str
    wrapkeys: str
    state: str
