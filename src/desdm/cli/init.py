"""desdm init: make an installation."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context


@click.command()
@click.argument("directory", required=False)
@click.option(
    "--database", metavar="URL", help="sqlite:///… or postgresql+psycopg://… (default: SQLite in DIR)."
)
@click.option("--archive", metavar="DIR", help="Root of the archive (default: archive/ in DIR).")
@click.option("--upgrade", is_flag=True, help="Bring an existing installation's schema up to date.")
@click.option(
    "--new-database",
    is_flag=True,
    help="Begin with an empty database also beside files in archive or releases, of which it knows nothing.",
)
@json_option
@pass_command_context
def command(
    context: CommandContext,
    directory: str | None,
    database: str | None,
    archive: str | None,
    upgrade: bool,
    new_database: bool,
    as_json: bool,
) -> None:
    """Make an installation in DIRECTORY: desdm.toml, database and archive."""
    from desdm.facility import initialise

    if directory == "":
        raise click.UsageError("DIRECTORY is empty; name a folder (. is this one)")
    config = initialise(
        Path(directory or context.home or "."), database, archive, upgrade=upgrade, new_database=new_database
    )
    document = {"installation": str(config.home), "archive": str(config.archive_root)}

    def human() -> None:
        click.echo(f"installation {config.home} is ready; archive {config.archive_root}")
        click.echo(f"next: desdm --home {shlex.quote(str(config.home))} ingest PATH…")

    context.show(document, human, as_json)
