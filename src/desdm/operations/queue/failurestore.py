"""The SQL of failures: failed jobs, the first failed step of an attempt, problems by key."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, select

from desdm.schema import pfw_block, pfw_job, pfw_wrapper, task_message
from desdm.schema.states import JobState, WrapperState

__all__ = [
    "FailedJob",
    "FailedStep",
    "failed_jobs",
    "first_failed_step",
]

_TITLE = 160


class FailedJob(NamedTuple):
    """A job that failed or was lost."""

    number: int
    lost: bool
    comment: str


class FailedStep(NamedTuple):
    """The first wrapper that failed, and the first message of level 1 in its log."""

    module: str
    keys: str
    text: str
    log: str
    line: int


def failed_jobs(conn: Connection, attempt_id: int) -> list[FailedJob]:
    """Return the jobs of an attempt that failed or were lost, in the order of their numbers."""
    j = pfw_job.c
    query = (
        select(j.jobnum, j.state, j.comment)
        .where(j.pfw_attempt_id == attempt_id, j.state.in_([JobState.FAILED.value, JobState.LOST.value]))
        .order_by(j.jobnum)
    )
    rows = conn.execute(query)
    return [FailedJob(row.jobnum, row.state == JobState.LOST.value, row.comment or "") for row in rows]


def first_failed_step(conn: Connection, attempt_id: int) -> FailedStep | None:
    """Return the first failed step of an attempt with its first message of level 1; None: no step failed."""
    w, j, m = pfw_wrapper.c, pfw_job.c, task_message.c
    query = (
        select(w.modname, w.wrapkeys, m.message, m.log_file, m.log_line)
        .select_from(
            pfw_wrapper.join(pfw_job, j.task_id == w.pfw_job_task_id)
            .join(pfw_block, pfw_block.c.task_id == j.pfw_block_task_id)
            # With the attempt, by which messages have their index.
            .outerjoin(
                task_message,
                (m.pfw_attempt_id == attempt_id)
                & (m.task_id == w.task_id)
                & (m.message_lvl == 1)
                & (m.log_file == w.log),
            )
        )
        .where(
            w.pfw_attempt_id == attempt_id,
            w.state == WrapperState.FAILED.value,
            j.state == JobState.FAILED.value,
        )
        .order_by(pfw_block.c.blknum, j.jobnum, w.wrapnum, m.log_line, m.id)
        .limit(1)
    )
    row = conn.execute(query).first()
    if row is None:
        return None
    text = row.message or "it failed without a message"
    return FailedStep(row.modname, row.wrapkeys or "", text, row.log_file or "", row.log_line or 0)
