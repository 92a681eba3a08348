"""desdm problem: the problem list; an open problem blocks a release that holds its subject."""

from __future__ import annotations

from dataclasses import asdict

import click

from desdm.cli.context import CommandContext, CommandGroup, json_option, pass_command_context


@click.group("problem", cls=CommandGroup)
def command() -> None:
    """The problem list: what is wrong with data; an open problem blocks a release that holds its subject."""


@command.command("open")
@click.argument("kind", type=click.Choice(["release", "tag", "tile", "exposure", "attempt", "file"]))
@click.argument("subject")
@click.argument("text")
@click.option("--note", "only_note", is_flag=True, help="Worth knowing, but it blocks nothing.")
@json_option
@pass_command_context
def open_(
    context: CommandContext, kind: str, subject: str, text: str, only_note: bool, as_json: bool
) -> None:
    """Enter that TEXT is wrong with SUBJECT (a tile's, run's, file's name …) of some KIND."""
    from desdm.release import problems

    facility = context.facility
    with facility.database.write() as conn:
        number = problems.open_problem(
            conn, kind, subject, text, blocks=not only_note, who=facility.config.operator
        )
    context.show({"problem": number}, lambda: click.echo(f"problem {number} is open"), as_json)


@command.command()
@click.argument("number", type=int)
@click.argument("resolution")
@json_option
@pass_command_context
def close(context: CommandContext, number: int, resolution: str, as_json: bool) -> None:
    """Close problem NUMBER with how it was resolved."""
    from desdm.release import problems

    facility = context.facility
    with facility.database.write() as conn:
        problems.close_problem(conn, number, resolution, who=facility.config.operator)
    context.show(
        {"problem": number, "closed": True}, lambda: click.echo(f"problem {number} is closed"), as_json
    )


@command.command("list")
@click.option("--all", "everything", is_flag=True, help="Closed ones too.")
@json_option
@pass_command_context
def list_(context: CommandContext, everything: bool, as_json: bool) -> None:
    """List open problems."""
    from desdm.release import problems

    with context.facility.database.read() as conn:
        listed = [p for p in problems.problems(conn) if everything or p.closed_at is None]
    rows = [
        (
            p.id,
            f"{p.subject_kind} {p.subject}",
            p.text,
            "blocks" if p.blocks else "note",
            p.opened_by,
            p.resolution,
        )
        for p in listed
    ]
    titles = ("NUMBER", "OF", "WHAT", "KIND", "OPENED BY", "RESOLUTION")
    empty = "no problem was ever opened" if everything else "no open problem; closed ones too: --all"
    context.show([asdict(p) for p in listed], lambda: context.table(titles, rows, empty=empty), as_json)
