"""Writes a table in HATS layout: Parquet files a HEALPix cell each, rows sorted by ``hpix29``, from any stream.

Rows come in any order and number. They are sorted in runs of bounded size, the runs lie on disk, and each cell's file
is merged from its slices of the runs. Rows of equal ``hpix29`` keep the order in which they came, so that the bytes do
not depend on how the stream was cut.
"""

from __future__ import annotations

import mmap
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from desdm.sky.healpix import ORDER

__all__ = ["HPIX", "Cell", "Layout", "parts", "write_hats"]

#: Name of the column that orders the rows.
HPIX = "hpix29"

#: Bytes of a run while it is sorted; a partition may have twice as many when it is merged.
_RUN_BYTES = 64 * 2**20
#: Where splitting ends: cells of order 14 are 13 arcsec wide.
_DEEPEST = 14
_TEXT_BYTES = 24
_PLACE = re.compile(r"Norder=(\d+)/Dir=\d+/Npix=(\d+)\.parquet\Z")


class Cell(NamedTuple):
    """A HEALPix cell that is a partition, and its rows."""

    order: int
    pixel: int
    rows: int

    @property
    def path(self) -> str:
        """File of the cell, relative to ``dataset``."""
        return f"Norder={self.order}/Dir={self.pixel // 10000 * 10000}/Npix={self.pixel}.parquet"


@dataclass(frozen=True, slots=True)
class Layout:
    """Number of rows, and the partitions in the order of the sky."""

    rows: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class _Run:
    """A sorted run of rows, with their cells; ``mapped`` if it lies on disk."""

    table: pa.Table
    pixels: npt.NDArray[np.int64]
    mapped: mmap.mmap | None = None

    def forget(self) -> None:
        """Release the pages that were read; they are read again when needed."""
        if self.mapped is not None:
            self.mapped.madvise(mmap.MADV_DONTNEED)


