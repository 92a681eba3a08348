"""The SQL of the review queue: entries are put up once, taken under a lease, and decided by marks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Row, Select, and_, case, func, insert, or_, select, update

from desdm.archive.model import Scope
from desdm.archive.store import among, in_scope, packed
from desdm.quality.qa.model import NewReview, Review, ReviewFilter, Subject
from desdm.schema import EVALUATIONS, pfw_attempt, pfw_request, qa_mark, qa_review
from desdm.schema.database import new_ids
from desdm.schema.operationstates import Mark, ReviewCause, ReviewState, SubjectKind
from desdm.schema.runname import RunName
from desdm.schema.states import AttemptState, DataState

__all__ = [
    "decide_reviews",
    "end_leases",
    "entry_beside",
    "give_back",
    "insert_reviews",
    "lock_reviews",
    "nites_and_bands",
    "open_again",
    "review_by_number",
    "reviews",
    "reviews_decided_by",
    "take_review",
    "undecided_counts",
    "unreviewed_attempts",
]

_WHOLE = (SubjectKind.EXPOSURE.value, SubjectKind.TILE.value, SubjectKind.ATTEMPT.value)
#: Order of causes: what the rules could not decide comes first, the sample last.
_CAUSES = (
    ReviewCause.ASKED,
    ReviewCause.UNKNOWN,
    ReviewCause.FLAGGED,
    ReviewCause.OUTLIER,
    ReviewCause.SAMPLE,
)
_ALL = ReviewFilter()
#: Number of the advisory lock on the review queue.
_REVIEWS = 0x0DE55B32


def lock_reviews(conn: Connection) -> None:
    """Until the end of the transaction nobody else puts up entries; on SQLite the writer is alone anyway."""
    if conn.dialect.name == "postgresql":
        conn.execute(select(func.pg_advisory_xact_lock(_REVIEWS)))


def insert_reviews(conn: Connection, entries: Sequence[NewReview], now: datetime) -> int:
    """Put up entries, but for those whose subject, attempt and cause were put up already; return how many.

    Parameters
    ----------
    conn
        Connection to the database.
    entries
        The entries.
    now
        Time, UTC.
    """
    if not entries:
        return 0
    c = qa_review.c
    query = select(c.subject_kind, c.subject, c.pfw_attempt_id, c.cause).where(among(conn, c.pfw_attempt_id))
    attempts = sorted({entry.attempt_id for entry in entries})
    known = {tuple(row) for row in conn.execute(query, {"among": packed(conn, attempts)})}
    rows = {
        (e.subject_kind.value, e.subject, e.attempt_id, e.cause.value): {
            "subject_kind": e.subject_kind.value,
            "subject": e.subject,
            "pfw_attempt_id": e.attempt_id,
            "nite": e.nite,
            "band": e.band,
            "cause": e.cause.value,
            "text": e.text,
            "state": ReviewState.OPEN.value,
            "opened_at": now,
        }
        for e in entries
    }
    new = [row for key, row in rows.items() if key not in known]
    if new:
        numbers = new_ids(conn, qa_review, len(new))
        conn.execute(insert(qa_review), [{"id": n, **row} for n, row in zip(numbers, new, strict=True)])
    return len(new)


def _review(row: Row[tuple[object, ...]]) -> Review:
    """Return the record of a row of an entry with the name of its attempt."""
    m = row._mapping
    return Review(
        m["id"],
        SubjectKind(m["subject_kind"]),
        m["subject"],
        RunName(m["unitname"], m["reqnum"], m["attnum"]).text,
        m["nite"],
        m["band"],
        ReviewCause(m["cause"]),
        m["text"],
        ReviewState(m["state"]),
        m["taken_by"],
        m["lease_until"],
        m["qa_mark_id"],
        m["opened_at"],
    )


def _entries() -> Select[tuple[object, ...]]:
    """Statement for the entries with the names of their attempts, in the order in which people are to look at them."""
    a = pfw_attempt.c
    priority = case({cause.value: n for n, cause in enumerate(_CAUSES)}, value=qa_review.c.cause)
    return (
        select(qa_review, a.unitname, a.reqnum, a.attnum)
        .join(pfw_attempt, a.id == qa_review.c.pfw_attempt_id)
        .order_by(priority, qa_review.c.id)
    )


def reviews(
    conn: Connection,
    *,
    states: Sequence[ReviewState] = (ReviewState.OPEN, ReviewState.TAKEN),
    cause: ReviewCause | None = None,
    nite: str = "",
    band: str = "",
    taken_by: str = "",
    limit: int | None = None,
) -> list[Review]:
    """Return entries of the review queue, in the order in which people are to look at them.

    Parameters
    ----------
    conn
        Connection to the database.
    states
        States of the entries.
    cause, nite, band, taken_by
        Only entries of this cause, night, band, or person; None or empty: of all.
    limit
        At most so many.
    """
    query = _entries().where(qa_review.c.state.in_([state.value for state in states]))
    if cause is not None:
        query = query.where(qa_review.c.cause == cause.value)
    for column, value in (
        (qa_review.c.nite, nite),
        (qa_review.c.band, band),
        (qa_review.c.taken_by, taken_by),
    ):
        if value:
            query = query.where(column == value)
    return [_review(row) for row in conn.execute(query.limit(limit))]


def review_by_number(conn: Connection, number: int) -> Review | None:
    """Return an entry; None if there is none of this number."""
    row = conn.execute(_entries().where(qa_review.c.id == number)).first()
    return None if row is None else _review(row)


def undecided_counts(conn: Connection) -> dict[ReviewCause, int]:
    """Return how many entries wait, by cause."""
    c = qa_review.c
    query = select(c.cause, func.count()).where(
        c.state.in_([ReviewState.OPEN.value, ReviewState.TAKEN.value])
    )
    return {ReviewCause(row[0]): row[1] for row in conn.execute(query.group_by(c.cause))}


def end_leases(conn: Connection, now: datetime) -> int:
    """Give back the entries whose lease has ended; return how many."""
    c = qa_review.c
    ended = and_(c.state == ReviewState.TAKEN.value, c.lease_until <= now)
    values = {"state": ReviewState.OPEN.value, "taken_by": None, "lease_until": None}
    return conn.execute(update(qa_review).where(ended).values(values)).rowcount


def take_review(conn: Connection, number: int, who: str, until: datetime) -> bool:
    """Take an open entry, or prolong one's own lease; False if another person has it, or it is decided.

    Parameters
    ----------
    conn
        Connection to the database.
    number
        Number of the entry.
    who, until
        Login, and end of the lease (UTC).
    """
    c = qa_review.c
    free = or_(
        c.state == ReviewState.OPEN.value, and_(c.state == ReviewState.TAKEN.value, c.taken_by == who[:32])
    )
    values = {"state": ReviewState.TAKEN.value, "taken_by": who[:32], "lease_until": until}
    return conn.execute(update(qa_review).where(c.id == number, free).values(values)).rowcount == 1


def decide_reviews(conn: Connection, subject: Subject, verdict: Mark, mark_id: int) -> int:
    """Decide the entries that a mark is about; return how many.

    A mark on a run, or on its exposure or tile, decides the entries of either. One that says defective also decides those
    of its CCDs; one that blesses does not, for a CCD is looked at for its own numbers.

    Parameters
    ----------
    conn
        Connection to the database.
    subject
        What was marked.
    verdict, mark_id
        Verdict and number of the mark.
    """
    c = qa_review.c
    mine = and_(c.subject_kind == subject.kind.value, c.subject == subject.name)
    if subject.kind.value in _WHOLE and subject.attempt_id is not None:
        whole = c.pfw_attempt_id == subject.attempt_id
        if verdict is not Mark.DEFECTIVE:
            whole = and_(whole, c.subject_kind.in_(_WHOLE))
        mine = or_(mine, whole)
    undecided = c.state.in_([ReviewState.OPEN.value, ReviewState.TAKEN.value])
    changes = {"state": ReviewState.DECIDED.value, "qa_mark_id": mark_id, "lease_until": None}
    return conn.execute(update(qa_review).where(mine, undecided).values(changes)).rowcount


def open_again(conn: Connection, mark_id: int) -> int:
    """Open the entries again that a mark had decided, which is withdrawn; return how many."""
    values = {"state": ReviewState.OPEN.value, "qa_mark_id": None, "taken_by": None, "lease_until": None}
    return conn.execute(update(qa_review).where(qa_review.c.qa_mark_id == mark_id).values(values)).rowcount


def nites_and_bands(conn: Connection, attempts: Sequence[int]) -> dict[int, tuple[str | None, str | None]]:
    """Return night and band of the exposures that attempts judged; attempts that judged none are missing."""
    known: dict[int, tuple[str | None, str | None]] = {}
    for table in EVALUATIONS.values():
        query = select(table.c.pfw_attempt_id, table.c.nite, table.c.band).where(
            among(conn, table.c.pfw_attempt_id)
        )
        for row in conn.execute(query.order_by(table.c.id), {"among": packed(conn, attempts)}):
            known[row[0]] = (row[1], row[2])
    return known


def unreviewed_attempts(conn: Connection, scope: Scope, pipeline: str, nite: str = "") -> list[int]:
    """Return the attempts that ended well and that nobody has marked or put up for review, oldest first.

    Parameters
    ----------
    conn
        Connection to the database.
    scope
        Project, campaign and run classes.
    pipeline
        Name of the pipeline.
    nite
        Only attempts that judged an exposure of this night; empty: all.
    """
    a = pfw_attempt.c
    query = (
        select(a.id)
        .join(pfw_request, pfw_request.c.reqnum == a.reqnum)
        .where(
            in_scope(scope),
            pfw_request.c.pipeline == pipeline,
            a.state == AttemptState.DONE.value,
            a.data_state == DataState.NEW.value,
            a.id.not_in(select(qa_review.c.pfw_attempt_id)),
            a.id.not_in(select(qa_mark.c.pfw_attempt_id).where(qa_mark.c.pfw_attempt_id.is_not(None))),
        )
        .order_by(a.id)
    )
    if nite:
        judged = [select(t.c.pfw_attempt_id).where(t.c.nite == nite) for t in EVALUATIONS.values()]
        query = query.where(or_(*(a.id.in_(each) for each in judged)))
    return list(conn.execute(query).scalars())


def entry_beside(
    conn: Connection,
    entry: Review | None,
    who: str,
    now: datetime,
    *,
    back: bool = False,
    chosen: ReviewFilter = _ALL,
) -> Review | None:
    """Return the entry after (or before) another that a person may take; None without one.

    Parameters
    ----------
    conn
        Connection to the database.
    entry
        The entry beside which to look; None: the first (or last) of all.
    who, now
        Login, and time (UTC): an entry whose lease has ended may be taken, and one's own.
    back
        Look before the entry.
    chosen
        Only these entries.
    """
    c = qa_review.c
    priority = case({cause.value: n for n, cause in enumerate(_CAUSES)}, value=c.cause)
    query = _entries().where(
        or_(
            c.state == ReviewState.OPEN.value,
            and_(c.state == ReviewState.TAKEN.value, or_(c.taken_by == who[:32], c.lease_until <= now)),
        )
    )
    if entry is not None:
        place = _CAUSES.index(entry.cause)
        if back:
            query = query.where(or_(priority < place, and_(priority == place, c.id < entry.id)))
        else:
            query = query.where(or_(priority > place, and_(priority == place, c.id > entry.id)))
    if chosen.cause is not None:
        query = query.where(c.cause == chosen.cause.value)
    for column, value in ((c.nite, chosen.nite), (c.band, chosen.band)):
        if value:
            query = query.where(column == value)
    if back:
        query = query.order_by(None).order_by(priority.desc(), c.id.desc())
    row = conn.execute(query.limit(1)).first()
    return None if row is None else _review(row)


def give_back(conn: Connection, number: int, who: str) -> bool:
    """Open an entry again that a person has taken and not decided; False if it is not that person's.

    Parameters
    ----------
    conn
        Connection to the database.
    number
        Number of the entry.
    who
        Login.
    """
    c = qa_review.c
    own = and_(c.id == number, c.state == ReviewState.TAKEN.value, c.taken_by == who[:32])
    values = {"state": ReviewState.OPEN.value, "taken_by": None, "lease_until": None}
    return conn.execute(update(qa_review).where(own).values(values)).rowcount == 1


def reviews_decided_by(conn: Connection, mark_id: int) -> list[Review]:
    """Return the entries that a mark has decided, in the order in which people look at them."""
    mark = conn.execute(select(qa_mark.c.pfw_attempt_id).where(qa_mark.c.id == mark_id)).scalar()
    query = _entries().where(qa_review.c.qa_mark_id == mark_id)
    # There is an index on the attempt, and an entry is of the attempt that is marked, or of one of the same subject.
    if mark is not None:
        found = [_review(row) for row in conn.execute(query.where(qa_review.c.pfw_attempt_id == mark))]
        if found:
            return found
    return [_review(row) for row in conn.execute(query)]
