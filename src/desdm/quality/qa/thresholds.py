"""Thresholds of QA numbers, as rows that people set with a reason and that hold for a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from desdm.errors import NotFoundError, UsageError
from desdm.quality.qa import store
from desdm.quality.qa.model import Threshold
from desdm.quality.qa.outliers import HISTORY
from desdm.schema.states import EventKind
from desdm.schema.store import record_event, require_reason

__all__ = ["LAST_EXPOSURE", "end_threshold", "set_threshold"]

#: Exposure number that no exposure exceeds: the threshold has no end.
LAST_EXPOSURE = 2147483647


def set_threshold(conn: Connection, row: Threshold) -> int:
    """Set a threshold, and end the one in force for the same metric, band, CCD and exposures.

    Parameters
    ----------
    conn
        Connection in a transaction.
    row
        The threshold; its ``id`` and ``until`` are ignored.

    Returns
    -------
    int
        Its number.

    Raises
    ------
    UsageError
        No reason, no bound, or bounds or exposures in the wrong order.
    """
    require_reason(row.reason)
    if not row.metric.strip():
        raise UsageError("name the metric; those of a run: desdm show RUN --metrics")
    bounds = (row.low_bad, row.low_warn, row.high_warn, row.high_bad)
    known = [b for b in bounds if b is not None]
    if not known:
        raise UsageError("give at least one bound: --low-warn, --high-warn, --low-bad or --high-bad")
    if known != sorted(known):
        raise UsageError(
            "bounds are in the order low-bad, low-warn, high-warn, high-bad, from the least to the largest"
        )
    if row.relative_to not in ("", HISTORY):
        raise UsageError(f"bounds are values, or deviations from the history: --relative-to {HISTORY}")
    if row.expnum_from > row.expnum_to:
        raise UsageError("the first exposure is after the last one")
    for other in store.thresholds(conn, metric=row.metric):
        if _validity(other) == _validity(row):
            store.end_threshold(conn, other.id, row.since)
    number = store.insert_threshold(conn, replace(row, until=None))
    text = f"threshold {number} set: {row.metric}, band {row.band}, CCD {row.ccdnum or 'all'}"
    record_event(conn, EventKind.REVIEW, row.who, text, subject=row.metric, reason=row.reason.strip())
    return number


def end_threshold(conn: Connection, number: int, *, reason: str, who: str, now: datetime) -> None:
    """End a threshold; runs that were judged by it stay as they are.

    Parameters
    ----------
    conn
        Connection in a transaction.
    number
        Number of the threshold.
    reason, who, now
        Why, by whom, and when (UTC).

    Raises
    ------
    NotFoundError
        No threshold of this number is in force.
    """
    require_reason(reason)
    row = next((t for t in store.thresholds(conn) if t.id == number), None)
    if row is None or not store.end_threshold(conn, number, now):
        raise NotFoundError(f"no threshold {number} is in force; see: desdm qa threshold list")
    text = f"threshold {number} ended: {row.metric}"
    record_event(conn, EventKind.REVIEW, who, text, subject=row.metric, reason=reason.strip())


def _validity(row: Threshold) -> tuple[str, str, int, str, int, int]:
    """Return for what a threshold is."""
    return row.metric, row.band, row.ccdnum, row.relative_to, row.expnum_from, row.expnum_to
