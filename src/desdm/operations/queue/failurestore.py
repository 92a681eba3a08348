"""The SQL of failures: failed jobs, the first failed step of an attempt, problems by key."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, insert, select, update

from desdm.schema import pfw_block, pfw_job, pfw_wrapper, problem, task_message
from desdm.schema.operationstates import ProblemState, Severity
from desdm.schema.states import JobState, WrapperState

__all__ = [
    "FailedJob",
    "FailedStep",
    "NewProblem",
    "count_occurrence",
    "failed_jobs",
    "first_failed_step",
    "insert_problem",
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


class NewProblem(NamedTuple):
    """A problem that a program proposes."""

    kind: str
    subject: str
    title: str
    text: str
    key: str
    attempt_id: int | None
    severity: Severity


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
            .outerjoin(task_message, (m.task_id == w.task_id) & (m.message_lvl == 1) & (m.log_file == w.log))
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


def count_occurrence(
    conn: Connection, key: str, text: str, attempt_id: int | None, now: datetime
) -> int | None:
    """Count an occurrence of the open problem of a key, and return its number; None: there is none.

    Parameters
    ----------
    conn
        Connection in a transaction.
    key
        Key of the problem.
    text
        What is wrong now.
    attempt_id
        Attempt in which it was seen.
    now
        Time, UTC.
    """
    p = problem.c
    settled = [ProblemState.CLOSED.value, ProblemState.REJECTED.value]
    query = select(p.id).where(p.dedupe_key == key, p.closed_at.is_(None), p.state.not_in(settled))
    number: int | None = conn.execute(query.order_by(p.id)).scalars().first()
    if number is not None:
        values = {
            "occurrences": p.occurrences + 1,
            "last_seen": now,
            "text": text,
            "pfw_attempt_id": attempt_id,
        }
        conn.execute(update(problem).where(p.id == number).values(values))
    return number


def insert_problem(conn: Connection, new: NewProblem, *, who: str, now: datetime) -> int:
    """Insert a problem that nobody has confirmed, and return its number."""
    values = insert(problem).values(
        subject_kind=new.kind,
        subject=new.subject,
        text=new.text,
        blocks=False,
        opened_by=who,
        opened_at=now,
        title=new.title[:_TITLE],
        state=ProblemState.NEW.value,
        severity=new.severity.value,
        dedupe_key=new.key,
        first_seen=now,
        last_seen=now,
        pfw_attempt_id=new.attempt_id,
    )
    key = conn.execute(values).inserted_primary_key
    assert key is not None
    return int(key[0])
