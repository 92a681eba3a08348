"""Dispatches: data sent to a working group with a question; the answer is evidence for a mark, and never a mark itself."""

from __future__ import annotations

import re
from datetime import datetime

from sqlalchemy import Connection

from desdm.accounts.store import offices
from desdm.archive import catalog
from desdm.archive.model import Scope
from desdm.errors import ConflictError, NotFoundError, UsageError
from desdm.quality.qa import store
from desdm.quality.qa.model import Dispatch, DispatchAnswer
from desdm.quality.qa.subjects import find_subject
from desdm.schema.operationstates import AnswerVerdict, DispatchState
from desdm.schema.states import EventKind
from desdm.schema.store import record_event, require_reason

__all__ = ["accept_dispatch", "answer_dispatch", "expire_dispatches", "open_dispatch", "withdraw_dispatch"]

_GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,31}")


def open_dispatch(
    conn: Connection,
    group: str,
    name: str,
    question: str,
    criteria: str,
    due: datetime,
    *,
    who: str,
    scope: Scope,
    now: datetime,
) -> Dispatch:
    """Send data to a working group with a question.

    Parameters
    ----------
    conn
        Connection in a transaction.
    group, name
        Working group, and name of an exposure, CCD, tile, run or file.
    question, criteria
        What is asked, and by what the answer is judged.
    due
        When the answer is due, UTC.
    who, now
        Who asks, and time (UTC).
    scope
        Project, campaign and run classes whose attempts count.

    Raises
    ------
    UsageError
        Group, question or criteria are empty, nobody is a member of the group, or the due date has passed.
    NotFoundError
        Nothing has this name.
    """
    group, question, criteria = group.strip(), question.strip(), criteria.strip()
    if not group or not question or not criteria:
        raise UsageError(
            "name the working group, ask a question, and say by what the answer is judged: --criteria TEXT"
        )
    if _GROUP.fullmatch(group) is None:
        raise UsageError(
            f"working group {group[:40]!r}: a name of 1 to 32 letters, digits, blanks, '.', '_' or '-'"
        )
    if not any(one.working_group == group and one.until is None for one in offices(conn)):
        raise UsageError(
            f"nobody is a member of the working group {group}; an administrator makes members with: "
            "desdm account office LOGIN wg_member --group NAME"
        )
    if due <= now:
        raise UsageError(f"the answer is due {due:%Y-%m-%d %H:%M} UTC, which has passed; give a later date")
    subject = find_subject(conn, name, scope)
    one = Dispatch(
        0, group, subject.kind, subject.name, question, criteria, due, DispatchState.OFFERED, who, now
    )
    number = store.insert_dispatch(conn, one)
    text = f"dispatch {number}: {subject.name} sent to {group}, answer due {due:%Y-%m-%d}"
    record_event(
        conn, EventKind.DISPATCH, who, text, subject.attempt_id, subject=subject.name, reason=question
    )
    return _required(conn, number)


def accept_dispatch(conn: Connection, number: int, *, who: str) -> Dispatch:
    """Say that the group looks at the data.

    Parameters
    ----------
    conn
        Connection in a transaction.
    number
        Number of the dispatch.
    who
        Member of the group.

    Raises
    ------
    NotFoundError
        There is no such dispatch.
    ConflictError
        It is not offered.
    """
    return _change(conn, number, DispatchState.ACCEPTED, who, "the group looks at it")


def answer_dispatch(
    conn: Connection,
    number: int,
    verdict: AnswerVerdict,
    text: str,
    *,
    file: str = "",
    who: str,
    now: datetime,
) -> Dispatch:
    """Answer a dispatch; nothing is marked by it.

    Parameters
    ----------
    conn, number, who
        As of `accept_dispatch`.
    verdict, text
        What the group says of the data for its question, and why.
    file
        Name of a file of the archive with the findings; empty without one.
    now
        Time, UTC.

    Raises
    ------
    UsageError
        No reason is given.
    NotFoundError
        There is no such dispatch or file.
    ConflictError
        It is answered, expired or withdrawn.
    """
    require_reason(text)
    record = catalog.by_name(conn, file) if file else None
    if file and record is None:
        raise NotFoundError(f"no file {file} in the archive; register it first: desdm ingest FILE")
    if _required(conn, number).state is DispatchState.OFFERED:
        accept_dispatch(conn, number, who=who)
    one = _change(conn, number, DispatchState.ANSWERED, who, text.strip(), f", {verdict.value}")
    answer = DispatchAnswer(0, verdict, text.strip(), who, now, None)
    store.insert_answer(conn, number, answer, record.id if record else None)
    return one


def withdraw_dispatch(conn: Connection, number: int, reason: str, *, who: str) -> Dispatch:
    """Ask no longer.

    Parameters
    ----------
    conn, number, who
        As of `accept_dispatch`.
    reason
        Why.
    """
    require_reason(reason)
    return _change(conn, number, DispatchState.WITHDRAWN, who, reason.strip())


def expire_dispatches(conn: Connection, *, who: str, now: datetime) -> list[Dispatch]:
    """Expire the dispatches whose due date has passed without an answer, and return them.

    Parameters
    ----------
    conn
        Connection in a transaction.
    who, now
        Program or person, and time (UTC).
    """
    return [
        _change(conn, one.id, DispatchState.EXPIRED, who, f"no answer before {one.due_at:%Y-%m-%d %H:%M} UTC")
        for one in store.overdue_dispatches(conn, now)
    ]


def _change(
    conn: Connection, number: int, after: DispatchState, who: str, reason: str, more: str = ""
) -> Dispatch:
    """Change the state of a dispatch that waits for an answer, with an event."""
    one = _required(conn, number)
    waiting = (DispatchState.OFFERED, DispatchState.ACCEPTED)
    lawful = one.state in waiting and one.state is not after
    if not lawful or not store.set_dispatch_state(conn, number, one.state, after):
        raise ConflictError(
            f"dispatch {number} is {one.state.value}: {one.state.text}; see: desdm dispatch show {number}"
        )
    text = f"dispatch {number} to {one.working_group} {after.value}{more}"
    record_event(conn, EventKind.DISPATCH, who, text, subject=one.subject, reason=reason)
    return _required(conn, number)


def _required(conn: Connection, number: int) -> Dispatch:
    """Return a dispatch; `NotFoundError` if there is none of this number."""
    one = store.dispatch_by_number(conn, number)
    if one is None:
        raise NotFoundError(f"no dispatch {number}; see: desdm dispatch list --all")
    return one
