"""What every part of the SQL of runs needs: the time, a line of what happened, many rows at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from sqlalchemy import Connection, Table

from desdm.schema import event

__all__ = ["Values", "insert_many", "now", "record_event"]

Values: TypeAlias = Sequence[Mapping[str, Any]]


def now() -> datetime:
    """The time, UTC, as the database keeps it."""
    return datetime.now(UTC).replace(tzinfo=None)


def record_event(conn: Connection, kind: str, who: str, text: str, attempt_id: int | None = None) -> None:
    """Add a line to what happened."""
    conn.execute(
        event.insert(),
        {"event_time": now(), "kind": kind, "who": who, "pfw_attempt_id": attempt_id, "text": text},
    )


def insert_many(conn: Connection, table: Table, rows: Values) -> None:
    """Insert rows; none is no error."""
    if rows:
        conn.execute(table.insert(), rows)
