"""Drive an attempt: queue its jobs on an engine block by block, register their outputs, and set its final state.

The driver owns nothing but a token: its state is in the database, so that after a SIGKILL another driver continues
(``resume``) at the first wrapper that is not done.
"""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from desdm.archive.archive import Archive
from desdm.config import Config
from desdm.errors import ConflictError, DesdmError, StorageFull, TransientError, UsageError, storage_error
from desdm.framework import store
from desdm.framework.engines import Engine, JobEvent, JobEventKind
from desdm.framework.inputdigests import write_digests
from desdm.framework.job import JobRequest
from desdm.framework.model import Attempt, Job, WrapperRow
from desdm.framework.process import submitter_alive
from desdm.framework.register import register_job
from desdm.framework.store.common import now
from desdm.numbers import counted
from desdm.processes import process_start
from desdm.quality.qa.review import put_up_after_run
from desdm.schema.database import Database
from desdm.schema.states import AttemptState, JobState, WrapperState

__all__ = ["Progress", "drive", "submitter_alive"]

#: Seconds between heartbeats, and the longest delay until a cancel takes effect.
HEARTBEAT = 1.0

#: Texts by which the error of a job is recognised as lack of disk space.
_STORAGE_ERRORS = ("StorageFull", os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))

_COMPLETED = (WrapperState.DONE, WrapperState.REUSED)

#: Tokens of drivers of this process that have ended: where the database was away, their attempts still say running.
_ENDED_TOKENS: set[str] = set()


@dataclass(slots=True)
class Progress:
    """Progress of a run, for whoever watches it."""

    total: int = 0
    done: int = 0
    failed: int = 0
    block: str = ""
    running: dict[int, str] = field(default_factory=dict)


def drive(
    config: Config,
    database: Database,
    archive: Archive,
    run: str,
    engine: Engine,
    *,
    who: str,
    watch: Callable[[Progress], None] = lambda progress: None,
    reason: str = "",
) -> AttemptState:
    """Run an attempt to its end, from wherever it stands.

    Parameters
    ----------
    run
        Name of the attempt.
    engine
        Runs its jobs; closed at the end.
    who, reason
        Who starts it or goes on with it, and why; they stay on record.
    watch
        Gets its progress.

    Raises
    ------
    ConflictError
        If another submitter has it.
    UsageError
        If it is done.
    """
    token = secrets.token_hex(8)
    with database.write() as conn:
        attempt = store.attempt_by_name(conn, run)
        if attempt.state in (AttemptState.DONE, AttemptState.FLAGGED):
            raise UsageError(
                f"{run} is {attempt.state.value}; a new attempt is made by: desdm submit … --again"
            )
        if submitter_alive(attempt) and attempt.token not in _ENDED_TOKENS:
            raise ConflictError(
                f"{run} is driven by process {attempt.submitter_pid}; end it with: desdm cancel {run}"
            )
        if attempt.state is AttemptState.RUNNING:
            store.change_attempt(
                conn, attempt, AttemptState.INTERRUPTED, who, "its submitter is no longer running"
            )
        pid = os.getpid()
        fresh = attempt.state is AttemptState.PLANNED
        text = f"{run} {'started' if fresh else 'resumed'}"
        store.claim_attempt(conn, attempt, token, pid, process_start(pid), who, text, reason)
    driver = _Driver(config, database, archive, attempt, token, engine, who, watch)
    try:
        return driver.run()
    except KeyboardInterrupt:
        driver.interrupt()
        raise
    except (OSError, TransientError) as err:
        driver.stop_on_error(err)
        failure = storage_error(err, config.runs / run) if isinstance(err, OSError) else err
        if isinstance(failure, TransientError):
            raise type(failure)(f"{failure}; then: desdm resume {run}") from err
        raise failure from err
    finally:
        _ENDED_TOKENS.add(token)
        engine.close()


