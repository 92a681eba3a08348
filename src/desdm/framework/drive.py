"""Drives an attempt: gives its jobs to an engine block by block, registers what they made, ends it.

The driver owns nothing but a token: all that it knows is in the database, so that after a SIGKILL another
driver goes on (``resume``) at the first wrapper that is not done.
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
from desdm.framework.engines import Engine, JobEvent
from desdm.framework.inputdigests import keep_digests
from desdm.framework.job import Ticket
from desdm.framework.model import Attempt, Job, WrapperRow
from desdm.framework.process import process_start, submitter_alive
from desdm.framework.register import register_job
from desdm.schema.database import Database
from desdm.schema.states import AttemptState, JobState, WrapperState

__all__ = ["Progress", "drive", "submitter_alive"]

#: Seconds between signs of life, which are also how late a cancel is seen.
HEARTBEAT = 1.0

#: How a job that found no room says so.
_NO_ROOM = ("StorageFull", os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))

_DONE = (WrapperState.DONE.value, WrapperState.REUSED.value)


@dataclass(slots=True)
class Progress:
    """How far a run is, for whoever watches."""

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
        if submitter_alive(attempt):
            raise ConflictError(
                f"{run} is driven by process {attempt.submitter_pid}; end it with: desdm cancel {run}"
            )
        if attempt.state is AttemptState.RUNNING:
            store.change_attempt(conn, attempt, AttemptState.INTERRUPTED, who, "its submitter went away")
        pid = os.getpid()
        fresh = attempt.state is AttemptState.PLANNED
        text = f"{run} {'started' if fresh else 'resumed'}"
        store.claim_attempt(conn, attempt, token, pid, process_start(pid), who, text, reason)
    driver = _Driver(config, database, archive, attempt, token, engine, who, watch)
    try:
        return driver.go()
    except KeyboardInterrupt:
        driver.interrupt()
        raise
    except (OSError, TransientError) as err:
        driver.stopped(err)
        found = storage_error(err, config.runs / run) if isinstance(err, OSError) else err
        if isinstance(found, TransientError):
            raise type(found)(f"{found}; then: desdm resume {run}") from err
        raise found from err
    finally:
        engine.close()


class _Driver:
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
        self.live: dict[str, Job] = {}
        self.started: list[tuple[Job, str]] = []
        self.progress = Progress()
        self.beat = 0.0
        #: file with the digests of the inputs of the jobs that are given out now
        self.digests = ""

    def go(self) -> AttemptState:
        with self.database.read() as conn:
            jobs = store.jobs_of(conn, self.attempt.id)
            wrappers = store.wrappers_of(conn, self.attempt.id)
        self.progress.total = len(wrappers)
        self.progress.done = sum(w.state in _DONE for w in wrappers)
        for job in jobs:
            if job.state in (JobState.QUEUED, JobState.RUNNING):
                self._adopt(job)
        for blknum in sorted({job.blknum for job in jobs}):
            if not self._block(blknum):
                return self._end_badly()
        return self._end()

    def interrupt(self) -> None:
        """The submitter must stop: what is done is kept, the rest goes on at the next resume."""
        for token, job in list(self.live.items()):
            self.engine.cancel(token)
            self._register(job, JobState.CANCELLED, "interrupted")
        with self.database.write() as conn:
            store.change_attempt(
                conn, self.attempt, AttemptState.INTERRUPTED, self.who, "interrupted by its operator"
            )

    def stopped(self, err: Exception) -> None:
        """Storage or the database failed under the submitter: jobs end, and a resume goes on when it is well again."""
        for token in list(self.live):
            self.engine.cancel(token)
        # Where even this cannot be written, the next submitter sees that this one went away.
        with suppress(DesdmError), self.database.write() as conn:
            store.change_attempt(conn, self.attempt, AttemptState.INTERRUPTED, self.who, str(err)[:2000])

    # -- blocks

    def _block(self, blknum: int) -> bool:
        with self.database.read() as conn:
            jobs = [j for j in store.jobs_of(conn, self.attempt.id) if j.blknum == blknum]
            wrappers = store.wrappers_of(conn, self.attempt.id)
            made = store.generated_names(conn, [w.task_id for w in wrappers if w.state in _DONE])
        by_job: dict[int, list[WrapperRow]] = {}
        for w in wrappers:
            by_job.setdefault(w.job_task_id, []).append(w)
        todo = [j for j in jobs if j.state is not JobState.DONE]
        self.progress.block = jobs[0].block if jobs else ""
        self._digests(todo)
        for job in todo:
            self._give(job, [w for w in by_job[job.task_id] if w.state in _DONE and made.get(w.task_id)])
        good = True
        while self.live:
            for event in self.engine.events(min(0.2, HEARTBEAT)):
                good &= self._happened(event)
            self._flush()
            self.watch(self.progress)
            if not self._alive():
                self._cancel()
                return False
        return good

    def _give(self, job: Job, done: Sequence[WrapperRow]) -> None:
        token = secrets.token_hex(8)
        root = Path(job.jobroot or "")
        ticket = Ticket(
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
        self.live[token] = job._replace(token=token, tries=job.tries + 1, state=JobState.QUEUED)
        self.engine.submit(ticket)

    def _happened(self, event: JobEvent) -> bool:
        job = self.live.get(event.token)
        if job is None:
            return True
        if event.kind == "started":
            self.started.append((job, event.handle))
        elif event.kind == "wrapper":
            self._wrapper(event)
        elif event.kind == "ended":
            return self._register(job, JobState.DONE) is JobState.DONE
        elif event.kind == "lost":
            return self._lost(job, event.text)
        return True

    def _wrapper(self, event: JobEvent) -> None:
        if event.state == "started":
            self.progress.running[event.wrapnum] = event.token
        else:
            self.progress.running.pop(event.wrapnum, None)
            self.progress.done += event.state in ("done", "left")
            self.progress.failed += event.state == "failed"

    def _lost(self, job: Job, why: str) -> bool:
        self._register(job, JobState.LOST, why)
        if job.tries >= self.config.max_tries:
            return False
        with self.database.read() as conn:
            again = next(j for j in store.jobs_of(conn, self.attempt.id) if j.task_id == job.task_id)
            wrappers = store.wrappers_of(conn, self.attempt.id, job.task_id)
            done = [w for w in wrappers if w.state in _DONE]
            made = store.generated_names(conn, [w.task_id for w in done])
        self._digests([again])  # of what its lost try has registered, too
        self._give(again, [w for w in done if made.get(w.task_id)])
        return True

    def _digests(self, jobs: Sequence[Job]) -> None:
        """Write down for the jobs what their inputs are registered as: a node asks no database."""
        self.digests = f"digests_{secrets.token_hex(4)}.json"
        keep_digests(self.database, self.archive, [Path(job.jobroot or "") for job in jobs], self.digests)

    def _adopt(self, job: Job) -> None:
        # Its submitter went away: what its receipt says is done is good, the rest runs again.
        self.live[job.token or ""] = job
        self._register(job, JobState.LOST, "its submitter went away")

    def _register(self, job: Job, state: JobState, comment: str | None = None) -> JobState:
        self._flush()
        self.live.pop(job.token or "", None)
        workdir = Path(job.jobroot or "") / f"try{job.tries}"
        return register_job(self.database, self.archive, self.attempt, job, workdir, state, comment)

    def _flush(self) -> None:
        if not self.started:
            return
        with self.database.write() as conn:
            for job, handle in self.started:
                store.start_job(conn, job.task_id, job.token or "", handle)
        self.started.clear()

    # -- ends

    def _alive(self) -> bool:
        if time.monotonic() - self.beat < HEARTBEAT:
            return True
        self.beat = time.monotonic()
        with self.database.write() as conn:
            return store.heartbeat(conn, self.attempt.id, self.token)

    def _cancel(self) -> None:
        for token, job in list(self.live.items()):
            self.engine.cancel(token)
            self._register(job, JobState.CANCELLED, "cancelled")

    def _end(self) -> AttemptState:
        with self.database.write() as conn:
            errors, flags = store.count_findings(conn, self.attempt.id)
            state = AttemptState.FLAGGED if errors or flags else AttemptState.DONE
            comment = f"{errors} messages of level 1, {flags} flags" if errors or flags else None
            store.change_attempt(conn, self.attempt, state, self.who, comment)
        return state

    def _end_badly(self) -> AttemptState:
        """End as failed or cancelled; where jobs lacked room only, `StorageFull`: a resume can go on."""
        with self.database.write() as conn:
            now = store.attempt_by_name(conn, self.attempt.run)
            state = AttemptState.CANCELLED if now.cancel_requested else AttemptState.FAILED
            bad = [
                j for j in store.jobs_of(conn, self.attempt.id) if j.state in (JobState.FAILED, JobState.LOST)
            ]
            why = "; ".join(f"job {j.jobnum} ({j.jobkeys or j.block}): {j.comment}" for j in bad[:5])
            if state is AttemptState.FAILED and any(mark in why for mark in _NO_ROOM):
                raise StorageFull(f"{self.attempt.run}: no room for its jobs ({why[:300]}); make room")
            store.change_attempt(conn, self.attempt, state, self.who, why[:2000] or state.text)
        return state
