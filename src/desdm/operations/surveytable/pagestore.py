"""The SQL by which the survey table is known to be still current."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from desdm.schema import (
    desfile,
    event,
    exclude_list,
    finalcut_eval,
    firstcut_eval,
    pfw_attempt,
    survey_field,
)

__all__ = ["state_of_record"]

_TABLES = (event, firstcut_eval, finalcut_eval, exclude_list, desfile, pfw_attempt, survey_field)


def state_of_record(conn: Connection) -> tuple[int, ...]:
    """Return the largest numbers of rows of what the survey table follows from: verdicts, acts, files, attempts, fields."""
    # One index each: what a person changes is an event, and what a program finds is a new row.
    query = select(*(select(func.coalesce(func.max(t.c.id), 0)).scalar_subquery() for t in _TABLES))
    return tuple(conn.execute(query).one())
