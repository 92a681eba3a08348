"""desdm serve: answer queries, cutouts, files and pages over HTTP."""

from __future__ import annotations

import click

from desdm.cli.context import CommandContext, pass_command_context


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Port; 0: a free one."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--database",
    metavar="URL",
    help="PostgreSQL of the release tables (default: services.database of the settings, else DuckDB).",
)
@click.option(
    "--proxy", metavar="ADDRESS", help="Front server whose X-Forwarded-For and -Proto are believed."
)
@click.option(
    "--rate",
    type=click.FloatRange(0, 1e6),
    default=200.0,
    show_default=True,
    help="Requests a second that a public address may make over a time; ten times as many at once. 0: no limit.",
)
@pass_command_context
def command(
    context: CommandContext, port: int, host: str, database: str | None, proxy: str | None, rate: float
) -> None:
    """Serve the published releases until SIGTERM (or Ctrl-C); the address is printed when it answers."""
    from desdm.web.serve import listen, serve

    # The port is opened first, so that a port in use is reported before the tables are loaded.
    with listen(host, port) as bound:
        home = context.facility.config.home
        serve(
            context.facility,
            bound,
            lambda url: click.echo(f"serving {home} at {url}"),
            database=database,
            proxy=proxy,
            rate=rate,
        )
