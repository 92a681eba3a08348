"""Tells open pages that the record has changed: one thread looks for new events, for all streams of a server."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from dataclasses import dataclass, field

from desdm.errors import DesdmError, LimitExceeded, LimitKind
from desdm.operations.desk.store import newest_event
from desdm.schema.database import Database

__all__ = ["EventHub", "Subscription"]

_LOG = logging.getLogger(__name__)
#: Streams of one person, fewer than the connections of a browser to a server, and of all.
_OF_PERSON, _OF_SERVER = 5, 200
#: Seconds between two looks at the record.
_EVERY = 1.0


@dataclass(eq=False, slots=True)
class Subscription:
    """A stream that waits for changes; used from the event loop only.

    Attributes
    ----------
    login
        Whose stream it is.
    newest
        Number of the newest event that was seen.
    closed
        The server is shutting down.
    """

    login: str
    loop: asyncio.AbstractEventLoop
    newest: int
    closed: bool = False
    _signal: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self, seconds: float) -> bool:
        """Wait for a change; return False if there is none within so many seconds."""
        try:
            await asyncio.wait_for(self._signal.wait(), seconds)
        except TimeoutError:
            return False
        self._signal.clear()
        return True

    def change(self, newest: int, closed: bool) -> None:
        """Take note of a newer event, or of the end of the server."""
        self.newest, self.closed = newest, closed
        self._signal.set()


class EventHub:
    """The streams of a server, and the thread that looks for events while there is one.

    Parameters
    ----------
    database
        The operations database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._streams: set[Subscription] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._newest = 0
        self._closed = False

    def subscribe(self, login: str, newest: int) -> Subscription:
        """Open a stream of a person; called from the event loop.

        Parameters
        ----------
        login
            Login of the person.
        newest
            Number of the newest event.

        Raises
        ------
        LimitExceeded
            The person, or all together, have too many.
        """
        with self._lock:
            mine = Counter(stream.login for stream in self._streams)[login]
            if mine >= _OF_PERSON or len(self._streams) >= _OF_SERVER or self._closed:
                whose = (
                    f"you have {mine} streams of events" if mine >= _OF_PERSON else "many streams are open"
                )
                raise LimitExceeded(
                    f"{whose}; the page reloads itself instead", LimitKind.RATE, retry_after=30
                )
            stream = Subscription(login, asyncio.get_running_loop(), newest)
            self._streams.add(stream)
            self._newest = max(self._newest, newest)
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="desdm-events", daemon=True)
                self._thread.start()
        return stream

    def unsubscribe(self, stream: Subscription) -> None:
        """Close a stream; without any the thread ends."""
        with self._lock:
            self._streams.discard(stream)
        self._wake.set()

    def close(self) -> None:
        """End all streams: the server shuts down."""
        with self._lock:
            self._closed = True
        self._tell(True)
        self._wake.set()

    def _look(self) -> None:
        """Look for new events until no stream is open."""
        while True:
            self._wake.wait(_EVERY)
            self._wake.clear()
            with self._lock:
                if not self._streams or self._closed:
                    self._thread = None
                    return
            try:
                with self._database.read() as conn:
                    newest = newest_event(conn)
            except DesdmError as err:
                _LOG.warning("events cannot be read now: %s", err)
                continue
            if newest > self._newest:
                self._newest = newest
                self._tell(False)

    def _tell(self, closed: bool) -> None:
        """Tell all streams of a change."""
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            if not stream.loop.is_closed():
                stream.loop.call_soon_threadsafe(stream.change, self._newest, closed)
