"""Reads Parquet that a caller sent."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from desdm.errors import LimitExceeded, UsageError
from desdm.query.formats.readers.model import Limits, Table, described, table_of

__all__ = ["read"]


_BATCH = 16_384


def read(data: bytes, limits: Limits) -> Table:
    """A Parquet file of flat columns; ``description``, ``unit`` and ``ucd`` come from the fields' metadata.

    It is unpacked batch by batch, dictionaries too, so that a small file cannot become a large table.

    Raises
    ------
    UsageError
        If it cannot be read, or a column's type has no place in VOTable.
    LimitExceeded
        If it has too many rows, or becomes too large.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        limits.check_rows(file.metadata.num_rows)
        schema = pa.schema([_plain(field) for field in file.schema_arrow])
        pieces, size = [], 0
        for batch in file.iter_batches(batch_size=_BATCH):
            arrays = []
            for array, field in zip(batch.columns, schema, strict=True):
                arrays.append(array if array.type == field.type else array.cast(field.type))
                size += arrays[-1].nbytes
                if size > limits.unpacked:
                    raise LimitExceeded(
                        f"the upload is larger than {limits.unpacked} bytes when it is unpacked"
                    )
            pieces.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
    except (pa.ArrowException, OSError, ValueError) as err:
        raise UsageError("not a Parquet file that can be read; was the upload cut off?") from err
    rows = pa.Table.from_batches(pieces, schema) if pieces else schema.empty_table()
    limits.check_rows(rows.num_rows)
    columns = []
    for field, array in zip(schema, rows.columns, strict=True):
        about = {
            k.decode("utf-8", "replace"): v.decode("utf-8", "replace")
            for k, v in (field.metadata or {}).items()
        }
        columns.append(described(field.name, array, about))
    return table_of(tuple(columns), rows.columns)


def _plain(field: pa.Field) -> pa.Field:
    """A field whose values stand in full: each value of a dictionary may be there a million times."""
    return field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
