"""What every statement of the archive shares: the columns of a record, sets of values as one parameter."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Integer, Select, String, and_, bindparam, cast, func, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.elements import ColumnElement

from desdm.schema import METADATA_TABLES, desfile, file_archive_info

__all__ = ["among", "band_of_any", "now", "packed", "records"]


def now() -> datetime:
    """The time, UTC, as the database keeps it: without zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def among(conn: Connection | str, column: ColumnElement[Any], name: str = "among") -> ColumnElement[bool]:
    """Condition that ``column`` is among the values of one bound parameter encoded by `packed`.

    One parameter, however many values: the statement is compiled once, and no limit on parameters is met.
    ``conn`` may be the name of a dialect, where the statement is cached.

    Parameters
    ----------
    conn
        Connection, or name of its dialect.
    column
        Column to compare.
    name
        Name of the bound parameter.
    """
    if (conn if isinstance(conn, str) else conn.dialect.name) == "sqlite":
        each = func.json_each(bindparam(name)).table_valued("value")
        return column.in_(select(each.c.value))
    kind = Integer() if isinstance(column.type, Integer) else String()
    return column == func.any(cast(bindparam(name), postgresql.ARRAY(kind)))


def packed(conn: Connection, values: Iterable[Any]) -> Any:
    """The value of the parameter of `among`."""
    return json.dumps(list(values)) if conn.dialect.name == "sqlite" else list(values)


band_of_any = func.coalesce(*(t.c.band for t in METADATA_TABLES.values()))


def records(archive: ColumnElement[bool] | None = None) -> Select[Any]:
    """File, copy and band: the columns of `FileRecord`, then the copy's state."""
    join = desfile.c.id == file_archive_info.c.desfile_id
    joined = desfile.outerjoin(file_archive_info, join if archive is None else and_(join, archive))
    for table in METADATA_TABLES.values():
        joined = joined.outerjoin(table, table.c.desfile_id == desfile.c.id)
    return select(
        desfile.c.id,
        desfile.c.filename,
        desfile.c.compression,
        desfile.c.filetype,
        desfile.c.filesize,
        desfile.c.sha256,
        desfile.c.md5sum,
        desfile.c.pfw_attempt_id,
        func.coalesce(file_archive_info.c.archive_name, ""),
        func.coalesce(file_archive_info.c.path, ""),
        band_of_any,
        file_archive_info.c.state,
    ).select_from(joined)
