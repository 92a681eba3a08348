"""desdm log: logs of a run, or their messages."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context
from desdm.cli.names import RUN

_ALL = 3


@click.command()
@click.argument("run", type=RUN)
@click.option("--job", type=int, help="Only the log of this job.")
@click.option("--messages", "only_messages", is_flag=True, help="The messages of quality control.")
@click.option(
    "--level",
    type=click.IntRange(1, _ALL),
    default=_ALL,
    show_default=True,
    help="1 errors, 2 warnings, 3 all.",
)
@json_option
@pass_command_context
def command(
    context: CommandContext, run: str, job: int | None, only_messages: bool, level: int, as_json: bool
) -> None:
    """Logs of RUN, archived or still being written; or their messages."""
    from desdm.framework import store as runs
    from desdm.framework.watch import store
    from desdm.texttable import without_codes

    facility = context.facility
    with facility.database.read() as conn:
        attempt = runs.attempt_by_name(conn, run)
        if only_messages:
            messages = store.messages(conn, attempt.id, level)
            others = [] if messages or level == _ALL else store.messages(conn, attempt.id)
            context.show(
                [m._asdict() for m in messages],
                lambda: context.table(
                    ("LEVEL", "MODULE", "KEYS", "PATTERN", "ACTION", "MESSAGE", "LOG", "LINE"),
                    [tuple(m) for m in messages],
                    expendable=("PATTERN", "ACTION", "LOG", "KEYS"),
                    empty=_no_message(level, [m.level for m in others]),
                ),
                as_json,
            )
            return
        stored = _archived_logs(context, run)
    live = sorted((facility.config.runs / run).glob("J*/try*/*.log"))
    logs = sorted({path.name: path for path in (*stored, *live)}.values(), key=lambda p: p.name)
    if job is not None:
        logs = [path for path in logs if f"_J{job:04d}_" in path.name]
    if as_json:
        context.show([{"log": path.name, "path": str(path)} for path in logs], lambda: None, True)
        return
    for path in logs:
        click.echo(click.style(f"--- {path.name}", bold=True))
        with path.open(encoding="utf-8", errors="replace") as file:
            while lines := file.readlines(1 << 16):
                sys.stdout.write(without_codes("".join(lines)))


def _no_message(level: int, others: list[int]) -> str:
    """Return the text for no message of a level or worse: how many there are of others."""
    if not others:
        return "no message"
    counts = ", ".join(f"{others.count(n)} of level {n}" for n in sorted(set(others)))
    return f"no message of level {level} or graver; there are {counts}: --level {max(others)}"


def _archived_logs(context: CommandContext, run: str) -> list[Path]:
    """Return the archived logs of a run."""
    from desdm.archive import catalog
    from desdm.archive.verify import verified

    facility = context.facility
    with facility.database.read() as conn:
        records = catalog.files(conn, attempt=run, filetype="log")
    return [verified(facility.archive, record) for record in records]
