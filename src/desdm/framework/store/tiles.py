"""The SQL of tiles: their geometry by name."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from desdm.errors import UsageError
from desdm.schema import coaddtile_geom
from desdm.survey.tiles import Tile

__all__ = ["save_tile", "tile_row", "tile_rows"]


def tile_row(conn: Connection, tilename: str) -> dict[str, Any] | None:
    """The row of a tile in ``coaddtile_geom``, or None."""
    row = conn.execute(select(coaddtile_geom).where(coaddtile_geom.c.tilename == tilename)).first()
    return None if row is None else dict(row._mapping)


def tile_rows(conn: Connection) -> list[dict[str, Any]]:
    """Every tile, by name."""
    rows = conn.execute(select(coaddtile_geom).order_by(coaddtile_geom.c.tilename))
    return [dict(row._mapping) for row in rows]


def save_tile(conn: Connection, tile: Tile) -> None:
    """Add a tile; `UsageError` if one of its name lies elsewhere, for products of it may exist."""
    row = {
        "tilename": tile.name, "ra_cent": tile.ra, "dec_cent": tile.dec, "naxis1": tile.naxis, "naxis2": tile.naxis,
        "pixelscale": tile.pixscale,
    }  # fmt: skip
    known = tile_row(conn, tile.name)
    if known is None:
        conn.execute(coaddtile_geom.insert(), row)
    elif known != row:
        raise UsageError(
            f"tile {tile.name} is defined already: centre {known['ra_cent']}, {known['dec_cent']}, "
            f"{known['naxis1']} pixels of {known['pixelscale']} arcsec; take another name"
        )
