"""Published releases, tables and files; re-read when a release is published."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from desdm.errors import DesdmError
from desdm.release import store
from desdm.release.model import Release, ReleaseFile, ReleaseTable
from desdm.schema.database import Database
from desdm.schema.states import ReleaseState

__all__ = ["Holdings", "Published"]

_LOG = logging.getLogger(__name__)
#: Seconds until a release that could not be made ready is tried again: at first, and at most.
_RETRY_FIRST, _RETRY_MOST = 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class Holdings:
    """Immutable snapshot of the published releases."""

    releases: tuple[Release, ...]
    tables: dict[tuple[str, str], ReleaseTable]
    files: dict[str, tuple[ReleaseFile, ...]]
    #: increases with every publication, for caches
    generation: int

    def release(self, name: str) -> Release | None:
        """Return a release by name, ignoring case; None if there is none."""
        return next((r for r in self.releases if r.name.lower() == name.lower()), None)


class Published:
    """Source of the current holdings; checks at most once a second whether another release was published.

    Parameters
    ----------
    prepare
        Called with a release, its tables and files before they become visible: prepares the query engine. A release for
        which it fails is omitted and logged, and tried again later; the others are served.
    """

    def __init__(
        self,
        database: Database,
        every: float = 1.0,
        prepare: Callable[[str, Sequence[ReleaseTable], Sequence[ReleaseFile]], None] | None = None,
    ) -> None:
        self._database, self._every, self._prepare = database, every, prepare
        self._lock = threading.Lock()
        self._mark: tuple[int, datetime | None] | None = None
        self._checked_at = 0.0
        self._ready: set[str] = set()
        #: releases that could not be made ready, with the reason, and when they are tried again
        self._failed: dict[str, str] = {}
        self._retry_at, self._pause = 0.0, _RETRY_FIRST
        self._holdings = Holdings((), {}, {}, 0)

    def current(self) -> Holdings:
        """Return the current holdings."""
        if self._checked_at and time.monotonic() - self._checked_at < self._every:
            return self._holdings
        # While one thread prepares a new release the others use the previous holdings.
        if not self._lock.acquire(blocking=self._mark is None):
            return self._holdings
        try:
            if not self._checked_at or time.monotonic() - self._checked_at >= self._every:
                self._refresh()
                self._checked_at = time.monotonic()
        finally:
            self._lock.release()
        return self._holdings

    def _refresh(self) -> None:
        """Re-read the releases if their number or newest time of publication changed."""
        with self._database.read() as conn:
            releases = store.releases(conn, [ReleaseState.PUBLISHED])
            mark = (len(releases), max((r.published_at for r in releases if r.published_at), default=None))
            if mark == self._mark and not (self._failed and time.monotonic() >= self._retry_at):
                return
            tables = {r.name: store.tables(conn, r.name) for r in releases}
            files = {r.name: tuple(store.files(conn, r.name)) for r in releases}
        self._failed = {}
        releases = [r for r in releases if self._prepare_release(r.name, tables[r.name], files[r.name])]
        self._retry_at = time.monotonic() + self._pause
        # Each try may read all files of the release.
        self._pause = min(2 * self._pause, _RETRY_MOST) if self._failed else _RETRY_FIRST
        self._holdings = Holdings(
            tuple(releases),
            {(t.release, t.name): t for r in releases for t in tables[r.name]},
            {r.name: files[r.name] for r in releases},
            self._holdings.generation + 1,
        )
        self._mark = mark

    def failed(self) -> dict[str, str]:
        """Return the published releases that cannot be served now, with the reasons."""
        return dict(self._failed)

    def _prepare_release(
        self, release: str, tables: Sequence[ReleaseTable], files: Sequence[ReleaseFile]
    ) -> bool:
        """Prepare the engine for a release; False if that is impossible now."""
        if self._prepare is None or release in self._ready:
            return True
        try:
            self._prepare(release, tables, files)
        except DesdmError as err:
            _LOG.error("release %s cannot be served: %s", release, err)
            self._failed[release] = str(err)
            return False
        self._ready.add(release)
        return True
