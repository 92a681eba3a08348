"""Announcements of the releases that a caller sees."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from desdm.release.store import announcements
from desdm.services.context import Services

__all__ = ["News", "news"]


class News(NamedTuple):
    """An announcement of a release."""

    id: int
    release: str
    subject: str
    body: str
    announced_at: datetime


def news(services: Services, releases: Collection[str], count: int = 50) -> list[News]:
    """The last announcements of these releases, newest first."""
    with services.database.read() as conn:
        found = announcements(conn)
    kept = [row for row in found if row.release in releases]
    return [News(row.id, row.release, row.subject, row.body, row.announced_at) for row in kept[:count]]
