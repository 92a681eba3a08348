"""Queue of small writes to the service database, so that no request waits for the database's lock."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable
from concurrent.futures import Future

from sqlalchemy import Connection

from desdm.errors import TransientError
from desdm.schema.database import Database
from desdm.services.supervise import Supervisor

__all__ = ["Journal"]

_LOG = logging.getLogger(__name__)
_MOST = 1000
_BATCH = 200
Write = Callable[[Connection], None]


class Journal:
    """Writes queued entries, up to 200 in one transaction; drops and counts entries that cannot be written."""

    def __init__(self, state: Database) -> None:
        self._state = state
        self._queue: queue.Queue[tuple[Write, Future[bool]]] = queue.Queue(_MOST)
        self.dropped = 0

    def start(self, supervisor: Supervisor, until: Callable[[], bool] | None = None) -> None:
        """Start the writing loop."""
        supervisor.loop("journal", self.step, 0.0, until=until)

    def put(self, write: Write) -> Future[bool]:
        """Queue a write and return a future that tells whether it was committed; a full queue drops it."""
        done: Future[bool] = Future()
        try:
            self._queue.put_nowait((write, done))
        except queue.Full:
            self._drop([done])
        return done

    def step(self) -> None:
        """Write the queued entries; wait for the first at most half a second."""
        try:
            entries = [self._queue.get(timeout=0.5)]
        except queue.Empty:
            return
        while len(entries) < _BATCH:
            try:
                entries.append(self._queue.get_nowait())
            except queue.Empty:
                break
        committed = False
        try:
            with self._state.write() as conn:
                for write, _ in entries:
                    write(conn)
            committed = True
        except TransientError as err:
            _LOG.warning("%d entries of the journal are dropped: %s", len(entries), err)
        finally:
            if committed:
                for _, done in entries:
                    done.set_result(True)
            else:
                self._drop([done for _, done in entries])

    def _drop(self, futures: list[Future[bool]]) -> None:
        """Count entries as dropped and resolve their futures with False."""
        self.dropped += len(futures)
        for done in futures:
            done.set_result(False)
