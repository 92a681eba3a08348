"""Jobs and wrappers in the database: their states while a run is driven."""

from __future__ import annotations

import socket

from sqlalchemy import Connection, select, update

from desdm.framework.model import Job, WrapperRow
from desdm.framework.store.common import now
from desdm.schema import pfw_block, pfw_job, pfw_wrapper, task
from desdm.schema.states import JobState, WrapperState

__all__ = ["close_job", "jobs_of", "queue_job", "start_job", "wrappers_of"]


def jobs_of(conn: Connection, attempt_id: int) -> list[Job]:
    """Jobs of an attempt, in order."""
    j, b = pfw_job.c, pfw_block.c
    query = (
        select(
            j.task_id, b.blknum, b.name, j.jobnum, j.jobkeys, j.state, j.tries, j.token, j.jobroot, j.comment
        )
        .join(pfw_block, b.task_id == j.pfw_block_task_id)
        .where(j.pfw_attempt_id == attempt_id)
        .order_by(j.jobnum)
    )
    return [
        Job(
            row.task_id,
            row.blknum,
            row.name,
            row.jobnum,
            row.jobkeys,
            JobState(row.state),
            row.tries,
            row.token,
            row.jobroot,
            row.comment,
        )
        for row in conn.execute(query)
    ]


def wrappers_of(conn: Connection, attempt_id: int, job_task_id: int | None = None) -> list[WrapperRow]:
    """Return the wrappers of an attempt in order.

    Parameters
    ----------
    conn
        The database.
    attempt_id
        The attempt.
    job_task_id
        Only those of this job; None: all.
    """
    w = pfw_wrapper.c
    query = select(w.task_id, w.pfw_job_task_id, w.wrapnum, w.modname, w.wrapkeys, w.state)
    query = query.where(w.pfw_attempt_id == attempt_id)
    if job_task_id is not None:
        query = query.where(w.pfw_job_task_id == job_task_id)
    return [
        WrapperRow(
            row.task_id, row.pfw_job_task_id, row.wrapnum, row.modname, row.wrapkeys, WrapperState(row.state)
        )
        for row in conn.execute(query.order_by(w.wrapnum))
    ]


def queue_job(conn: Connection, job: Job, token: str, engine: str, jobroot: str) -> None:
    """Record that a job is queued under a new token, which alone may register its outputs.

    Parameters
    ----------
    conn
        The transaction.
    job
        The job.
    token
        Token of this try.
    engine
        Name of the engine.
    jobroot
        Work folder of the job.
    """
    conn.execute(
        update(pfw_job)
        .where(pfw_job.c.task_id == job.task_id)
        .values(
            state=JobState.QUEUED.value,
            token=token,
            engine=engine,
            jobroot=jobroot,
            tries=pfw_job.c.tries + 1,
            comment=None,
        )
    )


def start_job(conn: Connection, task_id: int, token: str, handle: str) -> None:
    """Record that a worker has started a job.

    Parameters
    ----------
    conn
        The transaction.
    task_id, token
        The job and the token of its try.
    handle
        Name of the job or worker in the engine.
    """
    conn.execute(
        update(pfw_job)
        .where(pfw_job.c.task_id == task_id, pfw_job.c.token == token)
        .values(state=JobState.RUNNING.value, handle=handle)
    )
    conn.execute(
        update(task)
        .where(task.c.id == task_id)
        .values(start_time=now(), end_time=None, status=None, exec_host=socket.gethostname())
    )


def close_job(
    conn: Connection,
    task_id: int,
    token: str | None,
    state: JobState,
    comment: str | None,
    junktar: str | None,
) -> bool:
    """Set the final state of a job, if the token is its live one.

    Parameters
    ----------
    conn
        The transaction.
    task_id, token
        The job and the token of the try that ends.
    state, comment
        Its state, and why.
    junktar
        Name of the archive of its work folder, for a try that failed.

    Returns
    -------
    bool
        False if the token is not live; nothing is changed then.
    """
    live = (JobState.QUEUED.value, JobState.RUNNING.value)
    done = conn.execute(
        update(pfw_job)
        .where(pfw_job.c.task_id == task_id, pfw_job.c.token == token, pfw_job.c.state.in_(live))
        .values(state=state.value, token=None, comment=comment, junktar=junktar)
    )
    if done.rowcount != 1:
        return False
    status = 0 if state is JobState.DONE else 1
    conn.execute(update(task).where(task.c.id == task_id).values(end_time=now(), status=status))
    return True
