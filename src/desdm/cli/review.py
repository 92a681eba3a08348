"""desdm review: the queue of what people are asked to look at."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from desdm.cli.context import CommandContext, CommandGroup, json_option, pass_command_context
from desdm.cli.names import NIGHT

if TYPE_CHECKING:
    from desdm.quality.qa.model import Review

_CAUSES = ("flagged", "unknown", "outlier", "sample", "asked")


@click.group("review", cls=CommandGroup)
def command() -> None:
    """The review queue: flagged runs, Unknown verdicts, outliers, a sample, what a person asks for; marks decide it."""


@command.command("list")
@click.option("--cause", type=click.Choice(_CAUSES), help="Only entries of this cause.")
@click.option("--nite", type=NIGHT, help="Only of this night.")
@click.option("--band", default="", help="Only of this band.")
@click.option("--all", "everything", is_flag=True, help="Decided ones too.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@json_option
@pass_command_context
def list_(
    context: CommandContext,
    cause: str | None,
    nite: str | None,
    band: str,
    everything: bool,
    limit: int,
    as_json: bool,
) -> None:
    """List what waits, in the order in which to look at it."""
    from desdm.quality.qa import store
    from desdm.schema.operationstates import ReviewCause, ReviewState

    states = list(ReviewState) if everything else [ReviewState.OPEN, ReviewState.TAKEN]
    with context.facility.database.read() as conn:
        entries = store.reviews(
            conn,
            states=states,
            cause=ReviewCause(cause) if cause else None,
            nite=nite or "",
            band=band,
            limit=limit,
        )
        counts = store.undecided_counts(conn)

    def human() -> None:
        context.table(
            ("NUMBER", "SUBJECT", "CAUSE", "NITE", "BAND", "STATE", "TAKEN BY", "WHY"),
            [
                (e.id, e.subject, e.cause.value, e.nite, e.band, e.state.value, e.taken_by, e.text)
                for e in entries
            ],
            expendable=("BAND", "NITE", "TAKEN BY"),
            empty="nothing waits for review",
        )
        if counts:
            waiting = ", ".join(f"{n} {c.value}" for c, n in counts.items())
            click.echo(f"waiting: {waiting}; the next one: desdm review next")

    context.show([asdict(entry) for entry in entries], human, as_json)


@command.command("next")
@click.option("--cause", type=click.Choice(_CAUSES), help="Only entries of this cause.")
@click.option("--nite", type=NIGHT, help="Only of this night.")
@click.option("--band", default="", help="Only of this band.")
@json_option
@pass_command_context
def next_(context: CommandContext, cause: str | None, nite: str | None, band: str, as_json: bool) -> None:
    """Take the next entry: it is kept for you for half an hour."""
    from desdm.archive.store import now
    from desdm.quality.qa.review import next_review
    from desdm.schema.operationstates import ReviewCause

    facility = context.facility
    with facility.database.write() as conn:
        entry = next_review(
            conn,
            who=facility.config.operator,
            now=now(),
            cause=ReviewCause(cause) if cause else None,
            nite=nite or "",
            band=band,
        )
    _show(context, entry, as_json)


@command.command()
@click.argument("number", type=int)
@json_option
@pass_command_context
def take(context: CommandContext, number: int, as_json: bool) -> None:
    """Take entry NUMBER: it is kept for you for half an hour."""
    from desdm.archive.store import now
    from desdm.quality.qa.review import take_review

    facility = context.facility
    with facility.database.write() as conn:
        entry = take_review(conn, number, who=facility.config.operator, now=now())
    _show(context, entry, as_json)


@command.command()
@click.argument("count", type=click.IntRange(min=1))
@click.option("--seed", type=int, required=True, help="Seed of the generator: the same draws the same.")
@click.option("--pipeline", default="firstcut", show_default=True)
@click.option("--nite", type=NIGHT, help="Only runs of this night.")
@click.option("--reason", default="", help="Why.")
@json_option
@pass_command_context
def sample(
    context: CommandContext,
    count: int,
    seed: int,
    pipeline: str,
    nite: str | None,
    reason: str,
    as_json: bool,
) -> None:
    """Put up a random sample of COUNT runs that nobody has marked or reviewed."""
    from desdm.archive.store import now
    from desdm.quality.qa.review import sample_reviews

    facility = context.facility
    with facility.database.write() as conn:
        subjects = sample_reviews(
            conn,
            count,
            seed,
            pipeline=pipeline,
            nite=nite or "",
            who=facility.config.operator,
            reason=reason,
            scope=facility.production,
            now=now(),
        )
    names = [subject.name for subject in subjects]
    text = f"{len(names)} put up for review: {', '.join(names)}" if names else "no run is left to draw from"
    context.show({"subjects": names}, lambda: click.echo(text), as_json)


@command.command()
@click.argument("subject")
@click.option("--reason", default="", help="Why it is to be looked at.")
@json_option
@pass_command_context
def ask(context: CommandContext, subject: str, reason: str, as_json: bool) -> None:
    """Ask for a look at SUBJECT: an exposure, CCD, tile, run or file."""
    from desdm.archive.store import now
    from desdm.quality.qa.review import ask_review

    facility = context.facility
    with facility.database.write() as conn:
        count = ask_review(
            conn, subject, reason, who=facility.config.operator, scope=facility.production, now=now()
        )
    text = (
        f"{subject} is put up for review" if count else f"{subject} was asked for before; nothing was changed"
    )
    context.show({"subject": subject, "entries": count}, lambda: click.echo(text), as_json)


def _show(context: CommandContext, entry: Review | None, as_json: bool) -> None:
    """Show an entry that was taken."""

    def human() -> None:
        if entry is None:
            click.echo("nothing waits for review")
            return
        click.echo(f"entry {entry.id}: {entry.subject} ({entry.cause.value}): {entry.text}")
        click.echo(
            f"run {entry.run}"
            + (f", kept for you until {entry.lease_until:%H:%M} UTC" if entry.lease_until else "")
        )
        click.echo(f"look at it: desdm mark {entry.subject}, desdm report {entry.run}")

    context.show(asdict(entry) if entry else None, human, as_json)
