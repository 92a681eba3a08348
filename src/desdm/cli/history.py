"""desdm history: what was run, when, by whom, and how it ended."""

from __future__ import annotations

import csv
import sys

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context


def _pairs(_ctx: click.Context, _param: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    """Parse conditions COLUMN=VALUE."""
    conditions = {}
    for pair in pairs:
        column, sign, value = pair.partition("=")
        if not sign or not column.strip():
            raise click.BadParameter(f"{pair!r}: say COLUMN=VALUE, for instance state=failed")
        if column.strip() in conditions:
            raise click.BadParameter(f"column {column.strip()} occurs twice")
        conditions[column.strip()] = value
    return conditions


@click.command()
@click.option("--cols", help="Columns to show, comma separated; 'help' lists them.")
@click.option(
    "--where", multiple=True, metavar="COLUMN=VALUE", callback=_pairs, help="Only runs with this value."
)
@click.option("--sort", help="Column to sort by.")
@click.option("--limit", type=click.IntRange(min=1), help="The newest so many.")
@click.option("--csv", "as_csv", is_flag=True, help="Comma separated values.")
@json_option
@pass_command_context
def command(
    context: CommandContext,
    cols: str | None,
    where: dict[str, str],
    sort: str | None,
    limit: int | None,
    as_csv: bool,
    as_json: bool,
) -> None:
    """What was run, when, by whom, and how it ended. Other acts (marks, tags, verdicts, releases …): desdm events."""
    from desdm.errors import UsageError
    from desdm.framework.watch.store import HISTORY_COLUMNS, history

    if cols == "help":
        context.table(("COLUMN", "WHAT IT IS"), list(HISTORY_COLUMNS.items()))
        return
    if as_csv and as_json:
        raise UsageError("--csv and --json are two forms of one answer; give one of them")
    columns = [c.strip() for c in cols.split(",")] if cols else list(HISTORY_COLUMNS)
    for column in (*columns, *([sort] if sort else [])):
        if column not in HISTORY_COLUMNS:
            raise UsageError(f"no such column: {column}; see: desdm history --cols help")
    with context.facility.database.read() as conn:
        rows = history(conn, where, limit)
    if sort:
        rows.sort(key=lambda row: (row[sort] is None, row[sort] or 0))
    picked = [{c: row[c] for c in columns} for row in rows]
    if as_csv:
        writer = csv.DictWriter(sys.stdout, columns)
        writer.writeheader()
        writer.writerows(picked)
        return
    heads = [c.upper() for c in columns]
    first = ("RUN_CLASS", "PROJECT", "CAMPAIGN", "WRAPPERS", "WRAPPERS_DONE", "OPERATOR", "JOBS", "ENDTIME")
    empty = "no such run; desdm history shows all" if where else "no run yet; next: desdm submit PIPELINE"

    def human() -> None:
        context.table(heads, [list(r.values()) for r in picked], expendable=first, empty=empty)

    context.show(picked, human, as_json)
