"""The SQL of tiles: their geometry by name."""

from __future__ import annotations

from typing import TypedDict

from sqlalchemy import Connection, Row, select

from desdm.errors import UsageError
from desdm.schema import coaddtile_geom
from desdm.survey.tiles import Tile

__all__ = ["TileRow", "save_tile", "tile_row", "tile_rows"]


class TileRow(TypedDict):
    """A row of ``coaddtile_geom``, as ``desdm tile list --json`` prints it.

    Attributes
    ----------
    tilename
        Name of the tile.
    ra_cent, dec_cent
        Centre, degrees.
    naxis1, naxis2
        Pixels along each axis.
    pixelscale
        Arcsec a pixel.
    """

    tilename: str
    ra_cent: float
    dec_cent: float
    naxis1: int
    naxis2: int
    pixelscale: float


def _tile_row(row: Row[tuple[object, ...]]) -> TileRow:
    """Return the record of a row."""
    return TileRow(
        tilename=row.tilename,
        ra_cent=row.ra_cent,
        dec_cent=row.dec_cent,
        naxis1=row.naxis1,
        naxis2=row.naxis2,
        pixelscale=row.pixelscale,
    )


def tile_row(conn: Connection, tilename: str) -> TileRow | None:
    """The row of a tile in ``coaddtile_geom``, or None."""
    row = conn.execute(select(coaddtile_geom).where(coaddtile_geom.c.tilename == tilename)).first()
    return None if row is None else _tile_row(row)


def tile_rows(conn: Connection) -> list[TileRow]:
    """Every tile, by name."""
    rows = conn.execute(select(coaddtile_geom).order_by(coaddtile_geom.c.tilename))
    return [_tile_row(row) for row in rows]


def save_tile(conn: Connection, tile: Tile) -> None:
    """Add a tile; `UsageError` if one of its name lies elsewhere, for products of it may exist."""
    row: TileRow = {
        "tilename": tile.name,
        "ra_cent": tile.ra,
        "dec_cent": tile.dec,
        "naxis1": tile.naxis,
        "naxis2": tile.naxis,
        "pixelscale": tile.pixscale,
    }
    existing = tile_row(conn, tile.name)
    if existing is None:
        conn.execute(coaddtile_geom.insert(), row)
    elif existing != row:
        raise UsageError(
            f"tile {tile.name} is defined already: centre {existing['ra_cent']}, {existing['dec_cent']}, "
            f"{existing['naxis1']} pixels of {existing['pixelscale']} arcsec; take another name"
        )