class _Driver:
    """One attempt that this process drives."""

    def __init__(
        self,
        config: Config,
        database: Database,
        archive: Archive,
        attempt: Attempt,
        token: str,
        engine: Engine,
        who: str,
        watch: Callable[[Progress], None],
    ) -> None:
        self.config, self.database, self.archive = config, database, archive
        self.attempt, self.token, self.engine, self.who, self.watch = attempt, token, engine, who, watch
        self.live_jobs: dict[str, Job] = {}
        self.started_jobs: list[tuple[Job, str]] = []
        self.progress = Progress()
        self.last_heartbeat = 0.0
        #: file with the digests of the inputs of the jobs that are queued next
        self.digests = ""

    def run(self) -> AttemptState:
        """Run the blocks in order and return the final state of the attempt."""
        with self.database.read() as conn:
            jobs = store.jobs_of(conn, self.attempt.id)
            wrappers = store.wrappers_of(conn, self.attempt.id)
        self.progress.total = len(wrappers)
        self.progress.done = sum(w.state in _COMPLETED for w in wrappers)
        for job in jobs:
            if job.state in (JobState.QUEUED, JobState.RUNNING):
                self._register_orphan(job)
        for blknum in sorted({job.blknum for job in jobs}):
            if not self._run_block(blknum):
                return self._finish_unsuccessful()
        return self._finish()

    def interrupt(self) -> None:
        """Stop at the operator's request: results so far are registered, a resume continues with the rest."""
        for token, job in list(self.live_jobs.items()):
            self.engine.cancel(token)
            self._register(job, JobState.CANCELLED, "interrupted")
        with self.database.write() as conn:
            store.change_attempt(
                conn, self.attempt, AttemptState.INTERRUPTED, self.who, "interrupted by its operator"
            )

    def stop_on_error(self, err: Exception) -> None:
        """Stop after an error of the storage or the database: jobs are cancelled, a resume can continue."""
        for token in list(self.live_jobs):
            self.engine.cancel(token)
        # Where even this cannot be written, the next submitter sees that this one went away.
        with suppress(DesdmError), self.database.write() as conn:
            store.change_attempt(conn, self.attempt, AttemptState.INTERRUPTED, self.who, str(err)[:2000])

    # -- blocks

    def _run_block(self, blknum: int) -> bool:
        """Run the jobs of a block that are not done; return whether all of them succeeded."""
        with self.database.read() as conn:
            jobs = [j for j in store.jobs_of(conn, self.attempt.id) if j.blknum == blknum]
            wrappers = store.wrappers_of(conn, self.attempt.id)
            registered = store.generated_names(conn, [w.task_id for w in wrappers if w.state in _COMPLETED])
        by_job: dict[int, list[WrapperRow]] = {}
        for w in wrappers:
            by_job.setdefault(w.job_task_id, []).append(w)
        pending = [j for j in jobs if j.state is not JobState.DONE]
        self.progress.block = jobs[0].block if jobs else ""
        self._write_digests(pending)
        for job in pending:
            self._queue_job(
                job, [w for w in by_job[job.task_id] if w.state in _COMPLETED and registered.get(w.task_id)]
            )
        success = True
        while self.live_jobs:
            for event in self.engine.events(min(0.2, HEARTBEAT)):
                success &= self._handle_event(event)
            self._record_started_jobs()
            self.watch(self.progress)
            if not self._send_heartbeat():
                self._cancel_jobs()
                return False
        return success

    def _queue_job(self, job: Job, done: Sequence[WrapperRow]) -> None:
        """Submit a job to the engine under a new token; ``done`` are wrappers that it skips."""
        token = secrets.token_hex(8)
        root = Path(job.jobroot or "")
        request = JobRequest(
            wcl=str(root / "job.wcl"),
            workdir=str(root / f"try{job.tries + 1}"),
            token=token,
            skip=tuple(w.wrapnum for w in done),
            earlier=tuple(str(p) for p in sorted(root.glob("try*")) if p.is_dir()),
            hold_memory=self.config.hold_memory,
            digests=str(root.parent / self.digests),
        )
        with self.database.write() as conn:
            store.queue_job(conn, job, token, self.engine.name, str(root))
        self.live_jobs[token] = job._replace(token=token, tries=job.tries + 1, state=JobState.QUEUED)
        self.engine.submit(request)

    def _handle_event(self, event: JobEvent) -> bool:
        """Act on an event of the engine; return False if it says that a job did not succeed."""
        job = self.live_jobs.get(event.token)
        if job is None:
            return True
        if event.kind is JobEventKind.STARTED:
            self.started_jobs.append((job, event.handle))
        elif event.kind is JobEventKind.WRAPPER:
            self._count_wrapper(event)
        elif event.kind is JobEventKind.ENDED:
            return self._register(job, JobState.DONE) is JobState.DONE
        elif event.kind is JobEventKind.LOST:
            return self._handle_lost_job(job, event.text)
        return True

    def _count_wrapper(self, event: JobEvent) -> None:
        """Count a wrapper that has started or ended."""
        if event.state is WrapperState.RUNNING:
            self.progress.running[event.wrapnum] = event.token
        else:
            self.progress.running.pop(event.wrapnum, None)
            self.progress.done += event.state in (WrapperState.DONE, WrapperState.LEFT)
            self.progress.failed += event.state is WrapperState.FAILED

    def _handle_lost_job(self, job: Job, why: str) -> bool:
        """Register what a lost job has completed, and run the rest again if it has tries left."""
        self._register(job, JobState.LOST, why)
        if job.tries >= self.config.max_tries:
            return False
        with self.database.read() as conn:
            again = next(j for j in store.jobs_of(conn, self.attempt.id) if j.task_id == job.task_id)
            wrappers = store.wrappers_of(conn, self.attempt.id, job.task_id)
            done = [w for w in wrappers if w.state in _COMPLETED]
            registered = store.generated_names(conn, [w.task_id for w in done])
        self._write_digests([again])  # of what its lost try has registered, too
        self._queue_job(again, [w for w in done if registered.get(w.task_id)])
        return True

    def _write_digests(self, jobs: Sequence[Job]) -> None:
        """Write a file with the registered digests of the jobs' inputs: a node asks no database."""
        self.digests = f"digests_{secrets.token_hex(4)}.json"
        write_digests(self.database, self.archive, [Path(job.jobroot or "") for job in jobs], self.digests)

    def _register_orphan(self, job: Job) -> None:
        """Register what a job of an earlier submitter has completed; the rest runs again."""
        # Its submitter is no longer running: what its receipt says is done is good, the rest runs again.
        self.live_jobs[job.token or ""] = job
        self._register(job, JobState.LOST, "its submitter is no longer running")

    def _register(self, job: Job, state: JobState, comment: str | None = None) -> JobState:
        """Register a try of a job that has ended, and forget its token."""
        self._record_started_jobs()
        self.live_jobs.pop(job.token or "", None)
        workdir = Path(job.jobroot or "") / f"try{job.tries}"
        return register_job(self.database, self.archive, self.attempt, job, workdir, state, comment)

    def _record_started_jobs(self) -> None:
        """Record in one transaction which jobs have started since the last call."""
        if not self.started_jobs:
            return
        with self.database.write() as conn:
            for job, handle in self.started_jobs:
                store.start_job(conn, job.task_id, job.token or "", handle)
        self.started_jobs.clear()

    # -- ends

    def _send_heartbeat(self) -> bool:
        """Update the heartbeat once a second; return False if the attempt must stop."""
        if time.monotonic() - self.last_heartbeat < HEARTBEAT:
            return True
        self.last_heartbeat = time.monotonic()
        with self.database.write() as conn:
            return store.heartbeat(conn, self.attempt.id, self.token)

    def _cancel_jobs(self) -> None:
        """Cancel the jobs that run, and register what they have completed."""
        for token, job in list(self.live_jobs.items()):
            self.engine.cancel(token)
            self._register(job, JobState.CANCELLED, "cancelled")

    def _finish(self) -> AttemptState:
        """Set the final state of an attempt whose jobs are all done: done, or flagged."""
        with self.database.write() as conn:
            errors, flags = store.count_findings(conn, self.attempt.id)
            state = AttemptState.FLAGGED if errors or flags else AttemptState.DONE
            comment = (
                f"{counted(errors, 'message of level 1')}, {counted(flags, 'flag')}"
                if errors or flags
                else None
            )
            store.change_attempt(conn, self.attempt, state, self.who, comment)
            put_up_after_run(conn, self.attempt.id, now())
        return state

    def _finish_unsuccessful(self) -> AttemptState:
        """End as failed or cancelled; if jobs only lacked disk space, raise `StorageFull`: a resume can continue."""
        with self.database.write() as conn:
            current = store.attempt_by_name(conn, self.attempt.run)
            state = AttemptState.CANCELLED if current.cancel_requested else AttemptState.FAILED
            failed = [
                j for j in store.jobs_of(conn, self.attempt.id) if j.state in (JobState.FAILED, JobState.LOST)
            ]
            reasons = "; ".join(f"job {j.jobnum} ({j.jobkeys or j.block}): {j.comment}" for j in failed[:5])
            if state is AttemptState.FAILED and any(mark in reasons for mark in _STORAGE_ERRORS):
                raise StorageFull(f"{self.attempt.run}: no room for its jobs ({reasons[:300]}); make room")
            store.change_attempt(conn, self.attempt, state, self.who, reasons[:2000] or state.text)
        return state
