"""The SQL of provenance: one recursive query for ancestors or descendants, and the edges and tasks around them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Executable, bindparam, func, literal_column, select, true
from sqlalchemy.sql.elements import ColumnElement

from desdm.archive.model import FileRecord
from desdm.archive.store.common import among, packed, records
from desdm.schema import (
    desfile,
    opm_used,
    opm_was_derived_from,
    opm_was_generated_by,
    pfw_attempt,
    pfw_exec,
    pfw_wrapper,
    task,
)

__all__ = ["derived_among", "execs_of", "files_by_id", "generated", "reached", "tasks_by_id", "used"]


@cache
def _reached(dialect: str, up: bool, many: bool) -> Executable:
    """Return the statement for all files reached along the edges of derivation, upwards or downwards."""
    child, parent = opm_was_derived_from.c.child_desfile_id, opm_was_derived_from.c.parent_desfile_id
    here, there = (child, parent) if up else (parent, child)
    start: Any = bindparam("start")
    begun: ColumnElement[bool]
    if many and dialect == "sqlite":
        begun = here.in_(select(func.json_each(start).table_valued("value").c.value))
    elif many:
        begun = here == func.any(start)
    else:
        begun = here == start
    # Integers only, and one walk: UNION keeps each file once, so that a diamond costs no more than its edges.
    walk = select(there.label("id")).where(begun).cte("walk", recursive=True)
    if dialect == "sqlite":
        step = select(there).select_from(walk.join(opm_was_derived_from, here == walk.c.id))
    else:
        # OFFSET keeps PostgreSQL from joining the whole table anew for every generation.
        edges = select(there.label("there")).where(here == walk.c.id).offset(0).lateral()
        step = select(edges.c.there).select_from(walk.join(edges, true()))
    walk = walk.union(step)
    if dialect == "sqlite":
        # A queue in order of the numbers instead of first in, first out: SQLite walks a fifth faster.
        union: Any = walk.element
        walk.element = union.order_by(literal_column("1").desc() if up else literal_column("1"))
    # One value instead of a row a file: fetching rows would cost more than walking.
    gather = func.json_group_array if dialect == "sqlite" else func.array_agg
    return select(gather(walk.c.id))


def reached(conn: Connection, start: int | Sequence[int], *, up: bool) -> list[int]:
    """Every file that ``start`` was derived from (``up``) or that was derived from it, in no order.

    Parameters
    ----------
    conn
        Connection to the database.
    start
        Number of a file, or numbers of several.
    up
        Follow the edges to ancestors instead of descendants.
    """
    many = not isinstance(start, int)
    statement = _reached(conn.dialect.name, up, many)
    parameter = packed(conn, start) if not isinstance(start, int) else start
    numbers = conn.execute(statement, {"start": parameter}).scalar_one()
    return json.loads(numbers) if isinstance(numbers, str) else list(numbers or ())


@cache
def _files_by_id(dialect: str) -> Executable:
    """Statement of `files_by_id`; SQLAlchemy takes longer to put it together than a database to answer it."""
    return records().where(among(dialect, desfile.c.id)).order_by(desfile.c.id)


def files_by_id(conn: Connection, ids: Sequence[int]) -> list[FileRecord]:
    """Records of files, in the order of their numbers."""
    if not ids:
        return []
    rows = conn.execute(_files_by_id(conn.dialect.name), {"among": packed(conn, ids)})
    return list({row[0]: FileRecord._make(row[:11]) for row in rows}.values())


def derived_among(conn: Connection, ids: Sequence[int]) -> list[tuple[int, int]]:
    """(child, parent) of the edges that begin in ``ids``."""
    table = opm_was_derived_from
    rows = conn.execute(
        select(table.c.child_desfile_id, table.c.parent_desfile_id).where(
            among(conn, table.c.child_desfile_id)
        ),
        {"among": packed(conn, ids)},
    )
    return [(row[0], row[1]) for row in rows]


def generated(conn: Connection, ids: Sequence[int]) -> list[tuple[int, int]]:
    """(file, task that produced it)."""
    table = opm_was_generated_by
    rows = conn.execute(
        select(table.c.desfile_id, table.c.task_id).where(among(conn, table.c.desfile_id)),
        {"among": packed(conn, ids)},
    )
    return [(row[0], row[1]) for row in rows]


def used(conn: Connection, tasks: Sequence[int]) -> list[tuple[int, int]]:
    """(task, file that it used)."""
    rows = conn.execute(
        select(opm_used.c.task_id, opm_used.c.desfile_id).where(among(conn, opm_used.c.task_id)),
        {"among": packed(conn, tasks)},
    )
    return [(row[0], row[1]) for row in rows]


def tasks_by_id(conn: Connection, ids: Sequence[int]) -> Sequence[Any]:
    """Tasks, with their wrapper and attempt where they have one."""
    statement = (
        select(
            task.c.id,
            task.c.name,
            task.c.label,
            task.c.start_time,
            task.c.end_time,
            task.c.status,
            task.c.exec_host,
            pfw_wrapper.c.modname,
            pfw_wrapper.c.name.label("wrapper"),
            pfw_wrapper.c.wrapkeys,
            pfw_attempt.c.unitname,
            pfw_attempt.c.reqnum,
            pfw_attempt.c.attnum,
        )
        .select_from(
            task.outerjoin(pfw_wrapper, pfw_wrapper.c.task_id == task.c.id).outerjoin(
                pfw_attempt, pfw_attempt.c.id == pfw_wrapper.c.pfw_attempt_id
            )
        )
        .where(among(conn, task.c.id))
        .order_by(task.c.id)
    )
    return conn.execute(statement, {"among": packed(conn, ids)}).all()


def execs_of(conn: Connection, wrappers: Sequence[int]) -> Sequence[Any]:
    """Programs that wrappers ran: wrapper's task, name, version, arguments."""
    statement = (
        select(
            pfw_exec.c.pfw_wrapper_task_id.label("task_id"),
            pfw_exec.c.name,
            pfw_exec.c.version,
            pfw_exec.c.cmdargs,
        )
        .where(among(conn, pfw_exec.c.pfw_wrapper_task_id))
        .order_by(pfw_exec.c.pfw_wrapper_task_id, pfw_exec.c.execnum)
    )
    return conn.execute(statement, {"among": packed(conn, wrappers)}).all()
