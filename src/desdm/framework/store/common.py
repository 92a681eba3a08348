"""What every part of the SQL of runs needs: the time, many rows at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from sqlalchemy import Connection, Table

__all__ = ["Values", "insert_many", "now"]

Values: TypeAlias = Sequence[Mapping[str, Any]]


def now() -> datetime:
    """The time, UTC, as the database keeps it."""
    return datetime.now(UTC).replace(tzinfo=None)


def insert_many(conn: Connection, table: Table, rows: Values) -> None:
    """Insert rows; none is no error."""
    if rows:
        conn.execute(table.insert(), rows)
