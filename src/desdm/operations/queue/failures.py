"""Failures of attempts: whether another try may help, the first bad line of the first failed step, and the problem list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from desdm.errors import TransientError
from desdm.operations.queue import failurestore as store
from desdm.operations.queue.model import QueueRow
from desdm.release.problems import Proposal, propose_problem, withdraw_proposal
from desdm.schema.operationstates import Severity

__all__ = ["Failure", "failure_of", "propose_errors", "propose_failure"]

#: Messages that the text of a problem names.
_NAMED = 10


def _transient_names(kind: type[TransientError] = TransientError) -> Iterator[str]:
    """Names of the errors that another try may not meet."""
    yield kind.__name__
    for inner in kind.__subclasses__():
        yield from _transient_names(inner)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed.

    Attributes
    ----------
    transient
        Whether another try may succeed: a worker was lost, or the machine was at fault.
    text
        The first bad line of the first step that failed, with the step.
    """

    transient: bool
    text: str


def failure_of(conn: Connection, attempt_id: int) -> Failure:
    """Return why an attempt failed: its failed jobs decide whether that is transient.

    Parameters
    ----------
    conn
        The database.
    attempt_id
        Number of the attempt.
    """
    jobs = store.failed_jobs(conn, attempt_id)
    names = (*_transient_names(), "MemoryError")
    transient = bool(jobs) and all(job.lost or job.comment.startswith(names) for job in jobs)
    step = store.first_failed_step(conn, attempt_id)
    if step is not None:
        where = f"module {step.module}" + (f" ({step.keys})" if step.keys else "")
        return Failure(
            transient, f"{where}: {step.text}" + (f" [{step.log}:{step.line}]" if step.log else "")
        )
    if jobs:
        return Failure(transient, f"job {jobs[0].number}: {jobs[0].comment or 'it was lost'}")
    return Failure(transient, "no job of it failed; see: desdm show RUN")


def propose_failure(conn: Connection, row: QueueRow, text: str, *, who: str, now: datetime) -> int:
    """Propose a problem for a row that gave up; the same row again counts as an occurrence of it.

    A person confirms it, and says how severe it is; it blocks nothing.

    Parameters
    ----------
    conn
        Connection in a transaction.
    row
        The row.
    text
        What is wrong: the first bad line of the first step that failed.
    who, now
        Who proposes it, and when, UTC.

    Returns
    -------
    int
        Number of the problem.
    """
    proposal = Proposal(
        _kind(row),
        row.unitname,
        f"{row.pipeline} of {row.unitname} gave up",
        text,
        Severity.DEGRADE,
        _key("queue", row),
        attempt_id=row.attempt_id,
    )
    return propose_problem(conn, proposal, who=who, now=now)


def propose_errors(conn: Connection, row: QueueRow, *, who: str, now: datetime) -> int | None:
    """Propose a problem for a night whose run has ended with errors: a calibration that it could not make.

    The exposures of the night take that of the nearest good night; a person must see that it is lacking. Without errors,
    what was proposed of an earlier run of the night, with fewer frames, is withdrawn.

    Parameters
    ----------
    conn
        Connection in a transaction.
    row
        The row.
    who, now
        Who proposes it, and when, UTC.

    Returns
    -------
    int or None
        Number of the problem that was proposed or withdrawn; None: there is none.
    """
    texts = store.error_messages(conn, row.attempt_id, _NAMED) if row.attempt_id is not None else []
    if not texts:
        return withdraw_proposal(
            conn, _key("errors", row), f"{row.run} ended without errors", who=who, now=now
        )
    proposal = Proposal(
        _kind(row),
        row.unitname,
        f"{row.pipeline} of {row.unitname} ended with errors",
        "; ".join(texts),
        Severity.DEGRADE,
        _key("errors", row),
        attempt_id=row.attempt_id,
    )
    return propose_problem(conn, proposal, who=who, now=now)


def _key(trouble: str, row: QueueRow) -> str:
    """Return the key of a trouble of a row."""
    return f"{trouble}:{row.campaign}:{row.pipeline}:{row.unitname}"[:200]


def _kind(row: QueueRow) -> str:
    """Return the kind of the subject of a row's problems."""
    return "exposure" if row.expnum is not None else "nite" if row.unitname == row.nite else "unit"
