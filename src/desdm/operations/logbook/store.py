"""The SQL of the logbook: events with the details and subjects of entries."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, func, insert, not_, or_, select

from desdm.operations.logbook.model import Details, LogEntry, LogFilter
from desdm.schema import event, logbook, logbook_subject, pfw_attempt
from desdm.schema.operationstates import LogCategory, SubjectKind, TimeLoss
from desdm.schema.runname import RunName
from desdm.schema.states import EventKind
from desdm.schema.subjects import Subject

__all__ = ["add_details", "find_entries", "newest_event", "time_lost"]


def newest_event(conn: Connection, kind: EventKind, who: str) -> int:
    """Return the number of the newest event of a kind by an author; the caller has written one in this transaction."""
    query = select(func.max(event.c.id)).where(event.c.kind == kind.value, event.c.who == who)
    return int(conn.execute(query).scalar_one())


def add_details(conn: Connection, event_id: int, details: Details, subjects: Sequence[Subject]) -> None:
    """Add what an entry has beside its event.

    Parameters
    ----------
    conn
        Connection in the transaction of the event.
    event_id
        Number of the event.
    details, subjects
        Details and subjects of the entry.
    """
    conn.execute(
        insert(logbook),
        {
            "event_id": event_id,
            "nite": details.nite or None,
            "category": details.category,
            "time_lost_h": details.time_lost,
            "loss": details.loss,
            "corrects_id": details.corrects,
        },
    )
    rows = [{"event_id": event_id, "kind": s.kind, "subject": s.name} for s in dict.fromkeys(subjects)]
    if rows:
        conn.execute(insert(logbook_subject), rows)


def find_entries(conn: Connection, wanted: LogFilter, limit: int | None = None) -> list[LogEntry]:
    """Return lines of the logbook, newest first.

    Parameters
    ----------
    conn
        Connection to the database.
    wanted
        Which lines.
    limit
        At most so many; None: all.
    """
    e, a, b = event.c, pfw_attempt.c, logbook.c
    query = (
        select(
            e.id,
            e.event_time,
            e.kind,
            e.who,
            e.text,
            e.reason,
            e.subject,
            a.unitname,
            a.reqnum,
            a.attnum,
            b.event_id,
            b.category,
            b.nite,
            b.time_lost_h,
            b.loss,
            b.corrects_id,
        )
        .select_from(
            event.outerjoin(pfw_attempt, a.id == e.pfw_attempt_id).outerjoin(logbook, b.event_id == e.id)
        )
        .where(*_conditions(wanted))
        .order_by(e.id.desc())
    )
    rows = conn.execute(query if limit is None else query.limit(limit)).all()
    numbers = [row.id for row in rows if row.event_id is not None]
    subjects = _subjects(conn, numbers)
    corrections = _corrections(conn, numbers)
    return [_entry(row._mapping, subjects.get(row.id, ()), corrections.get(row.id)) for row in rows]


def _conditions(wanted: LogFilter) -> list[ColumnElement[bool]]:
    """Return the conditions of a filter."""
    e, a, b = event.c, pfw_attempt.c, logbook.c
    conditions: list[ColumnElement[bool]] = []
    if wanted.kind is not None:
        conditions.append(e.kind == wanted.kind.value)
    if wanted.who:
        conditions.append(e.who == wanted.who)
    if wanted.category is not None:
        conditions.append(b.category == wanted.category)
    if wanted.entries_only:
        conditions.append(b.event_id.is_not(None))
    if wanted.without_done_jobs:
        conditions.append(not_(and_(e.kind == EventKind.JOB.value, e.text.like("job % done"))))
    if wanted.since is not None:
        conditions.append(e.event_time >= wanted.since)
    if wanted.until is not None:
        conditions.append(e.event_time <= wanted.until)
    if wanted.before is not None:
        conditions.append(e.id < wanted.before)
    if wanted.nite:
        # Two look-ups by index, instead of a look at each line.
        of_nite = select(b.event_id).where(b.nite == wanted.nite)
        conditions.append(or_(e.id.in_(of_nite), e.subject == wanted.nite))
    if wanted.subject:
        with_subject = select(logbook_subject.c.event_id).where(logbook_subject.c.subject == wanted.subject)
        of_subject: ColumnElement[bool] = or_(e.subject == wanted.subject, e.id.in_(with_subject))
        run = RunName.parse(wanted.subject)
        if run is not None:
            of_run = (a.unitname == run.unitname) & (a.reqnum == run.reqnum) & (a.attnum == run.attnum)
            of_subject = or_(of_subject, of_run)
        conditions.append(of_subject)
    for word in wanted.words:
        text = e.text.icontains(word, autoescape=True)
        conditions.append(or_(text, e.reason.icontains(word, autoescape=True)))
    return conditions


def _subjects(conn: Connection, numbers: Sequence[int]) -> dict[int, tuple[Subject, ...]]:
    """Return the subjects of entries."""
    subjects: dict[int, tuple[Subject, ...]] = {}
    s = logbook_subject.c
    if not numbers:
        return subjects
    query = select(s.event_id, s.kind, s.subject).where(s.event_id.in_(numbers)).order_by(s.kind, s.subject)
    for number, kind, name in conn.execute(query):
        subjects[number] = (*subjects.get(number, ()), Subject(SubjectKind(kind), name))
    return subjects


def _corrections(conn: Connection, numbers: Sequence[int]) -> dict[int, int]:
    """Return the newest correction of each entry that has one."""
    if not numbers:
        return {}
    b = logbook.c
    query = (
        select(b.corrects_id, func.max(b.event_id)).where(b.corrects_id.in_(numbers)).group_by(b.corrects_id)
    )
    return {row[0]: row[1] for row in conn.execute(query)}


def _entry(columns: RowMapping, subjects: tuple[Subject, ...], corrected_by: int | None) -> LogEntry:
    """Return the record of a row of `find_entries`."""
    details = None
    if columns["event_id"] is not None:
        loss = columns["loss"]
        details = Details(
            LogCategory(columns["category"]),
            columns["nite"] or "",
            columns["time_lost_h"],
            None if loss is None else TimeLoss(loss),
            columns["corrects_id"],
        )
    run = ""
    if columns["unitname"] is not None:
        run = RunName(columns["unitname"], columns["reqnum"], columns["attnum"]).text
    return LogEntry(
        columns["id"],
        columns["event_time"],
        EventKind(columns["kind"]),
        columns["who"],
        columns["text"],
        columns["reason"] or "",
        columns["subject"] or "",
        run,
        subjects,
        details,
        corrected_by,
    )


def time_lost(conn: Connection, nite: str) -> dict[TimeLoss, float]:
    """Return the hours of a night that entries tell as lost, by cause; entries that were corrected do not count.

    Parameters
    ----------
    conn
        Connection to the database.
    nite
        Night, YYYYMMDD.
    """
    b = logbook.c
    corrected = select(b.corrects_id).where(b.corrects_id.is_not(None))
    query = (
        select(b.loss, func.sum(b.time_lost_h))
        .where(b.nite == nite, b.time_lost_h.is_not(None), b.event_id.not_in(corrected))
        .group_by(b.loss)
    )
    hours: dict[TimeLoss, float] = {}
    for loss, total in conn.execute(query):
        cause = TimeLoss.OTHER if loss is None else TimeLoss(loss)
        hours[cause] = hours.get(cause, 0.0) + float(total)
    return hours
