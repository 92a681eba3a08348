"""Reader of uploaded Parquet."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from desdm.errors import LimitExceeded, UsageError
from desdm.query.formats.readers.model import Limits, Table, described, table_of

__all__ = ["read"]


_BATCH = 16_384


def read(data: bytes, limits: Limits) -> Table:
    """Read a Parquet file of flat columns; ``description``, ``unit`` and ``ucd`` come from the fields' metadata.

    Batches are decompressed one by one and counted, so that a small file cannot become a large table.

    Raises
    ------
    UsageError
        It cannot be read, or a column's type has no equivalent in VOTable.
    LimitExceeded
        It has too many rows, or becomes too large.
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
        raise UsageError("not a readable Parquet file; it may be truncated") from err
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
    """Return a field without dictionary encoding: few values of a dictionary may fill many rows."""
    return field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
