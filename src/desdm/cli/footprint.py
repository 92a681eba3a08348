"""desdm footprint: is it inside, how deep, how many exposures; of a place, a table or a region."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from desdm.cli.context import CommandContext, json_option, pass_command_context

if TYPE_CHECKING:
    from collections.abc import Mapping

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
@click.option(
    "--url",
    metavar="URL",
    envvar="DESDM_URL",
    show_envvar=True,
    help="Ask the server there, not this installation.",
)
@click.option("--token", envvar="DESDM_TOKEN", show_envvar=True, help="Token of an account, for --url.")
@json_option
@pass_command_context
def command(
    context: CommandContext,
    position: tuple[str, ...],
    name: str | None,
    bands: tuple[str, ...],
    region: str | None,
    table: Path | None,
    ra_column: str,
    dec_column: str,
    tiles: bool,
    out: Path | None,
    url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Ask the footprint of a release: of the place RA DEC (ICRS; degrees or hours), of a region, or of a table of places.

    Inside, depth and exposures of a band are those of the HEALPix cell (order 12, 0.86 arcmin wide) that the place lies
    in; the listed exposures and files hold the place itself.

    \b
    desdm footprint 30.0 -5.0
    desdm footprint 02:00:00 -05:00:00
    desdm footprint --region "CIRCLE 30 -5 0.1" --band r
    desdm footprint --table places.csv --out answers.parquet
    desdm footprint --url http://127.0.0.1:8080 --table places.csv
    """
    from desdm.cli.cutout import position_of
    from desdm.errors import UsageError

    position_deg = position_of(position)
    subjects = [position_deg is not None, region is not None, table is not None]
    if sum(subjects) != 1:
        raise UsageError("name one of RA DEC, --region or --table")
    if url:
        if table is not None:
            columns = {"ra_column": ra_column, "dec_column": dec_column, "tiles": "1" if tiles else ""}
            _send_table(url, token, table, {"release": name or "", **columns}, bands, out)
            return
        document = _query_server(url, token, position_deg, region, name, bands)
        show = _show_region if region is not None else _show
        context.show(document, lambda: show(context, document), as_json)
        return
    facility = context.require_installation()
    from desdm.services.footprint.lookup import Footprint

    release = _release(context, name)
    footprint = Footprint(facility.config.releases / release.name)
    if table is not None:
        _table(footprint, table, (ra_column, dec_column), bands, tiles, out)
        return
    if region is not None:
        from desdm.services.soda.stencil import stencils_of

        region_answer = footprint.within(stencils_of({"POS": [region]})[0], bands)
        document = {
            "release": release.name,
            "region": region_answer.region,
            "bands": region_answer.bands,
            "tiles": region_answer.tiles,
        }
        context.show(document, lambda: _show_region(context, document), as_json)
        return
    answer = {"release": release.name, **footprint.at(*(position_deg or (0.0, 0.0)), bands).record()}
    context.show(answer, lambda: _show(context, answer), as_json)


def _query_server(
    url: str,
    token: str | None,
    position: tuple[float, float] | None,
    region: str | None,
    release: str | None,
    bands: tuple[str, ...],
) -> dict[str, Any]:
    """Query a server on a position or a region."""
    from desdm.client import Client

    parameters: list[tuple[str, str]] = [("release", release)] if release else []
    parameters += [("band", band) for band in bands]
    if position is not None:
        parameters += [("ra", repr(position[0])), ("dec", repr(position[1]))]
    else:
        parameters.append(("POS", str(region)))
    with Client(url, token) as client:
        path = "/footprint" if position is not None else "/footprint/region"
        answer: dict[str, Any] = client.connection.document("GET", path, params=parameters)
    return answer


def _send_table(
    url: str,
    token: str | None,
    table: Path,
    parameters: Mapping[str, str],
    bands: tuple[str, ...],
    out: Path | None,
) -> None:
    """Send a table of positions to a server, and write its answer to a file or to standard output."""
    import tempfile

    from desdm.client import Client
    from desdm.texttable import size_text

    data = _read(table)
    form = "csv" if out is None else _format_of(out)
    sent = [("RESPONSEFORMAT", form), *(("band", band) for band in bands)]
    sent += [(key, value) for key, value in parameters.items() if value]
    with Client(url, token) as client, tempfile.TemporaryDirectory(prefix="desdm-") as folder:
        target = out or Path(folder) / "answer"
        replaces = target.exists()
        client.connection.into(target, "POST", "/footprint", params=sent, data=data)
        if out is None:
            sys.stdout.buffer.write(target.read_bytes())
            return
    click.echo(_written(out, size_text(out.stat().st_size), replaces))


