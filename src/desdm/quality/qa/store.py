"""The SQL of verdicts: rows added to the evaluation tables, the newest of each exposure, zero points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, func, select

from desdm.schema import zeropoint
from desdm.schema.database import new_ids

__all__ = ["add_evaluation", "add_zeropoints", "newest", "zeropoints_of"]


def add_evaluation(conn: Connection, table: Table, row: Mapping[str, Any]) -> None:
    """Add a verdict; earlier ones stay."""
    conn.execute(table.insert(), {"id": new_ids(conn, table, 1)[0], **row})


def newest(conn: Connection, table: Table, expnums: Sequence[int] | None = None) -> list[dict[str, Any]]:
    """The newest verdict of each exposure (of ``expnums``, or all), by exposure number."""
    last = select(func.max(table.c.id).label("id")).group_by(table.c.expnum).subquery()
    query = select(table).join(last, last.c.id == table.c.id).order_by(table.c.expnum)
    if expnums is not None:
        query = query.where(table.c.expnum.in_(list(expnums)))
    return [dict(row._mapping) for row in conn.execute(query)]


def add_zeropoints(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add zero points of images."""
    if rows:
        ids = new_ids(conn, zeropoint, len(rows))
        conn.execute(zeropoint.insert(), [{"id": i, **row} for i, row in zip(ids, rows, strict=True)])


def zeropoints_of(conn: Connection, attempt_id: int) -> list[dict[str, Any]]:
    """Zero points that an attempt made, by exposure and CCD."""
    query = select(zeropoint).where(zeropoint.c.pfw_attempt_id == attempt_id)
    return [
        dict(row._mapping) for row in conn.execute(query.order_by(zeropoint.c.expnum, zeropoint.c.ccdnum))
    ]
