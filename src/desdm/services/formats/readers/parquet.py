"""Reads Parquet that a caller sent."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from desdm.errors import LimitExceeded, UsageError
from desdm.services.formats.readers.model import Limits, Table, described, table_of

__all__ = ["read"]


def read(data: bytes, limits: Limits) -> Table:
    """A Parquet file of flat columns; ``description``, ``unit`` and ``ucd`` come from the fields' metadata.

    It is unpacked group by group, so that a small file cannot become a large table.

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
        pieces, size = [], 0
        for batch in file.iter_batches(batch_size=16384):
            size += batch.nbytes
            if size > limits.unpacked:
                raise LimitExceeded(f"the upload is larger than {limits.unpacked} bytes when it is unpacked")
            pieces.append(batch)
        schema = file.schema_arrow
    except (pa.ArrowException, OSError, ValueError) as err:
        raise UsageError("it is no Parquet file that can be read; was it cut off on its way?") from err
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
