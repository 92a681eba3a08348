"""desdm footprint: is it inside, how deep, how many exposures; of a place, a table or a region."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from desdm.cli.door import Door, json_option, pass_door

if TYPE_CHECKING:
    from desdm.release.model import Release
    from desdm.services.footprint.lookup import Footprint


@click.command(context_settings={"ignore_unknown_options": True})  # a declination may begin with -
@click.argument("position", nargs=-1, metavar="[RA DEC]")
@click.option("--release", "name", metavar="R", help="Release; default: the newest with a footprint.")
@click.option(
    "--band", "bands", metavar="BAND", multiple=True, help="Of this band; may be repeated. Default: all."
)
@click.option(
    "--region",
    metavar="STENCIL",
    help='"CIRCLE ra dec radius", "RANGE ra1 ra2 dec1 dec2", "POLYGON ra dec …".',
)
@click.option(
    "--table",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Places: VOTable, CSV, TSV, FITS or Parquet.",
)
@click.option(
    "--ra-column",
    default="",
    metavar="COL",
    help="Column of right ascension, if its name or UCD does not tell.",
)
@click.option("--dec-column", default="", metavar="COL", help="Column of declination.")
@click.option("--tiles", is_flag=True, help="With --table: the tiles that hold each place.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --table: file; its ending says the format.",
)
@click.option("--url", metavar="URL", help="Ask the server there, not this installation.")
@click.option("--token", envvar="DESDM_TOKEN", show_envvar=True, help="Token of an account, for --url.")
@json_option
@pass_door
def command(
    door: Door, position: tuple[str, ...], name: str | None, bands: tuple[str, ...], region: str | None,
    table: Path | None, ra_column: str, dec_column: str, tiles: bool, out: Path | None,
    url: str | None, token: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Ask the footprint of a release: of the place RA DEC (ICRS; degrees or hours), of a region, or of a table of places.

    \b
    desdm footprint 30.0 -5.0
    desdm footprint 02:00:00 -05:00:00
    desdm footprint --region "CIRCLE 30 -5 0.1" --band r
    desdm footprint --table places.csv --out answers.parquet
    """
    from desdm.cli.cutout import position_of
    from desdm.errors import UsageError
    from desdm.services.footprint.lookup import Footprint

    place = position_of(position)
    given = [place is not None, region is not None, table is not None]
    if sum(given) != 1:
        raise UsageError("say what: RA DEC, --region or --table (one of them)")
    if url:
        if table is not None:
            raise UsageError("a table is asked of this installation; at a server: POST it to /footprint")
        document = _asked(url, token, place, region, name, bands)
        show = _show_region if region is not None else _show
        door.show(document, lambda: show(door, document), as_json)
        return
    release = _release(door, name)
    footprint = Footprint(door.facility.config.releases / release.name)
    if table is not None:
        _table(footprint, table, (ra_column, dec_column), bands, tiles, out)
        return
    if region is not None:
        from desdm.services.soda.stencil import stencils_of

        found = footprint.within(stencils_of({"POS": [region]})[0], bands)
        document = {
            "release": release.name,
            "region": found.region,
            "bands": found.bands,
            "tiles": found.tiles,
        }
        door.show(document, lambda: _show_region(door, document), as_json)
        return
    answer = {"release": release.name, **footprint.at(*(place or (0.0, 0.0)), bands).record()}
    door.show(answer, lambda: _show(door, answer), as_json)


def _asked(
    url: str, token: str | None, place: tuple[float, float] | None, region: str | None, release: str | None,
    bands: tuple[str, ...],
) -> dict[str, Any]:  # fmt: skip
    """The answer of a server on a place or a region."""
    from desdm.client import Client

    asked: list[tuple[str, str]] = [("release", release)] if release else []
    asked += [("band", band) for band in bands]
    if place is not None:
        asked += [("ra", repr(place[0])), ("dec", repr(place[1]))]
    else:
        asked.append(("POS", str(region)))
    with Client(url, token) as client:
        path = "/footprint" if place is not None else "/footprint/region"
        found: dict[str, Any] = client.connection.document("GET", path, params=asked)
    return found


