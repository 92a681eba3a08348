"""Announcements of the visible releases."""

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
    """Return the last announcements of some releases, newest first.

    Parameters
    ----------
    services
        Shared state of the services.
    releases
        Names of the releases.
    count
        Largest number of announcements.

    Returns
    -------
    list of News
        The announcements.
    """
    with services.database.read() as conn:
        rows = announcements(conn)
    selected = [row for row in rows if row.release in releases]
    return [News(row.id, row.release, row.subject, row.body, row.announced_at) for row in selected[:count]]
