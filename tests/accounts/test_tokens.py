"""Tokens: shown once, kept as a digest; what is forged, expired, revoked or of another kind opens nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from desdm.accounts import people, rights, sessions, store, tokens
from desdm.accounts.clock import now
from desdm.accounts.model import MATRIX, OFFICES, Action, Caller, Person
from desdm.errors import AccessDenied, ConflictError, NotFoundError, UsageError
from desdm.schema import access_token
from desdm.schema.database import Database
from desdm.schema.operationstates import Office
from desdm.schema.service import browser_session
from desdm.schema.states import Role

PASSWORD = "correct horse battery"


def made(database: Database, login: str, role: Role) -> Person:
    with database.write() as conn:
        return people.add(conn, login, role, who="boss")


def given(database: Database, login: str, **options: object) -> str:
    with database.write() as conn:
        return tokens.make(conn, people.find(conn, login), **options)  # type: ignore[arg-type]


def who(database: Database, secret: str, login: str | None = None) -> Caller:
    with database.read() as conn:
        return tokens.authenticate(conn, secret, login=login, address="192.0.2.7")[0]


def refused(database: Database, secret: str, login: str | None = None) -> str:
    with pytest.raises(AccessDenied) as caught:
        who(database, secret, login)
    assert not caught.value.known  # HTTP 401
    return str(caught.value)


def test_each_role_may_what_the_matrix_says_and_no_more(database: Database) -> None:
    for role in (Role.COLLABORATOR, Role.OPERATOR, Role.ADMIN):
        made(database, role.value, role)
        caller = who(database, given(database, role.value, scopes=tokens.actions_of(role)))
        for action in Action:
            assert caller.may(action) == (role in MATRIX[action]), (role, action)
        assert caller.address == "192.0.2.7"


def test_the_matrix_is_what_the_survey_agreed() -> None:
    """Said here a second time, by hand: a change of the matrix must be meant."""
    public = {Action.READ, Action.ASYNC, Action.UPLOAD, Action.BATCH}
    collaborator = public | {Action.MYDB, Action.TOKEN}
    operator = collaborator | {Action.SEE_JOBS, Action.SEE_DRAFTS, Action.DENIALS}
    operator |= {Action.SEE_OPERATIONS, Action.OPERATE}
    desk = {Action.JUDGE, Action.POLICY, Action.ANSWER}
    assert tokens.actions_of(Role.PUBLIC) == public
    assert tokens.actions_of(Role.COLLABORATOR) == collaborator
    assert tokens.actions_of(Role.OPERATOR) == operator
    assert tokens.actions_of(Role.ADMIN) == operator | desk | {Action.PEOPLE} == set(Action)
    assert {
        Office.OPERATOR: {Action.SEE_OPERATIONS, Action.OPERATE},
        Office.QA: {Action.SEE_OPERATIONS, Action.JUDGE},
        Office.PROD_SCI: {Action.SEE_OPERATIONS, Action.OPERATE, Action.JUDGE, Action.POLICY},
        Office.WG_MEMBER: {Action.ANSWER},
    } == OFFICES
    assert Caller().actions == public


def test_a_token_allows_no_more_than_its_scopes(sqlite: Database) -> None:
    made(sqlite, "alice", Role.ADMIN)
    assert who(sqlite, given(sqlite, "alice", scopes=[Action.READ])).actions == {Action.READ}
    assert who(sqlite, given(sqlite, "alice")).actions == set(Action) - {Action.TOKEN, Action.PEOPLE}


def test_a_token_cannot_be_made_for_more_than_the_role(sqlite: Database) -> None:
    made(sqlite, "alice", Role.COLLABORATOR)
    with pytest.raises(UsageError, match="collaborator may not: denials"):
        given(sqlite, "alice", scopes=[Action.READ, Action.DENIALS])
    with pytest.raises(UsageError, match="allows nothing"):
        given(sqlite, "alice", scopes=[])
    for days in (0, -1, 367):
        with pytest.raises(UsageError, match="366 days"):
            given(sqlite, "alice", lasts=timedelta(days=days))


def test_who_loses_a_role_loses_it_with_all_tokens_at_once(sqlite: Database) -> None:
    made(sqlite, "alice", Role.ADMIN)
    secret = given(sqlite, "alice", scopes=list(Action))
    with sqlite.write() as conn:
        people.set_role(conn, "alice", Role.COLLABORATOR, who="boss")
    assert who(sqlite, secret).actions == tokens.actions_of(Role.COLLABORATOR)


def test_the_database_keeps_no_token(sqlite: Database) -> None:
    made(sqlite, "alice", Role.COLLABORATOR)
    secret = given(sqlite, "alice")
    with sqlite.read() as conn:
        row = conn.execute(select(access_token)).one()
    assert secret not in " ".join(str(value) for value in row)
    assert row.digest == tokens.digest(secret)
    assert len(secret) > 40


def test_a_forged_token_is_refused(database: Database) -> None:
    made(database, "alice", Role.COLLABORATOR)
    secret = given(database, "alice")
    with database.read() as conn:
        digest = conn.execute(select(access_token.c.digest)).scalar_one()
    last = "B" if secret.endswith("A") else "A"
    for forged in (
        "",
        "x",
        secret[:-1],
        secret[:-1] + last,
        secret + "=",
        secret.upper(),
        digest,
        "' OR 1=1 --",
        "desdm_t_" + "A" * 43,
    ):
        assert "not known" in refused(database, forged)


def test_an_expired_and_a_revoked_token_are_refused_and_say_so(database: Database) -> None:
    made(database, "alice", Role.COLLABORATOR)
    first, second = given(database, "alice"), given(database, "alice")
    with database.write() as conn:
        conn.execute(
            update(access_token).where(access_token.c.digest == tokens.digest(first)).values(expires_at=now())
        )
    assert "expired" in refused(database, first)
    with database.write() as conn:
        assert tokens.revoke(conn, "alice", 2, who="boss") == 1
    assert "revoked" in refused(database, second)
    with database.write() as conn, pytest.raises(NotFoundError, match="no token 2 that stands"):
        tokens.revoke(conn, "alice", 2, who="boss")


def test_nobody_revokes_the_token_of_another(sqlite: Database) -> None:
    made(sqlite, "alice", Role.COLLABORATOR)
    made(sqlite, "bob", Role.COLLABORATOR)
    secret = given(sqlite, "alice")
    with sqlite.write() as conn, pytest.raises(NotFoundError):
        tokens.revoke(conn, "bob", 1, who="boss")
    assert who(sqlite, secret).login == "alice"


def test_a_closed_account_takes_its_tokens_along_for_good(database: Database) -> None:
    made(database, "alice", Role.COLLABORATOR)
    secret = given(database, "alice")
    with database.write() as conn:
        people.disable(conn, "alice", who="boss")
    assert "revoked" in refused(database, secret)
    with database.write() as conn:
        people.enable(conn, "alice", who="boss")
    assert "revoked" in refused(database, secret)


def test_the_login_said_beside_a_token_must_be_its_own(sqlite: Database) -> None:
    made(sqlite, "alice", Role.COLLABORATOR)
    made(sqlite, "bob", Role.COLLABORATOR)
    secret = given(sqlite, "alice")
    assert who(sqlite, secret, login="alice").login == "alice"
    assert "not known" in refused(sqlite, secret, login="bob")


def test_a_session_is_no_token_and_a_token_no_session(sqlite: Database, state: Database) -> None:
    made(sqlite, "alice", Role.COLLABORATOR)
    with sqlite.write() as conn:
        people.set_password(conn, "alice", PASSWORD, who="boss")
    session, program = sessions.begin(sqlite, state, "alice", PASSWORD, "a browser"), given(sqlite, "alice")
    assert sessions.authenticate(sqlite, state, session, "192.0.2.7").address == "192.0.2.7"
    assert "not known" in refused(sqlite, session)
    with pytest.raises(AccessDenied, match="not known") as caught:
        sessions.authenticate(sqlite, state, program)
    assert not caught.value.known


def test_a_session_expires(sqlite: Database, state: Database) -> None:
    made(sqlite, "alice", Role.COLLABORATOR)
    with sqlite.write() as conn:
        people.set_password(conn, "alice", PASSWORD, who="boss")
    session = sessions.begin(sqlite, state, "alice", PASSWORD)
    with state.write() as conn:
        conn.execute(update(browser_session).values(expires_at=now()))
    with pytest.raises(AccessDenied, match="expired"):
        sessions.authenticate(sqlite, state, session)
    with state.write() as conn:
        assert store.drop_sessions_before(conn, now() + timedelta(seconds=1)) == 1


def test_a_session_replayed_after_logout_is_refused(sqlite: Database, state: Database) -> None:
    made(sqlite, "alice", Role.COLLABORATOR)
    with sqlite.write() as conn:
        people.set_password(conn, "alice", PASSWORD, who="boss")
    first, second = (sessions.begin(sqlite, state, "alice", PASSWORD) for _ in range(2))
    assert first != second
    sessions.end(state, first)
    with pytest.raises(AccessDenied, match="ended"):
        sessions.authenticate(sqlite, state, first)
    assert sessions.authenticate(sqlite, state, second).login == "alice"


def test_a_form_belongs_to_one_session() -> None:
    sessions.check_form("session one", sessions.form_token("session one"))
    for sent in (sessions.form_token("session two"), "", "session one", "ä"):
        with pytest.raises(AccessDenied, match="not of this session") as caught:
            sessions.check_form("session one", sent)
        assert caught.value.known  # HTTP 403: who it is, is known


def test_rights_come_from_the_person_and_from_the_roles_up_to_the_own(database: Database) -> None:
    made(database, "alice", Role.COLLABORATOR)
    made(database, "olga", Role.OPERATOR)
    with database.write() as conn:
        rights.grant(conn, "alice", "Y6", "objects", who="boss")
        rights.grant(conn, "collaborator", "Y5", who="boss")
        rights.grant(conn, "operator", "Y7", who="boss")
        rights.grant(conn, "public", "Y1", who="boss")
        with pytest.raises(ConflictError, match="already"):
            rights.grant(conn, "alice", "Y6", "objects", who="boss")
        with pytest.raises(NotFoundError):
            rights.grant(conn, "bob", "Y6", who="boss")
        assert tokens.public(conn).rights == {("Y1", "*")}
    alice, olga = given(database, "alice"), given(database, "olga")
    assert who(database, alice).rights == {("Y6", "objects"), ("Y5", "*"), ("Y1", "*")}
    assert who(database, olga).rights == {("Y5", "*"), ("Y7", "*"), ("Y1", "*")}
    with database.write() as conn:
        rights.withdraw(conn, "alice", "Y6", "objects", who="boss")
        with pytest.raises(NotFoundError, match="no right of its own"):
            rights.withdraw(conn, "alice", "Y6", "objects", who="boss")
    assert who(database, alice).rights == {("Y5", "*"), ("Y1", "*")}


def test_a_scope_that_a_later_version_does_not_know_allows_nothing(sqlite: Database) -> None:
    made(sqlite, "alice", Role.ADMIN)
    secret = given(sqlite, "alice")
    with sqlite.write() as conn:
        conn.execute(update(access_token).values(scopes="read fly"))
    assert who(sqlite, secret).actions == {Action.READ}
    with sqlite.read() as conn:
        assert [t.scopes for t in store.tokens(conn)] == [{Action.READ}]
