"""The footprint of a table: the caller's rows with what each band says of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from desdm.errors import UsageError
from desdm.query.engines.model import Upload
from desdm.query.formats.parquet import metadata_of
from desdm.release.model import ReleaseColumn
from desdm.services.footprint.lookup import Footprint

__all__ = ["answered", "packed", "position_columns"]

_RA = ("ra", "raj2000", "ra_j2000", "ra_icrs", "alpha_j2000", "alphawin_j2000", "alpha", "right_ascension")
_DEC = ("dec", "dej2000", "decj2000", "dec_j2000", "de_icrs", "dec_icrs", "delta_j2000", "deltawin_j2000", "delta",
        "declination")  # fmt: skip
#: Rows that are looked up and sent at once.
_BATCH = 131072


def position_columns(upload: Upload, ra: str = "", dec: str = "") -> tuple[str, str]:
    """Which columns hold right ascension and declination: those named, else by UCD, else by their usual names.

    Raises
    ------
    UsageError
        There are none, or not of numbers.
    """
    found = (
        _one(upload, ra, "ra_column", "pos.eq.ra", _RA),
        _one(upload, dec, "dec_column", "pos.eq.dec", _DEC),
    )
    for name in found:
        kind = upload.rows.schema.field(name).type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
            raise UsageError(f"column {name} is of {kind}; positions are numbers, in degrees")
    return found


def _one(upload: Upload, name: str, parameter: str, ucd: str, usual: Sequence[str]) -> str:
    names: list[str] = upload.rows.column_names
    if name:
        match = [n for n in names if n == name] or [n for n in names if n.lower() == name.lower()]
        if not match:
            raise UsageError(
                f"{parameter}={name[:64]}: the table has no such column; it has {_listed(names)}"
            )
        return match[0]
    by_ucd = [c.name for c in upload.columns if c.ucd.lower() == f"{ucd};meta.main"]
    by_ucd += [c.name for c in upload.columns if c.ucd.lower() == ucd]
    by_name = [n for want in usual for n in names if n.lower() == want]
    if not (by_ucd or by_name):
        raise UsageError(f"no column is known as {ucd}; name it: {parameter}=… of {_listed(names)}")
    return (by_ucd or by_name)[0]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (" …" if len(names) > 12 else "")


def answered(
    footprint: Footprint, upload: Upload, place: tuple[str, str], bands: Sequence[str], *, tiles: bool = False
) -> tuple[list[ReleaseColumn], Iterator[pa.RecordBatch]]:
    """The rows as they came, each with ``inside_<band>``, ``depth_<band>``, ``nexp_<band>``, ``fraction_<band>``.

    Parameters
    ----------
    place
        Names of the columns of right ascension and declination, degrees (ICRS).
    bands
        As `Footprint.chosen` gives them.
    tiles
        Add ``tiles``: names of the tiles that hold the position, with blanks between.
    """
    added = [column for band in bands for column in _columns(band)]
    if tiles:
        added.append(
            ReleaseColumn("tiles", "char", "*", ucd="meta.id;obs.field", text="Tiles that hold the position")
        )
    names = {name.lower() for name in upload.rows.column_names}
    kept = [c for c in added if c.name.lower() not in names]
    if len(kept) < len(added):
        twice = ", ".join(c.name for c in added if c.name.lower() in names)
        raise UsageError(f"the table has a column {twice} already, as the answer would; take it out")
    return [*upload.columns, *added], _rows(footprint, upload.rows, place, bands, tiles)


def packed(columns: Sequence[ReleaseColumn], batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    """The answer as one Parquet file.

    The rows are in memory as it is, so nothing is won by writing them piecemeal. Floating-point numbers go as they are:
    to look for repetitions in them takes longer than the look-up, and there are none.
    """
    rows = list(batches)
    fields = [
        pa.field(f.name, f.type, metadata=metadata_of(c))
        for f, c in zip(rows[0].schema, columns, strict=True)
    ]
    schema = pa.schema(fields)
    words = [f.name for f in fields if not pa.types.is_floating(f.type)]
    packing = {f.name: "zstd" if f.name in words else "none" for f in fields}
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink, schema, compression=packing, use_dictionary=words or False, write_statistics=words or False
    ) as writer:
        table = pa.Table.from_arrays(pa.Table.from_batches(rows).columns, schema=schema)
        writer.write_table(table)
    yield sink.getvalue().to_pybytes()


def _rows(
    footprint: Footprint, rows: pa.Table, place: tuple[str, str], bands: Sequence[str], tiles: bool
) -> Iterator[pa.RecordBatch]:
    for start in range(0, max(rows.num_rows, 1), _BATCH):
        part = rows.slice(start, _BATCH).combine_chunks()
        ra, dec = (_numbers(part.column(name)) for name in place)
        arrays: list[Any] = [column.combine_chunks() for column in part.columns]
        for values in footprint.points(ra, dec, bands).values():
            inside = values.inside
            arrays += [
                pa.array(inside.astype(np.int16)),
                *(pa.array(v, mask=~inside) for v in (values.depth, values.nexp, values.fraction)),
            ]
        fields = list(rows.schema) + [pa.field(name, kind) for band in bands for name, kind in _kinds(band)]
        if tiles:
            arrays.append(pa.array([" ".join(names) for names in footprint.tiles_at(ra, dec)], pa.string()))
            fields.append(pa.field("tiles", pa.string()))
        whole = [a.combine_chunks() if isinstance(a, pa.ChunkedArray) else a for a in arrays]
        yield pa.RecordBatch.from_arrays(whole, schema=pa.schema(fields))


def _numbers(column: Any) -> Any:
    values = pc.cast(column, pa.float64(), safe=False)
    if values.null_count:
        values = pc.fill_null(values, float("nan"))
    return values.combine_chunks().to_numpy(zero_copy_only=False)


def _kinds(band: str) -> list[tuple[str, pa.DataType]]:
    return [
        (f"inside_{band}", pa.int16()), (f"depth_{band}", pa.float32()), (f"nexp_{band}", pa.int16()),
        (f"fraction_{band}", pa.float32()),
    ]  # fmt: skip


def _columns(band: str) -> list[ReleaseColumn]:
    return [
        ReleaseColumn(f"inside_{band}", "short", ucd="meta.code", text=f"1 if the cell has good area in {band}, else 0"),
        ReleaseColumn(f"depth_{band}", "float", unit="mag", ucd="phot.mag",
                      text=f"AB magnitude of S/N 10 in an aperture of 2 arcsec, band {band}; null outside"),
        ReleaseColumn(f"nexp_{band}", "short", ucd="meta.number;obs.exposure",
                      text=f"Exposures that count, band {band}; null outside"),
        ReleaseColumn(f"fraction_{band}", "float", ucd="stat.filling",
                      text=f"Good part of the cell's area, band {band}; null outside"),
    ]  # fmt: skip
