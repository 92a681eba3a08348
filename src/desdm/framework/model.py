"""Typed records of runs as the database knows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypeAlias

from desdm.errors import PlanError
from desdm.schema.runname import RunName
from desdm.schema.states import AttemptState, DataState, JobState, RunClass, WrapperState

__all__ = ["Attempt", "Job", "Row", "Value", "WrapperRow", "number"]

#: A value in a column of the file catalogue.
Value: TypeAlias = str | int | float | datetime | None
#: A file of the catalogue, with the columns of its file type: which ones a plan needs, its pipeline says.
Row: TypeAlias = Mapping[str, Value]


def number(row: Row, column: str) -> float:
    """Return the number in a column of a row; `PlanError` if the file has none."""
    value = row.get(column)
    if not isinstance(value, str | int | float):
        raise PlanError(f"{row.get('filename')} has no {column}; correct its record, or choose other files")
    return float(value)


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
        return RunName(self.unitname, self.reqnum, self.attnum).text


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
    state: WrapperState
