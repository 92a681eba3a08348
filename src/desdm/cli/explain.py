"""desdm explain: which calibrations a run uses, and why these."""

from __future__ import annotations

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context
from desdm.cli.names import RUN


@click.command()
@click.argument("run", type=RUN)
@click.option("--why", metavar="FILE", help="Only this file, or this file type.")
@json_option
@pass_command_context
def command(context: CommandContext, run: str, why: str | None, as_json: bool) -> None:
    """Answer "why this bias?": the calibrations of RUN, the rule that chose each, and what was passed over."""
    from desdm.archive import store
    from desdm.archive.catalog import attempt_number
    from desdm.errors import NotFoundError

    with context.facility.database.read() as conn:
        rows = store.calibrations_of(conn, attempt_number(conn, run))
    if why is not None:
        rows = [r for r in rows if why in (r["filename"], r["filetype"])]
        if not rows:
            raise NotFoundError(f"{run} uses no calibration {why}; all that it uses: desdm explain {run}")

    def human() -> None:
        if why is not None:
            for row in rows:
                click.echo(f"{row['filename']}: {row['reason']}")
            return
        groups: dict[tuple[str, str, str], list[int | None]] = {}
        for row in rows:
            groups.setdefault((row["filetype"], row["how"], row["reason"]), []).append(row["ccdnum"])
        cells = [(kind, how, len(ccds), reason) for (kind, how, reason), ccds in groups.items()]
        context.table(("FILETYPE", "RULE", "FILES", "WHY"), cells, empty=f"{run} uses no calibration")

    context.show({"run": run, "calibrations": rows}, human, as_json)
