"""Drives many attempts at once on one engine: each has its driver, all share the same warm workers."""

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
from desdm.framework.job import Ticket
from desdm.schema.database import Database
from desdm.schema.states import AttemptState

__all__ = ["drive_many"]


class _Seat:
    """One driver's side of the shared engine."""

    def __init__(self, fleet: _Fleet) -> None:
        self.fleet, self.name = fleet, fleet.engine.name
        self.inbox: queue.SimpleQueue[JobEvent] = queue.SimpleQueue()

    def submit(self, ticket: Ticket) -> None:
        self.fleet.seats[ticket.token] = self
        self.fleet.orders.append(("submit", ticket))

    def events(self, timeout: float) -> Sequence[JobEvent]:
        if self.fleet.stopping.is_set():
            raise KeyboardInterrupt
        try:
            found = [self.inbox.get(timeout=timeout)]
        except queue.Empty:
            return []
        while not self.inbox.empty():
            found.append(self.inbox.get())
        return found

    def cancel(self, token: str) -> None:
        done = threading.Event()
        self.fleet.orders.append(("cancel", (token, done)))
        done.wait(30)

    def close(self) -> None:
        """The engine is the fleet's; it closes it when the last driver is home."""


class _Fleet:
    """Orders of the drivers go to the engine, its events to the driver whose job they are of.

    All calls of the engine come from one thread: the workers of the local engine die with the thread that
    started them (``PR_SET_PDEATHSIG`` is of threads), so that must be one that outlives every driver.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.seats: dict[str, _Seat] = {}
        self.orders: deque[tuple[str, object]] = deque()
        self.stopping = threading.Event()

    def turn(self) -> None:
        while self.orders:
            what, order = self.orders.popleft()
            if what == "submit":
                assert isinstance(order, Ticket)
                self.engine.submit(order)
            else:
                assert isinstance(order, tuple)
                token, done = order
                self.engine.cancel(token)
                done.set()
        for event in self.engine.events(0.05):
            seat = self.seats.get(event.token)
            if seat is not None:
                seat.inbox.put(event)


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

    Returns
    -------
    mapping
        Run → the state it ended in, or the error that kept it from being driven (another submitter has it …).
    """
    fleet = _Fleet(engine)

    def one(run: str) -> AttemptState:
        return drive(
            config, database, archive, run, _Seat(fleet), who=who, watch=lambda progress: watch(run, progress)
        )

    try:
        with ThreadPoolExecutor(max_workers=max(1, at_once)) as pool:
            futures: dict[str, Future[AttemptState]] = {run: pool.submit(one, run) for run in runs}
            try:
                while not all(f.done() for f in futures.values()):
                    fleet.turn()
            except KeyboardInterrupt:
                # Each driver writes down that its run is interrupted, as if the signal were its own.
                fleet.stopping.set()
                for future in futures.values():
                    future.cancel()
                while not all(f.done() for f in futures.values()):
                    fleet.turn()
                raise
    finally:
        engine.close()
    return {run: future.exception() or future.result() for run, future in futures.items()}
