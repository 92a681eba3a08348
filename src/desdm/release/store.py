"""SQL of releases: records in and out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from desdm.release.model import Release, ReleaseColumn, ReleaseFile, ReleaseTable
from desdm.schema import release, release_column, release_file, release_table
from desdm.schema.states import ReleaseState

__all__ = ["files", "releases", "tables"]

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
