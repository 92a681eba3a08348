"""Drive many attempts at once on one engine: each has its own driver, and all share the same worker processes."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from desdm.archive.archive import Archive
from desdm.config import Config
from desdm.framework.drive import Progress, drive
from desdm.framework.engines import Engine, JobEvent
from desdm.framework.job import JobRequest
from desdm.schema.database import Database
from desdm.schema.states import AttemptState

__all__ = ["DriverPool", "drive_many"]


class _EngineProxy:
    """One driver's side of the shared engine."""

    def __init__(self, dispatcher: _Dispatcher) -> None:
        self.dispatcher, self.name = dispatcher, dispatcher.engine.name
        self.inbox: queue.SimpleQueue[JobEvent] = queue.SimpleQueue()

    def submit(self, request: JobRequest) -> None:
        """Queue the submission of a job."""
        self.dispatcher.proxies[request.token] = self
        self.dispatcher.calls.append(("submit", request))

    def events(self, timeout: float) -> Sequence[JobEvent]:
        """Return the events of this driver's jobs; `KeyboardInterrupt` when all drivers must stop."""
        if self.dispatcher.stopping.is_set():
            raise KeyboardInterrupt
        try:
            events = [self.inbox.get(timeout=timeout)]
        except queue.Empty:
            return []
        while not self.inbox.empty():
            events.append(self.inbox.get())
        return events

    def cancel(self, token: str) -> None:
        """Cancel a job and wait until the engine has done it, at most 30 s."""
        done = threading.Event()
        self.dispatcher.calls.append(("cancel", (token, done)))
        done.wait(30)

    def close(self) -> None:
        """Do nothing: the shared engine is closed when the last driver has ended."""


class _Dispatcher:
    """Pass the calls of the drivers to the engine, and its events to the driver whose job they concern.

    All calls of the engine come from one thread: the workers of the local engine end with the thread that
    started them (``PR_SET_PDEATHSIG`` is of threads), so that must be one that outlives every driver.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.proxies: dict[str, _EngineProxy] = {}
        self.calls: deque[tuple[str, object]] = deque()
        self.stopping = threading.Event()

    def dispatch(self) -> None:
        """Make the queued calls, then wait a moment for events and pass them on."""
        while self.calls:
            method, argument = self.calls.popleft()
            if method == "submit":
                assert isinstance(argument, JobRequest)
                self.engine.submit(argument)
            else:
                assert isinstance(argument, tuple)
                token, done = argument
                self.engine.cancel(token)
                done.set()
        for event in self.engine.events(0.05):
            proxy = self.proxies.get(event.token)
            if proxy is not None:
                proxy.inbox.put(event)


class DriverPool:
    """Drivers of attempts on one engine, started one by one; `dispatch` must be called until all of them have ended.

    Parameters
    ----------
    config, database, archive
        The installation, its database and its archive.
    engine
        Runs the jobs of all attempts; closed with the pool.
    who
        Person or program on record as the one that runs them.
    at_once
        Number of attempts that are driven at the same time.
    watch
        Called with the name of a run and its progress, several times a second.
    """

    def __init__(
        self,
        config: Config,
        database: Database,
        archive: Archive,
        engine: Engine,
        *,
        who: str,
        at_once: int,
        watch: Callable[[str, Progress], None] = lambda run, progress: None,
    ) -> None:
        self.config, self.database, self.archive, self.who, self.watch = config, database, archive, who, watch
        self.at_once = max(1, at_once)
        self._dispatcher = _Dispatcher(engine)
        self._threads = ThreadPoolExecutor(max_workers=self.at_once)
        self._futures: dict[str, Future[AttemptState]] = {}

    @property
    def runs(self) -> tuple[str, ...]:
        """Runs that were started and that `ended` has not returned."""
        return tuple(self._futures)

    @property
    def busy(self) -> bool:
        """Whether a driver has not ended."""
        return not all(future.done() for future in self._futures.values())

    def start(self, run: str) -> None:
        """Drive an attempt as soon as fewer than ``at_once`` are driven."""
        self._futures[run] = self._threads.submit(self._drive, run)

    def dispatch(self) -> None:
        """Pass the calls of the drivers to the engine, and its events to the drivers; takes at most a moment."""
        self._dispatcher.dispatch()

    def ended(self) -> dict[str, AttemptState | BaseException]:
        """Return the attempts that have ended since the last call: each with its state, or the error of its driver."""
        ended = {run: future for run, future in self._futures.items() if future.done()}
        for run in ended:
            del self._futures[run]
        return {run: future.exception() or future.result() for run, future in ended.items()}

    def stop(self) -> None:
        """End every driver as if the operator had interrupted it: each records that its run is interrupted."""
        self._dispatcher.stopping.set()
        for future in self._futures.values():
            future.cancel()
        while self.busy:
            self.dispatch()

    def close(self) -> None:
        """End the threads and the engine; drivers must have ended."""
        self._threads.shutdown()
        self._dispatcher.engine.close()

    def _drive(self, run: str) -> AttemptState:
        """Drive one attempt on the shared engine."""
        return drive(
            self.config,
            self.database,
            self.archive,
            run,
            _EngineProxy(self._dispatcher),
            who=self.who,
            watch=lambda progress: self.watch(run, progress),
        )


def drive_many(
    config: Config,
    database: Database,
    archive: Archive,
    runs: Sequence[str],
    engine: Engine,
    *,
    who: str,
    at_once: int,
    watch: Callable[[str, Progress], None] = lambda run, progress: None,
) -> Mapping[str, AttemptState | BaseException]:
    """Run attempts to their ends, ``at_once`` at a time.

    Parameters
    ----------
    config, database, archive
        The installation, its database and its archive.
    runs
        Names of the attempts.
    engine
        Runs the jobs of all of them; closed at the end.
    who
        Person or program on record as the one that runs them.
    at_once
        Number of attempts that are driven at the same time.
    watch
        Called with the name of a run and its progress, several times a second.

    Returns
    -------
    mapping
        Run → the state it ended in, or the error that prevented it from being driven (another submitter has it …).
    """
    pool = DriverPool(config, database, archive, engine, who=who, at_once=at_once, watch=watch)
    try:
        for run in runs:
            pool.start(run)
        try:
            while pool.busy:
                pool.dispatch()
        except KeyboardInterrupt:
            pool.stop()
            raise
    finally:
        pool.close()
    return pool.ended()
