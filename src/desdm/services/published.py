"""What is published now: releases, tables and files, read again when a release is published."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from desdm.errors import DesdmError, TransientError
from desdm.release import store
from desdm.release.model import Release, ReleaseFile, ReleaseTable
from desdm.schema.database import Database
from desdm.schema.states import ReleaseState

__all__ = ["Holdings", "Published"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Holdings:
    """One state of what is published; never changes."""

    releases: tuple[Release, ...]
    tables: dict[tuple[str, str], ReleaseTable]
    files: dict[str, tuple[ReleaseFile, ...]]
    #: changes with every publication, for caches
    generation: int

    def release(self, name: str) -> Release | None:
        """A release by name, whatever its case."""
        return next((r for r in self.releases if r.name.lower() == name.lower()), None)


class Published:
    """Keeps the holdings; looks at most once a second whether another release was published.

    Parameters
    ----------
    prepare
        Called with a release and its tables before anybody sees it: it makes the engine ready for them. A release
        that cannot be made ready is left out and logged; the others are served.
    """

    def __init__(
        self,
        database: Database,
        every: float = 1.0,
        prepare: Callable[[str, Sequence[ReleaseTable]], None] | None = None,
    ) -> None:
        self._database, self._every, self._prepare = database, every, prepare
        self._lock = threading.Lock()
        self._mark: tuple[int, datetime | None] | None = None
        self._looked = 0.0
        self._ready: set[str] = set()
        self._holdings = Holdings((), {}, {}, 0)

    def current(self) -> Holdings:
        """What is published now."""
        if self._looked and time.monotonic() - self._looked < self._every:
            return self._holdings
        # While one thread makes a new release ready the others go on with what was there before.
        if not self._lock.acquire(blocking=self._mark is None):
            return self._holdings
        try:
            if not self._looked or time.monotonic() - self._looked >= self._every:
                self._refresh()
                self._looked = time.monotonic()
        finally:
            self._lock.release()
        return self._holdings

    def _refresh(self) -> None:
        with self._database.read() as conn:
            found = store.releases(conn, [ReleaseState.PUBLISHED])
            mark = (len(found), max((r.published_at for r in found if r.published_at), default=None))
            if mark == self._mark:
                return
            tables = {r.name: store.tables(conn, r.name) for r in found}
            files = {r.name: tuple(store.files(conn, r.name)) for r in found}
        found = [r for r in found if self._make_ready(r.name, tables[r.name])]
        self._holdings = Holdings(
            tuple(found),
            {(t.release, t.name): t for r in found for t in tables[r.name]},
            {r.name: files[r.name] for r in found},
            self._holdings.generation + 1,
        )
        self._mark = mark

    def _make_ready(self, release: str, tables: Sequence[ReleaseTable]) -> bool:
        if self._prepare is None or release in self._ready:
            return True
        try:
            self._prepare(release, tables)
        except TransientError:
            raise
        except DesdmError as err:
            _LOG.error("release %s cannot be served: %s", release, err)
            return False
        self._ready.add(release)
        return True
