"""Cancellation of a run by its submitter, or here if that process is no longer running."""

from __future__ import annotations

import time
from pathlib import Path

from desdm.archive.archive import Archive
from desdm.errors import TransientError, UsageError
from desdm.framework import store
from desdm.framework.process import submitter_alive
from desdm.framework.register import register_job
from desdm.schema.database import Database
from desdm.schema.states import AttemptState, EventKind, JobState
from desdm.schema.store import record_event

__all__ = ["cancel"]

_FINAL = (AttemptState.DONE, AttemptState.FLAGGED, AttemptState.CANCELLED)


def cancel(
    database: Database, archive: Archive, run: str, *, who: str, reason: str = "", timeout: float = 30.0
) -> AttemptState:
    """Cancel a run and return its state.

    Parameters
    ----------
    run
        Name of the run.
    who, reason
        Login and reason, for the record of events.
    timeout
        Seconds to wait for the submitter.

    Raises
    ------
    UsageError
        The run has ended already.
    TransientError
        The submitter does not answer within ``timeout`` seconds.
    """
    with database.write() as conn:
        attempt = store.attempt_by_name(conn, run)
        if attempt.state in _FINAL:
            raise UsageError(f"{run} is {attempt.state.value} already")
        store.request_cancel(conn, attempt.id)
        text = f"{run} cancel requested"
        record_event(conn, EventKind.ATTEMPT, who, text, attempt.id, subject=run, reason=reason)
    deadline = time.monotonic() + timeout
    while submitter_alive(attempt):
        if time.monotonic() > deadline:
            raise TransientError(
                f"the submitter of {run} (process {attempt.submitter_pid}) does not answer; try again"
            )
        time.sleep(0.2)
        with database.read() as conn:
            attempt = store.attempt_by_name(conn, run)
    if attempt.state in _FINAL:
        return attempt.state
    with database.read() as conn:
        jobs = store.jobs_of(conn, attempt.id)
    for job in jobs:
        if job.state in (JobState.QUEUED, JobState.RUNNING):
            workdir = Path(job.jobroot or "") / f"try{job.tries}"
            register_job(database, archive, attempt, job, workdir, JobState.CANCELLED, "cancelled")
    with database.write() as conn:
        if attempt.state is AttemptState.RUNNING:
            store.change_attempt(
                conn, attempt, AttemptState.INTERRUPTED, who, "its submitter is no longer running"
            )
        store.change_attempt(conn, attempt, AttemptState.CANCELLED, who, f"cancelled by {who}", reason=reason)
    return AttemptState.CANCELLED
