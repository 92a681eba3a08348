"""The SQL of the checks: the server's version and clock, and what attempts and copies stand in doubt."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select, text

from desdm.framework import store as runs
from desdm.framework.model import Attempt
from desdm.schema import CopyState, file_archive_info, file_suspect, pfw_attempt
from desdm.schema.states import AttemptState

__all__ = ["damaged_copies", "server_facts", "suspect_files", "unfinished"]


def server_facts(conn: Connection) -> tuple[str, datetime, list[str]]:
    """(version, time, extensions) of a PostgreSQL server."""
    version, now = conn.execute(text("SELECT current_setting('server_version'), clock_timestamp()")).one()
    names = conn.execute(text("SELECT extname FROM pg_extension ORDER BY extname")).scalars()
    return str(version), now, list(names)


def unfinished(conn: Connection) -> list[Attempt]:
    """Attempts that are planned or running."""
    rows = conn.execute(
        select(pfw_attempt.c.unitname, pfw_attempt.c.reqnum, pfw_attempt.c.attnum)
        .where(pfw_attempt.c.state.in_((AttemptState.PLANNED.value, AttemptState.RUNNING.value)))
        .order_by(pfw_attempt.c.id)
    ).all()
    return [runs.attempt_by_name(conn, f"{r.unitname}_r{r.reqnum}p{r.attnum:02d}") for r in rows]


def damaged_copies(conn: Connection) -> tuple[int, int]:
    """(corrupt, missing) copies, as the last audit found them."""
    counts = []
    for state in (CopyState.CORRUPT, CopyState.MISSING):
        query = (
            select(func.count())
            .select_from(file_archive_info)
            .where(file_archive_info.c.state == state.value)
        )
        counts.append(conn.execute(query).scalar_one())
    return counts[0], counts[1]


def suspect_files(conn: Connection) -> int:
    """How many files are suspect."""
    return conn.execute(select(func.count(func.distinct(file_suspect.c.desfile_id)))).scalar_one()
