"""desdm resume: go on with a run at the first module that is not done."""

from __future__ import annotations

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context
from desdm.cli.names import RUN


@click.command()
@click.argument("run", type=RUN)
@click.option("--reason", default="", help="Why; recorded with the event.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Stay until the run ends.")
@json_option
@pass_command_context
@click.pass_context
def command(
    ctx: click.Context, context: CommandContext, run: str, reason: str, wait: bool, as_json: bool
) -> None:
    """Go on with RUN at the first module that is not done, re-using good outputs."""
    from desdm.cli.runs import drive_here, drive_in_background, exit_status
    from desdm.framework import store
    from desdm.schema.states import AttemptState

    with context.facility.database.read() as conn:
        store.attempt_by_name(conn, run)
    state = AttemptState.RUNNING
    if wait:
        state = drive_here(context, run, reason=reason)
    else:
        drive_in_background(context, run, reason=reason)
    context.show({"attempt": run, "state": state.value}, lambda: click.echo(f"{run} {state.value}"), as_json)
    ctx.exit(exit_status(state))
