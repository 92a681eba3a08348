"""desdm logbook: entries of people, and all acts, in one order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from desdm.cli.context import CommandContext, CommandGroup, json_option, pass_command_context
from desdm.cli.events import time_options
from desdm.cli.names import NIGHT
from desdm.schema.operationstates import LogCategory, TimeLoss
from desdm.schema.states import EventKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from desdm.cli.context import JsonValue
    from desdm.operations.logbook.model import LogEntry


@click.group("logbook", cls=CommandGroup, invoke_without_command=True)
@click.option("--nite", type=NIGHT, help="About this night.")
@click.option("--subject", default="", help="About this exposure, run, file, tag …")
@click.option("--kind", type=click.Choice([k.value for k in EventKind]), help="Only acts of this kind.")
@click.option(
    "--category", type=click.Choice([c.value for c in LogCategory]), help="Only entries of this category."
)
@click.option("--who", default="", help="By this person or program.")
@click.option(
    "--search", multiple=True, metavar="WORD", help="Text or reason contains this; all of them, if repeated."
)
@click.option("--entries", is_flag=True, help="Only what people wrote.")
@time_options
@click.option("--before", type=click.IntRange(min=1), help="Only lines with smaller numbers: the next page.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many lines."
)
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    nite: str | None,
    subject: str,
    kind: str | None,
    category: str | None,
    who: str,
    search: tuple[str, ...],
    entries: bool,
    since: datetime | None,
    until: datetime | None,
    before: int | None,
    limit: int,
    as_json: bool,
) -> None:
    """List the logbook, newest first: acts with their reasons, and entries of people. Nothing in it is ever changed."""
    if ctx.invoked_subcommand is not None:
        return
    from desdm.operations.logbook.model import LogFilter
    from desdm.operations.logbook.store import find_entries

    context = ctx.find_object(CommandContext)
    assert context is not None
    if since is not None and until is not None and since > until:
        raise click.UsageError(f"--since {since} is later than --until {until}: nothing can be between")
    wanted = LogFilter(
        kind=None if kind is None else EventKind(kind),
        who=who,
        category=None if category is None else LogCategory(category),
        subject=_name_of(subject) if subject else "",
        nite=nite or "",
        words=search,
        since=since,
        until=until,
        entries_only=entries,
        before=before,
    )
    with context.facility.database.read() as conn:
        lines = find_entries(conn, wanted, limit)
    titles = ("NUMBER", "TIME", "KIND", "WHO", "SUBJECT", "WHAT", "WHY")
    rows = [(e.id, e.time, e.kind.value, e.who, _subject_text(e), _text(e), e.reason) for e in lines]

    def human() -> None:
        context.table(titles, rows, empty="nothing in the logbook fits", expendable=("KIND", "WHO"))
        if len(lines) == limit:
            click.echo(f"older lines: --before {lines[-1].id}")

    context.show([_document(e) for e in lines], human, as_json)


@command.command()
@click.argument("text")
@click.option("--nite", type=NIGHT, help="Night that it is about.")
@click.option(
    "--subject",
    "subjects",
    multiple=True,
    metavar="NAME",
    help="What it is about: an exposure, run, tile, file …, or KIND:NAME; may be repeated.",
)
@click.option(
    "--category",
    type=click.Choice([c.value for c in LogCategory]),
    default=LogCategory.OTHER.value,
    show_default=True,
    help="What kind of thing it is about.",
)
@click.option("--lost", type=float, metavar="HOURS", help="Hours that were lost.")
@click.option("--loss", type=click.Choice([loss.value for loss in TimeLoss]), help="Why they were lost.")
@json_option
@pass_command_context
def add(
    context: CommandContext,
    text: str,
    nite: str | None,
    subjects: tuple[str, ...],
    category: str,
    lost: float | None,
    loss: str | None,
    as_json: bool,
) -> None:
    """Write TEXT in the logbook."""
    from desdm.operations.logbook.model import Details
    from desdm.operations.logbook.verbs import write_entry
    from desdm.schema.subjects import parse_subject

    facility = context.facility
    details = Details(LogCategory(category), nite or "", lost, None if loss is None else TimeLoss(loss))
    with facility.database.write() as conn:
        number = write_entry(
            conn,
            text,
            who=facility.config.operator,
            details=details,
            subjects=[parse_subject(name) for name in subjects],
        )
    context.show({"entry": number}, lambda: click.echo(f"entry {number} is in the logbook"), as_json)


@command.command()
@click.argument("number", type=click.IntRange(min=1))
@click.argument("text")
@json_option
@pass_command_context
def correct(context: CommandContext, number: int, text: str, as_json: bool) -> None:
    """Write TEXT in the place of entry NUMBER, which stays and names its correction."""
    from desdm.operations.logbook.verbs import correct_entry

    facility = context.facility
    with facility.database.write() as conn:
        new = correct_entry(conn, number, text, who=facility.config.operator)
    context.show(
        {"entry": new, "corrects": number},
        lambda: click.echo(f"entry {new} corrects entry {number}"),
        as_json,
    )


def _name_of(text: str) -> str:
    """Return the name under which events have a subject; a text of no known kind as it is."""
    from desdm.errors import UsageError
    from desdm.schema.subjects import parse_subject

    try:
        return parse_subject(text).name
    except UsageError:
        return text


def _subject_text(entry: LogEntry) -> str:
    """Return the subjects of a line."""
    return ", ".join(s.name for s in entry.subjects) or entry.subject or entry.run


def _text(entry: LogEntry) -> str:
    """Return the text of a line, with time lost and corrections."""
    text = entry.text
    if entry.details is not None:
        if entry.details.time_lost is not None:
            cause = f" ({entry.details.loss.value})" if entry.details.loss is not None else ""
            text += f" [{entry.details.time_lost:g} h lost{cause}]"
        if entry.details.corrects is not None:
            text += f" [corrects entry {entry.details.corrects}]"
    return f"{text} [corrected by entry {entry.corrected_by}]" if entry.corrected_by is not None else text


def _document(entry: LogEntry) -> Mapping[str, JsonValue]:
    """Return the JSON document of a line."""
    details = entry.details
    return {
        "id": entry.id,
        "time": entry.time.isoformat(),
        "kind": entry.kind.value,
        "who": entry.who,
        "subject": entry.subject,
        "subjects": [s.text for s in entry.subjects],
        "run": entry.run,
        "text": entry.text,
        "reason": entry.reason,
        "entry": details is not None,
        "nite": details.nite if details is not None else "",
        "category": details.category.value if details is not None else "",
        "time_lost_h": details.time_lost if details is not None else None,
        "loss": details.loss.value if details is not None and details.loss is not None else None,
        "corrects": details.corrects if details is not None else None,
        "corrected_by": entry.corrected_by,
    }
