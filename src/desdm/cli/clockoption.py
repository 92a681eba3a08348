"""The option ``--clock``: a clock that begins at a given time and goes on with real time."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import click

__all__ = ["Clock", "clock_option", "moved_clock"]

#: Returns the current time, UTC without zone.
Clock: TypeAlias = Callable[[], datetime]


def _clock_of(ctx: click.Context, param: click.Parameter, value: str | None) -> Clock:
    """Return the clock that begins at the time of the option, or the machine's."""
    from desdm.timestamps import parse_timestamp

    if value is None:
        return moved_clock()
    try:
        return moved_clock(parse_timestamp(value))
    except ValueError as err:
        raise click.BadParameter(str(err), ctx, param) from err


def moved_clock(begin: datetime | None = None) -> Clock:
    """Return a clock that begins at a time (UTC, without zone; None: now) and goes on with real time."""
    if begin is None:
        return lambda: datetime.now(UTC).replace(tzinfo=None)
    start = time.monotonic()
    return lambda: begin + timedelta(seconds=time.monotonic() - start)


clock_option = click.option(
    "--clock",
    callback=_clock_of,
    metavar="ISO-TIME",
    help="Begin at this time (UTC), for rehearsals; the clock goes on with real time.",
)
