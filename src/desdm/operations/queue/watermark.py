"""Up to where the queue has looked at files and events, so that a look costs what is new and not the whole archive."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from desdm.operations.queue import store

__all__ = ["Arrived", "Watermark"]

#: Seconds for which a number may come after higher ones: PostgreSQL numbers rows before their transactions end.
_OVERLAP = 120.0
#: Seconds between looks at everything: a file recovered from the trash, or copied again, has an old number.
_WHOLE = 600.0


@dataclass(frozen=True, slots=True)
class Arrived:
    """What one look at the database found.

    Attributes
    ----------
    nites
        Nights with raw files that no row covers.
    decided
        Whether anybody decided what may free a row that a rule dismissed, since the look that was kept last.
    seconds
        When, on a clock that does not go back.
    whole
        Whether everything was looked at.
    file, event
        Highest numbers of files and events.
    decisions
        Such decisions among the newest events.
    """

    nites: Sequence[str]
    decided: bool
    seconds: float
    whole: bool
    file: int
    event: int
    decisions: frozenset[int]


class Watermark:
    """Where the looks of a process that runs the queue begin."""

    def __init__(self) -> None:
        self._kept: deque[Arrived] = deque()
        self._whole = float("-inf")

    def look(self, conn: Connection, campaign: str, seconds: float) -> Arrived:
        """Look at what is new since the looks that were kept.

        Parameters
        ----------
        conn
            The database.
        campaign
            Campaign of the rows that cover files.
        seconds
            Time, on a clock that does not go back.
        """
        whole = seconds - self._whole > _WHOLE
        first = self._kept[0] if self._kept else None
        after = (0, 0) if first is None else (first.file, first.event)
        nites = store.uncovered_nites(conn, campaign, after=0 if whole else after[0])
        event = store.newest_event(conn)
        decisions = frozenset(store.decisions(conn, after[1] if first else event))
        seen = self._kept[-1].decisions if self._kept else frozenset()
        return Arrived(
            nites, whole or not decisions <= seen, seconds, whole, store.newest_file(conn), event, decisions
        )

    def keep(self, look: Arrived) -> None:
        """Begin after a look from now on, as what it found is in the queue.

        Parameters
        ----------
        look
            The look.
        """
        if look.whole:
            self._whole = look.seconds
        self._kept.append(look)
        while len(self._kept) > 1 and self._kept[1].seconds < look.seconds - _OVERLAP:
            self._kept.popleft()
