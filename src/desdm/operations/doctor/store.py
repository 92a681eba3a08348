"""The SQL of the checks: the server's version and clock, and which attempts and copies are doubtful."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, Select, func, select, text

from desdm.framework import store as runs
from desdm.framework.model import Attempt
from desdm.schema import CopyState, desfile, file_archive_info, file_suspect, pfw_attempt, release
from desdm.schema.runname import RunName
from desdm.schema.states import AttemptState

__all__ = [
    "NameSample",
    "damaged_copies",
    "has_files",
    "release_names",
    "server_facts",
    "service_version_of",
    "suspect_files",
    "unfinished",
]


class NameSample(NamedTuple):
    """How many files, and the first of their names."""

    total: int
    names: tuple[str, ...]


def server_facts(conn: Connection) -> tuple[str, datetime, list[str]]:
    """(version, time, extensions) of a PostgreSQL server."""
    version, now = conn.execute(text("SELECT current_setting('server_version'), clock_timestamp()")).one()
    names = conn.execute(text("SELECT extname FROM pg_extension ORDER BY extname")).scalars()
    return str(version), now, list(names)


def has_files(conn: Connection) -> bool:
    """Whether any file is registered."""
    return conn.execute(select(desfile.c.id).limit(1)).first() is not None


def release_names(conn: Connection) -> set[str]:
    """Names of all releases."""
    return set(conn.execute(select(release.c.name)).scalars())


def service_version_of(conn: Connection) -> int:
    """Version of the tables of the service's database; 0: it does not say."""
    return int(conn.execute(text("SELECT max(version) FROM service_version")).scalar() or 0)


def unfinished(conn: Connection) -> list[Attempt]:
    """Attempts that are planned or running."""
    rows = conn.execute(
        select(pfw_attempt.c.unitname, pfw_attempt.c.reqnum, pfw_attempt.c.attnum)
        .where(pfw_attempt.c.state.in_((AttemptState.PLANNED.value, AttemptState.RUNNING.value)))
        .order_by(pfw_attempt.c.id)
    ).all()
    return [runs.attempt_by_name(conn, RunName(r.unitname, r.reqnum, r.attnum).text) for r in rows]


def damaged_copies(conn: Connection, most: int) -> dict[CopyState, NameSample]:
    """Return corrupt and missing copies as of the last audit; the first ``most`` by name."""
    name = desfile.c.filename
    samples = {}
    for state in (CopyState.CORRUPT, CopyState.MISSING):
        query = select(name).join(file_archive_info, file_archive_info.c.desfile_id == desfile.c.id)
        samples[state] = _sample(conn, query.where(file_archive_info.c.state == state.value), most)
    return samples


def suspect_files(conn: Connection, most: int) -> NameSample:
    """Files that are suspect; the first ``most`` by name."""
    query = select(desfile.c.filename).join(file_suspect, file_suspect.c.desfile_id == desfile.c.id)
    return _sample(conn, query, most)


def _sample(conn: Connection, query: Select[tuple[str]], most: int) -> NameSample:
    """How many names a query has, and the first of them."""
    names = query.distinct().subquery()
    count = conn.execute(select(func.count()).select_from(names)).scalar_one()
    first = conn.execute(select(names.c.filename).order_by(names.c.filename).limit(most)).scalars()
    return NameSample(count, tuple(first))
