"""SQL of users' tables: records in and out."""

from __future__ import annotations

import json

from sqlalchemy import Connection, delete, func, insert, select

from desdm.release.model import ReleaseColumn
from desdm.schema.service import mydb_table
from desdm.services.mydb.model import UserTable

__all__ = ["put", "remove", "room", "tables"]


def tables(conn: Connection, owner: str) -> list[UserTable]:
    """Tables of a user, by name."""
    query = select(mydb_table).where(mydb_table.c.owner == owner).order_by(mydb_table.c.table_name)
    return [
        UserTable(
            row.owner, row.table_name, row.row_count, row.bytes,
            tuple(ReleaseColumn(**column) for column in json.loads(row.columns)), row.text, row.created_at,
        )
        for row in conn.execute(query)
    ]  # fmt: skip


def room(conn: Connection, owner: str) -> int:
    """Bytes that the tables of a user take."""
    taken = select(func.coalesce(func.sum(mydb_table.c.bytes), 0)).where(mydb_table.c.owner == owner)
    return int(conn.execute(taken).scalar_one())


def put(conn: Connection, table: UserTable) -> None:
    """Enter a table, in the place of the record of that name."""
    remove(conn, table.owner, table.name)
    columns = [{name: getattr(column, name) for name in ReleaseColumn.__slots__} for column in table.columns]
    row = {
        "owner": table.owner, "table_name": table.name, "row_count": table.row_count, "bytes": table.size,
        "columns": json.dumps(columns), "text": table.text, "created_at": table.created_at,
    }  # fmt: skip
    conn.execute(insert(mydb_table), row)


def remove(conn: Connection, owner: str, name: str) -> bool:
    """Forget a table; False if there was none."""
    wanted = (mydb_table.c.owner == owner, mydb_table.c.table_name == name)
    return bool(conn.execute(delete(mydb_table).where(*wanted)).rowcount)
