"""Runs asynchronous jobs: takes up what waits, ends what is aborted or late, sweeps what is due, recovers what died.

The queue is the database. Each server looks at it once a second, or at once when it made a job itself; a job is
taken up by one guarded UPDATE, so that several servers share a queue.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from desdm.accounts.model import Caller
from desdm.errors import DatabaseUnavailable, DesdmError, LimitExceeded, TransientError
from desdm.schema.states import Phase
from desdm.services.answers import told
from desdm.services.context import Services
from desdm.services.engines.model import Cancel
from desdm.services.limits import limits_of
from desdm.services.uws import servers, store
from desdm.services.uws.model import Job, JobContext, JobKind, Result

__all__ = ["Runner"]

_LOG = logging.getLogger(__name__)
_BEAT = 1.0
_SWEEP = 30.0
_TRIES = 2
#: An engine ends a query at its deadline by itself; what has not ended so long after is ended from here.
_GRACE = 5.0
_LATE = "the job ran longer than its execution duration of {:g} s; ask for less, or set a longer one"
_DIED = "the server died twice while the job ran; report it"
_FAILED = "the program failed; report the job's number"

Who = Callable[[str], Caller]


@dataclass(slots=True)
class _Running:
    cancel: Cancel
    owner: str
    ends: float | None


class Runner:
    """Runs the jobs of one kind in this server.

    Parameters
    ----------
    who
        The caller that a login is now, for jobs that outlived the server at which they were made.
    """

    def __init__(self, kind: JobKind, services: Services, who: Who) -> None:
        self.kind, self.services = kind, services
        self._who = who
        self._lock = threading.Lock()
        self._running: dict[str, _Running] = {}
        self._callers: dict[str, Caller] = {}
        self._wake = threading.Event()
        self._swept = 0.0
        self._held: int | None = None

    def start(self) -> None:
        """Begin to look at the queue; ends by itself when the services' pool is shut down."""
        threading.Thread(target=self._keep, name=f"uws-{self.kind.name}", daemon=True).start()

    def wake(self) -> None:
        """Look at the queue now."""
        self._wake.set()

    def remember(self, job_id: str, caller: Caller) -> None:
        """Keep who made a job, with the narrower rights of the token that was used."""
        self._callers[job_id] = caller

    def cancel(self, job_id: str) -> None:
        """End the work of a job, if this server does it; its phase is the caller's concern."""
        with self._lock:
            found = self._running.get(job_id)
        if found is not None:
            found.cancel()

    def directory(self, job_id: str) -> Path:
        """Where uploads and results of a job lie."""
        return self.services.results / job_id

    def discard(self, job_id: str) -> None:
        """Delete a job: end its work, forget its record, remove its files."""
        with self.services.database.write() as conn:
            store.remove(conn, job_id)
        self._callers.pop(job_id, None)
        self.cancel(job_id)
        shutil.rmtree(self.directory(job_id), ignore_errors=True)

    def _keep(self) -> None:
        while not self._closing():
            try:
                self._beat()
            except DesdmError as err:
                _LOG.warning("jobs of %s wait: %s", self.kind.name, err)
            self._wake.wait(_BEAT)
            self._wake.clear()
        with self._lock:
            under_way = list(self._running.values())
        for running in under_way:
            running.cancel()

    def _closing(self) -> bool:
        try:
            self.services.pool.submit(int).cancel()
        except RuntimeError:
            return True
        return False

    def _beat(self) -> None:
        if self._held is None:
            self._held = servers.announce(self.services.results, self.services.server)
        if time.monotonic() - self._swept > _SWEEP or not self._swept:
            self._recover()
            self._sweep()
            self._swept = time.monotonic()
        self._end_aborted()
        self._take_up()

    def _recover(self) -> None:
        """Jobs of servers that died wait again once, then end with an error."""
        with self.services.database.read() as conn:
            under_way = store.running(conn, self.kind.name)
        this = self.services.server
        for job in under_way:
            if job.server is None or servers.alive(self.services.results, job.server, this):
                continue
            with self.services.database.write() as conn:
                if job.tries < _TRIES:
                    store.requeue(conn, job)
                else:
                    store.finish(
                        conn, job.id, job.server, Phase.ERROR, error_type="fatal", error_message=_DIED
                    )

    def _sweep(self) -> None:
        with self.services.database.read() as conn:
            due = store.expired(conn, self.kind.name)
        for job_id in due:
            self.discard(job_id)

    def _end_aborted(self) -> None:
        with self._lock:
            under_way = dict(self._running)
        if not under_way:
            return
        with self.services.database.read() as conn:
            phases = store.phases(conn, under_way)
        for job_id, running in under_way.items():
            late = running.ends is not None and time.monotonic() > running.ends + _GRACE
            if late or phases.get(job_id) is not Phase.EXECUTING:
                running.cancel()

    def _take_up(self) -> None:
        with self._lock:
            free = self.kind.places - len(self._running)
        if free <= 0:
            return
        with self.services.database.read() as conn:
            waiting = store.queued(conn, self.kind.name)
        for job in waiting:
            if free <= 0:
                return
            caller = self._callers.get(job.id) or self._who(job.owner)
            with self._lock:
                share = Counter(running.owner for running in self._running.values())[job.owner]
            # Nobody that is known is many people: their jobs share the places, they are not one owner.
            if job.owner and share >= limits_of(caller.role).jobs:
                continue
            with self.services.database.write() as conn:
                if not store.claim(conn, job.id, self.services.server):
                    continue
            free -= 1
            self._launch(job, caller)

    def _launch(self, job: Job, caller: Caller) -> None:
        seconds = job.execution_duration or None
        cancel = Cancel()
        context = JobContext(
            job.id, job.parameters, caller, self.directory(job.id), cancel, seconds, self.services
        )
        ends = None if seconds is None else time.monotonic() + seconds
        with self._lock:
            self._running[job.id] = _Running(cancel, job.owner, ends)
        threading.Thread(target=self._run, args=(context,), name=f"job-{job.id}", daemon=True).start()

    def _run(self, context: JobContext) -> None:
        phase, kind, message = Phase.ERROR, "fatal", _FAILED
        try:
            context.directory.mkdir(parents=True, exist_ok=True)
            self.kind.run(context)
            phase, kind, message = Phase.COMPLETED, "", ""
        except LimitExceeded as err:
            phase = Phase.ABORTED if err.kind == "time" else Phase.ERROR
            message = str(err)
        except DesdmError as err:
            kind, message = ("transient" if isinstance(err, TransientError) else "fatal"), told(err)
        except OSError as err:
            _LOG.error("job %s: %s", context.id, err)
            kind, message = "transient", "the server could not write the results; try again later"
        finally:
            self._end(context, phase, kind, message)

    def _end(self, context: JobContext, phase: Phase, kind: str, message: str) -> None:
        job_id, server = context.id, self.services.server
        with self._lock:
            running = self._running.pop(job_id)
        self._callers.pop(job_id, None)
        late = running.ends is not None and time.monotonic() > running.ends
        if phase is not Phase.COMPLETED and late and running.cancel.event.is_set():
            phase, message = Phase.ABORTED, _LATE.format(context.seconds)
        results: list[Result] = context.results if phase is Phase.COMPLETED else []
        try:
            with self.services.database.write() as conn:
                if phase is not Phase.COMPLETED and self._closing():
                    # The server goes down: the job is not to blame, another server takes it up.
                    found = store.job(conn, self.kind.name, job_id)
                    if found is not None:
                        store.requeue(conn, found)
                    return
                stands = store.finish(
                    conn,
                    job_id,
                    server,
                    phase,
                    results,
                    error_type=kind or None,
                    error_message=message or None,
                )
                if stands and results and context.notes:
                    store.add_parameters(conn, job_id, context.notes)
        except DatabaseUnavailable as err:
            _LOG.error("job %s ended %s, but its record could not be written: %s", job_id, phase, err)
            return
        finally:
            self.wake()
        shutil.rmtree(context.directory / "uploads", ignore_errors=True)
        if not stands or phase is not Phase.COMPLETED:
            shutil.rmtree(context.directory, ignore_errors=True)
