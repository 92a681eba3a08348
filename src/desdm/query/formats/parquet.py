"""Parquet as it comes: row groups go out one by one, units and UCDs in the metadata of each field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from desdm.query.formats.rows import Rows
from desdm.release.model import ReleaseColumn

__all__ = ["metadata_of", "table"]

#: Rows a row group: readers skip by these, and one stays in memory.
_GROUP = 100_000


class _Pipe:
    """What a Parquet writer takes for a file: keeps the bytes until somebody takes them."""

    closed = False

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._at = 0

    def write(self, data: bytes) -> int:
        """Keep bytes."""
        self._held.append(bytes(data))
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        """Return the number of bytes written."""
        return self._at

    def flush(self) -> None:
        """Nothing to do: bytes are taken, not written."""

    def close(self) -> None:
        """Nothing to close."""

    def take(self) -> bytes:
        """Return and forget the bytes kept so far."""
        taken, self._held = b"".join(self._held), []
        return taken


def metadata_of(column: ReleaseColumn, utype: str = "") -> dict[str, str]:
    """What a field's metadata says of a column: description, unit, UCD, and the VOTable type where it adds something."""
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
