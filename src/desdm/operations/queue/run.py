"""Run the queue: one process that queues what has arrived, submits rows in their order, drives their runs and settles them.

Everything that it knows stands in the database: after a SIGKILL at any moment the next process takes the lease, goes on
with the attempts of the rows that are submitted, and nothing is done twice. Each transaction requires the lease.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event, Thread

from sqlalchemy import Connection

from desdm.archive.archive import Archive
from desdm.config import Config
from desdm.errors import ConflictError, DamagedDatabase, DesdmError, LeaseLost, TransientError
from desdm.framework import store as attempts
from desdm.framework.drive import Progress, submitter_alive
from desdm.framework.engines import Engine
from desdm.framework.model import Attempt
from desdm.framework.parallel import DriverPool
from desdm.numbers import counted
from desdm.operations.clock import machine_time
from desdm.operations.lease import Lease, acquire, give_up, renew, require
from desdm.operations.nightly import parallel_runs
from desdm.operations.notices.channels import channel
from desdm.operations.notices.outbox import collect, deliver
from desdm.operations.qa.dispatch import expire_dispatches
from desdm.operations.queue import store
from desdm.operations.queue.enqueue import WHO, enqueue, queue_again, refused_no_longer
from desdm.operations.queue.holds import apply_problems
from desdm.operations.queue.model import LEASE, QueueRow
from desdm.operations.queue.settle import Settler
from desdm.operations.queue.submit import submit_row
from desdm.operations.queue.watermark import Watermark
from desdm.schema.database import Database
from desdm.schema.operationstates import QueueState
from desdm.schema.states import AttemptState, JobState

__all__ = ["QueueSummary", "QueueWork", "run_queue"]

#: Seconds between looks at what has arrived, at problems and at paused rows.
POLL = 1.0
#: Seconds between renewals of the lease, and between tries when the database does not answer.
_RENEWAL, _PATIENCE = 15.0, 2.0
#: Seconds between looks at what is to be told.
_NOTICES = 30.0
#: Errors of the installation, not of a row: this process ends.
_ENDING = (LeaseLost, DamagedDatabase)
#: Seconds until a run that another process drives is looked at again.
_ELSEWHERE = 5.0
#: Times that a job was handed out, and its runner lost, after which it runs alone; and after which its row gives up.
_ALONE, _ABANDONED = 4, 10
_FINAL = (AttemptState.DONE, AttemptState.FLAGGED, AttemptState.FAILED, AttemptState.CANCELLED)
_UNDER_WAY = (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class QueueWork:
    """What the queue needs of an installation, and of whoever watches.

    Attributes
    ----------
    config, database, archive
        The installation.
    engine
        Makes the engine that runs the jobs.
    clock
        Time, UTC, by which deadlines and pauses go.
    pause
        Before a second try; each further one waits twice as long.
    quiet
        How long the calibrations of a night wait for more of them.
    say, watch
        Take lines of text, and the progress of a run.
    """

    config: Config
    database: Database
    archive: Archive
    engine: Callable[[], Engine]
    clock: Callable[[], datetime] = machine_time
    pause: timedelta = timedelta(seconds=30)
    quiet: timedelta = timedelta(0)
    say: Callable[[str], object] = lambda text: None
    watch: Callable[[str, Progress], None] = lambda run, progress: None


@dataclass(slots=True)
class QueueSummary:
    """How many rows were queued, and how many ended in which state; rows that wait at the end, and until when the first.

    ``until`` is None where no row waits for a time.
    """

    queued: int = 0
    ended: dict[QueueState, int] = field(default_factory=dict)
    waiting: int = 0
    until: datetime | None = None

    def count(self, state: QueueState) -> None:
        """Count a row that ended."""
        self.ended[state] = self.ended.get(state, 0) + 1


def run_queue(work: QueueWork, *, until_idle: bool = False, stopping: Event | None = None) -> QueueSummary:
    """Run the queue until nothing is left to do, or until it is stopped.

    Parameters
    ----------
    work
        The installation.
    until_idle
        End when nothing more can be done: no run is under way, no row can be submitted, none pauses after a failed try.
        ``work.quiet`` overrules the longer wait for more calibrations that an earlier process left in the rows.
    stopping
        Ends the queue when it is set: runs are interrupted, and the next process goes on with them.

    Returns
    -------
    QueueSummary
        Numbers of rows.

    Raises
    ------
    LeaseHeld
        Another process runs the queue.
    LeaseLost
        Another process has taken the lease, because this one did not renew it in time.
    """
    lease = acquire(work.database, LEASE, now=machine_time())
    runner = _Runner(work, lease)
    try:
        runner.run(until_idle, stopping or Event())
        with suppress(TransientError), work.database.read() as conn:
            runner.summary.waiting, runner.summary.until = store.waiting_rows(conn, work.clock())
    finally:
        runner.close()
        with suppress(DesdmError):
            give_up(work.database, runner.lease)
    return runner.summary


class _Runner:
    """One process that runs the queue."""

    def __init__(self, work: QueueWork, lease: Lease) -> None:
        self.work, self.lease, self.summary = work, lease, QueueSummary()
        config = work.config
        self.at_once = parallel_runs(config)
        self.pool = DriverPool(
            config,
            work.database,
            work.archive,
            work.engine(),
            who=config.operator,
            at_once=self.at_once,
            watch=work.watch,
        )
        self.settler = Settler(config, work.pause)
        self.rows: dict[str, QueueRow] = {}
        self.ended: dict[str, AttemptState | BaseException] = {}
        self.elsewhere: dict[int, float] = {}
        #: Run that may end its runner; none is submitted beside it, or while one waits for its turn.
        self.alone, self.draining = "", False
        self.renewed = self.polled = self.told = float("-inf")
        self.watermark = Watermark()
        self.renewed = time.monotonic()
        self.sender: Thread | None = None
        #: Whether this runner's own quiet overrules that of earlier ones, which stands in the rows.
        self.shortens = False

    # -- the loop

    def run(self, until_idle: bool, stopping: Event) -> None:
        """Work until the queue is idle or stopped; without the database wait until it answers."""
        self.shortens = until_idle
        while not stopping.is_set():
            try:
                if self._step() and until_idle:
                    return
            except TransientError as err:
                self.work.say(f"{err}; trying again")
                self._wait(_PATIENCE)

    def close(self) -> None:
        """Interrupt what is under way, and end the engine; what is being sent has a moment to end."""
        if self.sender is not None:
            self.sender.join(_PATIENCE)
        self.pool.stop()
        self.pool.close()

    def _step(self) -> bool:
        """Do what is due now, and give the engine a moment; return whether the queue is idle."""
        self.pool.dispatch()
        self.ended |= self.pool.ended()
        now = time.monotonic()
        if now - self.renewed > _RENEWAL:
            self.lease = renew(self.work.database, self.lease, now=machine_time())
            self.renewed = now
        settled = bool(self.ended)
        self._settle_ended()
        if not settled and now - self.polled < POLL:
            return False
        self.polled = now
        self._tell()
        self._shorten_quiet()
        self._enqueue()
        self._adopt()
        started = self._submit_ready()
        return not (started or self.rows or self.elsewhere or self._pausing())

    def _wait(self, seconds: float) -> None:
        """Wait without leaving the drivers alone."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.pool.dispatch()
            time.sleep(0.05)

    def _pausing(self) -> bool:
        """Return whether a row pauses after a failed try, or can be submitted."""
        with self.work.database.read() as conn:
            return store.first_pause(conn) is not None

    # -- what is due

    def _shorten_quiet(self) -> None:
        """Let no night wait longer for more calibrations than this runner lets it; once, as no other one runs beside it."""
        if not self.shortens:
            return
        with self.work.database.write() as conn:
            require(conn, self.lease)
            count = store.shorten_quiet(conn, self.work.clock() + self.work.quiet)
        self.shortens = False
        if count:
            self.work.say(f"{count} nights wait no longer for more calibrations than this command lets them")

    def _enqueue(self) -> None:
        """Queue what has arrived; hold and free the rows of problems."""
        work, now = self.work, self.work.clock()
        seconds, production = time.monotonic(), self.settler.production
        with work.database.read() as conn:
            look = self.watermark.look(conn, work.config.campaign, seconds)
            changes = apply_problems(conn, dry_run=True, now=now)
            freed = refused_no_longer(conn, production, now=now) if look.decided else []
        if not (look.nites or changes or freed):
            self.watermark.keep(look)
            return
        with work.database.write() as conn:
            require(conn, self.lease)
            queued = enqueue(conn, production, look.nites, now=now, quiet=work.quiet)
            again = queue_again(conn, freed, now=now)
            apply_problems(conn, now=now)
        self.watermark.keep(look)
        count = queued.added + queued.reopened + again
        self.summary.queued += count
        if count:
            work.say(f"{counted(count, 'row')} queued")

    def _tell(self) -> None:
        """Send notices that are due, and end dispatches whose answer is late."""
        if time.monotonic() - self.told < _NOTICES:
            return
        self.told = time.monotonic()
        with self.work.database.write() as conn:
            require(conn, self.lease)
            collect(conn, machine_time())
            expire_dispatches(conn, who=WHO, now=machine_time())
        # A server of mail that hangs must not hold up the runs.
        if self.sender is None or not self.sender.is_alive():
            self.sender = Thread(target=self._deliver, name="notices", daemon=True)
            self.sender.start()

    def _deliver(self) -> None:
        """Send what is due; without the database the next look sends it."""
        with suppress(TransientError):
            deliver(self.work.database, channel(self.work.config), machine_time())

    def _adopt(self) -> None:
        """Go on with the attempts of rows that an earlier process submitted.

        A job that ends its runner would be taken up for ever: after some times its run goes on alone, so that it takes no
        other with it, and at last its row gives up.
        """
        database = self.work.database
        with database.read() as conn:
            submitted = store.find_rows(conn, states=[QueueState.SUBMITTED])
            ours = {row.id for row in self.rows.values()}
            orphans = [row for row in submitted if row.id not in ours]
            found = {row.id: attempts.attempt_by_name(conn, row.run) for row in orphans}
            lost = {row.id: _times_lost(conn, found[row.id]) for row in orphans}
        self.elsewhere = {k: v for k, v in self.elsewhere.items() if k in found}
        self.draining = self.alone in self.rows or any(times >= _ALONE for times in lost.values())
        for row in sorted(orphans, key=lambda r: lost[r.id]):
            if self.elsewhere.get(row.id, 0.0) > time.monotonic():
                continue
            attempt, times = found[row.id], lost[row.id]
            if self.rows and (times >= _ALONE or self.alone in self.rows):
                break
            self.elsewhere.pop(row.id, None)
            if attempt.state in _FINAL:
                self.rows[row.run], self.ended[row.run] = row, attempt.state
            elif times >= _ABANDONED and not submitter_alive(attempt):
                self._abandon(row, attempt, times)
            else:
                self.rows[row.run] = row
                self.alone = row.run if times >= _ALONE else self.alone
                self.work.say(f"going on with {row.run}" + (" alone" if times >= _ALONE else ""))
                self.pool.start(row.run)
        self._settle_ended()

    def _abandon(self, row: QueueRow, attempt: Attempt, times: int) -> None:
        """Give a row up whose runner was lost again and again."""
        now = self.work.clock()
        self._settle(row, lambda conn: self.settler.abandoned(conn, row, attempt, times, now))

    def _submit_ready(self) -> bool:
        """Submit the rows that come next while drivers are free; return whether any was."""
        started = False
        tried: set[int] = set()
        if self.draining:
            return False
        while len(self.rows) < self.at_once:
            now = self.work.clock()
            with self.work.database.read() as conn:
                ready = store.ready_rows(conn, now, self.at_once + len(tried))
            row = next((row for row in ready if row.id not in tried), None)
            if row is None:
                break
            tried.add(row.id)
            started |= self._submit(row, now)
            self.pool.dispatch()
        return started

    def _submit(self, row: QueueRow, now: datetime) -> bool:
        """Submit a row; return whether its state changed."""
        work = self.work

        def link(conn: Connection, attempt_id: int, run: str) -> None:
            """Write the attempt into the row, in the transaction of its plan."""
            require(conn, self.lease)
            why = f"submitted as {run}"
            values = {
                "pfw_attempt_id": attempt_id,
                "tries": row.tries + 1,
                "not_before": None,
                "held_by": None,
            }
            if not store.change_row(conn, row, QueueState.SUBMITTED, why=why, now=now, **values):
                raise ConflictError(f"{row.name} was held or dismissed meanwhile")

        settler = self.settler
        try:
            submission = submit_row(work.config, work.database, work.archive, row, link)
        except ConflictError:
            return False
        except _ENDING:
            raise
        except DesdmError as err:
            failure = err
            return self._settle(row, lambda conn: settler.not_submitted(conn, row, failure, now))
        if submission is None:
            return self._settle(row, lambda conn: settler.refused(conn, row, now))
        with work.database.read() as conn:
            row = store.row_by_id(conn, row.id)
        self.rows[submission.run] = row
        if submission.reused:
            self.ended[submission.run] = submission.state
        else:
            work.say(f"{row.name}: {submission.run}")
            self.pool.start(submission.run)
        return True

    # -- ends

    def _settle_ended(self) -> None:
        """Settle the rows whose attempts have ended."""
        for run, end in list(self.ended.items()):
            row = self.rows.get(run)
            if row is not None and isinstance(end, ConflictError):
                self.work.say(f"{run}: {end}")
                self.elsewhere[row.id] = time.monotonic() + _ELSEWHERE
            elif row is not None:
                self._settle_end(row, end)
            del self.ended[run]
            self.rows.pop(run, None)

    def _settle_end(self, row: QueueRow, end: AttemptState | BaseException) -> None:
        """Settle a row whose driver has ended, with its state or its error."""
        if isinstance(end, BaseException) and (isinstance(end, _ENDING) or not isinstance(end, DesdmError)):
            raise end
        error = end if isinstance(end, DesdmError) else None
        self._settle(row, lambda conn: self.settler.ended(conn, row, error, self.work.clock()))

    def _settle(self, row: QueueRow, settle: Callable[[Connection], QueueState | None]) -> bool:
        """Settle a row in one transaction; return whether its state changed."""
        with self.work.database.write() as conn:
            require(conn, self.lease)
            state = settle(conn)
        if state is not None:
            self.summary.count(state)
            self.work.say(f"{row.name}: {state.value}")
        return state is not None


def _times_lost(conn: Connection, attempt: Attempt) -> int:
    """Return how often the jobs of an attempt that are under way were handed out, as their runner was lost each time."""
    jobs = attempts.jobs_of(conn, attempt.id)
    return max((job.tries for job in jobs if job.state in _UNDER_WAY), default=0)
