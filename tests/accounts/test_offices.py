"""Offices: what they allow holds from the next request on, and no longer than they are held."""

from __future__ import annotations

import pytest

from desdm.accounts import offices, people, sessions, store, tokens
from desdm.accounts.model import OFFICES, Action, Caller
from desdm.errors import AccessDenied, ConflictError, NotFoundError, UsageError
from desdm.schema.database import Database
from desdm.schema.operationstates import Office
from desdm.schema.states import Role
from desdm.schema.store import find_events

PASSWORD = "correct horse battery"


@pytest.fixture
def kim(database: Database) -> str:
    """A collaborator with a password."""
    with database.write() as conn:
        people.add(conn, "kim", Role.COLLABORATOR, who="boss")
        people.set_password(conn, "kim", PASSWORD, who="boss")
    return "kim"


def give(database: Database, login: str, office: Office, group: str = "") -> None:
    with database.write() as conn:
        offices.give(conn, login, office, group, who="boss", reason="season 1")


def end(database: Database, login: str, office: Office, group: str = "") -> None:
    with database.write() as conn:
        offices.end(conn, login, office, group, who="boss", reason="season is over")


def by_token(database: Database, secret: str) -> Caller:
    with database.read() as conn:
        return tokens.authenticate(conn, secret)[0]


@pytest.mark.parametrize("office", Office)
def test_an_office_allows_its_actions_and_no_more(database: Database, kim: str, office: Office) -> None:
    group = "clusters" if office is Office.WG_MEMBER else ""
    give(database, kim, office, group)
    with database.write() as conn:
        secret = tokens.make(conn, people.find(conn, kim))
    caller = by_token(database, secret)
    assert caller.actions == tokens.actions_of(Role.COLLABORATOR) - {Action.TOKEN} | OFFICES[office]
    assert caller.groups == ({group} if group else set())
    end(database, kim, office, group)
    assert not by_token(database, secret).actions & OFFICES[office]
    assert by_token(database, secret).groups == set()


def test_an_open_session_has_what_is_given_and_loses_what_is_ended(
    database: Database, state: Database, kim: str
) -> None:
    secret = sessions.begin(database, state, kim, PASSWORD)
    assert not sessions.authenticate(database, state, secret).may(Action.JUDGE)
    give(database, kim, Office.QA)
    assert sessions.authenticate(database, state, secret).may(Action.JUDGE)
    end(database, kim, Office.QA)
    assert not sessions.authenticate(database, state, secret).may(Action.JUDGE)


def test_an_office_is_recorded_with_its_reason(database: Database, kim: str) -> None:
    give(database, kim, Office.QA)
    end(database, kim, Office.QA)
    give(database, kim, Office.QA)
    with database.read() as conn:
        held = store.offices(conn, kim)
        texts = [(e.who, e.text, e.reason) for e in find_events(conn, subject=kim) if "office" in e.text]
    assert [(one.office, one.until is None) for one in held] == [(Office.QA, False), (Office.QA, True)]
    assert ("boss", "kim: holds the office qa no longer", "season is over") in texts
    assert texts.count(("boss", "kim: holds the office qa", "season 1")) == 2


def test_wrong_offices_are_refused(database: Database, kim: str) -> None:
    give(database, kim, Office.QA)
    with pytest.raises(ConflictError, match="holds the office qa already"):
        give(database, kim, Office.QA)
    with pytest.raises(UsageError, match="--group"):
        give(database, kim, Office.WG_MEMBER)
    with pytest.raises(UsageError, match="--group"):
        give(database, kim, Office.OPERATOR, "clusters")
    with pytest.raises(NotFoundError, match="does not hold the office operator"):
        end(database, kim, Office.OPERATOR)
    with pytest.raises(NotFoundError, match="no account 'lee'"):
        give(database, "lee", Office.QA)
    with database.write() as conn, pytest.raises(UsageError, match="say why"):
        offices.give(conn, kim, Office.OPERATOR, who="boss", reason=" ")


def test_a_refusal_names_the_offices() -> None:
    with pytest.raises(AccessDenied, match="desdm account office kim qa") as caught:
        Caller(login="kim").require(Action.JUDGE)
    assert caught.value.known
    with pytest.raises(AccessDenied, match="log in first") as caught:
        Caller().require(Action.SEE_OPERATIONS)
    assert not caught.value.known
