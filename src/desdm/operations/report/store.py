"""The SQL of reports: a run's lineage summed up by module, and sample command lines; it only reads."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, func, select

from desdm.schema import (
    desfile,
    opm_used,
    opm_was_generated_by,
    pfw_attempt,
    pfw_exec,
    pfw_wrapper,
)
from desdm.schema.runname import RunName

__all__ = [
    "CommandLine",
    "Flow",
    "OutputFiles",
    "command_lines",
    "files_made",
    "files_used",
    "programs_of_modules",
]


class OutputFiles(NamedTuple):
    """Files of one type among the outputs of a module."""

    module: str
    filetype: str
    files: int
    bytes: int


class Flow(NamedTuple):
    """Files of one type that one module used; outputs of ``maker`` in this run, or of another ``run``."""

    module: str
    filetype: str
    maker: str | None
    run: str | None
    files: int
    bytes: int


class CommandLine(NamedTuple):
    """One program as it was called: the first call of each program of each module."""

    module: str
    wrapkeys: str
    program: str
    version: str
    arguments: str


def files_made(conn: Connection, attempt_id: int) -> list[OutputFiles]:
    """Return the outputs of each module of a run, by file type."""
    w, d, g = pfw_wrapper.c, desfile.c, opm_was_generated_by.c
    query = (
        select(w.modname, d.filetype, func.count(), func.sum(d.filesize))
        .join(opm_was_generated_by, g.task_id == w.task_id)
        .join(desfile, d.id == g.desfile_id)
        .where(w.pfw_attempt_id == attempt_id)
        .group_by(w.modname, d.filetype)
        .order_by(func.min(w.wrapnum), d.filetype)
    )
    return [OutputFiles(row[0], row[1], row[2], int(row[3])) for row in conn.execute(query)]


def files_used(conn: Connection, attempt_id: int) -> list[Flow]:
    """Return the inputs of each module of a run, by file type and origin."""
    user, maker = pfw_wrapper.alias("user"), pfw_wrapper.alias("maker")
    # A file that several wrappers of one module used is one file, and its bytes count once.
    each = (
        select(
            user.c.modname.label("module"),
            user.c.wrapnum,
            desfile.c.id,
            desfile.c.filetype,
            desfile.c.filesize,
            maker.c.modname.label("maker"),
            maker.c.pfw_attempt_id.label("by"),
        )
        .select_from(user)
        .join(opm_used, opm_used.c.task_id == user.c.task_id)
        .join(desfile, desfile.c.id == opm_used.c.desfile_id)
        .outerjoin(opm_was_generated_by, opm_was_generated_by.c.desfile_id == desfile.c.id)
        .outerjoin(maker, maker.c.task_id == opm_was_generated_by.c.task_id)
        .where(user.c.pfw_attempt_id == attempt_id)
    ).subquery()
    row = (
        select(
            each.c.module,
            each.c.id,
            each.c.filetype,
            each.c.filesize,
            each.c.maker,
            each.c.by,
            func.min(each.c.wrapnum).label("first"),
        ).group_by(each.c.module, each.c.id, each.c.filetype, each.c.filesize, each.c.maker, each.c.by)
    ).subquery()
    a = pfw_attempt.c
    query = (
        select(
            row.c.module,
            row.c.filetype,
            row.c.maker,
            row.c.by,
            a.unitname,
            a.reqnum,
            a.attnum,
            func.count(),
            func.sum(row.c.filesize),
        )
        .select_from(row.outerjoin(pfw_attempt, a.id == row.c.by))
        .group_by(row.c.module, row.c.filetype, row.c.maker, row.c.by, a.unitname, a.reqnum, a.attnum)
        .order_by(func.min(row.c.first), row.c.filetype)
    )
    flows = []
    for module, filetype, made_by, by, unit, request, attempt, count, size in conn.execute(query):
        in_this_run = by == attempt_id
        run = None if by is None or in_this_run else RunName(unit, request, attempt).text
        flows.append(Flow(module, filetype, made_by if in_this_run else None, run, count, int(size)))
    return flows


def programs_of_modules(conn: Connection, attempt_id: int) -> dict[str, list[tuple[str, str]]]:
    """(program, version) by module."""
    w, e = pfw_wrapper.c, pfw_exec.c
    query = (
        select(w.modname, e.name, e.version)
        .join(pfw_exec, e.pfw_wrapper_task_id == w.task_id)
        .where(w.pfw_attempt_id == attempt_id)
        .group_by(w.modname, e.name, e.version)
        .order_by(w.modname, e.name)
    )
    programs: dict[str, list[tuple[str, str]]] = {}
    for module, name, version in conn.execute(query):
        programs.setdefault(module, []).append((name, version))
    return programs


def command_lines(conn: Connection, attempt_id: int) -> list[CommandLine]:
    """The first call of each program by each module, in running order."""
    w, e = pfw_wrapper.c, pfw_exec.c
    first = (
        select(func.min(e.task_id))
        .join(pfw_wrapper, w.task_id == e.pfw_wrapper_task_id)
        .where(e.pfw_attempt_id == attempt_id)
        .group_by(w.modname, e.name)
    )
    query = (
        select(w.modname, w.wrapkeys, e.name, e.version, e.cmdargs)
        .join(pfw_exec, e.pfw_wrapper_task_id == w.task_id)
        .where(e.task_id.in_(first))
        .order_by(w.wrapnum, e.execnum)
    )
    return [CommandLine._make(row) for row in conn.execute(query)]