def write_hats(
    out: Path,
    batches: Iterator[pa.RecordBatch],
    schema: pa.Schema,
    *,
    name: str,
    ra: str | None,
    dec: str | None,
    partition_rows: int = 1_000_000,
    group_rows: int = 100_000,
    run_bytes: int = _RUN_BYTES,
) -> Layout:
    """Write the layout below ``out``, which must not exist.

    Parameters
    ----------
    out
        Output directory.
    schema
        Schema of the rows.
    run_bytes
        Memory of a sorted run.
    batches
        Rows, all of ``schema``, which has the column `HPIX` when the table has positions.
    name
        Of the catalogue, for its properties.
    ra, dec
        Columns of the position; None for a table without: it is one file, in the order of its rows, and no HATS
        catalogue.
    partition_rows
        Cells are split until none holds more rows than this (or than fit into twice ``run_bytes``).
    group_rows
        Rows of a Parquet row group.

    Returns
    -------
    Layout
        Rows and partitions.

    Notes
    -----
    HATS: https://hats.readthedocs.io, "directory scheme" and "properties".
    """
    width = _width(schema)
    dataset = out / "dataset"
    dataset.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix=".runs-", dir=out.parent) as spill:
        runs = list(_runs(batches, schema, max(1, run_bytes // width), Path(spill), sort=ra is not None))
        rows = sum(run.table.num_rows for run in runs)
        most = max(1, min(partition_rows, 2 * run_bytes // width))
        cells = tuple(_cells(runs, most)) if ra is not None else (Cell(0, 0, rows),)
        collected: list[pq.FileMetaData] = []
        for cell in cells:
            _write_cell(
                dataset / cell.path, _merged(runs, cell, schema, ra), group_rows, collected, cell.path
            )
            for run in runs:
                run.forget()
    pq.write_metadata(schema, dataset / "_common_metadata")
    pq.write_metadata(schema, dataset / "_metadata", metadata_collector=collected)
    if ra is not None and dec is not None:
        _describe(out, name, ra, dec, rows, cells)
    return Layout(rows, cells)


def parts(table: Path) -> list[Path]:
    """Return the Parquet files of a table in HATS layout, in the order of the sky, which is that of its rows."""

    def place(path: Path) -> tuple[int, str]:
        """Sort key: first cell of the highest order, or the name."""
        match = _PLACE.search(path.as_posix())
        return (int(match[2]) << 2 * (ORDER - int(match[1])), "") if match else (0, path.name)

    files = [p for p in (table / "dataset").rglob("*.parquet") if not p.name.startswith("data_thumbnail")]
    return sorted(files, key=place)


def _width(schema: pa.Schema) -> int:
    """Return the bytes of a row, from the types alone, so that the layout does not depend on the stream."""

    def of(kind: pa.DataType) -> int:
        try:
            return max(1, int(kind.bit_width) // 8)
        except ValueError:
            return _TEXT_BYTES

    return max(1, sum(of(field.type) for field in schema))


def _runs(
    batches: Iterator[pa.RecordBatch], schema: pa.Schema, size: int, spill: Path, *, sort: bool
) -> Iterator[_Run]:
    """Cut a stream into sorted runs; all but a single one lie on disk."""
    pending: list[pa.RecordBatch] = []
    count = number = 0
    for batch in batches:
        pending.append(batch)
        count += batch.num_rows
        while count >= size:
            whole = pa.Table.from_batches(pending, schema)
            yield _spilled(_sorted(whole.slice(0, size), sort), spill / f"{number}.arrow")
            number += 1
            rest = whole.slice(size)
            pending, count = rest.to_batches(), rest.num_rows
    if pending and count:
        last = _sorted(pa.Table.from_batches(pending, schema), sort)
        yield _spilled(last, spill / f"{number}.arrow") if number else last


def _sorted(table: pa.Table, sort: bool) -> _Run:
    """Sort a table by cell; equal cells keep their order."""
    table = table.combine_chunks()
    if not sort:
        return _Run(table, np.zeros(table.num_rows, np.int64))
    pixels = table.column(HPIX).to_numpy()
    if np.any(pixels[1:] < pixels[:-1]):
        order = np.argsort(pixels, kind="stable")
        table, pixels = table.take(pa.array(order)), pixels[order]
    return _Run(table, pixels)


def _spilled(run: _Run, path: Path) -> _Run:
    """Write a run to disk and map it."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, run.table.schema) as writer:
        writer.write_table(run.table)
    # Mapped, not read: only the slice of one partition is in memory at a time.
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    table = pa.ipc.open_file(pa.BufferReader(pa.py_buffer(mapped))).read_all()
    # A run was written as one piece, so that its column is one piece of the map, and no copy.
    sorted_by = table.column(HPIX).chunk(0).to_numpy() if HPIX in table.schema.names else run.pixels
    mapped.madvise(mmap.MADV_DONTNEED)
    return _Run(table, sorted_by, mapped)


def _span(run: _Run, order: int, pixel: int) -> tuple[int, int]:
    """Return the rows of a run that lie in a cell."""
    shift = 2 * (ORDER - order)
    first, end = np.searchsorted(run.pixels, [pixel << shift, (pixel + 1) << shift])
    return int(first), int(end)


def _cells(runs: list[_Run], most: int) -> Iterator[Cell]:
    """Yield the partitions: cells split until none has more than ``most`` rows."""
    stack = [(0, pixel) for pixel in reversed(range(12))]
    while stack:
        order, pixel = stack.pop()
        rows = sum(end - first for first, end in (_span(run, order, pixel) for run in runs))
        if rows > most and order < _DEEPEST:
            stack += [(order + 1, 4 * pixel + i) for i in (3, 2, 1, 0)]
        elif rows:
            yield Cell(order, pixel, rows)


def _merged(runs: list[_Run], cell: Cell, schema: pa.Schema, ra: str | None) -> pa.Table:
    """Return the rows of a partition from all runs."""
    if ra is None:
        return pa.concat_tables([run.table for run in runs]) if runs else schema.empty_table()
    spans = [(run, *_span(run, cell.order, cell.pixel)) for run in runs]
    table = pa.concat_tables(
        [run.table.slice(first, end - first) for run, first, end in spans if end > first]
    )
    return _sorted(table, True).table


def _write_cell(
    path: Path, table: pa.Table, group_rows: int, collected: list[pq.FileMetaData], name: str
) -> None:
    """Write the file of a partition and collect its footer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
    with pq.ParquetWriter(
        path, table.schema, compression="zstd", use_dictionary=texts, write_page_index=True
    ) as writer:
        # Row groups of equal size, so that the last one is not a crumb.
        groups = max(1, -(-table.num_rows // group_rows))
        writer.write_table(table, row_group_size=max(1, -(-table.num_rows // groups)))
    footer = pq.read_metadata(path)
    footer.set_file_path(name)
    collected.append(footer)


def _describe(out: Path, name: str, ra: str, dec: str, rows: int, cells: tuple[Cell, ...]) -> None:
    """Write partition list and properties of the catalogue."""
    lines = ["Norder,Dir,Npix,num_rows"]
    lines += [f"{c.order},{c.pixel // 10000 * 10000},{c.pixel},{c.rows}" for c in cells]
    (out / "partition_info.csv").write_text("\n".join(lines) + "\n", "ascii")
    sky = sum(1.0 / (12 * 4**c.order) for c in cells)
    properties = {
        "obs_collection": name,
        "dataproduct_type": "object",
        "hats_nrows": rows,
        "hats_col_ra": ra,
        "hats_col_dec": dec,
        "hats_col_healpix": HPIX,
        "hats_col_healpix_order": ORDER,
        "hats_npix_suffix": ".parquet",
        "hats_max_rows": max((c.rows for c in cells), default=0),
        "hats_order": max((c.order for c in cells), default=0),
        "moc_sky_fraction": f"{sky:.6f}",
        "hats_builder": "desdm",
        "hats_version": "v1.0",
    }
    text = "#HATS catalog\n" + "".join(f"{key}={value}\n" for key, value in properties.items())
    # Old readers look for the one name, new ones for the other.
    for filename in ("hats.properties", "properties"):
        (out / filename).write_text(text, "utf-8")