def _read(table: Path) -> bytes:
    """Return the bytes of a table; `NotFoundError` if there is no such file."""
    from desdm.errors import NotFoundError

    try:
        return table.read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"no file {table}") from None


def _format_of(out: Path) -> str:
    """Return the format that the ending of a file name means."""
    ending = out.suffix.lstrip(".").lower()
    return {"vot": "votable", "xml": "votable", "tab": "tsv", "fit": "fits"}.get(ending, ending)


def _written(out: Path, size: str, replaces: bool) -> str:
    """Return the message about a file that was written."""
    return f"wrote {out} ({size}){', in place of an earlier file' if replaces else ''}"


def _release(context: CommandContext, name: str | None) -> Release:
    """Return a release by name, or the newest published one with a footprint."""
    from desdm.errors import NotFoundError
    from desdm.release import store
    from desdm.schema.states import ReleaseState

    facility = context.facility
    with facility.database.read() as conn:
        # A named release may be a draft: who works at the installation looks before it is published.
        releases = store.releases(conn, None if name else [ReleaseState.PUBLISHED])
    root = facility.config.releases
    if name:
        for release in releases:
            if release.name.lower() == name.lower():
                return release
        raise NotFoundError(f"no release {name}; see: desdm release list")
    with_footprint = [r for r in releases if (root / r.name / "footprint" / "tiles.json").is_file()]
    if not with_footprint:
        raise NotFoundError("no release with a footprint is published; see: desdm release list")
    return max(with_footprint, key=lambda r: (r.published_at is not None, r.published_at))


def _show(context: CommandContext, answer: dict[str, Any]) -> None:
    """Print the answer on a position."""
    rows = [
        [
            band,
            "yes" if facts["inside"] else "no",
            _mag(facts["depth"]),
            facts["nexp"],
            "" if facts["fraction"] is None else f"{facts['fraction']:.3f}",
        ]
        for band, facts in answer["bands"].items()
    ]
    tiles = ", ".join(answer["tiles"]) or "none"
    where = f"{answer['release']}: {answer['ra']:.6f} {answer['dec']:+.6f}, tiles {tiles}"
    context.table(["band", "inside", "depth (mag)", "exposures", "fraction"], rows, title=where)
    if answer["exposures"]:
        images = [
            [e["expnum"], e["ccdnum"], e["band"], f"{e['mjd_obs']:.5f}", e["filename"]]
            for e in answer["exposures"]
        ]
        context.table(["exposure", "CCD", "band", "MJD", "file"], images)


def _mag(depth: float | None) -> str:
    """Format a magnitude."""
    return "" if depth is None else f"{depth:.3f}"


def _show_region(context: CommandContext, answer: dict[str, Any]) -> None:
    """Print the answer on a region."""

    def spread(value: Mapping[str, float] | None) -> str:
        return "" if value is None else f"{value['median']:.6g} ({value['min']:.6g} to {value['max']:.6g})"

    rows = [
        [b, t["cells"], t["area"], spread(t["depth"]), spread(t["nexp"])] for b, t in answer["bands"].items()
    ]
    where = f"{answer['region']}, tiles {', '.join(answer['tiles']) or 'none'}"
    context.table(["band", "cells", "good area (deg²)", "depth (mag)", "exposures"], rows, title=where)


def _table(
    footprint: Footprint,
    table: Path,
    columns: tuple[str, str],
    bands: tuple[str, ...],
    tiles: bool,
    out: Path | None,
) -> None:
    """Write the answers on a table of positions."""
    from desdm.query.formats import choose, stream
    from desdm.query.formats.upload import read_upload
    from desdm.services.footprint.tables import add_footprint, position_columns
    from desdm.texttable import size_text

    data = _read(table)
    # On the user's own machine the size of the file is the only limit.
    upload = read_upload("positions", data, None, max_bytes=len(data) + 1, max_rows=1 << 40)
    columns_of_position = position_columns(upload, *columns)
    described, rows = add_footprint(
        footprint, upload, columns_of_position, footprint.select_bands(bands), tiles=tiles
    )
    if out is None:
        sys.stdout.buffer.writelines(stream(choose("csv"), described, rows))
        return
    form = choose(_format_of(out))
    replaces = out.exists()
    part = out.with_name(f".{out.name}.part")
    try:
        with part.open("wb") as file:
            file.writelines(stream(form, described, rows))
        part.replace(out)
        click.echo(_written(out, size_text(out.stat().st_size), replaces))
    finally:
        part.unlink(missing_ok=True)
