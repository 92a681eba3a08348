"""The map page: footprint and HiPS in Aladin Lite, or as a plain picture where that is not installed."""

from __future__ import annotations

import io
import math
import re
from functools import cache

from PIL import Image
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from desdm.errors import CorruptReleaseFile, NotFoundError, UsageError
from desdm.release.model import ReleaseFile
from desdm.services.access import access_of, no_release
from desdm.services.context import Services, caller_of
from desdm.services.endpoint import routes_of
from desdm.services.error_responses import status_of
from desdm.services.footprint.atlas import Atlas, has_footprint
from desdm.services.forms import parse_parameters
from desdm.services.hips.pictures import Pictures
from desdm.services.responses import base_url, run_blocking
from desdm.sky.position import read_position
from desdm.survey.bands import band_order
from desdm.web.aladin import ALADIN
from desdm.web.endpoints import MAP, MAP_TILE
from desdm.web.pages.skymap import sky_svg
from desdm.web.pages.visible import VisibleRelease, select_release
from desdm.web.render import page

__all__ = ["routes"]

_TILE = re.compile(r"Norder\d{1,2}/Dir\d+/Npix\d+\.png")


def routes(services: Services) -> list[BaseRoute]:
    """Routes of the page, and of its HiPS tiles."""
    pictures, atlas = Pictures(services), Atlas(services)

    async def tile(request: Request) -> Response:
        # As /hips, but with a transparent tile instead of a 404: Aladin Lite requests tiles before it knows the MOC, and
        # a browser reports each 404 as an error of the page.
        access = access_of(services, caller_of(request))
        release = access.release(request.path_params["release"])
        path = request.path_params["path"]
        file = pictures.find(access, release, path)
        headers = {"Cache-Control": "private, " + ("no-cache" if release.proprietary else "max-age=86400")}
        if file is not None:
            return Response(await pictures.read(file), media_type=file.mime, headers=headers)
        if access.visible_completely(release) and _TILE.fullmatch(path.partition("/")[2]):
            return Response(_empty_tile(), media_type="image/png", headers=headers)
        access.refuse(request.path_params["release"])
        # A caller who may see only tables of a release gets the same response as for one that does not exist.
        raise (
            NotFoundError(f"there is nothing at {request.url.path}")
            if access.visible_completely(release)
            else no_release(request.path_params["release"])
        )

    async def sky(request: Request) -> Response:
        values = (await parse_parameters(request, 0)).read(MAP.parameters)
        name, pos = values.text("RELEASE").strip(), values.text("POS").strip()[:80]

        def make() -> Response:
            view, offered = select_release(services, caller_of(request), name)
            ra, dec, fov = _middle(view.files if view else ())
            status, trouble, here, depth = 200, "", "", None
            if pos:
                try:
                    ra, dec = read_position(pos)
                    fov, here = 0.3, f"{ra:.5f} {dec:.5f}"
                    if view is not None and has_footprint(view.files):
                        depth = atlas.footprint(view.release).at(ra, dec)
                except (UsageError, CorruptReleaseFile) as err:
                    trouble = str(err)
                    status = status_of(err)
            return page(
                request,
                "map.html",
                status,
                release=view.release.name if view else "",
                releases=[s.release.name for s in offered],
                layers=_layers(view) if view else [],
                mocs=_mocs(view) if view else [],
                sky=sky_svg(view.files, view.release.name) if view else None,
                ra=f"{ra:.6f}",
                dec=f"{dec:.6f}",
                fov=f"{fov:.4f}",
                pos=pos,
                here=here,
                depth=depth,
                trouble=trouble,
                aladin=(ALADIN / "aladin.js").is_file(),
                base=base_url(request),
            )

        return await run_blocking(services, make)

    return routes_of([(MAP, sky), (MAP_TILE, tile)])


@cache
def _empty_tile() -> bytes:
    """Return a transparent tile."""
    buffer = io.BytesIO()
    Image.new("LA", (512, 512)).save(buffer, "PNG")
    return buffer.getvalue()


def _layers(view: VisibleRelease) -> list[tuple[str, str]]:
    """Return (name, address) of the release's HiPS; the coadds' colours first."""
    paths = [f.path for f in view.files if f.path.startswith("hips/") and f.path.endswith("/properties")]
    names = sorted((p.split("/")[1] for p in paths), key=lambda name: ("color" not in name, name))
    return [(name.replace("_", " "), f"/hips/{view.release.name}/{name}") for name in names]


def _mocs(view: VisibleRelease) -> list[str]:
    """Return the bands with a MOC."""
    ending = ".moc.fits"
    names = [
        f.path[len("footprint/") : -len(ending)]
        for f in view.files
        if f.path.endswith(ending) and f.path.startswith("footprint/")
    ]
    return sorted(names, key=band_order)


def _middle(files: tuple[ReleaseFile, ...]) -> tuple[float, float, float]:
    """Return a view of all images: right ascension, declination and width, degrees."""
    centres = [
        (f.ra_cent, f.dec_cent, f.radius or 0.0)
        for f in files
        if f.ra_cent is not None and f.dec_cent is not None
    ]
    if not centres:
        return 0.0, 0.0, 180.0
    units = [_unit(ra, dec) for ra, dec, _ in centres]
    x, y, z = (sum(unit[i] for unit in units) for i in range(3))
    length = math.sqrt(x * x + y * y + z * z)
    if length < 1e-9 * len(units):
        return 0.0, 0.0, 180.0
    ra, dec = math.degrees(math.atan2(y, x)) % 360, math.degrees(math.asin(max(-1.0, min(1.0, z / length))))
    reach = max(
        math.degrees(math.acos(max(-1.0, min(1.0, (u[0] * x + u[1] * y + u[2] * z) / length)))) + radius
        for u, (_, _, radius) in zip(units, centres, strict=True)
    )
    return ra, dec, min(180.0, max(0.05, 2.4 * reach))


def _unit(ra: float, dec: float) -> tuple[float, float, float]:
    """Return the unit vector of a position in degrees."""
    across = math.cos(math.radians(dec))
    return (
        across * math.cos(math.radians(ra)),
        across * math.sin(math.radians(ra)),
        math.sin(math.radians(dec)),
    )
