"""SQL of the pages: announcements, records out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, select

from desdm.schema import announcement

__all__ = ["News", "news"]


class News(NamedTuple):
    """An announcement of a release."""

    id: int
    release: str
    subject: str
    body: str
    announced_at: datetime


def news(conn: Connection, releases: Sequence[str], count: int = 50) -> list[News]:
    """The last announcements of these releases, newest first."""
    query = select(announcement).where(announcement.c.release_name.in_(releases))
    found = conn.execute(query.order_by(announcement.c.id.desc()).limit(count))
    return [News(row.id, row.release_name, row.subject, row.body, row.announced_at) for row in found]
