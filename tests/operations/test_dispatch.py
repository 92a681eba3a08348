"""Dispatches to working groups: question, criteria, due date; an answer marks nothing, but is seen by who marks."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from desdm.accounts import offices, people
from desdm.errors import ConflictError, NotFoundError, UsageError
from desdm.operations.qa.dispatch import (
    accept_dispatch,
    answer_dispatch,
    expire_dispatches,
    open_dispatch,
    withdraw_dispatch,
)
from desdm.operations.qa.marks import standing
from desdm.quality.qa import store
from desdm.quality.qa.model import Dispatch
from desdm.schema import dispatch, dispatch_answer
from desdm.schema.database import Database
from desdm.schema.operationstates import AnswerVerdict, DispatchState, Office
from desdm.schema.states import EventKind, Role
from desdm.schema.store import find_events
from tests.operations.test_acceptance import PRODUCTION
from tests.operations.test_acceptance import night as judged_night

__all__ = ["judged_night"]

NOW = datetime(2026, 11, 29, 12, 0)
DUE = NOW + timedelta(days=7)


@pytest.fixture
def night(judged_night: Database) -> Database:
    """A judged night, and a working group of one member."""
    with judged_night.write() as conn:
        people.add(conn, "wendy", Role.COLLABORATOR, who="boss")
        offices.give(conn, "wendy", Office.WG_MEMBER, "weak lensing", who="boss", reason="season 1")
    return judged_night


def ask(
    conn: Any, name: str = "1", due: datetime = DUE, criteria: str = "shear residuals below 1e-3"
) -> Dispatch:
    return open_dispatch(
        conn, "weak lensing", name, "is the PSF good?", criteria, due, who="mary", scope=PRODUCTION, now=NOW
    )


def test_a_question_is_asked_accepted_and_answered_and_nothing_is_marked(night: Database) -> None:
    with night.write() as conn:
        one = ask(conn)
        assert (one.subject, one.state, one.due_at) == ("D00000001", DispatchState.OFFERED, DUE)
        accept_dispatch(conn, one.id, who="wendy")
        before = standing(conn, "1", PRODUCTION)
        more = {"file": "im11.fits", "who": "wendy", "now": NOW}
        done = answer_dispatch(conn, one.id, AnswerVerdict.PARTLY, "CCD 2 has a ring", **more)
        assert done.state is DispatchState.ANSWERED
        (answer,) = store.answers_of(conn, one.id)
        assert (answer.verdict, answer.file, answer.who) == (AnswerVerdict.PARTLY, "im11.fits", "wendy")
        after = standing(conn, "1", PRODUCTION)
        texts = [(e.text, e.who) for e in find_events(conn, subject="1", kind=EventKind.DISPATCH)]
    assert after.marks == () and after.view.parts["data state"] == before.view.parts["data state"]
    assert after.view.parts["answers"] == (
        "weak lensing, is the PSF good?: partly, CCD 2 has a ring (wendy)",
    )
    assert before.view.changes(after.view.token)
    assert [who for _, who in texts] == ["mary", "wendy", "wendy"]
    assert texts[-1][0] == "dispatch 1 to weak lensing answered, partly"


def test_an_answer_accepts_and_is_given_once(night: Database) -> None:
    with night.write() as conn:
        one = ask(conn, "D00000001_c01")
        answer_dispatch(conn, one.id, AnswerVerdict.VALID, "fine", who="wendy", now=NOW)
        for act in (
            lambda: answer_dispatch(conn, 1, AnswerVerdict.VALID, "fine", who="wendy", now=NOW),
            lambda: withdraw_dispatch(conn, 1, "late", who="mary"),
            lambda: accept_dispatch(conn, 1, who="wendy"),
        ):
            with pytest.raises(ConflictError, match="dispatch 1 is answered"):
                act()


def test_what_nobody_answers_in_time_expires(night: Database) -> None:
    with night.write() as conn:
        ask(conn)
        ask(conn, due=DUE + timedelta(days=7))
        ended = expire_dispatches(conn, who="queue", now=DUE + timedelta(hours=1))
        assert [one.id for one in ended] == [1]
        assert [one.id for one in store.dispatches(conn)] == [2]
        withdraw_dispatch(conn, 2, "solved", who="mary")
        assert store.dispatches(conn) == []
        assert [one.state for one in store.dispatches(conn, everything=True)] == ["expired", "withdrawn"]


def test_a_question_without_criteria_or_time_is_refused(night: Database) -> None:
    with night.write() as conn:
        for wrong, words in (({"criteria": " "}, "--criteria"), ({"due": NOW}, "later date")):
            with pytest.raises(UsageError, match=words):
                ask(conn, **wrong)
        with pytest.raises(NotFoundError, match="not in the archive"):
            ask(conn, "777")
        one = ask(conn)
        with pytest.raises(UsageError, match="--reason"):
            answer_dispatch(conn, one.id, AnswerVerdict.VALID, "", who="w", now=NOW)
        with pytest.raises(NotFoundError, match=r"no file x\.fits"):
            answer_dispatch(conn, one.id, AnswerVerdict.VALID, "ok", file="x.fits", who="w", now=NOW)


def test_the_database_keeps_states_and_answers(night: Database) -> None:
    with night.write() as conn:
        answer_dispatch(conn, ask(conn).id, AnswerVerdict.VALID, "fine", who="wendy", now=NOW)
    for statement in (update(dispatch).values(state="offered"), update(dispatch_answer).values(text="x")):
        with pytest.raises(Exception, match=r"unlawful change|only ever added"), night.write() as conn:
            conn.execute(statement)


def test_a_question_to_a_group_that_nobody_is_in_is_refused(night: Database) -> None:
    with night.write() as conn:
        for group in ("weak-lensing", "clusters"):
            with pytest.raises(UsageError, match=f"nobody is a member of the working group {group}"):
                open_dispatch(conn, group, "1", "?", "x", DUE, who="mary", scope=PRODUCTION, now=NOW)
        offices.end(conn, "wendy", Office.WG_MEMBER, "weak lensing", who="boss", reason="left")
        with pytest.raises(UsageError, match="nobody is a member"):
            ask(conn)
        for group in ("<script>", "", "x" * 33):
            with pytest.raises(UsageError, match="working group"):
                open_dispatch(conn, group, "1", "?", "x", DUE, who="mary", scope=PRODUCTION, now=NOW)
