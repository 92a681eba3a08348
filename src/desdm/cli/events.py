"""desdm events: every act with author, time, subject and reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context
from desdm.schema.states import EventKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desdm.cli.context import JsonValue
    from desdm.schema.store import Event


__all__ = ["command", "time_options"]

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

#: A date or time in ISO 8601, basic or extended: what it ends with says how long a time it names.
_TIME = re.compile(
    r"(?P<day>\d{4}-?\d\d-?\d\d|\d{4}-?W\d\d-?\d)"
    r"(?:[T ](?P<hour>\d\d)(?::?(?P<minute>\d\d)(?::?(?P<second>\d\d)(?P<part>[.,]\d+)?)?)?"
    r"\s*(?:Z|[+-]\d\d(?::?\d\d)?)?)?",
    re.IGNORECASE,
)
_UNITS = (
    ("part", timedelta(microseconds=1)),
    ("second", timedelta(seconds=1)),
    ("minute", timedelta(minutes=1)),
    ("hour", timedelta(hours=1)),
    ("day", timedelta(days=1)),
)


def _time(_ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """Parse a date or a date with time, ISO 8601, UTC unless it has an offset.

    With --until it is the end of the day, hour, minute or second that is named: times are listed to the second, and an
    event must be selected by the time under which it is listed.
    """
    if value is None:
        return None
    text = value.strip()
    match = _TIME.fullmatch(text)
    message = f"{value!r} is not a date or time: give 2026-11-28 or 2026-11-28T14:30, UTC"
    if match is None:
        raise click.BadParameter(message)
    try:
        time = datetime.fromisoformat(text)
    except ValueError as err:
        raise click.BadParameter(message) from err
    if time.tzinfo is not None:
        time = time.astimezone(UTC).replace(tzinfo=None)
    if param.name == "until":
        unit = next(length for name, length in _UNITS if match[name])
        time += unit - timedelta(microseconds=1)
    return time


def time_options(command: Decorated) -> Decorated:
    """Add --since and --until to a command."""
    until = click.option(
        "--until",
        metavar="TIME",
        callback=_time,
        help="Up to the end of this date, hour, minute or second, UTC.",
    )
    since = click.option("--since", metavar="TIME", callback=_time, help="From this date or time on, UTC.")
    return since(until(command))


@click.command()
@click.option("--subject", default="", help="Of this exposure, run, file, tag, release, account …")
@click.option("--kind", type=click.Choice([k.value for k in EventKind]), help="Only acts of this kind.")
@click.option("--who", default="", help="Of this person or program.")
@time_options
@click.option("--limit", type=click.IntRange(min=1), help="Only the newest so many.")
@json_option
@pass_command_context
def command(
    context: CommandContext,
    subject: str,
    kind: str | None,
    who: str,
    since: datetime | None,
    until: datetime | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """List acts, oldest first: who did what to which subject, when and why. Events are only ever added.

    A run selects the events of its attempt too; an exposure may be a number or a name.
    """
    from desdm.schema.store import find_events

    if since is not None and until is not None and since > until:
        raise click.UsageError(f"--since {since} is later than --until {until}: no event can be between")
    with context.facility.database.read() as conn:
        events = find_events(
            conn,
            subject=subject,
            kind=None if kind is None else EventKind(kind),
            who=who,
            since=since,
            until=until,
            limit=limit,
        )
    titles = ("TIME", "KIND", "WHO", "SUBJECT", "WHAT", "WHY")
    rows = [(e.time, e.kind, e.who, e.subject or e.run, e.text, e.reason) for e in events]
    context.show(
        [_document(e) for e in events],
        lambda: context.table(titles, rows, empty="no such event", expendable=("KIND", "WHO", "WHY")),
        as_json,
    )


def _document(event: Event) -> Mapping[str, JsonValue]:
    """Return the JSON document of an event."""
    return {**event._asdict(), "time": event.time.isoformat()}
