"""Record of requests for hidden releases: stored as denials, although the response is 404."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from desdm.accounts import denials
from desdm.accounts.clock import now
from desdm.accounts.model import Caller
from desdm.services.journal import Journal

__all__ = ["HIDDEN_JOB", "Refusals"]

#: Reason of a denial of another person's job.
HIDDEN_JOB = "job of another person; answered as a job that does not exist"

#: Pairs of caller and subject in memory, so that a crawler causes one entry a minute for each instead of thousands.
_MOST = 10_000
_ACTION = "see release"
_REASON = "no right to see it; answered as a release that does not exist"


class Refusals:
    """Queues denials for the journal.

    Names that do not exist are queued too, so that the response time is the same; the journal's writer decides whether
    there is anything to record.

    Parameters
    ----------
    journal
        Writes the denials to the service database.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        # Only the journal's writer uses it.
        self._recorded: dict[tuple[str, str], datetime] = {}

    def note(
        self, caller: Caller, hidden: Callable[[], str | None], action: str = _ACTION, reason: str = _REASON
    ) -> None:
        """Queue a request of a caller.

        Parameters
        ----------
        caller
            The caller.
        hidden
            Returns the name of the hidden subject, or None if nothing is hidden.
        action, reason
            What was denied, and why, for the record.
        """

        def write(conn: Connection) -> None:
            name = hidden()
            if name is None or not self._is_first(caller, name):
                return
            denials.record(conn, caller, action, name, reason)

        self._journal.put(write)

    def _is_first(self, caller: Caller, name: str) -> bool:
        """Whether this is the first request of the caller for the subject within this minute."""
        key, minute = (caller.login or caller.address, name), now().replace(second=0)
        if self._recorded.get(key) == minute:
            return False
        if len(self._recorded) >= _MOST:
            self._recorded.clear()
        self._recorded[key] = minute
        return True
