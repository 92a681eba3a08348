"""desdm cutout: cut regions out of a release's images, by place, object or table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from desdm.cli.context import CommandContext, pass_command_context

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from desdm.services.soda.batch import Item, ItemResult
    from desdm.services.soda.files import ImageCache
    from desdm.services.soda.rows import Defaults


@click.command(context_settings={"ignore_unknown_options": True})  # a declination may begin with -
@click.argument("position", nargs=-1, metavar="[RA DEC]")
@click.option("--id", "identifier", metavar="ID", help="An object instead of a place.")
@click.option(
    "--table",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Rows of ra, dec or id; xsize, ysize (arcmin), bands, name: VOTable, CSV, TSV, FITS, Parquet.",
)
@click.option("--release", default="", metavar="R", help="Release; default: the newest.")
@click.option("--objects", default="", metavar="T", help="Table in which an id is looked up.")
@click.option(
    "--size", type=float, default=1.0, show_default=True, help="Side in arcmin, where a row does not say it."
)
@click.option("--bands", default="", metavar="BANDS", help="g,r,i or gri; default: all.")
@click.option("--png", is_flag=True, help="A colour picture (Lupton) too.")
@click.option("--no-fits", is_flag=True, help="Pictures only.")
@click.option(
    "--stretch", type=float, default=0.0, help="Of the picture: width of its linear part; 0: from the noise."
)
@click.option(
    "--softening", "q", type=float, default=8.0, show_default=True, help="Of the picture: Lupton's Q."
)
@click.option("--minimum", type=float, default=0.0, show_default=True, help="Of the picture: what is black.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path(),
    help="Folder, or a file *.tar or *.zip; default: here.",
)
@pass_command_context
def command(
    context: CommandContext,
    position: tuple[str, ...],
    identifier: str | None,
    table: Path | None,
    release: str,
    objects: str,
    size: float,
    bands: str,
    png: bool,
    no_fits: bool,
    stretch: float,
    q: float,
    minimum: float,
    out: Path,
) -> int:
    """Cut the place RA DEC (ICRS; degrees, or 02:00:24 -05:12:00), an object, or each row of a table out of a release.

    Each cutout is a FITS file with image, mask and weight. With --table, and in a tar or zip, results.csv says what became
    of each row. Exit status 1: something could not be cut, or lies outside.

    \b
    desdm cutout 30.0 -5.0 --size 0.5 --png
    desdm cutout --table objects.csv --bands gri --out cutouts.zip
    """
    from desdm.errors import UsageError
    from desdm.services.soda.batch import CutStatus, cut_items
    from desdm.services.soda.colour import Lupton
    from desdm.services.soda.rows import Defaults
    from desdm.texttable import size_text

    place = position_of(position)
    if [place is not None, identifier is not None, table is not None].count(True) != 1:
        raise UsageError("give RA and DEC, or --id, or --table")
    # Named by place and size, so that the cutout of another place or size does not replace it.
    row = (
        {"id": identifier, "name": identifier}
        if place is None
        else {
            "ra": repr(place[0]),
            "dec": repr(place[1]),
            "name": f"cutout_{place[0]:.5f}{place[1]:+.5f}_{size:g}arcmin",
        }
    )
    defaults = Defaults(
        release=release,
        table=objects,
        xsize=size,
        ysize=size,
        bands=bands,
        fits=not no_fits,
        png=png or no_fits,
        look=Lupton(q, stretch, minimum),
    )
    results: list[ItemResult] = []

    def noted(outcomes: Iterable[ItemResult]) -> Iterator[ItemResult]:
        for one in outcomes:
            results.append(one)
            yield one

    images, items = _items(context, table, {k: str(v) for k, v in row.items()}, defaults)
    written = _write(noted(cut_items(images, items)), out, only_cutouts=table is None)
    for one in sorted(results, key=lambda done: done.item.number)[:20]:
        if table is not None or one.status is not CutStatus.OK:
            click.echo(f"{one.item.name}: {one.status}" + (f" ({one.reason})" if one.reason else ""))
    if len(results) > 20:
        click.echo(f"... {len(results)} rows; results.csv has all")
    for path, count, there in written[:20]:
        click.echo(f"wrote {path} ({size_text(count)}){', in place of an earlier file' if there else ''}")
    if len(written) > 20:
        click.echo(f"... {len(written)} files in {out}")
    return int(any(one.status in (CutStatus.OUTSIDE, CutStatus.FAILED) for one in results))


def _items(
    context: CommandContext, table: Path | None, row: dict[str, str], defaults: Defaults
) -> tuple[ImageCache, list[Item]]:
    """Return the cache of images and the cutouts of the positions."""
    from desdm.accounts.model import Action, Caller
    from desdm.query.engines.open import open_engine
    from desdm.query.formats.upload import read_upload
    from desdm.schema.states import Role
    from desdm.services.soda.files import ImageCache
    from desdm.services.soda.rows import items_of, one_row
    from desdm.web.app import open_services

    max_rows = 10_000_000
    rows = (
        one_row(row)
        if table is None
        else read_upload("rows", table.read_bytes(), None, max_bytes=4_000_000_000, max_rows=max_rows)
    )
    engine = open_engine(context.facility.config)
    try:
        services = open_services(context.facility, engine)
        # A user who may read the installation's files may see all of them.
        caller = Caller(role=Role.ADMIN, actions=frozenset(Action))
        images = ImageCache(services)
        return images, items_of(services, images, caller, rows, defaults, max_rows)
    finally:
        engine.close()


def position_of(words: tuple[str, ...]) -> tuple[float, float] | None:
    """Parse the position of the arguments, ICRS degrees; None without arguments."""
    from desdm.sky.position import read_position

    # Unknown options arrive here too, since a declination may begin with a minus sign.
    for word in words:
        if word.startswith("--"):
            raise click.NoSuchOption(word)
    return read_position(" ".join(words)) if words else None


def _write(outcomes: Iterable[ItemResult], out: Path, *, only_cutouts: bool) -> list[tuple[Path, int, bool]]:
    """Write the files; returns path, size, and whether one was replaced. Of one place no table of results is written."""
    from desdm.services.soda.bundle import bundle, members

    there = out.is_file()
    if out.suffix in (".tar", ".zip"):
        temporary = out.with_name(f".{out.name}.part")
        with temporary.open("wb") as file:
            for piece in bundle("zip" if out.suffix == ".zip" else "tar", outcomes):
                file.write(piece)
        temporary.replace(out)
        return [(out, out.stat().st_size, there)]
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for member in members(outcomes):
        if only_cutouts and member.name in ("results.csv", "summary.json"):
            continue
        there = (out / member.name).exists()
        temporary = out / f".{member.name}.part"
        temporary.write_bytes(member.bytes())
        temporary.replace(out / member.name)
        written.append((out / member.name, member.size, there))
    return written
