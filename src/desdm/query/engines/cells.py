"""HEALPix functions for DuckDB, computed by hpgeom."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa

from desdm.query.engines import regions

__all__ = ["define"]


def _cells(ra: pa.ChunkedArray, dec: pa.ChunkedArray) -> pa.Array:
    """Return ``hpix29`` of positions in degrees, null where they are not on the sky."""
    import hpgeom

    a, d = (
        np.asarray(c.to_numpy(zero_copy_only=False) if isinstance(c, pa.Array) else c.to_numpy(), "f8")
        for c in (ra, dec)
    )
    good = np.isfinite(a) & np.isfinite(d) & (np.abs(d) <= 90)
    pixels = np.zeros(len(a), "i8")
    pixels[good] = hpgeom.angle_to_pixel(2**29, a[good] % 360.0, d[good], nest=True)
    return pa.array(pixels, mask=~good)


def _around(cells: pa.ChunkedArray, orders: pa.ChunkedArray) -> pa.Array:
    """Return the cell of an order that contains each cell of ``hpix29``, and its neighbours: nine, or eight numbers."""
    import hpgeom

    order = int(orders[0].as_py())
    own = np.asarray(cells.to_numpy()) >> np.int64(2 * (29 - order))
    around = np.column_stack([own, hpgeom.neighbors(2**order, own, nest=True)])
    valid = around >= 0
    ends = np.concatenate([[0], np.cumsum(valid.sum(axis=1))]).astype("i4")
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(around[valid].astype("i8")))


def _centre(cells: pa.ChunkedArray, orders: pa.ChunkedArray, which: int) -> pa.Array:
    """Return the right ascension (``which`` 0) or declination (1) of cells' centres in degrees."""
    import hpgeom

    order, number = np.asarray(orders.to_numpy()), np.asarray(cells.to_numpy())
    good = (number >= 0) & (number < 12 * 4 ** order.astype("i8"))
    positions = hpgeom.pixel_to_angle(2**order, np.where(good, number, 0), nest=True)[which]
    return pa.array(np.asarray(positions, "f8"), mask=~good)


def _meets(
    texts: pa.ChunkedArray, lon: pa.ChunkedArray, lat: pa.ChunkedArray, radius: pa.ChunkedArray
) -> pa.Array:
    """Tell for each row whether a region in STC-S intersects a circle (degrees)."""
    shapes: dict[str, regions.Region | None] = {}
    results: list[bool | None] = []
    columns = (c.to_pylist() for c in (texts, lon, lat, radius))
    for text, a, d, r in zip(*columns, strict=True):
        if text not in shapes:
            shapes[text] = regions.read(text)
        shape = shapes[text]
        results.append(None if shape is None else shape.meets(a, d, r))
    return pa.array(results, pa.bool_())


def define(conn: duckdb.DuckDBPyConnection) -> None:
    """Create the functions in the database."""
    conn.create_function(
        "desdm_meets", _meets, ["VARCHAR", "DOUBLE", "DOUBLE", "DOUBLE"], "BOOLEAN", type="arrow"
    )
    conn.create_function("desdm_hpix29", _cells, ["DOUBLE", "DOUBLE"], "BIGINT", type="arrow")
    conn.create_function("desdm_around", _around, ["BIGINT", "INTEGER"], "BIGINT[]", type="arrow")
    conn.create_function(
        "desdm_healpix_ra", lambda o, c: _centre(c, o, 0), ["INTEGER", "BIGINT"], "DOUBLE", type="arrow"
    )
    conn.create_function(
        "desdm_healpix_dec", lambda o, c: _centre(c, o, 1), ["INTEGER", "BIGINT"], "DOUBLE", type="arrow"
    )
