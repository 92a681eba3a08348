"""Runner of asynchronous jobs: starts queued jobs, ends aborted and late ones, deletes expired ones, recovers lost ones.

The queue is the database. Each server polls it once a second, or at once after it created a job itself; a job is claimed
by one conditional UPDATE, so that several servers share a queue.
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
from desdm.errors import DesdmError, LimitExceeded, LimitKind, TransientError
from desdm.query.engines.model import Cancel
from desdm.schema.states import Phase
from desdm.services.context import Services
from desdm.services.error_responses import public_message
from desdm.services.limits import limits_of
from desdm.services.uws import servers, store
from desdm.services.uws.model import Job, JobContext, JobKind, Owner, Result, owner_key
from desdm.services.uws.owner import narrowed

__all__ = ["Runner"]

_LOG = logging.getLogger(__name__)
_BEAT = 1.0
_SWEEP = 30.0
_TRIES = 2
#: Seconds after the deadline, at which the engine ends a query by itself, until the runner cancels the job.
_GRACE = 5.0
_LATE = "the job ran longer than its execution duration of {:g} s; ask for less, or set a longer one"
_DIED = "the server died twice while the job ran; report it"
_LOST = "the server could not begin the job; start it again"
#: Queued jobs that are loaded at once: a queue may be thousands long.
_PIECE = 32
#: Seconds until a job that is never started is deleted.
_PENDING = 86_400.0
_FAILED = "the program failed; report the job's number"

CallerLookup = Callable[[str], Caller]


@dataclass(slots=True)
class _Running:
    """A running job: its cancellation, its owner and its deadline."""

    cancel: Cancel
    owner: Owner
    ends: float | None


@dataclass(frozen=True, slots=True)
class _End:
    """End of a job, to be written into its record."""

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
    kind
        Kind of the jobs.
    services
        Shared state of the services.
    caller_of
        Returns the caller of a login, for jobs that outlived the server at which they were created.
    """

    def __init__(self, kind: JobKind, services: Services, caller_of: CallerLookup) -> None:
        self.kind, self.services = kind, services
        self._caller_of = caller_of
        self._lock = threading.Lock()
        self._running: dict[str, _Running] = {}
        #: Jobs whose work has ended and whose record is not written yet.
        self._ended: set[str] = set()
        self._unwritten: deque[_End] = deque()
        self._callers: dict[str, Caller] = {}
        self._wake = threading.Event()
        self._swept_at = 0.0
        self._server_lock: int | None = None

    def start(self) -> None:
        """Start the loop; it ends by itself when the services' pool is shut down."""
        self.services.supervisor.loop(
            f"uws-{self.kind.name}",
            self._step,
            _BEAT,
            wake=self._wake,
            until=self._is_shutting_down,
            last=self._cancel_all,
        )

    def wake(self) -> None:
        """Poll the queue now."""
        self._wake.set()

    def remember(self, job_id: str, caller: Caller) -> None:
        """Remember the owner of a job, with the narrower rights of the token in use."""
        self._callers[job_id] = caller

    def owner_of(self, job: Job) -> Caller:
        """Return the owner of a job as caller, with the actions of its creation; anonymous for a job without owner."""
        return narrowed(self._caller_of(job.owner), job)

    def cancel(self, job_id: str) -> None:
        """Cancel a job if this server runs it; the caller changes its phase."""
        with self._lock:
            running = self._running.get(job_id)
        if running is not None:
            running.cancel()

    def directory(self, job_id: str) -> Path:
        """Return the directory of the uploads and results of a job."""
        return self.services.results / job_id

    def discard(self, job_id: str) -> None:
        """Delete a job: its record, its work and its files."""
        with self.services.state.write() as conn:
            store.remove(conn, job_id)
        self._callers.pop(job_id, None)
        self.cancel(job_id)
        shutil.rmtree(self.directory(job_id), ignore_errors=True)

    def _cancel_all(self) -> None:
        """Cancel every job that this server runs."""
        with self._lock:
            jobs = list(self._running.values())
        for running in jobs:
            running.cancel()

    def _is_shutting_down(self) -> bool:
        """Whether the services' pool is shut down."""
        try:
            self.services.pool.submit(int).cancel()
        except RuntimeError:
            return True
        return False

    def _step(self) -> None:
        """Do one step of the loop: recover, delete, write, cancel, start."""
        if self._server_lock is None:
            self._server_lock = servers.announce(self.services.results, self.services.server)
        if time.monotonic() - self._swept_at > _SWEEP or not self._swept_at:
            self._recover()
            self._sweep()
            self._swept_at = time.monotonic()
        self._write_ends()
        self._end_aborted()
        self._launch_queued()

    def _recover(self) -> None:
        """Queue the jobs of dead servers again; end them with an error the second time."""
        with self.services.state.read() as conn:
            executing = store.running(conn, self.kind.name)
        own_name = self.services.server
        with self._lock:
            own_jobs = set(self._running) | self._ended
        for job in executing:
            if job.server is None:
                continue
            if job.server == own_name and job.id not in own_jobs:
                # Claimed, but without a thread: this server failed before it could start the job.
                self._finish(_End(job.id, Phase.ERROR, "fatal", _LOST, (), ()))
                continue
            if servers.alive(self.services.results, job.server, own_name):
                continue
            with self.services.state.write() as conn:
                if job.tries < _TRIES:
                    store.requeue(conn, job)
                else:
                    store.finish(
                        conn, job.id, job.server, Phase.ERROR, error_type="fatal", error_message=_DIED
                    )

    def _sweep(self) -> None:
        """Delete expired jobs and jobs that were never started."""
        with self.services.state.read() as conn:
            due = store.expired(conn, self.kind.name)
            due += store.forgotten(conn, self.kind.name, _PENDING)
        for job_id in due:
            self.discard(job_id)

    def _end_aborted(self) -> None:
        """Cancel running jobs that are late or no longer EXECUTING in the database."""
        with self._lock:
            jobs = dict(self._running)
        if not jobs:
            return
        with self.services.state.read() as conn:
            phases = store.phases(conn, jobs)
        for job_id, running in jobs.items():
            late = running.ends is not None and time.monotonic() > running.ends + _GRACE
            if late or phases.get(job_id) is not Phase.EXECUTING:
                running.cancel()

    def _launch_queued(self) -> None:
        """Claim and start queued jobs while places are free."""
        with self._lock:
            free = self.kind.places - len(self._running)
        if free <= 0:
            return
        # Owners who run as many jobs as they may; their number is bounded by the places.
        full: set[Owner] = set()
        while free > 0:
            with self.services.state.read() as conn:
                waiting = store.queued(conn, self.kind.name, full, _PIECE)
            for job in waiting:
                caller = self._callers.get(job.id) or self.owner_of(job)
                if self._running_count(job) >= self._limit(job, caller):
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

    def _limit(self, job: Job, caller: Caller) -> int:
        """Return how many jobs of the owner of a job may run here; an anonymous owner leaves a place to others."""
        most = limits_of(caller.role).jobs
        return most if job.owner else min(most, max(1, self.kind.places - 1))

    def _running_count(self, job: Job) -> int:
        """Return how many jobs of the owner of a job run here."""
        with self._lock:
            return sum(running.owner == owner_key(job) for running in self._running.values())

    def _launch(self, job: Job, caller: Caller) -> None:
        """Start a thread for a claimed job."""
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
        """Run the code of a job and translate its errors into phase and message."""
        phase, kind, message = Phase.ERROR, "fatal", _FAILED
        try:
            context.directory.mkdir(parents=True, exist_ok=True)
            self.kind.run(context)
            phase, kind, message = Phase.COMPLETED, "", ""
        except LimitExceeded as err:
            phase = Phase.ABORTED if err.kind is LimitKind.TIME else Phase.ERROR
            message = str(err)
        except DesdmError as err:
            kind, message = ("transient" if isinstance(err, TransientError) else "fatal"), public_message(err)
        except OSError as err:
            _LOG.error("job %s: %s", context.id, err)
            kind, message = "transient", "the server could not write the results; try again later"
        except Exception:  # noqa: BLE001 - the job ends with an error, whatever its code raised
            _LOG.exception("job %s failed", context.id)
        finally:
            self._end(context, phase, kind, message)

    def _end(self, context: JobContext, phase: Phase, kind: str, message: str) -> None:
        """End a job: delete files that are not results; write its record now, or as soon as that is possible."""
        job_id = context.id
        with self._lock:
            running = self._running.pop(job_id)
            self._ended.add(job_id)
        self._callers.pop(job_id, None)
        late = running.ends is not None and time.monotonic() > running.ends
        if phase is not Phase.COMPLETED and late and running.cancel.event.is_set():
            phase, message = Phase.ABORTED, _LATE.format(context.seconds)
        completed = phase is Phase.COMPLETED
        # Frees disk space, which the record of the end may need.
        shutil.rmtree(context.directory / "uploads" if completed else context.directory, ignore_errors=True)
        end = _End(
            job_id,
            phase,
            kind,
            message,
            tuple(context.results) if completed else (),
            tuple(context.notes) if completed else (),
        )
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
        """Write the records of ended jobs that could not be written before."""
        while self._unwritten:
            end = self._unwritten[0]
            self._finish(end)
            with self._lock:
                self._unwritten.popleft()
                self._ended.discard(end.job_id)

    def _finish(self, end: _End) -> None:
        """Write the record of an ended job, and remove its files if it was aborted or deleted meanwhile."""
        server = self.services.server
        with self.services.state.write() as conn:
            if end.phase is not Phase.COMPLETED and self._is_shutting_down():
                # The server shuts down, which is not the job's fault: another server runs it again.
                job = store.job(conn, self.kind.name, end.job_id)
                if job is not None:
                    store.requeue(conn, job)
                return
            written = store.finish(
                conn,
                end.job_id,
                server,
                end.phase,
                end.results,
                error_type=end.kind or None,
                error_message=end.message or None,
            )
            if written and end.results and end.notes:
                store.add_parameters(conn, end.job_id, end.notes)
            current = None if written else store.job(conn, self.kind.name, end.job_id)
        if not written and (current is None or current.phase is not Phase.COMPLETED):
            # It was aborted or deleted meanwhile; a completed job keeps its results, whichever server wrote its record.
            shutil.rmtree(self.directory(end.job_id), ignore_errors=True)
