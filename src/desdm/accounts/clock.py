"""Current time in the form of the database: UTC, without zone."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["now"]


def now() -> datetime:
    """Return the current time in UTC, to the second."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)
