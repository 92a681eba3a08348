"""desdm log: logs of a run, or the messages found in them."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from desdm.cli.door import Door, json_option, pass_door
from desdm.cli.names import RUN

_ALL = 3


@click.command()
@click.argument("run", type=RUN)
@click.option("--job", type=int, help="Only the log of this job.")
@click.option("--messages", "only_messages", is_flag=True, help="The messages that quality control found.")
@click.option(
    "--level",
    type=click.IntRange(1, _ALL),
    default=_ALL,
    show_default=True,
    help="1 errors, 2 warnings, 3 all.",
)
@json_option
@pass_door
def command(door: Door, run: str, job: int | None, only_messages: bool, level: int, as_json: bool) -> None:
    """Logs of RUN, archived or still being written; or the messages found in them."""
    from desdm.framework import store as runs
    from desdm.framework.watch import store
    from desdm.texttable import without_codes

    facility = door.facility
    with facility.database.read() as conn:
        attempt = runs.attempt_by_name(conn, run)
        if only_messages:
            found = store.messages(conn, attempt.id, level)
            others = [] if found or level == _ALL else store.messages(conn, attempt.id)
            door.show(
                [m._asdict() for m in found],
                lambda: door.table(
                    ("LEVEL", "MODULE", "KEYS", "PATTERN", "ACTION", "MESSAGE", "LOG", "LINE"),
                    [tuple(m) for m in found],
                    expendable=("PATTERN", "ACTION", "LOG", "KEYS"),
                    empty=_no_message(level, [m.level for m in others]),
                ),
                as_json,
            )
            return
        stored = _stored(door, run)
    live = sorted((facility.config.runs / run).glob("J*/try*/*.log"))
    logs = sorted({path.name: path for path in (*stored, *live)}.values(), key=lambda p: p.name)
    if job is not None:
        logs = [path for path in logs if f"_J{job:04d}_" in path.name]
    if as_json:
        door.show([{"log": path.name, "path": str(path)} for path in logs], lambda: None, True)
        return
    for path in logs:
        click.echo(click.style(f"--- {path.name}", bold=True))
        with path.open(encoding="utf-8", errors="replace") as file:
            while lines := file.readlines(1 << 16):
                sys.stdout.write(without_codes("".join(lines)))


def _no_message(level: int, others: list[int]) -> str:
    """What is said where no message is of a level, or graver: how many there are of others."""
    if not others:
        return "no message"
    counts = ", ".join(f"{others.count(n)} of level {n}" for n in sorted(set(others)))
    return f"no message of level {level} or graver; there are {counts}: --level {max(others)}"


def _stored(door: Door, run: str) -> list[Path]:
    from desdm.archive import catalog
    from desdm.archive.verify import verified

    facility = door.facility
    with facility.database.read() as conn:
        records = catalog.files(conn, attempt=run, filetype="log")
    return [verified(facility.archive, record) for record in records]
