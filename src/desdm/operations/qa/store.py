"""The SQL of bug reports: which job of a run gave its first message."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, case, select

from desdm.schema import pfw_job, pfw_wrapper, task_message
from desdm.schema.states import JobState

__all__ = ["FaultyJob", "faulty_job"]


class FaultyJob(NamedTuple):
    """The job of a run that a report is about.

    Attributes
    ----------
    jobnum, jobroot
        Its number, and its folder.
    message, level, pattern
        Its first message of the most severe level; empty, 0 and empty without one.
    log
        Name of its log; empty without one.
    """

    jobnum: int
    jobroot: str
    message: str
    level: int
    pattern: str
    log: str


def faulty_job(conn: Connection, attempt_id: int) -> FaultyJob | None:
    """Return the job with the first of the most severe messages of a run, else the first that failed, else the first."""
    m, w, j = task_message.c, pfw_wrapper.c, pfw_job.c
    failed = case((j.state.in_([JobState.FAILED.value, JobState.LOST.value]), 0), else_=1)
    query = (
        select(j.jobnum, j.jobroot, m.message, m.message_lvl, m.pattern, m.log_file)
        .join(pfw_wrapper, w.pfw_job_task_id == j.task_id)
        .join(task_message, m.task_id == w.task_id)
        .where(j.pfw_attempt_id == attempt_id)
        .order_by(m.message_lvl, failed, m.id)
        .limit(1)
    )
    row = conn.execute(query).first()
    if row is not None:
        return FaultyJob(row[0], row[1] or "", row[2], row[3], row[4], row[5])
    rest = (
        select(j.jobnum, j.jobroot).where(j.pfw_attempt_id == attempt_id).order_by(failed, j.jobnum).limit(1)
    )
    job = conn.execute(rest).first()
    return None if job is None else FaultyJob(job[0], job[1] or "", "", 0, "", "")
