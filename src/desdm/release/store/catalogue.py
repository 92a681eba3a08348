"""Rows of the tables of a release, with their columns and provenance."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from desdm.release.model import ReleaseColumn, ReleaseTable
from desdm.release.source import TableSource
from desdm.schema import release_column, release_table

__all__ = [
    "drop_table",
    "insert_table",
    "provenance",
    "tables",
]


def tables(conn: Connection, name: str) -> list[ReleaseTable]:
    """Return the tables of a release with their columns, by name."""
    columns: dict[str, list[ReleaseColumn]] = defaultdict(list)
    column_query = select(release_column).where(release_column.c.release_name == name)
    for row in conn.execute(column_query.order_by(release_column.c.table_name, release_column.c.ordinal)):
        columns[row.table_name].append(
            ReleaseColumn(
                name=row.column_name,
                datatype=row.datatype,
                arraysize=row.arraysize,
                xtype=row.xtype,
                unit=row.unit,
                ucd=row.ucd,
                text=row.text,
                principal=row.principal,
                indexed=row.indexed,
                inferred=row.inferred,
                minimum=row.minimum,
                maximum=row.maximum,
                null_count=row.null_count,
            )
        )
    table_query = select(release_table).where(release_table.c.release_name == name)
    return [
        ReleaseTable(
            release=name,
            name=row.table_name,
            kind=row.kind,
            text=row.text,
            row_count=row.row_count,
            ra_column=row.ra_column,
            dec_column=row.dec_column,
            id_column=row.id_column,
            path=row.path,
            columns=tuple(columns[row.table_name]),
        )
        for row in conn.execute(table_query.order_by(release_table.c.table_name))
    ]


def insert_table(
    conn: Connection, table: ReleaseTable, source: TableSource, who: str, when: datetime
) -> None:
    """Insert a table of a release with its columns.

    Parameters
    ----------
    conn
        Connection in a transaction.
    table
        The table and its columns.
    source
        Its provenance.
    who, when
        User, and time (UTC).
    """
    conn.execute(
        insert(release_table).values(
            release_name=table.release,
            table_name=table.name,
            kind=table.kind,
            text=table.text,
            path=table.path,
            row_count=table.row_count,
            ra_column=table.ra_column,
            dec_column=table.dec_column,
            id_column=table.id_column,
            provenance=source.to_json(),
            added_by=who,
            added_at=when,
        )
    )
    rows = [
        {
            "release_name": table.release,
            "table_name": table.name,
            "column_name": c.name,
            "ordinal": i,
            **{name: getattr(c, name) for name in c.__slots__ if name != "name"},
        }
        for i, c in enumerate(table.columns)
    ]
    conn.execute(insert(release_column), rows)


def drop_table(conn: Connection, name: str, table: str) -> None:
    """Delete a table of a draft.

    Parameters
    ----------
    conn
        Connection in a transaction.
    name, table
        Names of the release and of its table.
    """
    for where in (release_column, release_table):
        conn.execute(delete(where).where(where.c.release_name == name, where.c.table_name == table))


def provenance(conn: Connection, name: str) -> dict[str, TableSource]:
    """Return the provenance of each table of a release."""
    query = select(release_table.c.table_name, release_table.c.provenance).where(
        release_table.c.release_name == name
    )
    return {row[0]: TableSource.from_json(row[1]) for row in conn.execute(query)}
