"""Rows of announcements."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from desdm.release.model import Announcement
from desdm.schema import announcement

__all__ = ["announcements", "insert_announcement"]


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
