"""The SQL of the page of the queue: rows a page at a time."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, func, select, tuple_

from desdm.operations.queue.model import QueueRow
from desdm.operations.queue.store import rows_of_query
from desdm.schema.operationstates import QueueState
from desdm.schema.queue import ops_auto_queue

__all__ = ["queue_page"]

_Q = ops_auto_queue.c
#: States of rows that wait for their turn or have it.
_IN_ORDER = frozenset((QueueState.SUBMITTED, QueueState.WAITING, QueueState.HELD))
_DUE = func.coalesce(_Q.due_at, _Q.arrived_at)


def queue_page(
    conn: Connection, states: Sequence[QueueState], *, nite: str, after: int | None, limit: int
) -> list[QueueRow]:
    """Return rows: those that wait in the order of the queue, those that have ended with the newest first.

    Parameters
    ----------
    conn
        The database.
    states
        Their states.
    nite
        Night, YYYYMMDD; empty: all.
    after
        Number of the row after which they follow; None: the first.
    limit
        At most so many.
    """
    ordered = _IN_ORDER.issuperset(states)
    state: ColumnElement[str] = _Q.state
    if states == (QueueState.DONE,) and not nite:
        # Nearly all rows are done: going back by number finds a page of them at once, the index would sort them all.
        state = func.coalesce(_Q.state, "")
    conditions: list[ColumnElement[bool]] = [state.in_([s.value for s in states])]
    if nite:
        conditions.append(_Q.nite == nite)
    order = (_Q.rank, _DUE, _Q.arrived_at, _Q.id) if ordered else (_Q.id.desc(),)
    if after is not None and ordered:
        place = conn.execute(select(_Q.rank, _DUE, _Q.arrived_at, _Q.id).where(_Q.id == after)).one_or_none()
        if place is not None:
            conditions.append(tuple_(_Q.rank, _DUE, _Q.arrived_at, _Q.id) > tuple_(*place))
    elif after is not None:
        conditions.append(_Q.id < after)
    return rows_of_query(conn, conditions, order, limit)
