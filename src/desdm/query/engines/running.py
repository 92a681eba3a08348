"""Running queries: deadline, cancellation from another thread, and a lock that protects the reader of the rows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

import pyarrow as pa

from desdm.errors import DesdmError
from desdm.query.engines.faults import ended
from desdm.query.engines.model import Cancel

__all__ = ["Running"]

#: Seconds that `stop` waits for a thread that still reads, and seconds between its requests to cancel.
_PATIENCE, _AGAIN = 5.0, 0.2


class Running:
    """One query, from its start until its connection can be reused.

    A connection must not be closed, reused or rolled back while a thread waits in it: PostgreSQL's
    client holds a lock as long as a COPY is open, DuckDB refuses. So the reader holds a lock for each batch;
    `stop` asks the database to cancel the query and then waits for that lock.

    Parameters
    ----------
    interrupt
        Asks the database to cancel the query; returns at once.
    seconds
        Largest duration, seconds; None: no limit.
    """

    def __init__(self, interrupt: Callable[[], None], seconds: float | None, cancel: Cancel | None) -> None:
        self._interrupt, self._seconds, self._cancel = interrupt, seconds, cancel
        self._lock, self._reading = threading.Lock(), threading.Lock()
        self._late = self._over = False
        self._rows: Generator[pa.RecordBatch] | None = None
        self._timer: threading.Timer | None = None
        #: whether the database was asked to cancel it; then its connection is not reused
        self.was_ended = False

    def __enter__(self) -> Self:
        if self._cancel is not None:
            self._cancel.callbacks.append(self.end)
            if self._cancel.event.is_set():
                self._cancel.callbacks.remove(self.end)
                raise ended(self._seconds, False)
        if self._seconds:
            self._timer = threading.Timer(self._seconds, self._expire)
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._cancel is not None and self.end in self._cancel.callbacks:
            self._cancel.callbacks.remove(self.end)
        self.stop(_PATIENCE)
        with self._lock:
            self._over = True

    def end(self) -> None:
        """Ask the database to cancel the query; do nothing if it has ended."""
        with self._lock:
            if not self._over:
                self.was_ended = True
                self._interrupt()

    def stop(self, patience: float) -> bool:
        """Cancel the query and close its rows; return whether no thread reads from it any more."""
        until = time.monotonic() + patience
        free = self._reading.acquire(blocking=False)
        while not free and time.monotonic() < until:
            # A request before the statement began has no effect, so it is repeated.
            self.end()
            free = self._reading.acquire(timeout=_AGAIN)
        if free:
            try:
                if self._rows is not None:
                    with suppress(DesdmError):
                        self._rows.close()
            finally:
                self._reading.release()
        return free

    def rows(self, batches: Generator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the batches, each fetched under the reader's lock."""
        self._rows = batches
        while True:
            with self._reading:
                if self.was_ended:
                    raise self.fault()
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def fault(self) -> DesdmError:
        """Return the error of a cancelled query."""
        return ended(self._seconds, self._late)

    def _expire(self) -> None:
        """Cancel the query at its deadline."""
        self._late = True
        self.end()
