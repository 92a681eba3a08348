"""Settle rows of the queue: done with the tags that follow, tried again, or given up with a problem and a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from desdm.archive.model import Scope
from desdm.config import Config
from desdm.errors import DesdmError, MissingCalibration, TransientError
from desdm.framework import store as attempts
from desdm.framework.model import Attempt
from desdm.operations.acceptance import refresh_tags_after_run
from desdm.operations.arrival import arrivals
from desdm.operations.qa.badnumbers import propose_bad_numbers
from desdm.operations.queue import store
from desdm.operations.queue.enqueue import WHO, record_refusal
from desdm.operations.queue.failures import Failure, failure_of, propose_errors, propose_failure
from desdm.operations.queue.model import RULE, QueueRow
from desdm.operations.unassessed import NIGHTLY, Exposure, record_unassessed
from desdm.quality.qa.verdict import verdicts
from desdm.schema.operationstates import QueueState
from desdm.schema.states import AttemptState, EventKind, Verdict
from desdm.schema.store import record_event

__all__ = ["Settler"]

_GOOD = (AttemptState.DONE, AttemptState.FLAGGED)
#: How long a row waits for calibrations before it is planned again; the end of its night's precal wakes it earlier.
_CALIBRATION_WAIT = timedelta(minutes=10)
#: Most doublings of a pause.
_DOUBLINGS = 6


@dataclass(frozen=True, slots=True)
class Settler:
    """What rows become when their attempts end or cannot be planned; each method is called in one transaction.

    Attributes
    ----------
    config
        The installation.
    pause
        Before a second try; each further one waits twice as long.
    """

    config: Config
    pause: timedelta

    @property
    def production(self) -> Scope:
        """Project and campaign of production."""
        return Scope(self.config.project, self.config.campaign)

    def ended(
        self, conn: Connection, row: QueueRow, error: DesdmError | None, now: datetime
    ) -> QueueState | None:
        """Settle a row whose attempt has ended, or whose driver has ended with an error.

        Parameters
        ----------
        conn
            Connection in a transaction.
        row
            The row, submitted.
        error
            Error of the driver; None: the attempt is in a final state.
        now
            Time, UTC.

        Returns
        -------
        QueueState or None
            New state; None: a person changed the row meanwhile.
        """
        attempt = attempts.attempt_by_name(conn, row.run)
        if attempt.state in _GOOD:
            return self._done(conn, row, attempt, now)
        if attempt.state is AttemptState.CANCELLED:
            why = f"its run {row.run} was cancelled"
            self._judge(conn, row, f"unkn: {why}")
            values = {"held_by": self.config.operator[:32]}
            changed = store.change_row(conn, row, QueueState.DISMISSED, why=why, now=now, **values)
            return QueueState.DISMISSED if changed else None
        failure = failure_of(conn, attempt.id) if error is None else _failure(error)
        return self._failed(conn, row, failure, now)

    def not_submitted(
        self, conn: Connection, row: QueueRow, error: DesdmError, now: datetime
    ) -> QueueState | None:
        """Settle a row that could not be planned: without calibrations it waits for some until it is due.

        Parameters
        ----------
        conn
            Connection in a transaction.
        row
            The row, waiting.
        error
            Why it could not be planned.
        now
            Time, UTC.
        """
        if isinstance(error, MissingCalibration) and row.due_at is not None and now < row.due_at:
            why = f"waits for calibrations until {row.due_at:%Y-%m-%d %H:%M} UTC: {error}"
            self._judge(conn, row, f"unkn: not processed: {error}", processed=False)
            later = min(now + _CALIBRATION_WAIT, row.due_at)
            store.change_row(conn, row, QueueState.WAITING, why=why, now=now, not_before=later)
            return None
        return self._failed(conn, row, _failure(error), now, processed=False)

    def abandoned(
        self, conn: Connection, row: QueueRow, attempt: Attempt, times: int, now: datetime
    ) -> QueueState | None:
        """Give up a row whose runner was lost each time that it went on with its attempt.

        Parameters
        ----------
        conn
            Connection in a transaction.
        row, attempt
            The row, submitted, and its attempt.
        times
            How often its jobs were handed out.
        now
            Time, UTC.
        """
        text = (
            f"its runner was lost {times} times while jobs of {row.run} ran; a job of it may end the runner"
        )
        if attempt.state is AttemptState.RUNNING:
            attempts.change_attempt(conn, attempt, AttemptState.INTERRUPTED, WHO, text)
        return self._failed(conn, row, Failure(False, text), now)

    def refused(self, conn: Connection, row: QueueRow, now: datetime) -> QueueState | None:
        """Dismiss a row whose exposure was excluded, or is refused otherwise, after it was queued."""
        refused = [a for a in arrivals(conn, row.nite, row.expnum) if a.refused]
        if not refused:
            return None
        record_refusal(conn, self.production, refused[0])
        why = refused[0].refused
        changed = store.change_row(conn, row, QueueState.DISMISSED, why=why, now=now, held_by=RULE)
        return QueueState.DISMISSED if changed else None

    def _done(self, conn: Connection, row: QueueRow, attempt: Attempt, now: datetime) -> QueueState | None:
        """Settle a row whose attempt is done: tags of accepted exposures follow, and rows that wait for it go on."""
        why = f"{row.run} is {attempt.state.value}"
        if not store.change_row(conn, row, QueueState.DONE, why=why, now=now, not_before=None):
            return None
        if self._is_production(row):
            propose_bad_numbers(conn, self.production, row.run, who=WHO, now=now)
        if row.expnum is None:
            if self._is_production(row):
                propose_errors(conn, row, who=WHO, now=now)
            store.wake_rows(conn)
        elif self._is_production(row):
            recorded = verdicts(conn, "firstcut", [row.expnum], self.production)
            if row.pipeline == "firstcut" and (not recorded or recorded[0]["program"] == NIGHTLY):
                self._judge(conn, row, f"unkn: its run {row.run} made no verdict")
            refresh_tags_after_run(conn, self.production, row.run, who=self.config.operator)
        return QueueState.DONE

    def _failed(
        self, conn: Connection, row: QueueRow, failure: Failure, now: datetime, *, processed: bool = True
    ) -> QueueState | None:
        """Settle a row whose try failed: tried again after a pause if that may help, else given up."""
        # A row that was not submitted has not counted this try yet.
        tries = row.tries + (0 if row.state is QueueState.SUBMITTED else 1)
        if failure.transient and tries < row.max_tries:
            pause = self.pause * 2 ** min(tries - 1, _DOUBLINGS)
            why = f"try {tries} of {row.max_tries} failed for a time: {failure.text}"
            values = {"not_before": now + pause, "tries": tries}
            changed = store.change_row(conn, row, QueueState.WAITING, why=why, now=now, **values)
            return QueueState.WAITING if changed else None
        kind = f"{tries} tries failed" if failure.transient else "another try would fail alike"
        why = f"{failure.text} ({kind})"
        if not store.change_row(conn, row, QueueState.GAVE_UP, why=why, now=now, tries=tries):
            return None
        number = propose_failure(conn, row, failure.text, who=WHO, now=now)
        text = f"{row.name} gave up: problem {number}"
        record_event(conn, EventKind.QUEUE, WHO, text, row.attempt_id, subject=row.unitname, reason=why)
        if row.expnum is None:
            store.wake_rows(conn)
        reason = f"its run {row.run} failed" if processed and row.run else f"not processed: {failure.text}"
        self._judge(conn, row, f"unkn: {reason}", processed=processed)
        return QueueState.GAVE_UP

    def _judge(self, conn: Connection, row: QueueRow, reason: str, *, processed: bool = True) -> None:
        """Record that nobody knows how good an exposure of production is, and why."""
        if row.expnum is not None and row.pipeline == "firstcut" and self._is_production(row):
            exposure = Exposure(row.expnum, row.nite, row.band)
            record_unassessed(conn, self.production, exposure, Verdict.UNKNOWN, reason, processed=processed)

    def _is_production(self, row: QueueRow) -> bool:
        """Tell whether a row is of production."""
        return row.campaign == self.config.campaign


def _failure(error: DesdmError) -> Failure:
    """Return an error as a failure."""
    return Failure(isinstance(error, TransientError), str(error))
