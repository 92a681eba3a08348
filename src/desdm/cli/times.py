"""Times as options of commands."""

from __future__ import annotations

from datetime import UTC, datetime

import click

__all__ = ["clock_option"]


def _moment(_ctx: click.Context, _param: click.Parameter, value: str | None) -> datetime | None:
    """Parse a time in ISO 8601, UTC unless it has an offset."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError as err:
        raise click.BadParameter(f"{value!r} is not a time: give 2012-11-21T12:00, UTC") from err
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


clock_option = click.option(
    "--clock",
    metavar="TIME",
    callback=_moment,
    help="Begin at this time, UTC, and go on with real time.  [default: the machine's time]",
)
