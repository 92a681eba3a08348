"""desdm events: every act with author, time, subject and reason."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from desdm.cli.door import Door, json_option, pass_door
from desdm.schema.states import EventKind

if TYPE_CHECKING:
    from desdm.schema.store import Event


#: Length of a time in ISO 8601 → what it names: a day, an hour, a minute, a second.
_UNITS = {
    len("2026-11-28"): timedelta(days=1),
    len("2026-11-28T14"): timedelta(hours=1),
    len("2026-11-28T14:30"): timedelta(minutes=1),
    len("2026-11-28T14:30:05"): timedelta(seconds=1),
}
_OFFSET = re.compile(r"(?<=\d)\s*(Z|[+-]\d\d(:?\d\d)?)$", re.IGNORECASE)


def _time(_ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """A date or a date with time, ISO 8601, UTC unless it has an offset.

    With --until it is the end of the day, minute or second that is named: times are listed to the second, and an event
    must be found by the time under which it is listed.
    """
    if value is None:
        return None
    text = value.strip()
    try:
        time = datetime.fromisoformat(text)
    except ValueError as err:
        raise click.BadParameter(
            f"{value!r} is not a date or time: give 2026-11-28 or 2026-11-28T14:30, UTC"
        ) from err
    if time.tzinfo is not None:
        time = time.astimezone(UTC).replace(tzinfo=None)
    if param.name == "until":
        clock = text if len(text) <= len("2026-11-28") else text[:10] + _OFFSET.sub("", text[10:])
        unit = _UNITS.get(len(clock))
        if unit is not None:
            time += unit - timedelta(microseconds=1)
    return time


@click.command()
@click.option("--subject", default="", help="Of this exposure, run, file, tag, release, account …")
@click.option("--kind", type=click.Choice([k.value for k in EventKind]), help="Only acts of this kind.")
@click.option("--who", default="", help="Of this person or program.")
@click.option("--since", metavar="TIME", callback=_time, help="From this date or time on, UTC.")
@click.option(
    "--until", metavar="TIME", callback=_time, help="Up to the end of this date, minute or second, UTC."
)
@click.option("--limit", type=click.IntRange(min=1), help="Only the newest so many.")
@json_option
@pass_door
def command(
    door: Door,
    subject: str,
    kind: str | None,
    who: str,
    since: datetime | None,
    until: datetime | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """List acts, oldest first: who did what to which subject, when and why. Events are only ever added.

    A run finds the events of its attempt too; an exposure is found by its number or its name.
    """
    from desdm.schema.store import find_events

    if since is not None and until is not None and since > until:
        raise click.UsageError(f"--since {since} is later than --until {until}: no event can be between")
    with door.facility.database.read() as conn:
        found = find_events(
            conn,
            subject=subject,
            kind=None if kind is None else EventKind(kind),
            who=who,
            since=since,
            until=until,
            limit=limit,
        )
    titles = ("TIME", "KIND", "WHO", "SUBJECT", "WHAT", "WHY")
    rows = [(e.time, e.kind, e.who, e.subject or e.run, e.text, e.reason) for e in found]
    door.show(
        [_document(e) for e in found], lambda: door.table(titles, rows, empty="no event as asked"), as_json
    )


def _document(event: Event) -> dict[str, object]:
    return {**event._asdict(), "time": event.time.isoformat()}
