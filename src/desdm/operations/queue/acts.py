"""Acts of people on rows of the queue: hold, release, priority, dismiss; each with its event in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from desdm.errors import ConflictError, NotFoundError
from desdm.operations.queue import store
from desdm.operations.queue.model import QueueChange, QueueRow
from desdm.schema.operationstates import QueueState
from desdm.schema.states import EventKind
from desdm.schema.store import record_event, require_reason

__all__ = ["Act", "Selection", "dismiss", "hold", "release", "select_rows", "set_priority"]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows an act is about.

    Attributes
    ----------
    unit
        Unit: an exposure or a night.
    pipeline, campaign
        Of this pipeline and campaign only; empty: of all.
    whole_night
        With all rows of the night that ``unit`` names.
    production
        Campaign of the rows where ``campaign`` names none; empty: all.
    """

    unit: str
    pipeline: str = ""
    campaign: str = ""
    whole_night: bool = False
    production: str = ""


@dataclass(frozen=True, slots=True)
class Act:
    """Author, reason and time of an act; with ``dry_run`` nothing is written."""

    who: str
    reason: str
    now: datetime
    dry_run: bool = False


def select_rows(conn: Connection, selection: Selection) -> list[QueueRow]:
    """Return the rows of a selection.

    Raises
    ------
    NotFoundError
        There is none; its text names the campaigns that have rows of the unit.
    """
    campaign = selection.campaign
    if selection.whole_night:
        rows = store.find_rows(conn, nite=selection.unit, campaign=campaign)
    else:
        rows = store.find_rows(conn, unit=selection.unit, campaign=campaign)
    rows = [row for row in rows if selection.pipeline in ("", row.pipeline)]
    if not rows:
        raise NotFoundError(f"the queue has no row of {selection.unit}; see: desdm queue list --all")
    if campaign or not selection.production:
        return rows
    nightly = [row for row in rows if row.campaign == selection.production]
    if not nightly:
        others = sorted({row.campaign for row in rows})
        raise NotFoundError(
            f"the nightly queue, campaign {selection.production}, has no row of {selection.unit}; "
            f"campaigns that have: {', '.join(others)}; name one: --campaign {others[0]}"
        )
    return nightly


def hold(conn: Connection, selection: Selection, act: Act) -> list[QueueChange]:
    """Hold waiting rows; they are not submitted until they are released.

    Raises
    ------
    ConflictError
        No row of the selection waits.
    """
    rows = _in_states(conn, selection, (QueueState.WAITING,), "hold")
    return _change(conn, rows, QueueState.HELD, act, "held")


def release(conn: Connection, selection: Selection, act: Act) -> list[QueueChange]:
    """Queue rows that are held, gave up or were dismissed; their tries are counted anew.

    Raises
    ------
    ConflictError
        No row of the selection is held, gave up or was dismissed.
    """
    states = (QueueState.HELD, QueueState.GAVE_UP, QueueState.DISMISSED)
    return _change(conn, _in_states(conn, selection, states, "release"), QueueState.WAITING, act, "released")


def dismiss(conn: Connection, selection: Selection, act: Act) -> list[QueueChange]:
    """Dismiss rows: they are not processed.

    Raises
    ------
    ConflictError
        No row of the selection waits, is held or gave up.
    """
    states = (QueueState.WAITING, QueueState.HELD, QueueState.GAVE_UP)
    return _change(
        conn, _in_states(conn, selection, states, "dismiss"), QueueState.DISMISSED, act, "dismissed"
    )


def set_priority(conn: Connection, selection: Selection, rank: int, act: Act) -> list[QueueChange]:
    """Set the rank of rows that have not ended: the least goes first.

    Parameters
    ----------
    conn
        Connection in a transaction.
    selection
        The rows.
    rank
        New rank.
    act
        Author, reason and time.

    Raises
    ------
    ConflictError
        No row of the selection waits or is held.
    """
    rows = _in_states(conn, selection, (QueueState.WAITING, QueueState.HELD), "reorder")
    require_reason(act.reason)
    changes = [QueueChange(row, row.state, rank) for row in rows]
    for change in [] if act.dry_run else changes:
        row = change.row
        _write(
            conn, row, row.state, act, f"{row.name} has rank {rank}, was {row.rank}", rank=rank, why=row.why
        )
    return changes


def _in_states(
    conn: Connection, selection: Selection, states: Sequence[QueueState], verb: str
) -> list[QueueRow]:
    """Return the rows of a selection in some states; `ConflictError` without any."""
    rows = select_rows(conn, selection)
    fitting = [row for row in rows if row.state in states]
    if not fitting:
        row = rows[0]
        hint = f"; to end its run: desdm cancel {row.run}" if row.state is QueueState.SUBMITTED else ""
        raise ConflictError(
            f"{row.name} is {row.state.value}; to {verb} a row it must be {' or '.join(s.value for s in states)}{hint}"
        )
    return fitting


def _change(
    conn: Connection, rows: Sequence[QueueRow], state: QueueState, act: Act, word: str
) -> list[QueueChange]:
    """Change the state of rows, with an event each."""
    require_reason(act.reason)
    changes = [QueueChange(row, state, row.rank) for row in rows]
    if act.dry_run:
        return changes
    why = f"{word} by {act.who}: {act.reason.strip()}"
    waiting = state is QueueState.WAITING
    for row in rows:
        values: dict[str, str | int | None] = {"held_by": None if waiting else act.who[:32]}
        if waiting:
            values |= {"tries": 0, "not_before": None}
        _write(conn, row, state, act, f"{row.name} {word}, was {row.state.value}", why=why, **values)
    return changes


def _write(
    conn: Connection,
    row: QueueRow,
    state: QueueState,
    act: Act,
    text: str,
    *,
    why: str,
    **values: str | int | None,
) -> None:
    """Write one row with its event; `ConflictError` if its state was changed meanwhile."""
    if not store.change_row(conn, row, state, why=why, now=act.now, **values):
        raise ConflictError(
            f"{row.name} is not {row.state.value} any more; look again: desdm queue why {row.unitname}"
        )
    record_event(
        conn, EventKind.QUEUE, act.who, text, row.attempt_id, subject=row.unitname, reason=act.reason.strip()
    )
