"""The time as the database keeps it: UTC, without zone."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["now"]


def now() -> datetime:
    """Now, UTC, to the second as all databases keep it."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)
