"""The SQL of events: record an act, read the acts by subject, kind, person and time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, func, insert, or_, select

from desdm.errors import UsageError
from desdm.schema.events import event
from desdm.schema.runname import RunName
from desdm.schema.runs import pfw_attempt
from desdm.schema.states import EventKind

__all__ = ["Act", "Event", "exposure_name", "find_events", "record_event", "record_events", "require_reason"]

_EXPOSURE = re.compile(r"[Dd]?0*([1-9]\d{0,8})")
#: Lengths of the columns; what is longer is cut, when it is written and when it is looked for.
_WHO, _SUBJECT = 32, 200


class Event(NamedTuple):
    """One act: who did what to which subject, when and why."""

    id: int
    time: datetime
    kind: str
    who: str
    subject: str
    text: str
    reason: str
    run: str


class Act(NamedTuple):
    """One of several acts of a kind by one person: subject, what was done, why, and the attempt it concerns."""

    subject: str
    text: str
    reason: str = ""
    attempt_id: int | None = None


def exposure_name(expnum: int) -> str:
    """Return the name of an exposure, for instance D00229686: the subject of its events."""
    return f"D{expnum:08d}"


def require_reason(reason: str) -> None:
    """Refuse a person's act without a reason with `UsageError`."""
    if not reason.strip():
        raise UsageError("say why: --reason TEXT")


def record_event(
    conn: Connection,
    kind: EventKind,
    who: str,
    text: str,
    attempt_id: int | None = None,
    *,
    subject: str = "",
    reason: str = "",
) -> None:
    """Record an act; events are only ever added.

    Parameters
    ----------
    kind
        Kind of act.
    who
        Person or program that did it.
    text
        What was done.
    attempt_id
        Number of the attempt that it concerns, if any.
    subject
        Name of what it concerns: exposure (`exposure_name`), run, file, tag, release, account.
    reason
        Why, in the words of ``who``.
    """
    record_events(conn, kind, who, [Act(subject, text, reason, attempt_id)])


def record_events(conn: Connection, kind: EventKind, who: str, acts: Sequence[Act]) -> None:
    """Record several acts at one time, in one statement: ``who`` did each of them; none is no error."""
    if not acts:
        return
    now = datetime.now(UTC).replace(tzinfo=None)
    conn.execute(
        insert(event),
        [
            {
                "event_time": now,
                "kind": kind.value,
                "who": who[:_WHO],
                "subject": _storable(act.subject)[:_SUBJECT] or None,
                "pfw_attempt_id": act.attempt_id,
                "text": _storable(act.text),
                "reason": _storable(act.reason) or None,
            }
            for act in acts
        ],
    )


def _storable(text: str) -> str:
    """Text as every database can keep it: NUL, and bytes of file names that are not UTF-8, as escapes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-8", "backslashreplace").decode()
    return text.replace("\0", "\\x00")


def find_events(
    conn: Connection,
    *,
    subject: str = "",
    kind: EventKind | None = None,
    who: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = None,
) -> list[Event]:
    """Return the events that fit, oldest first; with ``limit`` the newest so many.

    Parameters
    ----------
    subject
        Exact subject; an exposure by number or name; a run also finds the events of its attempt.
    kind, who
        Kind of act; person or program.
    since, until
        UTC, both inclusive.
    limit
        At most so many events.
    """
    e, a = event.c, pfw_attempt.c
    query = (
        select(
            e.id, e.event_time, e.kind, e.who, func.coalesce(e.subject, ""), e.text, func.coalesce(e.reason, ""),
            a.unitname, a.reqnum, a.attnum,
        )
        .select_from(event.outerjoin(pfw_attempt, a.id == e.pfw_attempt_id))
        .order_by(e.id.desc())
    )  # fmt: skip
    if subject:
        names = [subject[:_SUBJECT]]
        number = _EXPOSURE.fullmatch(subject)
        if number:
            names.append(exposure_name(int(number[1])))
        wanted: ColumnElement[bool] = e.subject.in_(names)
        run = RunName.parse(subject)
        if run is not None:
            wanted = or_(
                wanted,
                (a.unitname == run.unitname) & (a.reqnum == run.reqnum) & (a.attnum == run.attnum),
            )
        query = query.where(wanted)
    if kind is not None:
        query = query.where(e.kind == kind.value)
    if who:
        query = query.where(e.who == who[:_WHO])
    if since is not None:
        query = query.where(e.event_time >= since)
    if until is not None:
        query = query.where(e.event_time <= until)
    rows = conn.execute(query if limit is None else query.limit(limit)).all()
    return [
        Event._make((*row[:7], "" if row[7] is None else RunName(row[7], row[8], row[9]).text))
        for row in reversed(rows)
    ]
