"""desdm problem: the problem list; an open problem blocks a release that holds its subject."""

from __future__ import annotations

import click

from desdm.cli.door import Door, json_option, pass_door


@click.group("problem")
def command() -> None:
    """The problem list: what is wrong with data; an open problem blocks a release that holds its subject."""


@command.command("open")
@click.argument("kind", type=click.Choice(["release", "tag", "tile", "exposure", "attempt", "file"]))
@click.argument("subject")
@click.argument("text")
@click.option("--note", "only_note", is_flag=True, help="Worth knowing, but it blocks nothing.")
@json_option
@pass_door
def open_(door: Door, kind: str, subject: str, text: str, only_note: bool, as_json: bool) -> None:
    """Enter that TEXT is wrong with SUBJECT (a tile's, run's, file's name …) of some KIND."""
    from desdm.release import problems

    facility = door.facility
    with facility.database.write() as conn:
        number = problems.open_problem(
            conn, kind, subject, text, blocks=not only_note, who=facility.config.operator
        )
    door.show({"problem": number}, lambda: click.echo(f"problem {number} is open"), as_json)


@command.command()
@click.argument("number", type=int)
@click.argument("resolution")
@json_option
@pass_door
def close(door: Door, number: int, resolution: str, as_json: bool) -> None:
    """Close problem NUMBER with how it was resolved."""
    from desdm.release import problems

    facility = door.facility
    with facility.database.write() as conn:
        problems.close_problem(conn, number, resolution, who=facility.config.operator)
    door.show({"problem": number, "closed": True}, lambda: click.echo(f"problem {number} is closed"), as_json)


@command.command("list")
@click.option("--all", "everything", is_flag=True, help="Closed ones too.")
@json_option
@pass_door
def list_(door: Door, everything: bool, as_json: bool) -> None:
    """List open problems."""
    from desdm.release import problems

    with door.facility.database.read() as conn:
        found = [p for p in problems.problems(conn) if everything or p["closed_at"] is None]
    rows = [
        (p["id"], f"{p['subject_kind']} {p['subject']}", p["text"], "blocks" if p["blocks"] else "note", p["opened_by"],
         p["resolution"])
        for p in found
    ]  # fmt: skip
    titles = ("NUMBER", "OF", "WHAT", "KIND", "OPENED BY", "RESOLUTION")
    empty = "no problem was ever opened" if everything else "no open problem; closed ones too: --all"
    door.show(found, lambda: door.table(titles, rows, empty=empty), as_json)
