"""desdm fetch: copy files out of the archive, verified."""

from __future__ import annotations

from pathlib import Path

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context


@click.command()
@click.argument("names", metavar="NAME…", nargs=-1, required=True)
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder (default: here).",
)
@json_option
@pass_command_context
def command(context: CommandContext, names: tuple[str, ...], folder: Path, as_json: bool) -> int:
    """Copy files by name into a folder; each is verified against its digest.

    Exit status 1: some could not be had.
    """
    from desdm.archive.fetch import fetch

    facility = context.facility
    with facility.database.read() as conn:
        done = fetch(conn, facility.archive, names, folder)
    document = {
        "fetched": [{"filename": r.name, "path": str(p), "sha256": r.sha256} for r, p in done.files],
        "refused": [{"path": r.path, "reason": r.reason} for r in done.refused],
    }

    def human() -> None:
        for record, path in done.files:
            click.echo(f"{path}  {record.filesize} bytes, verified")
        for refusal in done.refused:
            click.echo(click.style("refused: ", fg="red") + refusal.reason)

    context.show(document, human, as_json)
    return 1 if done.refused else 0
