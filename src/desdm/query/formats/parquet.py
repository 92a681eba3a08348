"""Writer of Parquet, one row group at a time, with units and UCDs in the metadata of each field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from desdm.query.formats.rows import Rows
from desdm.release.model import ReleaseColumn

__all__ = ["metadata_of", "table"]

#: Rows of a row group, which is in memory while it is written.
_GROUP = 100_000


class _Pipe:
    """File object for the Parquet writer, from which the written bytes are taken."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> int:
        """Keep bytes."""
        self._pieces.append(bytes(data))
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        """Return the number of bytes written."""
        return self._size

    def flush(self) -> None:
        """Do nothing: the bytes are not buffered."""

    def close(self) -> None:
        """Do nothing."""

    def take(self) -> bytes:
        """Return and forget the bytes kept so far."""
        taken, self._pieces = b"".join(self._pieces), []
        return taken


def metadata_of(column: ReleaseColumn, utype: str = "") -> dict[str, str]:
    """Return the metadata of a column's field: description, unit, UCD, xtype and utype, if they are not empty."""
    description = {
        "description": column.text,
        "unit": column.unit,
        "ucd": column.ucd,
        "xtype": column.xtype or "",
        "utype": utype,
    }
    return {key: value for key, value in description.items() if value}


def table(rows: Rows, infos: Sequence[tuple[str, str, str]], title: str) -> Iterator[bytes]:
    """Yield the pieces of a Parquet file, zstd-compressed.

    Parameters
    ----------
    rows
        Rows with their columns; the metadata has QUERY_STATUS, OVERFLOW where rows were cut.
    infos
        Name, value and text of each line about the answer, for the metadata.
    title
        Title of the table.
    """
    schema = pa.schema(
        [
            pa.field(field.name, field.type, metadata=metadata_of(column, utype))
            for field, column, utype in zip(rows.schema, rows.columns, rows.utypes, strict=True)
        ],
        metadata={"title": title} if title else None,
    )
    pipe = _Pipe()
    writer = pq.ParquetWriter(pa.PythonFile(pipe, "w"), schema, compression="zstd")
    yield pipe.take()
    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in rows:
        waiting.append(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
        count += batch.num_rows
        if count >= _GROUP:
            writer.write_table(pa.Table.from_batches(waiting, schema))
            waiting, count = [], 0
            yield pipe.take()
    if waiting:
        writer.write_table(pa.Table.from_batches(waiting, schema))
    status = {"QUERY_STATUS": "OVERFLOW" if rows.overflow else "OK"}
    writer.add_key_value_metadata(status | {name: text or value for name, value, text in infos})
    writer.close()
    yield pipe.take()
