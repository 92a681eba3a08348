"""Inserts many rows of one shape: the statement is compiled once, and the driver gets the values as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, Dialect, Table

__all__ = ["insert_rows"]

#: Fewer rows than this are not worth a statement of their own.
_FEW = 20


class _Statement(NamedTuple):
    """A compiled insert, and how it takes a row: as a tuple of values, or (None) as it is."""

    text: str
    values: Callable[[Mapping[str, Any]], Any] | None


def insert_rows(conn: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows; do nothing if there are none.

    SQLAlchemy collects the parameters of each row anew, which takes longer than the insert itself. Where no value has to be
    converted for the driver, and no column has a default that the rows leave out, that can be passed over.

    Parameters
    ----------
    conn
        The transaction.
    table
        The table.
    rows
        Rows with the same columns each.
    """
    if not rows:
        return
    statement = _statement(conn.dialect, table, tuple(rows[0])) if len(rows) >= _FEW else None
    if statement is None:
        conn.execute(table.insert(), rows)
    elif statement.values is None:
        conn.exec_driver_sql(statement.text, [dict(row) for row in rows])
    else:
        conn.exec_driver_sql(statement.text, list(map(statement.values, rows)))


@lru_cache(maxsize=64)
def _statement(dialect: Dialect, table: Table, names: tuple[str, ...]) -> _Statement | None:
    """Return the insert of rows with these columns; None if SQLAlchemy has to prepare their values."""
    if len(names) < 2:
        return None
    for column in table.columns:
        if column.name not in names:
            if column.default is not None:
                return None
        elif column.type.dialect_impl(dialect).bind_processor(dialect) is not None:
            return None
    compiled = table.insert().compile(dialect=dialect, column_keys=list(names))
    order = getattr(compiled, "positiontup", None)
    return _Statement(str(compiled), itemgetter(*order) if order else None)
