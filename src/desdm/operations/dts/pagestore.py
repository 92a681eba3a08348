"""The SQL of the page of arrivals: newest nights, and deliveries a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from sqlalchemy import Connection, func, select

from desdm.operations.dts.model import Delivery
from desdm.operations.dts.store import delivery_record
from desdm.schema.arrival import delivery, delivery_expected
from desdm.schema.operationstates import DeliveryState

__all__ = ["deliveries_page", "last_nites", "state_counts", "undated"]

_D = delivery.c


def last_nites(conn: Connection, count: int, before: str = "") -> list[str]:
    """Return the newest nights of deliveries and lists, newest first.

    Parameters
    ----------
    conn
        The database.
    count
        So many.
    before
        Only nights before this one; empty: all.
    """
    nites: set[str] = set()
    for column in (_D.nite, delivery_expected.c.nite):
        # In the order of its index: it ends after so many nights.
        query = select(column).where(column.is_not(None)).distinct().order_by(column.desc()).limit(count)
        nites |= set(conn.execute(query if not before else query.where(column < before)).scalars())
    return sorted(nites, reverse=True)[:count]


def state_counts(conn: Connection, states: Sequence[DeliveryState]) -> dict[DeliveryState, int]:
    """Return how many deliveries of all nights are in each of some states."""
    query = select(_D.state, func.count()).where(_D.state.in_([s.value for s in states])).group_by(_D.state)
    return dict.fromkeys(states, 0) | {DeliveryState(row[0]): int(row[1]) for row in conn.execute(query)}


def undated(conn: Connection) -> int:
    """Return how many deliveries have no night, because they were never read."""
    return int(conn.execute(select(func.count()).where(_D.nite.is_(None))).scalar_one())


def deliveries_page(
    conn: Connection,
    *,
    nite: str,
    states: Sequence[DeliveryState],
    before: int | None,
    limit: int,
) -> list[Delivery]:
    """Return deliveries, newest first.

    Parameters
    ----------
    conn
        The database.
    nite
        Night, YYYYMMDD; empty: all.
    states
        Their states; none: all.
    before
        Only those with smaller numbers.
    limit
        At most so many.
    """
    query = select(*(_D[field.name] for field in fields(Delivery))).order_by(_D.id.desc()).limit(limit)
    if nite:
        query = query.where(_D.nite == nite)
    if states:
        query = query.where(_D.state.in_([state.value for state in states]))
    if before is not None:
        query = query.where(_D.id < before)
    return [delivery_record(row) for row in conn.execute(query)]
