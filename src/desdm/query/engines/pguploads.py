"""Uploads in PostgreSQL: without NaN, and as arrays where no table can be created."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from desdm.query.engines.model import Upload
from desdm.query.engines.writing import SQL_TYPES, kind_of, quote
from desdm.release.model import ReleaseColumn

__all__ = ["cleaned", "with_uploads"]


def cleaned(batches: Iterator[pa.RecordBatch], columns: Sequence[ReleaseColumn]) -> Iterator[pa.RecordBatch]:
    """Yield the rows with the columns in order and NULL for NaN."""
    for batch in batches:
        arrays = []
        for column in columns:
            array = batch.column(column.name)
            if pa.types.is_floating(array.type):
                array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
            arrays.append(array)
        yield pa.RecordBatch.from_arrays(arrays, [c.name for c in columns])


def with_uploads(sql: str, uploads: Mapping[str, Upload], values: dict[str, Any]) -> str:
    """Return a query with its uploads as arrays in front of it, for a mirror, where no table can be created.

    Parameters
    ----------
    sql
        The query.
    uploads
        Uploaded tables by name.
    values
        Parameters of the query by name; the arrays are added.
    """
    parts = []
    for number, upload in enumerate(uploads.values()):
        arrays, names = [], []
        for place, column in enumerate(upload.columns):
            key = f"u{number}_{place}"
            kind = SQL_TYPES["postgresql"].get(kind_of(column), "text")
            clean = next(
                cleaned(iter(upload.rows.select([column.name]).combine_chunks().to_batches()), [column]),
                None,
            )
            values[key] = [] if clean is None else clean.column(0).to_pylist()
            arrays.append(f"%({key})s::{kind}[]")
            names.append(quote(column.name, "postgresql"))
        table = quote(f"tap_upload_{upload.name}", "postgresql")
        parts.append(
            f"{table} AS MATERIALIZED (SELECT * FROM unnest({', '.join(arrays)}) AS u({', '.join(names)}))"  # noqa: S608
        )
    if not parts:
        return sql
    rest = f", {sql[5:]}" if sql.startswith("WITH ") else f" {sql}"
    return f"WITH {', '.join(parts)}{rest}"
