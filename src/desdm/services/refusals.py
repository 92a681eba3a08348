"""The record of requests for releases that the caller may not see: kept as denials, although they are answered as 404."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from desdm.accounts import denials
from desdm.accounts.clock import now
from desdm.accounts.model import Caller
from desdm.services.journal import Journal

__all__ = ["Refusals"]

#: Callers and subjects that are remembered, so that a crawler makes one entry a minute for each, not thousands.
_MOST = 10_000
_ACTION = "see release"
_REASON = "no right to see it; answered as a release that does not exist"


class Refusals:
    """Queues denials for the journal.

    A name that does not exist goes the same way, so that it takes as long; whether there is anything to keep is found out
    by the journal's writer.

    Parameters
    ----------
    journal
        Writes them to the service's own database.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        # Only the journal's writer looks at it.
        self._kept: dict[tuple[str, str], datetime] = {}

    def note(self, caller: Caller, hidden: Callable[[], str | None]) -> None:
        """Queue what a caller asked for; ``hidden`` gives the name of what is hidden, None if there is no such thing."""

        def write(conn: Connection) -> None:
            name = hidden()
            if name is None or not self._first(caller, name):
                return
            denials.record(conn, caller, _ACTION, name, _REASON)

        self._journal.put(write)

    def _first(self, caller: Caller, name: str) -> bool:
        """Whether it is the first time within this minute."""
        key, minute = (caller.login or caller.address, name), now().replace(second=0)
        if self._kept.get(key) == minute:
            return False
        if len(self._kept) >= _MOST:
            self._kept.clear()
        self._kept[key] = minute
        return True
