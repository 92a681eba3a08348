"""``get_tile_info``, the function that submit WCLs of coadds call for the geometry of their tile."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

from desdm.errors import PlanError
from desdm.framework.store.tiles import TileRow, tile_row
from desdm.schema.database import Database
from desdm.survey.tiles import Tile
from desdm.wcl.include import IncludeFunctions

__all__ = ["TILE_KEYS", "include_functions", "tile_info"]

#: What get_tile_info brings into a submit WCL, whether the document uses it or not.
TILE_KEYS = frozenset(
    {
        "tilename",
        "tileid",
        "ra_cent",
        "dec_cent",
        "naxis1",
        "naxis2",
        "pixelscale",
        "rac1",
        "rac2",
        "rac3",
        "rac4",
        "decc1",
        "decc2",
        "decc3",
        "decc4",
        "racmin",
        "racmax",
        "deccmin",
        "deccmax",
        "crossra0",
    }
)


def include_functions(database: Database) -> IncludeFunctions:
    """The functions that ``<<inclfunc>>`` finds here, by their bare name."""

    def get_tile_info(arguments: Mapping[str, object]) -> dict[str, str]:
        """The geometry of the tile that ``tilename`` names; services and database sections have no meaning here."""
        name = arguments.get("tilename")
        if not isinstance(name, str):
            raise PlanError("get_tile_info needs one tilename; set it above the inclfunc")
        with database.read() as conn:
            row = tile_row(conn, name)
        if row is None:
            raise PlanError(
                f"tile {name} is not in table coaddtile_geom; add it: desdm tile add {name} RA DEC"
            )
        return tile_info(row)

    return {"get_tile_info": get_tile_info}


def tile_info(row: TileRow) -> dict[str, str]:
    """A tile's values as the original's ``get_tile_info`` names them.

    Parameters
    ----------
    row
        A row of ``coaddtile_geom``.

    Returns
    -------
    dict
        tilename, tileid (a checksum of the name), ra_cent and dec_cent (degrees), naxis1 and naxis2,
        pixelscale (arcsec), corners rac1 … decc4 (degrees), their ranges, and crossra0 (Y or N).
    """
    naxis1, naxis2 = int(row["naxis1"]), int(row["naxis2"])
    ra, dec, scale = float(row["ra_cent"]), float(row["dec_cent"]), float(row["pixelscale"])
    corners = _corners(ra, dec, naxis1, naxis2, scale)
    ras, decs = [c[0] for c in corners], [c[1] for c in corners]
    crosses = max(ras) - min(ras) > 180.0
    info: dict[str, object] = {
        "tilename": row["tilename"],
        "tileid": zlib.crc32(str(row["tilename"]).encode()),
        "ra_cent": f"{ra:.8f}",
        "dec_cent": f"{dec:.8f}",
        "naxis1": naxis1,
        "naxis2": naxis2,
        "pixelscale": f"{scale:.6g}",
    }
    for number, (ra_corner, dec_corner) in enumerate(corners, 1):
        info[f"rac{number}"], info[f"decc{number}"] = f"{ra_corner:.8f}", f"{dec_corner:.8f}"
    # A tile across RA 0 ranges from its western corner, below 360, through 0 to its eastern one.
    east = [r for r in ras if r < 180.0] if crosses else ras
    west = [r for r in ras if r >= 180.0] if crosses else ras
    info |= {
        "racmin": f"{min(west):.8f}",
        "racmax": f"{max(east):.8f}",
        "deccmin": f"{min(decs):.8f}",
        "deccmax": f"{max(decs):.8f}",
        "crossra0": "Y" if crosses else "N",
    }
    return {key: str(value) for key, value in info.items()}


def _corners(ra: float, dec: float, naxis1: int, naxis2: int, scale: float) -> list[tuple[float, float]]:
    """Corners of the pixel grid, counter-clockwise from pixel (1, 1), as degrees."""
    from astropy.wcs import WCS

    header = Tile("", ra, dec, naxis1, scale).header()
    header["CRPIX2"] = (naxis2 + 1) / 2.0
    points = [(1, 1), (naxis1, 1), (naxis1, naxis2), (1, naxis2)]
    corners = WCS(header).all_pix2world(points, 1)
    return [(math.fmod(float(r) + 360.0, 360.0), float(d)) for r, d in corners]
