"""Where a file came from and what came from it: ancestors, descendants, and the tasks and edges between."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from sqlalchemy import Connection

from desdm.archive import catalog, store
from desdm.archive.model import FileRecord
from desdm.errors import NotFoundError

__all__ = ["Direction", "Edge", "Exec", "Lineage", "Task", "ancestors", "descendants", "lineage"]

Direction = Literal["up", "down", "both"]
EdgeKind = Literal["used", "was_generated_by", "was_derived_from"]


class Edge(NamedTuple):
    """An edge of the Open Provenance Model, from effect to cause.

    ``used``: task to file; ``was_generated_by``: file to task; ``was_derived_from``: file to file.
    """

    kind: EdgeKind
    origin: int
    to: int


class Exec(NamedTuple):
    """A program or function that a task ran, and its version."""

    name: str
    version: str
    cmdargs: str


@dataclass(frozen=True, slots=True)
class Task:
    """A task that produced a file: normally one run of a module's wrapper, with the programs that it ran."""

    id: int
    name: str
    label: str | None
    module: str | None
    wrapper: str | None
    wrapkeys: str | None
    attempt: str | None
    start_time: datetime | None
    end_time: datetime | None
    status: int | None
    exec_host: str | None
    execs: tuple[Exec, ...]


@dataclass(frozen=True, slots=True)
class Lineage:
    """A file's history: ``files`` begin with the requested file."""

    files: tuple[FileRecord, ...]
    tasks: tuple[Task, ...]
    edges: tuple[Edge, ...]


def ancestors(conn: Connection, file_id: int) -> list[int]:
    """Numbers of all files that the file was derived from, directly or not; one query."""
    return store.reached(conn, file_id, up=True)


def descendants(conn: Connection, file_id: int) -> list[int]:
    """Numbers of all files that were derived from the file, directly or not; one query."""
    return store.reached(conn, file_id, up=False)


def lineage(conn: Connection, name: str, direction: Direction = "up") -> Lineage:
    """The history of the file of that full name.

    ``up`` gives its ancestors, the tasks that produced it and them, and what those tasks used; ``down`` its
    descendants with the tasks that produced them; ``both`` both.

    Parameters
    ----------
    conn
        Connection to the database.
    name
        Full name of the file.
    direction
        ``up`` for ancestors, ``down`` for descendants, or ``both``.

    Raises
    ------
    NotFoundError
        If there is no such file.
    """
    record = catalog.by_name(conn, name)
    if record is None:
        raise NotFoundError(f"no file {name} in the archive; see: desdm files")
    ids = {record.id}
    if direction != "down":
        ids.update(ancestors(conn, record.id))
    if direction != "up":
        ids.update(descendants(conn, record.id))
    # Upwards everything that a task used is listed, even if no output is recorded as derived from it.
    generations = store.generated(conn, sorted(ids))
    tasks = sorted({task for file, task in generations if direction != "down" or file != record.id})
    used = store.used(conn, tasks)
    if direction != "down":
        ids.update(file for _, file in used)
    derived = store.derived_among(conn, sorted(ids))
    edges = [
        Edge("was_derived_from", child, parent) for child, parent in derived if child in ids and parent in ids
    ]
    edges += [Edge("was_generated_by", file, task) for file, task in generations if task in set(tasks)]
    edges += [Edge("used", task, file) for task, file in used if file in ids]
    files = store.files_by_id(conn, sorted(ids))
    files.sort(key=lambda f: (f.id != record.id, f.id))
    return Lineage(tuple(files), tuple(_tasks(conn, tasks)), tuple(edges))


def _tasks(conn: Connection, ids: list[int]) -> list[Task]:
    """Return the tasks with these numbers, each with its programs."""
    execs: dict[int, list[Exec]] = {}
    for row in store.execs_of(conn, ids):
        execs.setdefault(row.task_id, []).append(Exec(row.name, row.version, row.cmdargs))
    return [
        Task(
            id=row.id,
            name=row.name,
            label=row.label,
            module=row.modname,
            wrapper=row.wrapper,
            wrapkeys=row.wrapkeys,
            attempt=None if row.unitname is None else f"{row.unitname}_r{row.reqnum}p{row.attnum:02d}",
            start_time=row.start_time,
            end_time=row.end_time,
            status=row.status,
            exec_host=row.exec_host,
            execs=tuple(execs.get(row.id, ())),
        )
        for row in store.tasks_by_id(conn, ids)
    ]
