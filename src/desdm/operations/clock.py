"""Clocks: the time of the machine, or a time that is given and goes on with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

__all__ = ["clock_from", "machine_time"]


def machine_time() -> datetime:
    """Return the time of the machine, UTC, without zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def clock_from(start: datetime | None) -> Callable[[], datetime]:
    """Return a clock that begins at a time, UTC, and goes on with real time; None: that of the machine."""
    if start is None:
        return machine_time
    begin = time.monotonic()
    return lambda: start + timedelta(seconds=time.monotonic() - begin)
