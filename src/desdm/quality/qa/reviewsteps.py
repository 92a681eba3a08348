"""Steps through the review queue: the entry after or before another, taken for a person; the one left is given back."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from desdm.errors import ConflictError
from desdm.quality.qa import store
from desdm.quality.qa.model import Review, ReviewFilter
from desdm.quality.qa.review import next_review, take_review
from desdm.schema.operationstates import ReviewState

__all__ = ["step_review"]

#: Entries that are tried if other people take them at the same time.
_TRIES = 20


def step_review(
    conn: Connection,
    number: int | None,
    *,
    who: str,
    now: datetime,
    back: bool = False,
    chosen: ReviewFilter = ReviewFilter(),  # noqa: B008 - frozen
) -> Review | None:
    """Take the entry after (or before) another, and give that one back if it is not decided.

    Parameters
    ----------
    conn
        Connection in a transaction.
    number
        Number of the entry that the person leaves; None: begin at the first.
    who, now
        Login, and time (UTC).
    back
        Take the one before.
    chosen
        Only these entries.

    Returns
    -------
    Review or None
        The entry, kept for the person; None: there is no further one, and the person keeps the entry that they have.
    """
    store.end_leases(conn, now)
    if number is None and not back:
        # Who begins goes on with what is theirs already.
        return next_review(conn, who=who, now=now, cause=chosen.cause, nite=chosen.nite, band=chosen.band)
    start = store.review_by_number(conn, number) if number is not None else None
    entry = start
    for _ in range(_TRIES):
        entry = store.entry_beside(conn, entry, who, now, back=back, chosen=chosen)
        if entry is None:
            return None
        try:
            taken = take_review(conn, entry.id, who=who, now=now)
        except ConflictError:
            continue
        if start is not None and start.state is ReviewState.TAKEN:
            store.give_back(conn, start.id, who)
        return taken
    return None
