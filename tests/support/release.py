"""Releases for tests: an installation with a published synthetic table whose every cell is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from desdm.facility import Facility, initialise
from desdm.release.addtable import add_table
from desdm.release.create import create_empty
from desdm.release.publish import publish
from desdm.release.source import TableSource
from tests.support.tiles import demo_release

__all__ = ["demo_release", "objects", "small_release", "write_parquet"]

#: Column → (type, text, unit, UCD).
COLUMNS: dict[str, tuple[pa.DataType, str, str, str]] = {
    "id": (pa.int64(), "identifier of the object", "", "meta.id;meta.main"),
    "ra": (pa.float64(), "right ascension (ICRS)", "deg", "pos.eq.ra;meta.main"),
    "dec": (pa.float64(), "declination (ICRS)", "deg", "pos.eq.dec;meta.main"),
    "mag_g": (pa.float32(), "AB magnitude, band g", "mag", "phot.mag;em.opt.B"),
    "mag_r": (
        pa.float32(),
        "AB magnitude, band r; none where it was not measured",
        "mag",
        "phot.mag;em.opt.R",
    ),
    "nexp": (pa.int16(), "exposures; none where it was not counted", "", "meta.number;obs.exposure"),
    "flag": (pa.int32(), "flags", "", "meta.code"),
    "good": (pa.bool_(), "whether it is good", "", "meta.code"),
    "name": (pa.string(), "name of the object", "", "meta.id"),
}

#: Positions that catch a careless geometry: across RA 0, at the poles, at one place twice.
CORNERS: tuple[tuple[float, float], ...] = (
    (0.0, 0.0), (359.9999, 0.0), (0.0001, 0.0), (359.95, 10.0), (0.05, 10.0), (0.0, 90.0), (123.0, 89.999),
    (303.0, 89.999), (0.0, -90.0), (45.0, -89.999), (225.0, -89.999), (180.0, 0.0), (180.0, 0.0), (90.0, 41.8103),
)  # fmt: skip


def objects(rows: int = 2000, seed: int = 7) -> pa.Table:
    """The synthetic table: `CORNERS` first, then half the rows over the sky and half in a field at (30, -5) of 2°.

    ``mag_g`` has NaN at each 7th row, ``mag_r`` NULL at each 5th, ``nexp`` NULL at each 11th, ``good`` NULL at each
    13th, ``name`` NULL at each 17th; names hold quotes, commas and letters beyond ASCII.
    """
    rng = np.random.default_rng(seed)
    rest = max(0, rows - len(CORNERS))
    wide = rest // 2
    near = rest - wide
    ra = np.concatenate([[p[0] for p in CORNERS], rng.uniform(0, 360, wide), 30 + rng.uniform(-1, 1, near)])[
        :rows
    ]
    sky = np.degrees(np.arcsin(rng.uniform(-1, 1, wide)))
    dec = np.concatenate([[p[1] for p in CORNERS], sky, -5 + rng.uniform(-1, 1, near)])[:rows]
    number = np.arange(rows)
    mag_g = rng.normal(22, 1.5, rows).astype(np.float32)
    mag_g[number % 7 == 3] = np.nan
    mag_r = (22 + rng.normal(0, 1.5, rows)).astype(np.float32)
    endings = np.array(["", ' "b"', ", c", " Ä", " O'Neill", "<&>"])
    names = [f"DES J{i:06d}{endings[i % 6]}" for i in number]
    values = {
        "id": pa.array(10_000_000_000 + number * 3),
        "ra": pa.array(ra),
        "dec": pa.array(dec),
        "mag_g": pa.array(mag_g),
        "mag_r": pa.array(mag_r, mask=number % 5 == 2),
        "nexp": pa.array(rng.integers(1, 12, rows).astype(np.int16), mask=number % 11 == 4),
        "flag": pa.array(rng.integers(0, 8, rows).astype(np.int32)),
        "good": pa.array(rng.uniform(size=rows) > 0.2, mask=number % 13 == 6),
        "name": pa.array(names, mask=number % 17 == 8),
    }
    fields = [
        pa.field(name, kind, metadata={"description": text, "ucd": ucd} | ({"unit": unit} if unit else {}))
        for name, (kind, text, unit, ucd) in COLUMNS.items()
    ]
    return pa.table(list(values.values()), schema=pa.schema(fields))


def write_parquet(path: Path, rows: int = 2000, seed: int = 7) -> Path:
    """The synthetic table as a Parquet file, its columns described in their fields."""
    pq.write_table(objects(rows, seed), path)
    return path


def small_release(home: Path, name: str = "T1", rows: int = 2000, *, proprietary: bool = False) -> Path:
    """An installation at ``home`` (made when it is not there) with a published release of one table ``objects``.

    The rows are those of `objects`, so that a test computes its expected answers from them.
    """
    if not (home / "desdm.toml").exists():
        initialise(home)
    facility = Facility.open(home)
    try:
        database, root = facility.database, facility.config.releases / name
        create_empty(database, root, name, title=f"Release {name}", proprietary=proprietary, who="tester")
        table = objects(rows)
        add_table(
            database, root, name, "objects", iter(table.to_batches()), ra="ra", dec="dec",
            text="Synthetic objects, one a row", who="tester",
            provenance=TableSource({"made by": "tests/support/release.py"}),
        )  # fmt: skip
        publish(database, root, name, who="tester")
    finally:
        facility.close()
    return home
