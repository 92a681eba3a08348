"""Rows of the problem list and of announcements."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from desdm.release.model import Announcement, Problem
from desdm.schema import announcement, problem
from desdm.schema.operationstates import Severity

__all__ = [
    "announcements",
    "close_problem",
    "insert_announcement",
    "insert_problem",
    "open_problems",
    "problems",
]

#: Characters of a title.
_TITLE = 160


def open_problems(conn: Connection) -> list[Problem]:
    """Return the open problems, oldest first."""
    return [p for p in problems(conn) if p.closed_at is None]


def problems(conn: Connection) -> list[Problem]:
    """Return the whole problem list, oldest first."""
    columns = [problem.c[name] for name in Problem.__slots__]
    return [Problem(*row) for row in conn.execute(select(*columns).order_by(problem.c.id))]


def insert_problem(
    conn: Connection, kind: str, subject: str, text: str, *, blocks: bool, who: str, when: datetime
) -> int:
    """Insert an open problem.

    Parameters
    ----------
    conn
        Connection in a transaction.
    kind, subject
        Kind of the subject, and its name.
    text
        Description of the problem.
    blocks
        Whether it blocks a release that contains its subject.
    who, when
        User who opens it, and time (UTC).

    Returns
    -------
    int
        Number of the problem.
    """
    values = insert(problem).values(
        subject_kind=kind,
        subject=subject,
        text=text,
        blocks=blocks,
        opened_by=who,
        opened_at=when,
        title=text[:_TITLE],
        severity=Severity.BLOCK if blocks else Severity.DEGRADE,
        first_seen=when,
        last_seen=when,
    )
    key = conn.execute(values).inserted_primary_key
    assert key is not None
    return int(key[0])


def close_problem(conn: Connection, number: int, resolution: str, *, who: str, when: datetime) -> bool:
    """Close an open problem.

    Parameters
    ----------
    conn
        Connection in a transaction.
    number
        Number of the problem.
    resolution
        How it was resolved.
    who, when
        User who closes it, and time (UTC).

    Returns
    -------
    bool
        False if no open problem has this number.
    """
    is_open = (problem.c.id == number) & problem.c.closed_at.is_(None)
    values = {"closed_by": who, "closed_at": when, "resolution": resolution}
    return conn.execute(update(problem).where(is_open).values(values)).rowcount == 1


def insert_announcement(conn: Connection, entry: Announcement) -> int:
    """Insert an announcement, whose ``id`` is ignored; return its number."""
    values = {name: getattr(entry, name) for name in entry.__slots__ if name not in ("id", "release")}
    key = conn.execute(
        insert(announcement).values({**values, "release_name": entry.release})
    ).inserted_primary_key
    assert key is not None
    return int(key[0])


def announcements(conn: Connection) -> list[Announcement]:
    """Return the announcements, newest first."""
    query = select(announcement).order_by(announcement.c.announced_at.desc(), announcement.c.id.desc())
    return [
        Announcement(**{("release" if key == "release_name" else key): v for key, v in row._mapping.items()})
        for row in conn.execute(query)
    ]
