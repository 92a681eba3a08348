"""The tables of a release that come from its selection: the objects of all tiles, each object once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from desdm.errors import FileTypeError
from desdm.release.addtable import add_table
from desdm.release.overlap import Square, owners
from desdm.release.source import TableSource, TileRows
from desdm.release.steps import BuildContext, BuiltFile, SelectedFile

__all__ = ["OBJECTS", "make", "squares"]

#: Name of the table of objects.
OBJECTS = "objects"


def make(context: BuildContext) -> list[BuiltFile]:
    """Build the table of objects; its files are listed by their directory."""
    catalogues = context.of_type("coadd_objects")
    if not catalogues:
        return []
    context.progress(f"table {OBJECTS} of {len(catalogues)} tiles")
    tiles: dict[str, TileRows] = {}
    schema = _schema(context, catalogues)
    add_table(
        context.database,
        context.root,
        context.release,
        OBJECTS,
        _rows(context, catalogues, schema, tiles),
        ra="ra",
        dec="dec",
        id_column="coadd_object_id",
        who=context.who,
        replace_it=True,
        text="Objects detected on the coadds, one a row, measured in every band of their tile",
        provenance=TableSource({"step": "tables"}, tiles),
    )
    return []


def squares(context: BuildContext) -> dict[str, Square]:
    """Return the squares of the tiles whose coadds are in the release."""
    by_tile: dict[str, Square] = {}
    for coadd in context.of_type("coadd"):
        if (
            coadd.ra_cent is None
            or coadd.dec_cent is None
            or coadd.naxis1 is None
            or coadd.naxis2 is None
            or coadd.pixscale is None
        ):
            raise FileTypeError(f"{coadd.record.name}: its position on the sky is not recorded")
        name, step = str(coadd.tilename), coadd.pixscale / 7200.0
        by_tile[name] = Square(name, coadd.ra_cent, coadd.dec_cent, coadd.naxis1 * step, coadd.naxis2 * step)
    return by_tile


def _tile(file: pq.ParquetFile, selected: SelectedFile) -> str:
    """Return the tile of a catalogue."""
    tile_in_file = (file.schema_arrow.metadata or {}).get(b"TILENAME")
    name = selected.tilename or (tile_in_file.decode() if tile_in_file else None)
    if not name:
        raise FileTypeError(f"{selected.record.name} does not say of which tile it is")
    return name


def _schema(context: BuildContext, catalogues: list[SelectedFile]) -> pa.Schema:
    """Return the union of the columns of all catalogues."""
    # A tile without a band has no columns of it; its rows get none there.
    fields: dict[str, pa.Field] = {}
    for catalogue in catalogues:
        for field in pq.read_schema(context.verified_path(catalogue)):
            first = fields.setdefault(field.name, field)
            if first.type != field.type:
                raise FileTypeError(
                    f"{catalogue.record.name}: column {field.name} is of type {field.type}, elsewhere {first.type}"
                )
    return pa.schema(list(fields.values()))


def _rows(
    context: BuildContext, catalogues: list[SelectedFile], schema: pa.Schema, tiles: dict[str, TileRows]
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of all tiles that belong to their own tile."""
    squares_by_tile = squares(context)
    for catalogue in catalogues:
        with pq.ParquetFile(context.verified_path(catalogue)) as file:
            name = _tile(file, catalogue)
            others = [square for other, square in sorted(squares_by_tile.items()) if other != name]
            # Counted while the rows stream; it is stored after the last row.
            counts = tiles[name] = TileRows(catalogue.record.name, catalogue.record.sha256, catalogue.run)
            for batch in file.iter_batches(65536):
                counts.rows += batch.num_rows
                own = _own_rows(batch, squares_by_tile.get(name), others, counts.dropped)
                counts.own += own.num_rows
                yield from _with_all_columns(own, schema)


def _own_rows(
    batch: pa.RecordBatch, own: Square | None, others: list[Square], dropped: dict[str, int]
) -> pa.RecordBatch:
    """Drop and count the rows that belong to another tile."""
    if own is None or not others:
        return batch
    tile_index = owners(own, others, batch.column("ra").to_numpy(), batch.column("dec").to_numpy())
    for other, count in zip(*np.unique(tile_index[tile_index >= 0], return_counts=True), strict=True):
        dropped[others[other].name] = dropped.get(others[other].name, 0) + int(count)
    return batch.filter(pa.array(tile_index < 0))


def _with_all_columns(batch: pa.RecordBatch, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield a batch with nulls in the columns that its tile lacks."""
    if batch.num_rows:
        names = batch.schema.names
        arrays = [
            batch.column(f.name) if f.name in names else pa.nulls(batch.num_rows, f.type) for f in schema
        ]
        yield pa.record_batch(arrays, schema=schema)
