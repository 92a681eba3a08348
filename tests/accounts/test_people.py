"""Accounts: a person is made, logs in, changes, leaves; the database keeps no password."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from desdm.accounts import people, sessions, store, tokens
from desdm.errors import AccessDenied, ConflictError, NotFoundError, UsageError
from desdm.schema import person
from desdm.schema.database import Database
from desdm.schema.states import Role

PASSWORD = "correct horse battery"


@pytest.fixture
def alice(database: Database) -> Database:
    with database.write() as conn:
        people.add(
            conn, "alice", Role.COLLABORATOR, who="boss", name="Alice A.", email="alice@survey.example"
        )
        people.set_password(conn, "alice", PASSWORD, who="boss")
    return database


def test_a_person_is_found_as_made(alice: Database) -> None:
    with alice.read() as conn:
        found = people.find(conn, "alice")
    assert (found.login, found.name, found.email, found.role) == (
        "alice",
        "Alice A.",
        "alice@survey.example",
        Role.COLLABORATOR,
    )
    assert found.has_password
    assert found.disabled_at is None
    assert found.created_by == "boss"


def test_the_database_keeps_an_argon2id_hash_and_not_the_password(alice: Database) -> None:
    with alice.read() as conn:
        kept = conn.execute(select(person.c.password_hash)).scalar_one()
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert PASSWORD not in kept


def test_only_the_right_password_is_right(alice: Database) -> None:
    assert people.check_password(alice, "alice", PASSWORD).login == "alice"
    with alice.write() as conn:
        people.add(conn, "robot", Role.COLLABORATOR, who="boss")
    for login, password in [
        ("alice", PASSWORD + " "),
        ("alice", ""),
        ("bob", PASSWORD),
        ("robot", ""),
        ("ALICE", PASSWORD),
    ]:
        with pytest.raises(AccessDenied, match="do not belong together") as caught:
            people.check_password(alice, login, password)
        assert not caught.value.known


def test_a_closed_account_does_not_log_in_until_it_is_opened(alice: Database) -> None:
    with alice.write() as conn:
        people.disable(conn, "alice", who="boss")
    with pytest.raises(AccessDenied):
        people.check_password(alice, "alice", PASSWORD)
    with alice.write() as conn:
        people.enable(conn, "alice", who="boss")
    assert people.check_password(alice, "alice", PASSWORD).login == "alice"


def test_a_new_password_logs_browsers_out_and_leaves_programs_in(alice: Database, state: Database) -> None:
    browser = sessions.begin(alice, state, "alice", PASSWORD)
    assert sessions.authenticate(alice, state, browser).login == "alice"
    with alice.write() as conn:
        program = tokens.make(conn, people.find(conn, "alice"))
        people.set_password(conn, "alice", "another one, longer", who="boss")
    with pytest.raises(AccessDenied, match="ended"):
        sessions.authenticate(alice, state, browser)
    with alice.read() as conn:
        assert tokens.authenticate(conn, program)[0].login == "alice"
    again = sessions.begin(alice, state, "alice", "another one, longer")
    assert sessions.authenticate(alice, state, again).login == "alice"


@pytest.mark.parametrize("deed", ["disable", "revoke"])
def test_what_ends_all_sessions_ends_them_for_good(alice: Database, state: Database, deed: str) -> None:
    browser = sessions.begin(alice, state, "alice", PASSWORD)
    with alice.write() as conn:
        if deed == "disable":
            people.disable(conn, "alice", who="boss")
            people.enable(conn, "alice", who="boss")
        else:
            tokens.revoke(conn, "alice", who="boss")
    with pytest.raises(AccessDenied, match="ended") as caught:
        sessions.authenticate(alice, state, browser)
    assert not caught.value.known


def test_a_password_that_changes_while_it_is_checked_lets_nobody_in(
    alice: Database, state: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = people.matches

    def slow(stored: str | None, password: str) -> bool:
        with alice.write() as conn:
            people.set_password(conn, "alice", "another one, longer", who="boss")
        return right(stored, password)

    monkeypatch.setattr(people, "matches", slow)
    browser = sessions.begin(alice, state, "alice", PASSWORD)
    with pytest.raises(AccessDenied, match="ended"):
        sessions.authenticate(alice, state, browser)


BAD = ("A", "a", "Alice", "1st", "a b", "a/b", "../x", "a" * 33, "", "älice", 'a"b', "mydb;")


def test_a_login_that_could_not_name_a_table_is_refused(sqlite: Database) -> None:
    with sqlite.write() as conn:
        for login in BAD:
            with pytest.raises(UsageError, match="a letter first"):
                people.add(conn, login, Role.COLLABORATOR, who="boss")


def test_what_cannot_be_is_refused_with_a_way_out(alice: Database) -> None:
    with alice.write() as conn:
        with pytest.raises(ConflictError, match="exists"):
            people.add(conn, "alice", Role.ADMIN, who="boss")
        with pytest.raises(UsageError, match="give collaborator"):
            people.add(conn, "anybody", Role.PUBLIC, who="boss")
        with pytest.raises(UsageError, match="desdm account disable"):
            people.set_role(conn, "alice", Role.PUBLIC, who="boss")
        with pytest.raises(NotFoundError, match="desdm account list"):
            people.set_role(conn, "bob", Role.ADMIN, who="boss")
        with pytest.raises(UsageError, match="10 characters"):
            people.set_password(conn, "alice", "short", who="boss")
        assert [p.login for p in store.people(conn)] == ["alice"]
