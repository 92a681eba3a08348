"""desdm get: download a release or a part of it from a server, verified and resumed."""

from __future__ import annotations

from pathlib import Path

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context


@click.command()
@click.argument("what", metavar="URL|RELEASE")
@click.option("--url", "server", envvar="DESDM_URL", help="Server of a bare release name (else $DESDM_URL).")
@click.option("--tile", "tiles", multiple=True, help="Only this tile (again for more).")
@click.option("--band", "bands", multiple=True, help="Only this band (again for more).")
@click.option(
    "--type", "types", multiple=True, help="Only this file type: coadd, table, hips … (again for more)."
)
@click.option("--pos", default="", metavar="RA,DEC,RADIUS", help="Only what lies there, degrees.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder (default: the release's name, here).",
)
@click.option("--parallel", type=click.IntRange(1, 64), default=4, show_default=True, help="Files at once.")
@click.option(
    "--patience",
    type=float,
    default=60.0,
    show_default=True,
    help="Seconds to wait for a server that is away.",
)
@click.option("--token", envvar="DESDM_TOKEN", help="Access token (better: $DESDM_TOKEN).")
@click.option("--list", "only_list", is_flag=True, help="Show what would be fetched.")
@json_option
@pass_command_context
def command(
    context: CommandContext,
    what: str,
    server: str | None,
    tiles: tuple[str, ...],
    bands: tuple[str, ...],
    types: tuple[str, ...],
    pos: str,
    out: Path | None,
    parallel: int,
    patience: float,
    token: str | None,
    only_list: bool,
    as_json: bool,
) -> int:
    """Download files of a release; run it again and it goes on, and fetches what is missing or wrong.

    Exit status 1: some could not be had.
    """
    from desdm.client.get import Part, get, remote_files, source
    from desdm.client.transfer import Link
    from desdm.texttable import size_text

    link = Link(token=token, patience=patience)
    origin = source(what, server)
    files = remote_files(link, origin, Part(tiles, bands, types, pos))
    size = sum(file.size for file in files)
    if only_list:
        rows = [{"path": f.path, "size": f.size, "sha256": f.sha256, "url": f.url} for f in files]
        rows_of_files = [(f.path, size_text(f.size)) for f in files]
        context.show(
            {"files": rows, "bytes": size}, lambda: context.table(("path", "size"), rows_of_files), as_json
        )
        return 0
    folder = out or Path(origin.release)
    with context.progress() as progress:
        bar = progress.add_task(origin.release, total=size)
        link.progress = lambda count: progress.advance(bar, count)
        report = get(link, files, folder, parallel=parallel)
    document = {
        "folder": str(folder),
        "fetched": report.fetched,
        "standing": report.present,
        "failed": [{"path": path, "reason": reason} for path, reason in report.failed],
        "bytes": report.bytes,
    }

    def human() -> None:
        click.echo(
            f"{folder}: {len(report.fetched)} files fetched ({report.bytes} bytes), "
            f"{len(report.present)} present before, all verified"
            + (f"; {len(report.failed)} failed" if report.failed else "")
        )
        for path, reason in report.failed:
            click.echo(click.style("failed: ", fg="red") + f"{path}: {reason}")

    context.show(document, human, as_json)
    return 1 if report.failed else 0
