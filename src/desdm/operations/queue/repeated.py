"""The row of a unit follows an attempt that a person repeated."""

from __future__ import annotations

from sqlalchemy import Connection

from desdm.archive.model import Scope
from desdm.framework import store as attempts
from desdm.framework.scope import run_class_of
from desdm.operations.clock import machine_time
from desdm.operations.queue import store
from desdm.schema.operationstates import QueueState
from desdm.schema.states import AttemptState, EventKind
from desdm.schema.store import record_event

__all__ = ["settle_repeated"]

_GOOD = (AttemptState.DONE, AttemptState.FLAGGED)
_OPEN = (QueueState.GAVE_UP, QueueState.DISMISSED, QueueState.WAITING, QueueState.DONE)


def settle_repeated(conn: Connection, production: Scope, run: str, *, who: str) -> None:
    """Let the row of a unit be done by an attempt of a person that ended well; without such a row do nothing.

    An attempt is for a row if it has the row's campaign, project and run class: a trial leaves the row of production alone.

    Parameters
    ----------
    conn
        Connection in a transaction.
    production
        The attempts that are production here.
    run
        Name of the attempt.
    who
        Who repeated it.
    """
    attempt = attempts.attempt_by_name(conn, run)
    if attempt.state not in _GOOD:
        return
    project, campaign = attempts.scope_of(conn, attempt.reqnum)
    rows = store.find_rows(conn, unit=attempt.unitname, campaign=campaign)
    row = next(
        (
            row
            for row in rows
            if row.pipeline == attempt.pipeline
            and row.state in _OPEN
            and project == (row.settings.get("project") or production.project)
            and attempt.run_class is run_class_of(row.settings)
        ),
        None,
    )
    if row is None or row.attempt_id == attempt.id:
        return
    now, why = machine_time(), f"{run}, a retry by {who}, is {attempt.state.value}"
    # The lawful way to done leads through these states.
    for state in (QueueState.WAITING, QueueState.SUBMITTED, QueueState.DONE):
        if row.state is not state:
            values = {"pfw_attempt_id": attempt.id, "held_by": None, "not_before": None}
            store.change_row(conn, row, state, why=why, now=now, **values)
            row = store.row_by_id(conn, row.id)
    text = f"{row.name} is done by {run}"
    record_event(conn, EventKind.QUEUE, who, text, attempt.id, subject=row.unitname)
