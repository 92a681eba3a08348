"""Runs asynchronous jobs: takes up what waits, ends what is aborted or late, sweeps what is due, recovers what died.

The queue is the database. Each server looks at it once a second, or at once when it made a job itself; a job is
taken up by one guarded UPDATE, so that several servers share a queue.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from desdm.accounts.model import Caller
from desdm.errors import DesdmError, LimitExceeded, TransientError
from desdm.query.engines.model import Cancel
from desdm.schema.states import Phase
from desdm.services.answers import told
from desdm.services.context import Services
from desdm.services.limits import limits_of
from desdm.services.uws import servers, store
from desdm.services.uws.model import Job, JobContext, JobKind, Owner, Result, owner_key

__all__ = ["Runner"]

_LOG = logging.getLogger(__name__)
_BEAT = 1.0
_SWEEP = 30.0
_TRIES = 2
#: An engine ends a query at its deadline by itself; what has not ended so long after is ended from here.
_GRACE = 5.0
_LATE = "the job ran longer than its execution duration of {:g} s; ask for less, or set a longer one"
_DIED = "the server died twice while the job ran; report it"
_LOST = "the server could not begin the job; start it again"
#: Waiting jobs that are looked at in one piece: a queue may be thousands long.
_PIECE = 32
#: A job that nobody starts goes after so long, seconds.
_PENDING = 86_400.0
_FAILED = "the program failed; report the job's number"

Who = Callable[[str], Caller]


@dataclass(slots=True)
class _Running:
    cancel: Cancel
    owner: Owner
    ends: float | None


@dataclass(frozen=True, slots=True)
class _End:
    """How a job ended, to be written into its record."""

    job_id: str
    phase: Phase
    kind: str
    message: str
    results: tuple[Result, ...]
    notes: tuple[tuple[str, str], ...]


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
        #: Jobs whose work is over and whose end is being written, or could not be written yet.
        self._ended: set[str] = set()
        self._unwritten: deque[_End] = deque()
        self._callers: dict[str, Caller] = {}
        self._wake = threading.Event()
        self._swept = 0.0
        self._held: int | None = None

    def start(self) -> None:
        """Begin to look at the queue; ends by itself when the services' pool is shut down."""
        self.services.supervisor.loop(
            f"uws-{self.kind.name}", self._beat, _BEAT, wake=self._wake, until=self._closing, last=self._cancel_all
        )  # fmt: skip

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
        with self.services.state.write() as conn:
            store.remove(conn, job_id)
        self._callers.pop(job_id, None)
        self.cancel(job_id)
        shutil.rmtree(self.directory(job_id), ignore_errors=True)

    def _cancel_all(self) -> None:
        """End the work of every job that runs here."""
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
        self._write_ends()
        self._end_aborted()
        self._take_up()

    def _recover(self) -> None:
        """Jobs of servers that died wait again once, then end with an error."""
        with self.services.state.read() as conn:
            under_way = store.running(conn, self.kind.name)
        this = self.services.server
        with self._lock:
            here = set(self._running) | self._ended
        for job in under_way:
            if job.server is None:
                continue
            if job.server == this and job.id not in here:
                # Taken up, but its thread is not there: the server did not get so far as to begin it.
                self._finish(_End(job.id, Phase.ERROR, "fatal", _LOST, (), ()))
                continue
            if servers.alive(self.services.results, job.server, this):
                continue
            with self.services.state.write() as conn:
                if job.tries < _TRIES:
                    store.requeue(conn, job)
                else:
                    store.finish(
                        conn, job.id, job.server, Phase.ERROR, error_type="fatal", error_message=_DIED
                    )

    def _sweep(self) -> None:
        with self.services.state.read() as conn:
            due = store.expired(conn, self.kind.name)
            due += store.forgotten(conn, self.kind.name, _PENDING)
        for job_id in due:
            self.discard(job_id)

    def _end_aborted(self) -> None:
        with self._lock:
            under_way = dict(self._running)
        if not under_way:
            return
        with self.services.state.read() as conn:
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
        # Owners that have as many jobs at work as they may; their number is bounded by the places.
        full: set[Owner] = set()
        while free > 0:
            with self.services.state.read() as conn:
                waiting = store.queued(conn, self.kind.name, full, _PIECE)
            for job in waiting:
                caller = self._callers.get(job.id) or self._who(job.owner)
                if self._share(job) >= self._most(job, caller):
                    full.add(owner_key(job))
                    continue
                with self.services.state.write() as conn:
                    if not store.claim(conn, job.id, self.services.server):
                        continue
                self._launch(job, caller)
                free -= 1
                if free <= 0:
                    return
            if len(waiting) < _PIECE:
                return

    def _most(self, job: Job, caller: Caller) -> int:
        """How many jobs of the owner of a job may run here; a stranger leaves a place to others."""
        most = limits_of(caller.role).jobs
        return most if job.owner else min(most, max(1, self.kind.places - 1))

    def _share(self, job: Job) -> int:
        """How many jobs of the owner of a job run here."""
        with self._lock:
            return sum(running.owner == owner_key(job) for running in self._running.values())

    def _launch(self, job: Job, caller: Caller) -> None:
        seconds = job.execution_duration or None
        cancel = Cancel()
        context = JobContext(
            job.id, job.parameters, caller, self.directory(job.id), cancel, seconds, self.services
        )
        ends = None if seconds is None else time.monotonic() + seconds
        with self._lock:
            self._running[job.id] = _Running(cancel, owner_key(job), ends)
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
        except Exception:  # noqa: BLE001 - the job ends with an error, whatever its code raised
            _LOG.exception("job %s failed", context.id)
        finally:
            self._end(context, phase, kind, message)

    def _end(self, context: JobContext, phase: Phase, kind: str, message: str) -> None:
        """End a job: files that are no results go at once; its record is written now, or when that is possible again."""
        job_id = context.id
        with self._lock:
            running = self._running.pop(job_id)
            self._ended.add(job_id)
        self._callers.pop(job_id, None)
        late = running.ends is not None and time.monotonic() > running.ends
        if phase is not Phase.COMPLETED and late and running.cancel.event.is_set():
            phase, message = Phase.ABORTED, _LATE.format(context.seconds)
        done = phase is Phase.COMPLETED
        # The room is needed, perhaps for the very record of the end.
        shutil.rmtree(context.directory / "uploads" if done else context.directory, ignore_errors=True)
        end = _End(
            job_id, phase, kind, message, tuple(context.results) if done else (), tuple(context.notes) if done else ()
        )  # fmt: skip
        try:
            self._finish(end)
            with self._lock:
                self._ended.discard(job_id)
        except DesdmError as err:
            _LOG.error("job %s ended %s; its record is written when that is possible: %s", job_id, phase, err)
            with self._lock:
                self._unwritten.append(end)
        finally:
            self.wake()

    def _write_ends(self) -> None:
        """Write the ends of jobs that could not be written before; those that are being written are not touched."""
        while self._unwritten:
            end = self._unwritten[0]
            self._finish(end)
            with self._lock:
                self._unwritten.popleft()
                self._ended.discard(end.job_id)

    def _finish(self, end: _End) -> None:
        """Write the end of a job, and remove its files if it stands no more."""
        server = self.services.server
        with self.services.state.write() as conn:
            if end.phase is not Phase.COMPLETED and self._closing():
                # The server goes down: the job is not to blame, another server takes it up.
                found = store.job(conn, self.kind.name, end.job_id)
                if found is not None:
                    store.requeue(conn, found)
                return
            stands = store.finish(
                conn, end.job_id, server, end.phase, end.results, error_type=end.kind or None,
                error_message=end.message or None,
            )  # fmt: skip
            if stands and end.results and end.notes:
                store.add_parameters(conn, end.job_id, end.notes)
            left = None if stands else store.job(conn, self.kind.name, end.job_id)
        if not stands and (left is None or left.phase is not Phase.COMPLETED):
            # It was aborted or deleted meanwhile; what is completed keeps its results, whoever wrote that.
            shutil.rmtree(self.directory(end.job_id), ignore_errors=True)
