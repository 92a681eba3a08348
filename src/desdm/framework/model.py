"""Typed records of runs as the database knows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypeAlias

from desdm.archive.catalogfile import CatalogFile, Scalar
from desdm.errors import PlanError
from desdm.schema.runname import RunName
from desdm.schema.states import AttemptState, DataState, JobState, RunClass, WrapperState

__all__ = ["Attempt", "Columns", "FindFiles", "Job", "Value", "WrapperRow", "number"]

#: A value in a column of the database.
Value: TypeAlias = Scalar
#: What is known of a planned file, by column: which ones a plan needs, its pipeline says.
Columns: TypeAlias = Mapping[str, Value]
#: Looks up files in the archive: query → files.
FindFiles: TypeAlias = Callable[[Mapping[str, str]], Sequence[CatalogFile]]


def number(file: CatalogFile, column: str) -> float:
    """Return the number in a column of a file; `PlanError` if the file has none."""
    value = file.value(column)
    if not isinstance(value, str | int | float):
        raise PlanError(f"{file.filename} has no {column}; correct its record, or choose other files")
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