def _release(door: Door, name: str | None) -> Release:
    from desdm.errors import NotFoundError
    from desdm.release import store
    from desdm.schema.states import ReleaseState

    facility = door.facility
    with facility.database.read() as conn:
        # A named release may be a draft: who works at the installation looks before it is published.
        found = store.releases(conn, None if name else [ReleaseState.PUBLISHED])
    root = facility.config.releases
    if name:
        for release in found:
            if release.name.lower() == name.lower():
                return release
        raise NotFoundError(f"no release {name}; see: desdm release list")
    seen = [r for r in found if (root / r.name / "footprint" / "tiles.json").is_file()]
    if not seen:
        raise NotFoundError("no release with a footprint is published; see: desdm release list")
    return max(seen, key=lambda r: (r.published_at is not None, r.published_at))


def _show(door: Door, answer: dict[str, Any]) -> None:
    rows = [
        [
            band,
            "yes" if told["inside"] else "no",
            _mag(told["depth"]),
            told["nexp"],
            "" if told["fraction"] is None else f"{told['fraction']:.3f}",
        ]
        for band, told in answer["bands"].items()
    ]
    tiles = ", ".join(answer["tiles"]) or "none"
    where = f"{answer['release']}: {answer['ra']:.6f} {answer['dec']:+.6f}, tiles {tiles}"
    door.table(["band", "inside", "depth (mag)", "exposures", "fraction"], rows, title=where)
    if answer["exposures"]:
        seen = [
            [e["expnum"], e["ccdnum"], e["band"], f"{e['mjd_obs']:.5f}", e["filename"]]
            for e in answer["exposures"]
        ]
        door.table(["exposure", "CCD", "band", "MJD", "file"], seen)


def _mag(depth: float | None) -> str:
    return "" if depth is None else f"{depth:.3f}"


def _show_region(door: Door, found: dict[str, Any]) -> None:
    def spread(value: Any) -> str:
        return "" if value is None else f"{value['median']:.6g} ({value['min']:.6g} to {value['max']:.6g})"

    rows = [
        [b, t["cells"], t["area"], spread(t["depth"]), spread(t["nexp"])] for b, t in found["bands"].items()
    ]
    where = f"{found['region']}, tiles {', '.join(found['tiles']) or 'none'}"
    door.table(["band", "cells", "good area (deg²)", "depth (mag)", "exposures"], rows, title=where)


def _table(
    footprint: Footprint,
    table: Path,
    columns: tuple[str, str],
    bands: tuple[str, ...],
    tiles: bool,
    out: Path | None,
) -> None:
    from desdm.errors import NotFoundError
    from desdm.query.formats import choose, stream
    from desdm.query.formats.upload import read_upload
    from desdm.services.footprint.tables import add_footprint, position_columns
    from desdm.texttable import size_text

    try:
        data = table.read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"no file {table}") from None
    # It is one's own machine: the file's size is the limit.
    upload = read_upload("positions", data, None, max_bytes=len(data) + 1, max_rows=1 << 40)
    place = position_columns(upload, *columns)
    described, rows = add_footprint(footprint, upload, place, footprint.select_bands(bands), tiles=tiles)
    if out is None:
        sys.stdout.buffer.writelines(stream(choose("csv"), described, rows))
        return
    ending = out.suffix.lstrip(".").lower()
    form = choose({"vot": "votable", "xml": "votable", "tab": "tsv", "fit": "fits"}.get(ending, ending))
    there = out.exists()
    part = out.with_name(f".{out.name}.part")
    try:
        with part.open("wb") as file:
            file.writelines(stream(form, described, rows))
        part.replace(out)
        click.echo(
            f"wrote {out} ({size_text(out.stat().st_size)}){', in place of an earlier file' if there else ''}"
        )
    finally:
        part.unlink(missing_ok=True)
