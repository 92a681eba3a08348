"""Say why a row of the queue stands where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from desdm.archive.store import calibrations_of
from desdm.operations.queue import store
from desdm.operations.queue.model import NEEDS, QueueRow
from desdm.schema.operationstates import QueueState

__all__ = ["Explanation", "explain"]

_SETTLED = (QueueState.DONE, QueueState.GAVE_UP, QueueState.DISMISSED)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A row, and the reasons in words, the most direct first."""

    row: QueueRow
    reasons: tuple[str, ...]


def explain(conn: Connection, rows: Sequence[QueueRow], *, now: datetime) -> list[Explanation]:
    """Say why rows stand where they stand.

    Parameters
    ----------
    conn
        The database.
    rows
        The rows.
    now
        Time, UTC.
    """
    return [Explanation(row, tuple(_reasons(conn, row, now))) for row in rows]


def _reasons(conn: Connection, row: QueueRow, now: datetime) -> list[str]:
    """Return the reasons of one row."""
    reasons = [row.why]
    if row.state is QueueState.WAITING:
        reasons += _waiting(conn, row, now)
    if row.attempt_id is not None:
        reasons += _calibrations(conn, row.attempt_id)
    if row.due_at is not None and row.state not in _SETTLED:
        late = ", which has passed" if row.due_at < now else ""
        reasons.append(f"due at {row.due_at:%Y-%m-%d %H:%M} UTC{late}")
    return reasons


def _waiting(conn: Connection, row: QueueRow, now: datetime) -> list[str]:
    """Return what a waiting row waits for."""
    needed = NEEDS.get(row.pipeline)
    before = store.find_rows(conn, unit=row.nite, campaign=row.campaign) if needed and row.nite else []
    before = [other for other in before if other.pipeline == needed]
    reasons = [
        f"it waits for {other.name}, which is {other.state.value}" + (f" ({other.run})" if other.run else "")
        for other in before
        if other.state not in _SETTLED
    ]
    if needed and not reasons:
        reasons.append(
            f"{before[0].name} is {before[0].state.value}: its calibrations serve, or those of the nearest good night"
            if before
            else f"night {row.nite} has no {needed}: the calibrations of the nearest good night serve"
        )
    if row.not_before is not None and row.not_before > now:
        reasons.append(f"not before {row.not_before:%Y-%m-%d %H:%M:%S} UTC")
    count = store.rows_before(conn, row)
    reasons.append(f"{count} waiting rows come before it (rank {row.rank}, then deadline, then age)")
    return reasons


def _calibrations(conn: Connection, attempt_id: int) -> list[str]:
    """Return which calibrations the newest attempt of a row takes: a line a file type and rule."""
    lines: dict[str, int] = {}
    for choice in calibrations_of(conn, attempt_id):
        text = f"{choice['filetype']}: {choice['reason']}"
        lines[text] = lines.get(text, 0) + 1
    return [f"{text} ({count} files)" for text, count in lines.items()]
