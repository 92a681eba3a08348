"""SQL of users' tables."""

from __future__ import annotations

import json

from sqlalchemy import Connection, delete, func, insert, select

from desdm.release.model import ReleaseColumn
from desdm.schema.service import mydb_table
from desdm.services.mydb.model import UserTable

__all__ = ["put", "remove", "tables", "used_bytes"]


def tables(conn: Connection, owner: str) -> list[UserTable]:
    """Return the tables of a user, by name."""
    query = select(mydb_table).where(mydb_table.c.owner == owner).order_by(mydb_table.c.table_name)
    return [
        UserTable(
            row.owner,
            row.table_name,
            row.row_count,
            row.bytes,
            tuple(ReleaseColumn(**column) for column in json.loads(row.columns)),
            row.text,
            row.created_at,
        )
        for row in conn.execute(query)
    ]


def used_bytes(conn: Connection, owner: str) -> int:
    """Return the bytes of all tables of a user."""
    query = select(func.coalesce(func.sum(mydb_table.c.bytes), 0)).where(mydb_table.c.owner == owner)
    return int(conn.execute(query).scalar_one())


def put(conn: Connection, table: UserTable) -> None:
    """Insert or replace the record of a table."""
    remove(conn, table.owner, table.name)
    columns = [{name: getattr(column, name) for name in ReleaseColumn.__slots__} for column in table.columns]
    row = {
        "owner": table.owner,
        "table_name": table.name,
        "row_count": table.row_count,
        "bytes": table.size,
        "columns": json.dumps(columns),
        "text": table.text,
        "created_at": table.created_at,
    }
    conn.execute(insert(mydb_table), row)


def remove(conn: Connection, owner: str, name: str) -> bool:
    """Delete the record of a table.

    Parameters
    ----------
    conn
        Connection to the service database.
    owner, name
        Login of the owner, and name of the table.

    Returns
    -------
    bool
        False if there was none.
    """
    conditions = (mydb_table.c.owner == owner, mydb_table.c.table_name == name)
    return bool(conn.execute(delete(mydb_table).where(*conditions)).rowcount)
