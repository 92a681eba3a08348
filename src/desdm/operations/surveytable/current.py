"""The survey table of now, computed once for many readers of one process, as long as the record has not changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from weakref import WeakKeyDictionary

from desdm.archive.model import Scope
from desdm.operations.surveytable.coverage import coverage
from desdm.operations.surveytable.model import Coverage
from desdm.operations.surveytable.pagestore import state_of_record
from desdm.schema.database import Database

__all__ = ["CurrentTable", "current_table", "known_table"]

#: Seconds after which the table is computed again although no number of a row has changed: states of runs have none.
_KEEP = 60.0


@dataclass(frozen=True, slots=True)
class CurrentTable:
    """The survey table as of a time (UTC), with the scope and the state of the record that it follows from."""

    table: Coverage
    as_of: datetime
    scope: Scope
    state: tuple[int, ...]
    made_at: float


class _Keeper:
    """The last table of a database."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.last: CurrentTable | None = None

    def fresh(self, scope: Scope, state: tuple[int, ...]) -> CurrentTable | None:
        """Return the last table if it is of this scope and state, and not too old."""
        last = self.last
        ok = (
            last is not None
            and (last.scope, last.state) == (scope, state)
            and time.monotonic() - last.made_at < _KEEP
        )
        return last if ok else None


#: Several pages read the table of one database; a database that is gone takes its table along.
_KEEPERS: WeakKeyDictionary[Database, _Keeper] = WeakKeyDictionary()
_KEEPERS_LOCK = threading.Lock()


def known_table(
    database: Database, scope: Scope, background: Callable[[Callable[[], object]], object]
) -> CurrentTable | None:
    """Return the last survey table of this process at once; None if there is none yet.

    In the night the record changes all the time: a page that is looked at again and again must not wait for the table.

    Parameters
    ----------
    database
        Database of the installation.
    scope
        Attempts that are production.
    background
        Runs a function later; it is called if there is no table, or the last one is older than a minute.
    """
    keeper = _keeper(database)
    last = keeper.last if keeper.last is not None and keeper.last.scope == scope else None
    if (last is None or time.monotonic() - last.made_at > _KEEP) and not keeper.lock.locked():
        background(lambda: current_table(database, scope))
    return last


def _keeper(database: Database) -> _Keeper:
    """Return the keeper of the table of a database."""
    with _KEEPERS_LOCK:
        return _KEEPERS.setdefault(database, _Keeper())


def current_table(database: Database, scope: Scope) -> CurrentTable:
    """Return the survey table of now.

    Parameters
    ----------
    database
        Database of the installation.
    scope
        Attempts that are production.
    """
    keeper = _keeper(database)
    with database.read() as conn:
        state = state_of_record(conn)
    if (last := keeper.fresh(scope, state)) is not None:
        return last
    with keeper.lock:
        if (last := keeper.fresh(scope, state)) is not None:
            return last
        with database.read() as conn:
            state = state_of_record(conn)
            as_of = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
            made = CurrentTable(coverage(conn, scope), as_of, scope, state, time.monotonic())
        keeper.last = made
        return made
