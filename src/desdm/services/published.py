"""What is published now: releases, tables and files, read again when a release is published."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import datetime

from desdm.accounts.model import Action, Caller
from desdm.release import store
from desdm.release.model import Release, ReleaseFile, ReleaseTable
from desdm.schema.database import Database
from desdm.schema.states import ReleaseState, Role

__all__ = ["Holdings", "Published"]


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

    def visible(self, caller: Caller, release: Release, table: str = "*") -> bool:
        """Whether the caller may see a table of the release; ``*``: its files and all its tables."""
        if not caller.may(Action.READ):
            return False
        if not release.proprietary or caller.role in (Role.OPERATOR, Role.ADMIN):
            return True
        return bool({(release.name, "*"), (release.name, table)} & caller.rights)


class Published:
    """Keeps the holdings; looks at most once a second whether another release was published."""

    def __init__(self, database: Database, every: float = 1.0) -> None:
        self._database, self._every = database, every
        self._lock = threading.Lock()
        self._mark: tuple[int, datetime | None] | None = None
        self._looked = 0.0
        self._holdings = Holdings((), {}, {}, 0)

    def current(self) -> Holdings:
        """What is published now."""
        if time.monotonic() - self._looked < self._every:
            return self._holdings
        with self._lock:
            if time.monotonic() - self._looked >= self._every:
                self._refresh()
                self._looked = time.monotonic()
        return self._holdings

    def _refresh(self) -> None:
        with self._database.read() as conn:
            found = store.releases(conn, [ReleaseState.PUBLISHED])
            mark = (len(found), max((r.published_at for r in found if r.published_at), default=None))
            if mark == self._mark:
                return
            tables = {(t.release, t.name): t for r in found for t in store.tables(conn, r.name)}
            files = {r.name: tuple(store.files(conn, r.name)) for r in found}
        self._holdings = Holdings(tuple(found), tables, files, self._holdings.generation + 1)
        self._mark = mark
