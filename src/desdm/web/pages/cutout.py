"""The cutout page: a position, a size, previews in colour and by band, FITS to download."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from desdm.accounts.model import Caller
from desdm.errors import UsageError
from desdm.release.model import ReleaseFile
from desdm.services.context import Services, caller_of
from desdm.services.endpoint import routes_of
from desdm.services.filepick.index import Indexes
from desdm.services.forms import parse_parameters
from desdm.services.parameters import Values
from desdm.services.responses import base_url, run_blocking
from desdm.sky.position import read_position
from desdm.survey.bands import band_order
from desdm.web.endpoints import CUTOUT
from desdm.web.pages.visible import select_release
from desdm.web.render import page

__all__ = ["routes"]


class Image(NamedTuple):
    """One band of a cutout: addresses of its picture and of its FITS file."""

    band: str
    fwhm: float | None
    png: str
    fits: str


class Tile(NamedTuple):
    """Cutouts of one tile; ``colour`` is None where there are not three bands."""

    name: str
    stem: str
    colour: str | None
    bands_text: str
    images: list[Image]


def routes(services: Services) -> list[BaseRoute]:
    """Route of the page."""
    indexes = Indexes(services)

    async def cutout(request: Request) -> Response:
        params = await parse_parameters(request, 0)
        fields = params.texts(CUTOUT.parameters, 80)

        def make() -> Response:
            caller = caller_of(request)
            view, offered = select_release(services, caller, fields["release"])
            fields["release"] = view.release.name if view else ""
            tiles: list[Tile] = []
            trouble, bad, where = "", False, ""
            try:
                values = params.read(CUTOUT.parameters)
                if values.has("POS"):
                    tiles, where = _tiles(indexes, caller, fields["release"], values)
                    if not tiles:
                        trouble = "This place is outside the footprint: no image of the release holds it."
            except UsageError as err:
                trouble, bad = str(err), True
            return page(
                request,
                "cutout.html",
                400 if bad else 200,
                fields=fields,
                releases=[s.release.name for s in offered],
                tiles=tiles,
                trouble=trouble,
                bad=bad,
                base=base_url(request),
                where=where,
            )

        return await run_blocking(services, make)

    return routes_of([(CUTOUT, cutout)])


def _tiles(indexes: Indexes, caller: Caller, release: str, values: Values) -> tuple[list[Tile], str]:
    """Return the cutouts of all tiles of a release at a position, and the position as text."""
    ra, dec = read_position(values.text("POS"))
    size, softening = values.required_real("SIZE"), values.required_real("Q")
    if not release:
        return [], ""
    circle = f"{ra:.7f} {dec:.7f} {size / 120:.7f}"
    tiles: dict[str, list[ReleaseFile]] = {}
    access = indexes.access(caller)
    for file in indexes.of(release, caller).near(ra, dec, 0.0):
        if file.filetype == "coadd" and file.band and access.file(file):
            tiles.setdefault(file.tilename or file.path, []).append(file)
    return [
        _tile(name, files, circle, softening) for name, files in sorted(tiles.items())
    ], f"{ra:.6f},{dec:.6f}"


def _tile(name: str, files: list[ReleaseFile], circle: str, softening: float) -> Tile:
    """Return the cutouts of one tile."""
    files = sorted(files, key=lambda f: band_order(f.band or ""))
    bands = [f.band or "" for f in files]
    three = ["g", "r", "i"] if {"g", "r", "i"} <= set(bands) else bands[:3]
    colour = None
    if len(three) == 3:
        colour = _address(files[0], circle, FORMAT="png", BANDS=",".join(three), Q=f"{softening:g}")
    images = [
        Image(
            f.band or "",
            f.fwhm,
            _address(f, circle, FORMAT="png", BANDS=f.band or "", Q=f"{softening:g}"),
            _address(f, circle),
        )
        for f in files
    ]
    stem = f"{name}_{circle.replace(' ', '_')}"
    return Tile(name, stem, colour, " ".join(three), images)


def _address(file: ReleaseFile, circle: str, **more: str) -> str:
    """Return the address of a cutout."""
    query = {"ID": f"ivo://desdm/{file.release}?{file.path}", "CIRCLE": circle, **more}
    return f"/soda/sync?{urlencode(query, quote_via=quote)}"
