"""Hold rows for problems of severity stop, and free them when the problems are gone."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from desdm.operations.queue import store
from desdm.operations.queue.model import QueueChange, QueueRow
from desdm.schema.operationstates import QueueState
from desdm.schema.states import EventKind
from desdm.schema.store import record_event

__all__ = ["apply_problems", "problem_of"]

_WHO = "queue"
_PREFIX = "problem "


def problem_of(row: QueueRow) -> int | None:
    """Return the number of the problem that holds a row; None: none does."""
    number = row.held_by.removeprefix(_PREFIX)
    return int(number) if row.held_by.startswith(_PREFIX) and number.isdecimal() else None


def apply_problems(conn: Connection, *, now: datetime, dry_run: bool = False) -> list[QueueChange]:
    """Hold the waiting rows of the pipelines and nights of confirmed problems of severity stop, and free others.

    Parameters
    ----------
    conn
        Connection, in a transaction unless it is a dry run.
    now
        Time, UTC.
    dry_run
        Change nothing.

    Returns
    -------
    list of QueueChange
        What is changed.
    """
    problems = store.stopping_problems(conn)
    held = [row for row in store.find_rows(conn, states=[QueueState.HELD]) if problem_of(row) is not None]
    freed = [row for row in held if not _stops(problems.get(problem_of(row) or 0), row)]
    waiting = store.find_rows(conn, states=[QueueState.WAITING]) if problems else []
    changes = [QueueChange(row, QueueState.WAITING, row.rank) for row in freed]
    stopped: dict[int, list[QueueRow]] = {}
    for row in waiting:
        number = next((n for n, subject in problems.items() if _stops(subject, row)), None)
        if number is not None:
            stopped.setdefault(number, []).append(row)
            changes.append(QueueChange(row, QueueState.HELD, row.rank))
    if dry_run:
        return changes
    for row in freed:
        why = f"{row.held_by} holds it no longer"
        store.change_row(conn, row, QueueState.WAITING, why=why, now=now, held_by=None)
    if freed:
        text = f"{len(freed)} rows are held no longer"
        record_event(conn, EventKind.QUEUE, _WHO, text, subject="queue")
    for number, rows in stopped.items():
        name = f"{_PREFIX}{number}"
        why = f"held: {name} stops {problems[number][0]} {problems[number][1]}"
        store.change_rows(conn, rows, QueueState.HELD, why=why, held_by=name, now=now)
        record_event(conn, EventKind.QUEUE, _WHO, f"{len(rows)} rows {why}", subject=name)
    return changes


def _stops(subject: tuple[str, str, str] | None, row: QueueRow) -> bool:
    """Tell whether a problem of a subject (kind, name, pipeline of its attempt) stops a row."""
    if subject is None:
        return False
    kind, name, pipeline = subject
    return (
        name == row.pipeline
        or pipeline == row.pipeline
        or (kind == "nite" and name == row.nite)
        or name == row.unitname
    )
