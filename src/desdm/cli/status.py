"""desdm status: where runs stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context

if TYPE_CHECKING:
    from datetime import datetime

    from desdm.framework.watch.store import RunRow

#: How a state is coloured on a terminal.
COLOURS = {
    "done": "green",
    "running": "cyan",
    "planned": "blue",
    "failed": "red",
    "flagged": "yellow",
    "interrupted": "yellow",
    "cancelled": "bright_black",
}


@click.command()
@click.option("--state", help="Only runs in this state.")
@click.option("--pipeline", help="Only runs of this pipeline.")
@click.option("--operator", help="Only runs of this operator.")
@click.option("--limit", type=click.IntRange(1), default=25, show_default=True, help="The newest so many.")
@click.option("--all", "everything", is_flag=True, help="Every run.")
@json_option
@pass_command_context
def command(
    context: CommandContext,
    state: str | None,
    pipeline: str | None,
    operator: str | None,
    limit: int,
    everything: bool,
    as_json: bool,
) -> None:
    """Where runs stand, the newest first."""
    from desdm.framework.watch import store

    options = {"state": state, "pipeline": pipeline, "operator": operator}
    where = {k: v for k, v in options.items() if v}
    with context.facility.database.read() as conn:
        rows = store.runs(conn, where, None if everything else limit + 1)
        cut = not everything and len(rows) > limit
        rows = rows[:limit] if cut else rows
        empty_text = "" if rows else _empty_text(store.runs(conn, {}, None), where)
    document = [_document(row) for row in rows]

    def human() -> None:
        from desdm.texttable import Styled

        context.table(
            (
                "RUN",
                "PIPELINE",
                "CLASS",
                "STATE",
                "JOBS",
                "WRAPPERS",
                "FAILED",
                "OPERATOR",
                "SUBMITTED",
                "WHY",
            ),
            [
                (
                    d["attempt"],
                    d["pipeline"],
                    d["run_class"],
                    Styled(str(d["state"]), COLOURS.get(str(d["state"]), "")),
                    f"{d['jobs_done']}/{d['jobs']}",
                    f"{d['wrappers_done']}/{d['wrappers']}",
                    d["jobs_failed"] or None,
                    d["operator"],
                    d["submittime"],
                    d["comment"],
                )
                for d in document
            ],
            expendable=("OPERATOR", "WRAPPERS", "CLASS", "PIPELINE", "SUBMITTED"),
            empty=empty_text,
        )
        if cut:
            click.echo(f"… the newest {limit} are listed; all: desdm status --all")

    context.show(document, human, as_json)


def _empty_text(rows: list[RunRow], where: dict[str, str]) -> str:
    """Return the text for no matching run: the values that runs have."""
    if not rows:
        return "no run yet; next: desdm submit PIPELINE --wait"
    conditions = " and ".join(f"{key} {value}" for key, value in where.items())
    values = "; ".join(f"{key}s: {', '.join(sorted({getattr(r, key) for r in rows}))}" for key in where)
    return f"no run of {conditions} among {len(rows)} runs; {values}"


def _document(row: RunRow) -> dict[str, str | int | datetime | None]:
    """Return the JSON document of a run."""
    fields = row._asdict()
    fields["attempt"] = fields.pop("run")
    for internal in ("id", "submitter_start"):
        del fields[internal]
    return fields
