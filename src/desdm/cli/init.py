"""desdm init: make an installation."""

from __future__ import annotations

from pathlib import Path

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), required=False)
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
    directory: Path | None,
    database: str | None,
    archive: str | None,
    upgrade: bool,
    new_database: bool,
    as_json: bool,
) -> None:
    """Make an installation in DIRECTORY: desdm.toml, database and archive."""
    from desdm.facility import initialise

    config = initialise(
        directory or Path(context.home or "."), database, archive, upgrade=upgrade, new_database=new_database
    )
    document = {"installation": str(config.home), "archive": str(config.archive_root)}

    def human() -> None:
        click.echo(f"installation {config.home} is ready; archive {config.archive_root}")
        click.echo(f"next: desdm --home {config.home} ingest PATH…")

    context.show(document, human, as_json)
