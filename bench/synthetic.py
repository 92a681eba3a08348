"""A synthetic release of 1,000,000 or more rows for the benches of the services; made once a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from desdm.facility import Facility, initialise
from desdm.release.addtable import add_table
from desdm.release.create import create_empty
from desdm.release.publish import publish

__all__ = ["NAME", "release"]

NAME = "SYN"
_PIECE = 500_000
_COLUMNS = {
    "id": ("meta.id;meta.main", "", "identifier"), "ra": ("pos.eq.ra;meta.main", "deg", "right ascension"),
    "dec": ("pos.eq.dec;meta.main", "deg", "declination"), "mag_g": ("phot.mag;em.opt.B", "mag", "magnitude g"),
    "mag_r": ("phot.mag;em.opt.R", "mag", "magnitude r"), "mag_i": ("phot.mag;em.opt.I", "mag", "magnitude i"),
    "mag_z": ("phot.mag;em.opt.I", "mag", "magnitude z"), "flag": ("meta.code", "", "flags"),
    "spread": ("src.morph.param", "", "spread model"), "err": ("stat.error;phot.mag", "mag", "error of g"),
}  # fmt: skip


def _pieces(rows: int) -> Iterator[pa.RecordBatch]:
    rng = np.random.default_rng(20261122)
    fields = [
        pa.field(n, t, metadata={"ucd": u, "description": d} | ({"unit": x} if x else {}))
        for (n, (u, x, d)), t in zip(
            _COLUMNS.items(),
            [
                pa.int64(),
                pa.float64(),
                pa.float64(),
                *[pa.float32()] * 4,
                pa.int32(),
                pa.float32(),
                pa.float32(),
            ],
            strict=True,
        )
    ]
    for start in range(0, rows, _PIECE):
        n = min(_PIECE, rows - start)
        mags = [rng.normal(22, 1.5, n).astype("f4") for _ in range(4)]
        columns = [
            np.arange(start, start + n), rng.uniform(0, 60, n), np.degrees(np.arcsin(rng.uniform(-0.75, 0.05, n))), *mags,
            rng.integers(0, 16, n).astype("i4"), rng.normal(0, 0.01, n).astype("f4"), rng.uniform(0, 0.1, n).astype("f4"),
        ]  # fmt: skip
        yield pa.RecordBatch.from_arrays([pa.array(c) for c in columns], schema=pa.schema(fields))


def release(home: Path, rows: int) -> Facility:
    """An installation with the published release ``SYN`` and its table ``objects``, a piece of sky of 2,600 deg²."""
    initialise(home)
    facility = Facility.open(home)
    source = home / "synthetic.parquet"
    pieces = _pieces(rows)
    first = next(pieces)
    with pq.ParquetWriter(source, first.schema) as writer:
        writer.write_batch(first)
        for piece in pieces:
            writer.write_batch(piece)
    root = facility.config.releases / NAME
    create_empty(facility.database, root, NAME, who="bench")
    add_table(
        facility.database,
        root,
        NAME,
        "objects",
        source,
        ra="ra",
        dec="dec",
        who="bench",
        text="synthetic objects",
        id_column="id",
    )
    publish(facility.database, root, NAME, who="bench")
    return facility
