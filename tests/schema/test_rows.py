"""Rows that go to the driver directly are those that SQLAlchemy would have inserted, on both databases."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy import Column, DateTime, Integer, MetaData, String, Table, select

from desdm.schema.database import Database
from desdm.schema.rows import insert_rows

THINGS = Table(
    "things",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("name", String(20), nullable=False),
    Column("parent", Integer),
    Column("state", String(5), nullable=False, default="new"),
    Column("begun", DateTime),
)


@pytest.mark.parametrize("count", [0, 1, 3, 200])
@pytest.mark.parametrize(
    "names",
    [
        ("id", "name", "parent", "state"),  # as they are
        ("state", "parent", "name", "id"),  # in another order than the table's
        ("id", "name"),  # a default of Python
        ("id", "name", "state", "begun"),  # a value that SQLite's driver does not know
    ],
)
def test_rows_are_stored_as_they_are(database: Database, names: tuple[str, ...], count: int) -> None:
    whole = [
        {
            "id": i,
            "name": f"it's {i} %s :x",
            "parent": i // 2 or None,
            "state": f"s{i}",
            "begun": datetime(2013, 1, 1, 2, 3, 4, i),
        }
        for i in range(1, count + 1)
    ]
    rows = [{name: row[name] for name in names} for row in whole]
    missing = {"parent": None, "state": "new", "begun": None}
    with database.write() as conn:
        THINGS.create(conn)
        insert_rows(conn, THINGS, rows)
    with database.read() as conn:
        stored = [dict(row) for row in conn.execute(select(THINGS).order_by(THINGS.c.id)).mappings()]
    assert stored == [{**missing, **row} for row in rows]


def test_a_row_that_lacks_a_column_is_refused(database: Database) -> None:
    rows: list[dict[str, object]] = [{"id": i, "name": "n", "state": "s"} for i in range(100)]
    del rows[50]["name"]
    with database.write() as conn:
        THINGS.create(conn)
    with pytest.raises(Exception, match="name"), database.write() as conn:
        insert_rows(conn, THINGS, rows)
    with database.read() as conn:
        assert conn.execute(select(THINGS)).all() == []
