"""desdm doctor: check an installation, and say what to do about what is wrong."""

from __future__ import annotations

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context

_COLOURS = {"ok": "green", "note": "yellow", "problem": "red"}


@click.command()
@json_option
@pass_command_context
def command(context: CommandContext, as_json: bool) -> int:
    """Check the installation: database, schema, archive, modes, room, services, programs, packages, clocks.

    Nothing is changed. Each problem is listed with its correction. Exit status 1: there are problems.
    """
    from desdm import config as settings
    from desdm.facility import open_database, open_service
    from desdm.operations.doctor import State, examine

    config = settings.load(context.home)
    database, service = open_database(config), open_service(config)
    try:
        checks = list(examine(config, database, service))
    finally:
        database.close()
        service.close()
    document = {"checks": [{"name": c.name, "state": c.state.value, "text": c.text} for c in checks]}
    problems = sum(c.state is State.PROBLEM for c in checks)

    def human() -> None:
        for check in checks:
            state = click.style(f"{check.state.value:8}", fg=_COLOURS[check.state.value])
            click.echo(f"{state} {check.name}: {check.text}")
        click.echo(f"{len(checks)} checks, {problems} problems")

    context.show(document, human, as_json)
    return 1 if problems else 0
