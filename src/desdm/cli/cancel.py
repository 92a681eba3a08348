"""desdm cancel: end a run."""

from __future__ import annotations

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context
from desdm.cli.names import RUN


@click.command()
@click.argument("run", type=RUN)
@click.option("--reason", default="", help="Why; recorded with the event.")
@json_option
@pass_command_context
def command(context: CommandContext, run: str, reason: str, as_json: bool) -> None:
    """End RUN: its jobs are ended, what is done stays registered; resume can go on with it."""
    from desdm.framework.cancel import cancel

    facility = context.facility
    state = cancel(facility.database, facility.archive, run, who=facility.config.operator, reason=reason)
    context.show({"attempt": run, "state": state.value}, lambda: click.echo(f"{run} {state.value}"), as_json)
