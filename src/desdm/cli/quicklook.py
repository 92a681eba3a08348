"""desdm quicklook: a picture of any image file, with its mask."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context


@click.command()
@click.argument("file")
@click.option(
    "--out", type=click.Path(path_type=Path), help="PNG to write (default: here, named as the file)."
)
@click.option("--hdu", metavar="NAME|NUMBER", help="Show this HDU (default: SCI, or all detectors).")
@click.option("--no-mask", is_flag=True, help="Leave the mask's colours out.")
@click.option(
    "--size", type=click.IntRange(16, 20_000), default=1000, show_default=True, help="Longer side, pixels."
)
@json_option
@pass_command_context
def command(
    context: CommandContext,
    file: str,
    out: Path | None,
    hdu: str | None,
    no_mask: bool,
    size: int,
    as_json: bool,
) -> None:
    """Draw FILE, a path or the name of a registered file, as PNG."""
    from desdm.quality.qa.quicklook import quicklook

    path, mask = Path(file), None
    if not path.is_file():
        path, mask = _registered(context, file)
    target = out or Path(f"{_stem(path.name)}.png")
    if target.resolve() == path.resolve():
        raise click.UsageError(f"{target} is the file itself; say --out")
    picture = quicklook(path, target, mask=not no_mask and (mask or True), hdu=hdu, size=size)
    document = {"picture": str(picture.path), **asdict(picture)}
    del document["path"]
    context.show(document, lambda: click.echo(picture.path), as_json)


def _stem(name: str) -> str:
    """Return the file name without its suffixes."""
    for ending in (".gz", ".fz", ".fits", ".fit"):
        name = name.removesuffix(ending)
    return name


def _registered(context: CommandContext, name: str) -> tuple[Path, Path | None]:
    """Return the path of a registered file, and of the mask registered with it."""
    from desdm.archive import catalog
    from desdm.archive.verify import verified
    from desdm.errors import ConfigError, NotFoundError
    from desdm.quality.qa.masks import names_of_mask

    try:
        facility = context.facility
    except ConfigError as err:
        raise NotFoundError(f"{name}: no such file here, and no archive to look in: {err}") from err
    with facility.database.read() as conn:
        record = catalog.by_name(conn, name)
        if record is None:
            raise NotFoundError(f"{name}: neither a file here nor a registered one; see: desdm files")
        masks = [catalog.by_name(conn, n) for n in names_of_mask(record.name)]
    mask = next((m for m in masks if m is not None and facility.archive.path(m).is_file()), None)
    return verified(facility.archive, record), verified(facility.archive, mask) if mask is not None else None
