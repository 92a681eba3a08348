"""SQL of accounts: people, tokens, rights and denials, records in and out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, or_, select, update

from desdm.accounts.model import Action, Denial, Person, Right, Session, Token
from desdm.schema import access_token, data_right, person
from desdm.schema.service import access_denial, browser_session, token_use
from desdm.schema.states import Role

__all__ = [
    "add_denial",
    "add_person",
    "add_right",
    "add_session",
    "add_token",
    "change_person",
    "denials",
    "drop_denials_before",
    "drop_right",
    "drop_sessions_before",
    "end_session",
    "end_sessions",
    "keep_denials",
    "last_uses",
    "password_hash",
    "people",
    "revoke_tokens",
    "rights",
    "rights_of",
    "session_by_digest",
    "token_by_digest",
    "tokens",
    "touch",
]


def people(conn: Connection, login: str | None = None) -> list[Person]:
    """People in the order of their logins; all, or the one of ``login``."""
    query = select(person).order_by(person.c.login)
    if login is not None:
        query = query.where(person.c.login == login)
    return [_person(row) for row in conn.execute(query)]


def _person(row: Row[Any]) -> Person:
    return Person(
        id=row.id,
        login=row.login,
        name=row.name,
        email=row.email,
        role=Role(row.role),
        has_password=row.password_hash is not None,
        disabled_at=row.disabled_at,
        created_by=row.created_by,
        created_at=row.created_at,
        session_generation=row.session_generation or 0,
    )


def password_hash(conn: Connection, login: str) -> str | None:
    """The argon2id hash of a person's password; None also where there is no such person."""
    found: str | None = conn.execute(
        select(person.c.password_hash).where(person.c.login == login)
    ).scalar_one_or_none()
    return found


def add_person(conn: Connection, values: dict[str, Any]) -> None:
    """Insert a person."""
    conn.execute(insert(person).values(**values))


def change_person(conn: Connection, login: str, **values: Any) -> bool:
    """Change columns of a person; whether there is one."""
    return conn.execute(update(person).where(person.c.login == login).values(**values)).rowcount > 0


_TOKEN = select(access_token, person.c.login).join(person, access_token.c.person_id == person.c.id)


def _scopes(text: str) -> frozenset[Action]:
    """The scopes of a row; one that a later version took away allows nothing."""
    return frozenset(Action(s) for s in text.split() if s in tuple(Action))


