"""Common parts of the queries on runs: the time, and inserts of many rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

from sqlalchemy import Connection, Table

from desdm.framework.model import Value

__all__ = ["Values", "insert_many", "now"]

#: Rows to insert, or parameters of a statement.
Values: TypeAlias = Sequence[Mapping[str, Value]]


def now() -> datetime:
    """The time, UTC, as the database keeps it."""
    return datetime.now(UTC).replace(tzinfo=None)


def insert_many(conn: Connection, table: Table, rows: Values) -> None:
    """Insert rows; do nothing if there are none.

    Parameters
    ----------
    conn
        The transaction.
    table
        The table.
    rows
        Rows with the same columns each.
    """
    if rows:
        conn.execute(table.insert(), rows)
