"""Marks what an attempt's data are worth: ACTIVE, good for use, or JUNK, not to be used."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection

from desdm.archive import store as archive_store
from desdm.errors import ConflictError, UsageError
from desdm.framework import store
from desdm.framework.process import current_state
from desdm.schema.states import AttemptState, DataState, EventKind
from desdm.schema.store import record_event, require_reason

__all__ = ["Mark", "mark", "take_back"]

_UNDER_WAY = (AttemptState.PLANNED, AttemptState.RUNNING)


class Mark(NamedTuple):
    """A run's data state before and after a mark; the same if it was so already.

    ``recorded``: the mark is an event; not if the same person had marked the run so for the same reason.
    """

    run: str
    before: DataState
    after: DataState
    recorded: bool = True

    @property
    def changed(self) -> bool:
        """Whether the mark changed anything."""
        return self.before is not self.after


def mark(conn: Connection, run: str, state: DataState, *, who: str, reason: str) -> Mark:
    """Set the data state of a run, with an event: of a run that has it already, another person's mark or reason is one too.

    Parameters
    ----------
    run
        Name of the run, ``<unit>_r<req>p<att>``.
    state
        ACTIVE or JUNK.
    who, reason
        Who marks it, and why.

    Raises
    ------
    UsageError
        No reason is given, or the state is not one that a person sets.
    NotFoundError
        There is no such run.
    ConflictError
        The run has not ended, its files are deleted, or somebody else marked it at the same time.
    """
    if state not in (DataState.ACTIVE, DataState.JUNK):
        raise UsageError(f"{state.value} is not a mark; give active or junk")
    require_reason(reason)
    attempt = store.attempt_by_name(conn, run)
    before = attempt.data_state
    if before is DataState.PRUNED:
        raise ConflictError(
            f"{attempt.run} is PRUNED: its files are deleted; first: "
            f"desdm delete --undelete --attempt {attempt.run}"
        )
    if current_state(attempt) in _UNDER_WAY:
        raise ConflictError(
            f"{attempt.run} is {attempt.state.value}; mark it when it has ended, or end it: "
            f"desdm cancel {attempt.run}"
        )
    reason = reason.strip()
    if before is state:
        last = archive_store.last_marks(conn, [attempt.id], state).get(attempt.id)
        if last is not None and (last.who, last.reason) == (who, reason):
            return Mark(attempt.run, before, state, recorded=False)
    elif not store.set_data_state(conn, attempt.id, before, state):
        raise ConflictError(
            f"{attempt.run} was marked by somebody else meanwhile; see: desdm events --kind mark"
        )
    text = f"{attempt.run} marked {state.value}, was {before.value}"
    record_event(conn, EventKind.MARK, who, text, attempt.id, subject=attempt.run, reason=reason)
    return Mark(attempt.run, before, state)


def take_back(conn: Connection, run: str, state: DataState, *, who: str, reason: str) -> Mark:
    """Give a run the data state again that it had before a mark, with an event.

    Parameters
    ----------
    conn
        Connection in a transaction.
    run
        Name of the run.
    state
        Data state before the mark: NEW, ACTIVE or JUNK.
    who, reason
        Who takes the mark back, and why.

    Raises
    ------
    ConflictError
        The files of the run are deleted, or somebody else marked it at the same time.
    """
    if state is not DataState.NEW:
        return mark(conn, run, state, who=who, reason=reason)
    require_reason(reason)
    attempt = store.attempt_by_name(conn, run)
    before = attempt.data_state
    if before is DataState.PRUNED:
        raise ConflictError(f"{attempt.run} is PRUNED: its files are deleted")
    if before is state:
        return Mark(attempt.run, before, state, recorded=False)
    if not store.set_data_state(conn, attempt.id, before, state):
        raise ConflictError(
            f"{attempt.run} was marked by somebody else meanwhile; see: desdm events --kind mark"
        )
    text = f"{attempt.run} marked {state.value}, was {before.value}"
    record_event(conn, EventKind.MARK, who, text, attempt.id, subject=attempt.run, reason=reason.strip())
    return Mark(attempt.run, before, state)
