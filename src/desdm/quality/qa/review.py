"""The review queue: what the rules could not decide, numbers far from their history, a sample, what a person asks for."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from desdm.archive.model import Scope
from desdm.archive.store import attempt_facts
from desdm.errors import ConflictError, NotFoundError, UsageError
from desdm.quality.qa import store
from desdm.quality.qa.model import NewReview, Review, Subject
from desdm.quality.qa.outliers import Outlier, outliers_of
from desdm.quality.qa.subjects import ccd_name, find_subject, subject_of_attempt
from desdm.schema import EVALUATIONS
from desdm.schema.operationstates import ReviewCause, ReviewState, SubjectKind
from desdm.schema.states import AttemptState, EventKind, RunClass, Verdict
from desdm.schema.store import record_event, require_reason

__all__ = ["LEASE", "ask_review", "next_review", "put_up_after_run", "sample_reviews", "take_review"]

#: How long an entry is kept for the person who took it.
LEASE = timedelta(minutes=30)
#: Numbers that the text of an entry names.
_NAMED = 5


def put_up_after_run(conn: Connection, attempt_id: int, now: datetime) -> int:
    """Put up for review what people must look at of a run that has ended; return how many entries.

    Runs of production alone are reviewed: a flagged run, an Unknown verdict, and numbers beyond a threshold or far from
    those of the same CCD and band in the runs before.

    Parameters
    ----------
    conn
        Connection in the transaction that ends the run.
    attempt_id
        The attempt.
    now
        Time, UTC.
    """
    facts = attempt_facts(conn, [attempt_id])[attempt_id]
    if facts.run_class is not RunClass.SURVEY or not facts.good:
        return 0
    subject = subject_of_attempt(conn, attempt_id)
    nite, band = store.nites_and_bands(conn, [attempt_id]).get(attempt_id, (None, None))
    entries = []
    if facts.state is AttemptState.FLAGGED:
        counts = store.message_counts(conn, attempt_id)
        text = ", ".join(f"{m.messages} {m.pattern}" for m in counts[:_NAMED]) or "its run is flagged"
        entries.append(_entry(subject, attempt_id, nite, band, ReviewCause.FLAGGED, text))
    if words := _unknown(conn, subject, attempt_id):
        entries.append(_entry(subject, attempt_id, nite, band, ReviewCause.UNKNOWN, words))
    scope = Scope(facts.project, facts.campaign)
    by_ccd: dict[int, list[Outlier]] = {}
    for one in outliers_of(conn, attempt_id, scope):
        by_ccd.setdefault(one.number.ccdnum if subject.expnum is not None else 0, []).append(one)
    for ccdnum, found in sorted(by_ccd.items()):
        text = "; ".join(one.text for one in found[:_NAMED])
        text += f"; {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        entry = _entry(subject, attempt_id, nite, band, ReviewCause.OUTLIER, text)
        if ccdnum and subject.expnum is not None:
            name = ccd_name(subject.expnum, ccdnum)
            entry = entry._replace(subject_kind=SubjectKind.CCD, subject=name)
        entries.append(entry)
    return store.insert_reviews(conn, entries, now)


def ask_review(conn: Connection, name: str, reason: str, *, who: str, scope: Scope, now: datetime) -> int:
    """Put up a subject for review because a person asks for it; return the number of new entries, 0 or 1.

    Parameters
    ----------
    conn
        Connection in a transaction.
    name, reason
        Name of the subject, and why it is to be looked at.
    who, now
        Who asks, and time (UTC).
    scope
        Project, campaign and run classes whose attempts count.

    Raises
    ------
    UsageError
        No reason is given.
    NotFoundError
        Nothing has this name, or no run has processed it.
    """
    require_reason(reason)
    store.lock_reviews(conn)
    subject = find_subject(conn, name, scope)
    if subject.attempt_id is None:
        raise NotFoundError(f"no run of production has processed {subject.name}; there is nothing to look at")
    nite, band = store.nites_and_bands(conn, [subject.attempt_id]).get(subject.attempt_id, (None, None))
    entry = _entry(subject, subject.attempt_id, nite, band, ReviewCause.ASKED, f"{who}: {reason.strip()}")
    count = store.insert_reviews(conn, [entry], now)
    if count:
        text = f"{subject.name} put up for review"
        record_event(
            conn, EventKind.REVIEW, who, text, subject.attempt_id, subject=subject.name, reason=reason.strip()
        )
    return count


def sample_reviews(
    conn: Connection,
    count: int,
    seed: int,
    *,
    pipeline: str,
    nite: str = "",
    who: str,
    reason: str,
    scope: Scope,
    now: datetime,
) -> list[Subject]:
    """Put up a random sample of runs that nobody has marked or reviewed; the same seed draws the same of the same runs.

    Parameters
    ----------
    conn
        Connection in a transaction.
    count, seed
        Size of the sample, and seed of the generator.
    pipeline, nite
        Pipeline of the runs; only of this night.
    who, reason, now
        Who draws it, why, and time (UTC).
    scope
        Project, campaign and run classes.

    Raises
    ------
    UsageError
        No reason is given, or the count is not positive.
    """
    require_reason(reason)
    if count < 1:
        raise UsageError("a sample has at least one run")
    store.lock_reviews(conn)
    candidates = store.unreviewed_attempts(conn, scope, pipeline, nite)
    # A sample, not a secret.
    chosen = sorted(random.Random(seed).sample(candidates, min(count, len(candidates))))  # noqa: S311
    subjects = [subject_of_attempt(conn, number) for number in chosen]
    places = store.nites_and_bands(conn, chosen)
    text = f"sample of {len(chosen)} of {len(candidates)} runs, seed {seed}"
    entries = [
        _entry(subject, number, *places.get(number, (None, None)), ReviewCause.SAMPLE, text)
        for number, subject in zip(chosen, subjects, strict=True)
    ]
    store.insert_reviews(conn, entries, now)
    if chosen:
        record_event(conn, EventKind.REVIEW, who, f"put up for review: {text}", reason=reason.strip())
    return subjects


def take_review(conn: Connection, number: int, *, who: str, now: datetime) -> Review:
    """Take an entry: it is kept for ``who`` for half an hour; taking it again prolongs that.

    Parameters
    ----------
    conn
        Connection in a transaction.
    number
        Number of the entry.
    who, now
        Login, and time (UTC).

    Raises
    ------
    NotFoundError
        There is no such entry.
    ConflictError
        Another person has it, or it is decided.
    """
    store.end_leases(conn, now)
    if not store.take_review(conn, number, who, now + LEASE):
        entry = store.review_by_number(conn, number)
        if entry is None:
            raise NotFoundError(f"no entry {number} in the review queue; see: desdm review list")
        if entry.state is ReviewState.DECIDED:
            raise ConflictError(f"entry {number} is decided; see: desdm mark {entry.subject}")
        raise ConflictError(
            f"{entry.taken_by} has taken entry {number}, until {entry.lease_until:%H:%M} UTC; take another: "
            "desdm review next"
        )
    entry = store.review_by_number(conn, number)
    assert entry is not None
    return entry


def next_review(
    conn: Connection,
    *,
    who: str,
    now: datetime,
    cause: ReviewCause | None = None,
    nite: str = "",
    band: str = "",
) -> Review | None:
    """Take the next entry: one's own whose lease goes on, else the first that nobody has; None: nothing is left.

    Parameters
    ----------
    conn
        Connection in a transaction.
    who, now
        Login, and time (UTC).
    cause, nite, band
        Only entries of this cause, night and band.
    """
    store.end_leases(conn, now)
    own = store.reviews(
        conn, states=[ReviewState.TAKEN], cause=cause, nite=nite, band=band, taken_by=who[:32], limit=1
    )
    for entry in [
        *own,
        *store.reviews(conn, states=[ReviewState.OPEN], cause=cause, nite=nite, band=band, limit=20),
    ]:
        # Another person may take it between the two statements.
        if store.take_review(conn, entry.id, who, now + LEASE):
            return store.review_by_number(conn, entry.id)
    return None


def _entry(
    subject: Subject, attempt_id: int, nite: str | None, band: str | None, cause: ReviewCause, text: str
) -> NewReview:
    """Return an entry for a subject."""
    return NewReview(subject.kind, subject.name, attempt_id, nite, band, cause, text)


def _unknown(conn: Connection, subject: Subject, attempt_id: int) -> str:
    """Return why a program could not judge the exposure of an attempt; empty: it could, or was not asked."""
    expnums: Sequence[int] = [subject.expnum] if subject.expnum is not None else ()
    for table in EVALUATIONS.values():
        for row in store.program_verdicts(conn, table, expnums) if expnums else ():
            if row["pfw_attempt_id"] == attempt_id and row["accepted"] == Verdict.UNKNOWN.value:
                return row["reason"] or "the verdict is Unknown"
    return ""
