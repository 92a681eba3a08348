"""Reader of the rows of a PostgreSQL query: COPY in CSV, parsed by Arrow."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence

import psycopg
import pyarrow as pa
import pyarrow.csv as csv

from desdm.query.engines.writing import GEOMETRIES, kind_of
from desdm.release.model import ReleaseColumn

__all__ = ["batches"]

_TYPES = {
    "short": pa.int16(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "char": pa.string(),
    "timestamp": pa.string(),
}


#: Bytes of CSV of the first batch, which is small so that its rows arrive early, and of the others.
_FIRST, _BLOCK = 1 << 16, 1 << 20


def batches(copy: psycopg.Copy, columns: Sequence[ReleaseColumn]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of COPY (query) TO STDOUT (FORMAT csv) as they arrive; one empty batch if there are none.

    The client library returns whole rows, so that a batch ends with a row.
    """
    kinds = [kind_of(c) for c in columns]
    names = [c.name for c in columns]
    types = {n: _TYPES.get(k, pa.string()) for n, k in zip(names, kinds, strict=True)}
    read = csv.ReadOptions(column_names=names, use_threads=False, block_size=_BLOCK * 64)
    # NULL in a single column is an empty line, which counts as a row.
    parse = csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
    convert = csv.ConvertOptions(
        column_types=types,
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        true_values=["t"],
        false_values=["f"],
    )
    rows: list[bytes] = []
    size, limit, any_came = 0, _FIRST, False
    for row in copy:
        rows.append(bytes(row))
        size += len(row)
        if size >= limit:
            yield from _parsed(rows, read, parse, convert, kinds, columns)
            rows, size, limit, any_came = [], 0, _BLOCK, True
    if rows:
        yield from _parsed(rows, read, parse, convert, kinds, columns)
    elif not any_came:
        empty = pa.table({n: pa.array([], t) for n, t in types.items()}).combine_chunks()
        yield from (_shaped(b, kinds, columns) for b in empty.to_batches())


def _parsed(
    rows: list[bytes],
    read: csv.ReadOptions,
    parse: csv.ParseOptions,
    convert: csv.ConvertOptions,
    kinds: Sequence[str],
    columns: Sequence[ReleaseColumn],
) -> Iterator[pa.RecordBatch]:
    """Parse lines of CSV from COPY into batches."""
    table = csv.read_csv(io.BytesIO(b"".join(rows)), read, parse, convert)
    for batch in table.combine_chunks().to_batches():
        yield _shaped(batch, kinds, columns)


def _shaped(batch: pa.RecordBatch, kinds: Sequence[str], columns: Sequence[ReleaseColumn]) -> pa.RecordBatch:
    """Return a batch with its arrays of numbers parsed from text."""
    arrays = []
    for array, kind, column in zip(batch.columns, kinds, columns, strict=True):
        if (kind in GEOMETRIES or kind == "array") and column.datatype not in ("char", "unicodeChar"):
            lists = [None if v is None else json.loads("[" + v[1:-1] + "]") for v in array.to_pylist()]
            array = pa.array(lists, pa.list_(_TYPES.get(column.datatype, pa.float64())))
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, batch.schema.names)
