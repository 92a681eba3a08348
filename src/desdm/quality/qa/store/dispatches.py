"""The SQL of dispatches: data that are sent to working groups with a question, and their answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Row, insert, select, update

from desdm.quality.qa.model import Dispatch, DispatchAnswer
from desdm.schema import desfile, dispatch, dispatch_answer
from desdm.schema.database import new_ids
from desdm.schema.operationstates import AnswerVerdict, DispatchState, SubjectKind

__all__ = [
    "answers_of",
    "dispatch_by_number",
    "dispatch_lines",
    "dispatches",
    "groups_with_dispatch",
    "insert_answer",
    "insert_dispatch",
    "overdue_dispatches",
    "set_dispatch_state",
]

_COLUMNS = [dispatch.c[name] for name in Dispatch.__slots__]
_WAITING = (DispatchState.OFFERED.value, DispatchState.ACCEPTED.value)


def _dispatch(row: Row[tuple[object, ...]]) -> Dispatch:
    """Return the record of a row of `_COLUMNS`."""
    values = dict(row._mapping)
    values["subject_kind"], values["state"] = (
        SubjectKind(values["subject_kind"]),
        DispatchState(values["state"]),
    )
    return Dispatch(**values)


def insert_dispatch(conn: Connection, one: Dispatch) -> int:
    """Add a dispatch, whose ``id`` is ignored; return its number."""
    number = new_ids(conn, dispatch, 1)[0]
    values = {name: getattr(one, name) for name in Dispatch.__slots__}
    conn.execute(insert(dispatch), values | {"id": number, "opened_by": one.opened_by[:32]})
    return number


def dispatches(
    conn: Connection, *, group: str = "", subject: str = "", everything: bool = False
) -> list[Dispatch]:
    """Return dispatches, the first that is due first.

    Parameters
    ----------
    conn
        Connection to the database.
    group, subject
        Only those to this working group, or of this subject; empty: all.
    everything
        Also those that wait for no answer.
    """
    query = select(*_COLUMNS).order_by(dispatch.c.due_at, dispatch.c.id)
    if group:
        query = query.where(dispatch.c.working_group == group)
    if subject:
        query = query.where(dispatch.c.subject == subject)
    if not everything:
        query = query.where(dispatch.c.state.in_(_WAITING))
    return [_dispatch(row) for row in conn.execute(query)]


def dispatch_lines(
    conn: Connection,
    *,
    groups: Sequence[str] | None = None,
    everything: bool = False,
    before: int | None = None,
    limit: int = 100,
) -> list[Dispatch]:
    """Return a page of dispatches, newest first.

    Parameters
    ----------
    conn
        Connection to the database.
    groups
        Only those to these working groups; None: to all.
    everything
        Also those that wait for no answer.
    before
        Only with smaller numbers than this.
    limit
        At most so many.
    """
    query = select(*_COLUMNS).order_by(dispatch.c.id.desc()).limit(limit)
    if groups is not None:
        query = query.where(dispatch.c.working_group.in_(groups))
    if not everything:
        query = query.where(dispatch.c.state.in_(_WAITING))
    if before is not None:
        query = query.where(dispatch.c.id < before)
    return [_dispatch(row) for row in conn.execute(query)]


def dispatch_by_number(conn: Connection, number: int) -> Dispatch | None:
    """Return a dispatch; None if there is none of this number."""
    row = conn.execute(select(*_COLUMNS).where(dispatch.c.id == number)).first()
    return None if row is None else _dispatch(row)


def overdue_dispatches(conn: Connection, now: datetime) -> list[Dispatch]:
    """Return the dispatches whose due date has passed without an answer."""
    query = select(*_COLUMNS).where(dispatch.c.state.in_(_WAITING), dispatch.c.due_at < now)
    return [_dispatch(row) for row in conn.execute(query.order_by(dispatch.c.id))]


def set_dispatch_state(conn: Connection, number: int, before: DispatchState, after: DispatchState) -> bool:
    """Change the state of a dispatch; False if it was not in the state before.

    Parameters
    ----------
    conn
        Connection to the database.
    number
        Number of the dispatch.
    before, after
        States; the database refuses a change that is not lawful.
    """
    where = (dispatch.c.id == number) & (dispatch.c.state == before.value)
    return conn.execute(update(dispatch).where(where).values(state=after.value)).rowcount == 1


def insert_answer(conn: Connection, number: int, answer: DispatchAnswer, desfile_id: int | None) -> None:
    """Add an answer to a dispatch.

    Parameters
    ----------
    conn
        Connection to the database.
    number
        Number of the dispatch.
    answer
        The answer; its ``id`` and ``file`` are ignored.
    desfile_id
        Number of the file with the findings; None without one.
    """
    conn.execute(
        insert(dispatch_answer).values(
            id=new_ids(conn, dispatch_answer, 1)[0],
            dispatch_id=number,
            verdict=answer.verdict.value,
            text=answer.text,
            who=answer.who[:32],
            answered_at=answer.answered_at,
            desfile_id=desfile_id,
        )
    )


def answers_of(conn: Connection, number: int) -> list[DispatchAnswer]:
    """Return the answers to a dispatch, oldest first."""
    c = dispatch_answer.c
    query = (
        select(c.id, c.verdict, c.text, c.who, c.answered_at, desfile.c.filename + desfile.c.compression)
        .outerjoin(desfile, desfile.c.id == c.desfile_id)
        .where(c.dispatch_id == number)
        .order_by(c.id)
    )
    return [
        DispatchAnswer(row[0], AnswerVerdict(row[1]), row[2], row[3], row[4], row[5])
        for row in conn.execute(query)
    ]


def groups_with_dispatch(conn: Connection, subjects: Sequence[str]) -> set[str]:
    """Return the working groups that were sent one of the subjects and have not answered yet."""
    query = select(dispatch.c.working_group).where(
        dispatch.c.state.in_(_WAITING), dispatch.c.subject.in_(subjects)
    )
    return set(conn.execute(query).scalars())
