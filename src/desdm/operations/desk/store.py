"""The SQL of the pages of operations: narrow queries on indexed columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Column, Connection, func, select

from desdm.schema import event, image
from desdm.schema.arrival import delivery, delivery_expected
from desdm.schema.operationstates import QueueState
from desdm.schema.queue import ops_auto_queue

__all__ = ["near_nites", "newest_event", "newest_nite", "open_rows"]

#: Indexed columns with the nights of what has arrived; what is listed is expected only.
_NITES: Sequence[Column[str]] = (delivery.c.nite, image.c.nite, ops_auto_queue.c.nite)
_OPEN = (QueueState.SUBMITTED, QueueState.WAITING, QueueState.HELD, QueueState.GAVE_UP)


class NearNites(NamedTuple):
    """The nights with data before and after a night; empty: none."""

    earlier: str
    later: str


def newest_nite(conn: Connection) -> str:
    """Return the newest night with data, else the newest that the observatory lists; empty: there is none."""
    newest = [conn.execute(select(func.max(column))).scalar() or "" for column in _NITES]
    return max(newest) or str(conn.execute(select(func.max(delivery_expected.c.nite))).scalar() or "")


def near_nites(conn: Connection, nite: str) -> NearNites:
    """Return the nights with data before and after a night."""
    before = [conn.execute(select(func.max(c)).where(c < nite)).scalar() or "" for c in _NITES]
    after = [conn.execute(select(func.min(c)).where(c > nite)).scalar() for c in _NITES]
    return NearNites(max(before), min((name for name in after if name), default=""))


def open_rows(conn: Connection) -> dict[QueueState, int]:
    """Return how many rows of the queue are in each state that is not an end."""
    state = ops_auto_queue.c.state
    query = select(state, func.count()).where(state.in_([s.value for s in _OPEN])).group_by(state)
    counts = dict.fromkeys(_OPEN, 0)
    return counts | {QueueState(name): int(count) for name, count in conn.execute(query)}


def newest_event(conn: Connection) -> int:
    """Return the number of the newest event; 0: there is none."""
    return int(conn.execute(select(func.max(event.c.id))).scalar() or 0)
