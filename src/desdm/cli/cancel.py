"""desdm cancel: end a run."""

from __future__ import annotations

import click

from desdm.cli.door import Door, json_option, pass_door
from desdm.cli.names import RUN


@click.command()
@click.argument("run", type=RUN)
@click.option("--reason", default="", help="Why; kept with the event.")
@json_option
@pass_door
def command(door: Door, run: str, reason: str, as_json: bool) -> None:
    """End RUN: its jobs are ended, what is done stays registered; resume can go on with it."""
    from desdm.framework.cancel import cancel

    facility = door.facility
    state = cancel(facility.database, facility.archive, run, who=facility.config.operator, reason=reason)
    door.show({"attempt": run, "state": state.value}, lambda: click.echo(f"{run} {state.value}"), as_json)
