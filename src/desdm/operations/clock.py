"""The time of the machine."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["machine_time"]


def machine_time() -> datetime:
    """Return the time of the machine, UTC, without zone."""
    return datetime.now(UTC).replace(tzinfo=None)
