"""The tables of a release that come from its selection: the objects of all tiles, each object once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from desdm.errors import FileTypeError
from desdm.release.addtable import add_table
from desdm.release.overlap import Square, owners
from desdm.release.steps import BuildContext, Made, Picked

__all__ = ["OBJECTS", "make", "squares"]

#: Name of the table of objects.
OBJECTS = "objects"


def make(context: BuildContext) -> list[Made]:
    """The table of objects; its files are known by where they lie."""
    catalogues = context.of_type("coadd_objects")
    if not catalogues:
        return []
    context.progress(f"table {OBJECTS} of {len(catalogues)} tiles")
    tiles: dict[str, Any] = {}
    schema = _schema(context, catalogues)
    add_table(
        context.database, context.root, context.release, OBJECTS, _rows(context, catalogues, schema, tiles),
        ra="ra", dec="dec", id_column="coadd_object_id", who=context.who, replace_it=True,
        text="Objects detected on the coadds, one a row, measured in every band of their tile",
        provenance={"step": "tables", "tiles": tiles},
    )  # fmt: skip
    return []


def squares(context: BuildContext) -> dict[str, Square]:
    """The tiles whose coadds are in the release."""
    found: dict[str, Square] = {}
    for picked in context.of_type("coadd"):
        m, name = picked.metadata, str(picked.tilename)
        if m.get("ra_cent") is None or m.get("pixscale") is None:
            raise FileTypeError(f"{picked.record.name}: its place on the sky is not known")
        step = float(m["pixscale"]) / 7200.0
        found[name] = Square(
            name,
            float(m["ra_cent"]),
            float(m["dec_cent"]),
            float(m["naxis1"]) * step,
            float(m["naxis2"]) * step,
        )
    return found


def _tile(file: pq.ParquetFile, picked: Picked) -> str:
    said = (file.schema_arrow.metadata or {}).get(b"TILENAME")
    name = picked.tilename or (said.decode() if said else None)
    if not name:
        raise FileTypeError(f"{picked.record.name} does not say of which tile it is")
    return name


def _schema(context: BuildContext, catalogues: list[Picked]) -> pa.Schema:
    # A tile without a band has no columns of it; its rows get none there.
    fields: dict[str, pa.Field] = {}
    for picked in catalogues:
        for field in pq.read_schema(context.verified(picked)):
            known = fields.setdefault(field.name, field)
            if known.type != field.type:
                raise FileTypeError(
                    f"{picked.record.name}: column {field.name} is of type {field.type}, elsewhere {known.type}"
                )
    return pa.schema(list(fields.values()))


def _rows(
    context: BuildContext, catalogues: list[Picked], schema: pa.Schema, tiles: dict[str, Any]
) -> Iterator[pa.RecordBatch]:
    known = squares(context)
    for picked in catalogues:
        with pq.ParquetFile(context.verified(picked)) as file:
            name = _tile(file, picked)
            others = [square for other, square in sorted(known.items()) if other != name]
            entry: dict[str, Any] = {
                "file": picked.record.name, "sha256": picked.record.sha256, "run": picked.run, "rows": 0,
                "kept": 0, "dropped": {},
            }  # fmt: skip
            # Filled while the rows stream; it is written down when they are all there.
            tiles[name] = entry
            for batch in file.iter_batches(65536):
                entry["rows"] += batch.num_rows
                kept = _kept(batch, known.get(name), others, entry["dropped"])
                entry["kept"] += kept.num_rows
                yield from _full(kept, schema)


def _kept(
    batch: pa.RecordBatch, own: Square | None, others: list[Square], dropped: dict[str, int]
) -> pa.RecordBatch:
    if own is None or not others:
        return batch
    whose = owners(own, others, batch.column("ra").to_numpy(), batch.column("dec").to_numpy())
    for place, count in zip(*np.unique(whose[whose >= 0], return_counts=True), strict=True):
        dropped[others[place].name] = dropped.get(others[place].name, 0) + int(count)
    return batch.filter(pa.array(whose < 0))


def _full(batch: pa.RecordBatch, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    if batch.num_rows:
        names = batch.schema.names
        arrays = [
            batch.column(f.name) if f.name in names else pa.nulls(batch.num_rows, f.type) for f in schema
        ]
        yield pa.record_batch(arrays, schema=schema)