def _token(row: Row[Any]) -> Token:
    return Token(
        id=row.id,
        login=row.login,
        kind=row.kind,
        name=row.name,
        scopes=_scopes(row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )


def add_token(conn: Connection, values: dict[str, Any]) -> None:
    """Insert a token."""
    conn.execute(insert(access_token).values(**values))


def token_by_digest(conn: Connection, digest: str) -> tuple[Token, Person] | None:
    """The token of a sha-256, and whose it is."""
    row = conn.execute(_TOKEN.where(access_token.c.digest == digest)).one_or_none()
    if row is None:
        return None
    token = _token(row)
    return token, people(conn, token.login)[0]


def tokens(conn: Connection, login: str | None = None) -> list[Token]:
    """Tokens, newest last; all, or those of a person."""
    query = _TOKEN.order_by(access_token.c.id)
    if login is not None:
        query = query.where(person.c.login == login)
    return [_token(row) for row in conn.execute(query)]


def end_sessions(conn: Connection, login: str) -> None:
    """End all sessions of a person: those that began before are of an earlier generation from now on."""
    generation = func.coalesce(person.c.session_generation, 0) + 1
    conn.execute(update(person).where(person.c.login == login).values(session_generation=generation))


def add_session(state: Connection, values: dict[str, Any]) -> None:
    """Insert a session into the service's own database."""
    state.execute(insert(browser_session).values(**values))


def session_by_digest(state: Connection, digest: str) -> Session | None:
    """The session of a sha-256, from the service's own database."""
    row = state.execute(select(browser_session).where(browser_session.c.digest == digest)).one_or_none()
    if row is None:
        return None
    return Session(row.login, row.generation, _scopes(row.scopes), row.expires_at, row.ended_at)


def end_session(state: Connection, digest: str, at: datetime) -> None:
    """End one session."""
    query = update(browser_session).where(
        browser_session.c.digest == digest, browser_session.c.ended_at.is_(None)
    )
    state.execute(query.values(ended_at=at))


def drop_sessions_before(state: Connection, before: datetime) -> int:
    """Drop sessions that expired before a time; how many."""
    return state.execute(delete(browser_session).where(browser_session.c.expires_at < before)).rowcount


def revoke_tokens(conn: Connection, login: str, at: datetime, number: int | None = None) -> int:
    """Revoke a person's tokens that stand: all, or the one of ``number``; how many."""
    whose = select(person.c.id).where(person.c.login == login).scalar_subquery()
    query = update(access_token).where(access_token.c.person_id == whose, access_token.c.revoked_at.is_(None))
    if number is not None:
        query = query.where(access_token.c.id == number)
    return conn.execute(query.values(revoked_at=at)).rowcount


def touch(conn: Connection, number: int, at: datetime) -> None:
    """Note in the service's own database when a token was last used."""
    changed = conn.execute(update(token_use).where(token_use.c.token_id == number).values(last_used_at=at))
    if not changed.rowcount:
        conn.execute(insert(token_use).values(token_id=number, last_used_at=at))


def last_uses(conn: Connection) -> dict[int, datetime]:
    """When tokens were last used, by their number; of the service's own database."""
    return {row.token_id: row.last_used_at for row in conn.execute(select(token_use))}


def drop_denials_before(conn: Connection, before: datetime) -> int:
    """Drop denials that are older than a time; how many."""
    return conn.execute(delete(access_denial).where(access_denial.c.at < before)).rowcount


def keep_denials(conn: Connection, most: int) -> int:
    """Drop the oldest denials beyond a number; how many."""
    last = conn.execute(
        select(access_denial.c.id).order_by(access_denial.c.id.desc()).offset(most).limit(1)
    ).scalar()
    if last is None:
        return 0
    return conn.execute(delete(access_denial).where(access_denial.c.id <= last)).rowcount


def rights(conn: Connection) -> list[Right]:
    """All rights, in the order in which they were granted."""
    return [
        Right(
            grantee_kind=row.grantee_kind,
            grantee=row.grantee,
            release=row.release_name,
            table=row.table_name,
            granted_by=row.granted_by,
            granted_at=row.granted_at,
        )
        for row in conn.execute(select(data_right).order_by(data_right.c.id))
    ]


def rights_of(conn: Connection, login: str, roles: Sequence[Role]) -> frozenset[tuple[str, str]]:
    """(release, table or ``*``) that a person of these roles may see."""
    query = select(data_right.c.release_name, data_right.c.table_name).where(
        or_(
            (data_right.c.grantee_kind == "role") & data_right.c.grantee.in_([r.value for r in roles]),
            (data_right.c.grantee_kind == "person") & (data_right.c.grantee == login),
        )
    )
    return frozenset((row.release_name, row.table_name) for row in conn.execute(query))


def add_right(conn: Connection, values: dict[str, Any]) -> None:
    """Insert a right."""
    conn.execute(insert(data_right).values(**values))


def drop_right(conn: Connection, grantee_kind: str, grantee: str, release: str, table: str) -> bool:
    """Delete a right; whether there was one."""
    query = delete(data_right).where(
        data_right.c.grantee_kind == grantee_kind,
        data_right.c.grantee == grantee,
        data_right.c.release_name == release,
        data_right.c.table_name == table,
    )
    return conn.execute(query).rowcount > 0


def add_denial(conn: Connection, denial: Denial) -> None:
    """Insert a denial."""
    conn.execute(insert(access_denial).values(**{name: getattr(denial, name) for name in denial.__slots__}))


def denials(conn: Connection, count: int = 100, login: str | None = None) -> list[Denial]:
    """The last denials, newest first."""
    query = select(access_denial).order_by(access_denial.c.id.desc()).limit(count)
    if login is not None:
        query = query.where(access_denial.c.login == login)
    names = Denial.__slots__
    return [Denial(**{name: getattr(row, name) for name in names}) for row in conn.execute(query)]
