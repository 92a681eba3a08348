"""desdm report: a self-contained page on a run."""

from __future__ import annotations

from pathlib import Path

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context
from desdm.cli.names import RUN


@click.command()
@click.argument("run", type=RUN)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="HTML file (default: reports/RUN.html of the installation).",
)
@json_option
@pass_command_context
def command(context: CommandContext, run: str, out: Path | None, as_json: bool) -> None:
    """Write a page on RUN that stands alone: pictures, plots, times, messages, lineage, files."""
    from desdm.operations.report.page import write_report

    facility = context.facility
    target = out or facility.config.home / "reports" / f"{run}.html"
    path = write_report(facility.database, facility.archive, facility.config, run, target)
    context.show({"report": str(path)}, lambda: click.echo(path), as_json)
