"""Footprint of a table: the caller's rows with the values of each band."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from desdm.errors import UsageError
from desdm.query.engines.model import Upload
from desdm.query.formats.parquet import metadata_of
from desdm.release.model import ReleaseColumn
from desdm.services.footprint.lookup import Footprint

__all__ = ["add_footprint", "parquet_file", "position_columns"]

_RA = ("ra", "raj2000", "ra_j2000", "ra_icrs", "alpha_j2000", "alphawin_j2000", "alpha", "right_ascension")
_DEC = (
    "dec",
    "dej2000",
    "decj2000",
    "dec_j2000",
    "de_icrs",
    "dec_icrs",
    "delta_j2000",
    "deltawin_j2000",
    "delta",
    "declination",
)
#: Rows of one batch.
_BATCH = 131072


def position_columns(upload: Upload, ra: str = "", dec: str = "") -> tuple[str, str]:
    """Find the columns of right ascension and declination: by name, else by UCD, else by their usual names.

    Parameters
    ----------
    upload
        Table with its columns.
    ra, dec
        Names of the columns; empty: find them.

    Returns
    -------
    tuple of str
        Names of the two columns.

    Raises
    ------
    UsageError
        There are none, or they are not numeric.
    """
    columns = (
        _find_column(upload, ra, "ra_column", "pos.eq.ra", _RA),
        _find_column(upload, dec, "dec_column", "pos.eq.dec", _DEC),
    )
    for name in columns:
        kind = upload.rows.schema.field(name).type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
            raise UsageError(f"column {name} is of {kind}; positions are numbers, in degrees")
    return columns


def _find_column(upload: Upload, name: str, parameter: str, ucd: str, usual: Sequence[str]) -> str:
    """Find the column of one coordinate."""
    names: list[str] = upload.rows.column_names
    if name:
        match = [n for n in names if n == name] or [n for n in names if n.lower() == name.lower()]
        if not match:
            raise UsageError(
                f"{parameter}={name[:64]}: the table has no such column; it has {_name_list(names)}"
            )
        return match[0]
    by_ucd = [c.name for c in upload.columns if c.ucd.lower() == f"{ucd};meta.main"]
    by_ucd += [c.name for c in upload.columns if c.ucd.lower() == ucd]
    by_name = [n for want in usual for n in names if n.lower() == want]
    if not (by_ucd or by_name):
        raise UsageError(f"no column is known as {ucd}; name it: {parameter}=… of {_name_list(names)}")
    return (by_ucd or by_name)[0]


def _name_list(names: Sequence[str]) -> str:
    """Return names as a text of bounded length."""
    return ", ".join(names[:12]) + (" …" if len(names) > 12 else "")


def add_footprint(
    footprint: Footprint, upload: Upload, place: tuple[str, str], bands: Sequence[str], *, tiles: bool = False
) -> tuple[list[ReleaseColumn], Iterator[pa.RecordBatch]]:
    """Add ``inside_<band>``, ``depth_<band>``, ``nexp_<band>`` and ``fraction_<band>`` to the rows of a table.

    Parameters
    ----------
    footprint
        Footprint of a release.
    upload
        Table with positions.
    place
        Names of the columns of right ascension and declination, degrees (ICRS).
    bands
        As `Footprint.select_bands` returns them.
    tiles
        Add ``tiles``: names of the tiles that contain the position, separated by blanks.

    Returns
    -------
    list of ReleaseColumn, iterator of RecordBatch
        Columns of the result, and its rows.

    Raises
    ------
    UsageError
        The table has a column of the same name already.
    """
    added = [column for band in bands for column in _columns(band)]
    if tiles:
        added.append(
            ReleaseColumn("tiles", "char", "*", ucd="meta.id;obs.field", text="Tiles that hold the position")
        )
    names = {name.lower() for name in upload.rows.column_names}
    new = [c for c in added if c.name.lower() not in names]
    if len(new) < len(added):
        twice = ", ".join(c.name for c in added if c.name.lower() in names)
        raise UsageError(f"the table has a column {twice} already, as the answer would; take it out")
    return [*upload.columns, *added], _rows(footprint, upload.rows, place, bands, tiles)


def parquet_file(columns: Sequence[ReleaseColumn], batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    """Encode the rows as one Parquet file.

    The rows are in memory already, so that writing in pieces would not save any. Floating-point numbers are stored plain:
    compressing them takes longer than the look-up, without effect.
    """
    rows = list(batches)
    fields = [
        pa.field(f.name, f.type, metadata=metadata_of(c))
        for f, c in zip(rows[0].schema, columns, strict=True)
    ]
    schema = pa.schema(fields)
    compressed = [f.name for f in fields if not pa.types.is_floating(f.type)]
    compression = {f.name: "zstd" if f.name in compressed else "none" for f in fields}
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        schema,
        compression=compression,
        use_dictionary=compressed or False,
        write_statistics=compressed or False,
    ) as writer:
        table = pa.Table.from_arrays(pa.Table.from_batches(rows).columns, schema=schema)
        writer.write_table(table)
    yield sink.getvalue().to_pybytes()


def _rows(
    footprint: Footprint, rows: pa.Table, place: tuple[str, str], bands: Sequence[str], tiles: bool
) -> Iterator[pa.RecordBatch]:
    """Look up the rows batch by batch."""
    for start in range(0, max(rows.num_rows, 1), _BATCH):
        part = rows.slice(start, _BATCH).combine_chunks()
        ra, dec = (_numbers(part.column(name)) for name in place)
        arrays: list[pa.Array] = [column.combine_chunks() for column in part.columns]
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


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Return a column as floats; NaN for nulls."""
    values = pc.cast(column, pa.float64(), safe=False)
    if values.null_count:
        values = pc.fill_null(values, float("nan"))
    numbers: npt.NDArray[np.float64] = values.combine_chunks().to_numpy(zero_copy_only=False)
    return numbers


def _kinds(band: str) -> list[tuple[str, pa.DataType]]:
    """Return names and Arrow types of the columns of a band."""
    return [
        (f"inside_{band}", pa.int16()),
        (f"depth_{band}", pa.float32()),
        (f"nexp_{band}", pa.int16()),
        (f"fraction_{band}", pa.float32()),
    ]


def _columns(band: str) -> list[ReleaseColumn]:
    """Return the descriptions of the columns of a band."""
    return [
        ReleaseColumn(
            f"inside_{band}", "short", ucd="meta.code", text=f"1 if the cell has good area in {band}, else 0"
        ),
        ReleaseColumn(
            f"depth_{band}",
            "float",
            unit="mag",
            ucd="phot.mag",
            text=f"AB magnitude of S/N 10 in an aperture of 2 arcsec, band {band}; null outside",
        ),
        ReleaseColumn(
            f"nexp_{band}",
            "short",
            ucd="meta.number;obs.exposure",
            text=f"Exposures that count, band {band}; null outside",
        ),
        ReleaseColumn(
            f"fraction_{band}",
            "float",
            ucd="stat.filling",
            text=f"Good part of the cell's area, band {band}; null outside",
        ),
    ]
