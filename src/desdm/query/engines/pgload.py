"""Load release tables into PostgreSQL: Parquet through COPY, with indexes on cell, identifier and position."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.csv as csv
from psycopg.rows import TupleRow

from desdm.errors import CorruptFile
from desdm.query.engines import native
from desdm.query.engines.writing import SQL_TYPES, kind_of, postgresql_name, quote
from desdm.release.model import ReleaseColumn, ReleaseTable

__all__ = ["copy_in", "declared", "load", "name"]

_ROWS = 50_000
_FORMAT = csv.WriteOptions(include_header=False)


def name(*parts: str) -> str:
    """Quote a name for SQL without parameters."""
    return ".".join('"' + postgresql_name(p).replace('"', '""') + '"' for p in parts)


def declared(columns: Sequence[ReleaseColumn]) -> str:
    """Return the column definitions of CREATE TABLE; text is compared byte by byte, as DuckDB does."""
    types = SQL_TYPES["postgresql"]
    items = []
    for column in columns:
        kind = types.get(
            kind_of(column), "text" if column.datatype in ("char", "unicodeChar") else "float8[]"
        )
        collation = ' COLLATE "C"' if kind == "text" else ""
        items.append(f"{name(column.name)} {kind}{collation}")
    return ", ".join(items)


def load(conn: psycopg.Connection[TupleRow], table: ReleaseTable, root: Path, schema: str, q3c: bool) -> int:
    """Load one table of a release with its indexes and return the number of its rows.

    Parameters
    ----------
    conn
        Connection with an open transaction.
    table
        Table of the release.
    root
        Directory of the release, in HATS layout.
    schema
        Schema that the table belongs to.
    q3c
        Whether the extension Q3C is installed, for an index on positions.

    Raises
    ------
    CorruptFile
        A Parquet file cannot be read, or the number of rows is not that of the release.
    """
    where = name(schema, table.name)
    conn.execute(f"CREATE TABLE {where} ({declared(table.columns)})")
    rows = 0
    with duckdb.connect() as reader:
        sql = f"SELECT {native.projection(table.columns)} FROM {native.source(root, table)}"  # noqa: S608
        try:
            rows = copy_in(conn, where, reader.sql(sql).to_arrow_reader(_ROWS), freeze=True)
        except duckdb.Error as err:
            raise CorruptFile(
                f"{table.release}.{table.name} cannot be read; run: desdm release verify {table.release}"
            ) from err
    if rows != table.row_count:
        raise CorruptFile(
            f"{table.release}.{table.name} has {rows} rows in its files, {table.row_count} in the release"
        )
    known = {c.name for c in table.columns}
    indexed = {c.name for c in table.columns if c.indexed or c.name.lower() == "hpix29"}
    indexed |= {table.id_column} & known if table.id_column else set()
    if table.name == "footprint":
        indexed |= {"hpix"} & known
    for column in sorted(indexed):
        conn.execute(f"CREATE INDEX ON {where} ({name(column)})")
    if q3c and table.ra_column and table.dec_column:
        conn.execute(
            f"CREATE INDEX ON {where} (q3c_ang2ipix({name(table.ra_column)}, {name(table.dec_column)}))"
        )
    conn.execute(f"ANALYZE {where}")
    return rows


def copy_in(
    conn: psycopg.Connection[TupleRow], where: str, batches: Iterator[pa.RecordBatch], *, freeze: bool = False
) -> int:
    """Write rows into a table by COPY and return their number.

    Parameters
    ----------
    conn
        Connection with an open transaction.
    where
        Name of the table, quoted.
    batches
        Rows in Arrow batches, columns in the order of the table.
    freeze
        Whether rows are written as frozen, which needs a table of the same transaction.
    """
    rows = 0
    options = "FORMAT csv, FREEZE" if freeze else "FORMAT csv"
    with conn.cursor() as cursor, cursor.copy(f"COPY {where} FROM STDIN ({options})") as copy:
        for batch in batches:
            buffer = io.BytesIO()
            csv.write_csv(_flat(batch), buffer, _FORMAT)
            copy.write(buffer.getbuffer())
            rows += batch.num_rows
    return rows


def _flat(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Convert lists to PostgreSQL's text form: {1,2}."""
    if not any(pa.types.is_list(f.type) or pa.types.is_large_list(f.type) for f in batch.schema):
        return batch
    arrays = []
    for array in batch.columns:
        if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
            values = [
                None if v is None else "{" + ",".join(repr(x) for x in v) + "}" for v in array.to_pylist()
            ]
            array = pa.array(values, pa.string())
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, batch.schema.names)


def quoted(text: str) -> str:
    """A name as the translator writes it, where psycopg merges values."""
    return quote(text, "postgresql")
