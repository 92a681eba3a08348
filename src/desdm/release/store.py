"""SQL of releases: records in and out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from desdm.release.model import Release, ReleaseColumn, ReleaseFile, ReleaseTable
from desdm.schema import release, release_column, release_file, release_table
from desdm.schema.states import ReleaseState

__all__ = [
    "change",
    "drop_table",
    "files",
    "insert_files",
    "insert_release",
    "insert_table",
    "provenance",
    "releases",
    "replace_files",
    "tables",
]

_RELEASE = tuple(Release.__slots__)


def releases(conn: Connection, states: Sequence[ReleaseState] | None = None) -> list[Release]:
    """Releases, newest last; all, or those in ``states``."""
    query = select(*(release.c[name] for name in _RELEASE)).order_by(release.c.created_at, release.c.name)
    if states is not None:
        query = query.where(release.c.state.in_([s.value for s in states]))
    return [Release(**{**row._mapping, "state": ReleaseState(row.state)}) for row in conn.execute(query)]


def tables(conn: Connection, name: str) -> list[ReleaseTable]:
    """Tables of a release with their columns, in the order of their names."""
    columns: dict[str, list[ReleaseColumn]] = defaultdict(list)
    wanted = select(release_column).where(release_column.c.release_name == name)
    for row in conn.execute(wanted.order_by(release_column.c.table_name, release_column.c.ordinal)):
        columns[row.table_name].append(
            ReleaseColumn(
                name=row.column_name, datatype=row.datatype, arraysize=row.arraysize, xtype=row.xtype, unit=row.unit,
                ucd=row.ucd, text=row.text, principal=row.principal, indexed=row.indexed, inferred=row.inferred,
                minimum=row.minimum, maximum=row.maximum, null_count=row.null_count,
            )
        )  # fmt: skip
    found = select(release_table).where(release_table.c.release_name == name)
    return [
        ReleaseTable(
            release=name, name=row.table_name, kind=row.kind, text=row.text, row_count=row.row_count,
            ra_column=row.ra_column, dec_column=row.dec_column, id_column=row.id_column, path=row.path,
            columns=tuple(columns[row.table_name]),
        )
        for row in conn.execute(found.order_by(release_table.c.table_name))
    ]  # fmt: skip


def files(conn: Connection, name: str, **equal: Any) -> list[ReleaseFile]:
    """Files of a release in the order of their paths; ``equal`` restricts columns (filetype, tilename, band, path)."""
    query = select(release_file).where(release_file.c.release_name == name)
    for column, value in equal.items():
        query = query.where(release_file.c[column] == value)
    found = []
    for row in conn.execute(query.order_by(release_file.c.path)):
        values = dict(row._mapping)
        values["release"] = values.pop("release_name")
        found.append(ReleaseFile(**values))
    return found


def insert_release(conn: Connection, made: Release) -> None:
    """A new release."""
    values = {name: getattr(made, name) for name in _RELEASE}
    conn.execute(insert(release).values({**values, "state": made.state.value}))


def change(conn: Connection, name: str, from_state: ReleaseState, **values: Any) -> bool:
    """Change a release that is in ``from_state``; False if it is not (any more)."""
    values = {key: value.value if isinstance(value, ReleaseState) else value for key, value in values.items()}
    wanted = (release.c.name == name) & (release.c.state == from_state.value)
    return conn.execute(update(release).where(wanted).values(values)).rowcount == 1


def insert_table(conn: Connection, made: ReleaseTable, source: str, who: str, when: datetime) -> None:
    """A new table of a release with its columns; ``source`` is its provenance as JSON."""
    conn.execute(
        insert(release_table).values(
            release_name=made.release, table_name=made.name, kind=made.kind, text=made.text, path=made.path,
            row_count=made.row_count, ra_column=made.ra_column, dec_column=made.dec_column,
            id_column=made.id_column, provenance=source, added_by=who, added_at=when,
        )
    )  # fmt: skip
    rows = [
        {
            "release_name": made.release, "table_name": made.name, "column_name": c.name, "ordinal": i,
            **{name: getattr(c, name) for name in c.__slots__ if name != "name"},
        }
        for i, c in enumerate(made.columns)
    ]  # fmt: skip
    conn.execute(insert(release_column), rows)


def drop_table(conn: Connection, name: str, table: str) -> None:
    """Forget a table of a draft."""
    for where in (release_column, release_table):
        conn.execute(delete(where).where(where.c.release_name == name, where.c.table_name == table))


def provenance(conn: Connection, name: str) -> dict[str, str]:
    """Where each table of a release came from, JSON by table."""
    query = select(release_table.c.table_name, release_table.c.provenance).where(
        release_table.c.release_name == name
    )
    return {row[0]: row[1] for row in conn.execute(query)}


def insert_files(conn: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """New files of a release; a row has the columns of ``release_file`` without ``id``."""
    if rows:
        conn.execute(insert(release_file), list(rows))


def replace_files(conn: Connection, name: str, rows: Sequence[dict[str, Any]]) -> None:
    """The files of a draft are these, and no others."""
    conn.execute(delete(release_file).where(release_file.c.release_name == name))
    insert_files(conn, rows)
