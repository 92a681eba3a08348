"""Common parts of the queries on runs: the time, and the type of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

from desdm.framework.model import Value

__all__ = ["Values", "now"]

#: Rows to insert, or parameters of a statement.
Values: TypeAlias = Sequence[Mapping[str, Value]]


def now() -> datetime:
    """The time, UTC, as the database keeps it."""
    return datetime.now(UTC).replace(tzinfo=None)
