"""Limits of the data services by role."""

from __future__ import annotations

from dataclasses import dataclass

from desdm.schema.states import Role

__all__ = ["Limits", "limits_of"]

_MB, _GB = 1_000_000, 1_000_000_000
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one role.

    Attributes
    ----------
    rows_default, rows
        Rows of a response without MAXREC, and the largest MAXREC.
    seconds, job_seconds
        Longest run time of a synchronous query and of an asynchronous job.
    request_bytes, upload_rows
        Size of one request with its uploads; rows of one uploaded table.
    jobs, queued
        Asynchronous jobs of one owner that run at once, and that wait. Jobs that are not started yet count as waiting;
        jobs of anonymous callers count by address.
    parameter_bytes
        Size of the parameters of one job.
    job_bytes
        Bytes of the parameters, uploads and results of all jobs of one owner or address.
    mydb_bytes
        Bytes of a user's own tables.
    result_bytes
        Size of the result of an asynchronous job.
    keep_seconds
        Longest time until a job and its results are deleted.
    """

    rows_default: int
    rows: int
    seconds: float
    job_seconds: float
    request_bytes: int
    upload_rows: int
    jobs: int
    queued: int
    parameter_bytes: int
    job_bytes: int
    mydb_bytes: int
    result_bytes: int
    keep_seconds: float


#: What the survey's own staff may use.
_STAFF = Limits(
    rows_default=10_000_000,
    rows=1_000_000_000,
    seconds=600,
    job_seconds=_DAY,
    request_bytes=4 * _GB,
    upload_rows=50_000_000,
    jobs=8,
    queued=1_000,
    parameter_bytes=10 * _MB,
    job_bytes=500 * _GB,
    mydb_bytes=50 * _GB,
    result_bytes=200 * _GB,
    keep_seconds=90 * _DAY,
)

_TABLE: dict[Role, Limits] = {
    Role.PUBLIC: Limits(
        rows_default=2_000_000,
        rows=20_000_000,
        seconds=60,
        job_seconds=3_600,
        request_bytes=100 * _MB,
        upload_rows=1_000_000,
        jobs=2,
        queued=200,
        parameter_bytes=2 * _MB,
        job_bytes=10 * _GB,
        mydb_bytes=0,
        result_bytes=5 * _GB,
        keep_seconds=7 * _DAY,
    ),
    Role.COLLABORATOR: Limits(
        rows_default=10_000_000,
        rows=100_000_000,
        seconds=300,
        job_seconds=6 * 3_600,
        request_bytes=_GB,
        upload_rows=10_000_000,
        jobs=4,
        queued=200,
        parameter_bytes=5 * _MB,
        job_bytes=100 * _GB,
        mydb_bytes=10 * _GB,
        result_bytes=50 * _GB,
        keep_seconds=30 * _DAY,
    ),
    Role.OPERATOR: _STAFF,
    Role.ADMIN: _STAFF,
}


def limits_of(role: Role) -> Limits:
    """Limits of a role."""
    return _TABLE[role]
