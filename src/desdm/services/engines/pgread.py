"""Reads the answer of PostgreSQL as it comes: COPY in CSV, parsed by Arrow."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.csv as csv
from typing_extensions import override

from desdm.release.model import ReleaseColumn
from desdm.services.adql.fragments import GEOMETRIES, kind_of

__all__ = ["batches"]

_TYPES = {
    "short": pa.int16(), "int": pa.int32(), "long": pa.int64(), "float": pa.float32(), "double": pa.float64(),
    "boolean": pa.bool_(), "char": pa.string(), "timestamp": pa.string(),
}  # fmt: skip


class _Stream(io.RawIOBase):
    """The bytes of a COPY as a file."""

    def __init__(self, copy: psycopg.Copy) -> None:
        self._copy, self._rest = copy, b""
        #: what went wrong while reading; Arrow may tell it in other words
        self.error: psycopg.Error | None = None

    @override
    def readable(self) -> bool:
        return True

    @override
    def read(self, size: int = -1) -> bytes:
        parts, have = [self._rest], len(self._rest)
        try:
            while size < 0 or have < size:
                piece = bytes(self._copy.read())
                if not piece:
                    break
                parts.append(piece)
                have += len(piece)
                # What has come goes on at once when it is worth parsing: the first rows do not wait for the rest.
                if have >= 65536:
                    break
        except psycopg.Error as err:
            self.error = err
            raise
        whole = b"".join(parts)
        cut = len(whole) if size < 0 else size
        self._rest = whole[cut:]
        return whole[:cut]


def batches(
    cursor: psycopg.Cursor[Any], copy: psycopg.Copy, columns: Sequence[ReleaseColumn]
) -> Iterator[pa.RecordBatch]:
    """Rows of a COPY (query) TO STDOUT (FORMAT csv, HEADER) as they come."""
    stream = _Stream(copy)
    kinds = [kind_of(c) for c in columns]
    names = [c.name for c in columns]
    types = {n: _TYPES.get(k, pa.string()) for n, k in zip(names, kinds, strict=True)}
    convert = csv.ConvertOptions(
        column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False,
        true_values=["t"], false_values=["f"],
    )  # fmt: skip
    try:
        reader = csv.open_csv(
            stream,
            csv.ReadOptions(block_size=1 << 20, use_threads=False),
            csv.ParseOptions(newlines_in_values=True),
            convert,
        )
        for batch in reader:
            yield _shaped(batch, kinds, columns)
    except (pa.ArrowException, OSError):
        if stream.error is not None:
            raise stream.error from None
        raise


def _shaped(batch: pa.RecordBatch, kinds: Sequence[str], columns: Sequence[ReleaseColumn]) -> pa.RecordBatch:
    arrays = []
    for array, kind, column in zip(batch.columns, kinds, columns, strict=True):
        if (kind in GEOMETRIES or kind == "array") and column.datatype not in ("char", "unicodeChar"):
            lists = [None if v is None else json.loads("[" + v[1:-1] + "]") for v in array.to_pylist()]
            array = pa.array(lists, pa.list_(_TYPES.get(column.datatype, pa.float64())))
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, batch.schema.names)
