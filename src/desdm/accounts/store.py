"""SQL of accounts: people, tokens, sessions, rights and denials."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Row, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from desdm.accounts.model import Action, Denial, HeldOffice, NewToken, Person, Right, Session, Token
from desdm.schema import access_token, data_right, person, person_office
from desdm.schema.operationstates import Office
from desdm.schema.service import access_denial, browser_session, sent_form, token_use
from desdm.schema.states import Role

__all__ = [
    "add_denial",
    "add_office",
    "add_person",
    "add_right",
    "add_sent_form",
    "add_session",
    "add_token",
    "change_person",
    "denials",
    "drop_denials_before",
    "drop_right",
    "drop_rights_to",
    "drop_sent_form",
    "drop_sent_forms_before",
    "drop_sessions_before",
    "end_office",
    "end_session",
    "end_sessions",
    "keep_denials",
    "last_uses",
    "offices",
    "offices_of",
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


#: A row of any query.
_Row = Row[tuple[object, ...]]


def people(conn: Connection, login: str | None = None) -> list[Person]:
    """Return people in the order of their logins; all, or the one of ``login``."""
    query = select(person).order_by(person.c.login)
    if login is not None:
        query = query.where(person.c.login == login)
    return [_person(row) for row in conn.execute(query)]


def _person(row: _Row) -> Person:
    """Return the record of a row."""
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
    """Return the argon2id hash of a person's password; None without a password or person."""
    stored: str | None = conn.execute(
        select(person.c.password_hash).where(person.c.login == login)
    ).scalar_one_or_none()
    return stored


def add_person(
    conn: Connection, *, login: str, name: str, email: str, role: Role, created_by: str, created_at: datetime
) -> None:
    """Insert a person.

    Parameters
    ----------
    conn
        Connection to the operations database.
    login, name, email, role
        The account.
    created_by, created_at
        Login of the creator, and time of creation, UTC.
    """
    conn.execute(
        insert(person).values(
            login=login, name=name, email=email, role=role.value, created_by=created_by, created_at=created_at
        )
    )


def change_person(conn: Connection, login: str, **values: object) -> bool:
    """Change columns of a person; return whether there is one."""
    return conn.execute(update(person).where(person.c.login == login).values(**values)).rowcount > 0


_TOKEN = select(access_token, person.c.login).join(person, access_token.c.person_id == person.c.id)


def _scopes(text: str) -> frozenset[Action]:
    """Return the scopes of a row; a scope that a later version removed is ignored."""
    return frozenset(Action(s) for s in text.split() if s in tuple(Action))


def _scopes_text(scopes: frozenset[Action]) -> str:
    """Return scopes as the database stores them."""
    return " ".join(sorted(scopes))


def _token(row: _Row) -> Token:
    """Return the record of a row."""
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


def add_token(conn: Connection, person_id: int, digest: str, token: NewToken) -> None:
    """Insert a token.

    Parameters
    ----------
    conn
        Connection to the operations database.
    person_id
        Number of its owner.
    digest
        sha-256 of the secret.
    token
        The token.
    """
    conn.execute(
        insert(access_token).values(
            person_id=person_id,
            kind="api",
            name=token.name,
            digest=digest,
            scopes=_scopes_text(token.scopes),
            created_at=token.created_at,
            expires_at=token.expires_at,
        )
    )


def token_by_digest(conn: Connection, digest: str) -> tuple[Token, Person] | None:
    """Return the token of a sha-256 and its owner."""
    row = conn.execute(_TOKEN.where(access_token.c.digest == digest)).one_or_none()
    if row is None:
        return None
    token = _token(row)
    return token, people(conn, token.login)[0]


def tokens(conn: Connection, login: str | None = None) -> list[Token]:
    """Return tokens, newest last; all, or those of a person."""
    query = _TOKEN.order_by(access_token.c.id)
    if login is not None:
        query = query.where(person.c.login == login)
    return [_token(row) for row in conn.execute(query)]


def end_sessions(conn: Connection, login: str) -> None:
    """End all sessions of a person by increasing its generation."""
    generation = func.coalesce(person.c.session_generation, 0) + 1
    conn.execute(update(person).where(person.c.login == login).values(session_generation=generation))


def add_session(
    state: Connection, digest: str, session: Session, *, browser: str, created_at: datetime
) -> None:
    """Insert a session.

    Parameters
    ----------
    state
        Connection to the service database.
    digest
        sha-256 of the cookie's token.
    session
        The session.
    browser
        Name of the browser.
    created_at
        Time of the login, UTC.
    """
    state.execute(
        insert(browser_session).values(
            digest=digest,
            login=session.login,
            generation=session.generation,
            name=browser,
            scopes=_scopes_text(session.scopes),
            created_at=created_at,
            expires_at=session.expires_at,
        )
    )


def session_by_digest(state: Connection, digest: str) -> Session | None:
    """Return the session of a sha-256 from the service database."""
    row = state.execute(select(browser_session).where(browser_session.c.digest == digest)).one_or_none()
    if row is None:
        return None
    return Session(row.login, row.generation, _scopes(row.scopes), row.expires_at, row.ended_at)


def end_session(state: Connection, digest: str, at: datetime) -> None:
    """End one session.

    Parameters
    ----------
    state
        Connection to the service database.
    digest
        sha-256 of its token.
    at
        Time, UTC.
    """
    query = update(browser_session).where(
        browser_session.c.digest == digest, browser_session.c.ended_at.is_(None)
    )
    state.execute(query.values(ended_at=at))


def drop_sessions_before(state: Connection, before: datetime) -> int:
    """Delete sessions that expired before a time; return their number."""
    return state.execute(delete(browser_session).where(browser_session.c.expires_at < before)).rowcount


def add_sent_form(state: Connection, digest: str, at: datetime) -> bool:
    """Remember a form that was sent; return False if it is known.

    Parameters
    ----------
    state
        Connection to the service database.
    digest
        sha-256 of the form.
    at
        Time, UTC.
    """
    dialect = sqlite if state.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(sent_form).values(digest=digest, sent_at=at).on_conflict_do_nothing()
    return state.execute(statement.returning(sent_form.c.digest)).first() is not None


def drop_sent_form(state: Connection, digest: str) -> None:
    """Forget a form that was sent."""
    state.execute(delete(sent_form).where(sent_form.c.digest == digest))


def drop_sent_forms_before(state: Connection, before: datetime) -> None:
    """Forget the forms that were sent before a time."""
    state.execute(delete(sent_form).where(sent_form.c.sent_at < before))


def revoke_tokens(conn: Connection, login: str, at: datetime, number: int | None = None) -> int:
    """Revoke the valid tokens of a person.

    Parameters
    ----------
    conn
        Connection to the operations database.
    login
        Login of the account.
    at
        Time, UTC.
    number
        Only this token; None: all.

    Returns
    -------
    int
        Number of revoked tokens.
    """
    person_id = select(person.c.id).where(person.c.login == login).scalar_subquery()
    query = update(access_token).where(
        access_token.c.person_id == person_id, access_token.c.revoked_at.is_(None)
    )
    if number is not None:
        query = query.where(access_token.c.id == number)
    return conn.execute(query.values(revoked_at=at)).rowcount


def touch(conn: Connection, number: int, at: datetime) -> None:
    """Record the last use of a token.

    Parameters
    ----------
    conn
        Connection to the service database.
    number
        Number of the token.
    at
        Time, UTC.
    """
    result = conn.execute(update(token_use).where(token_use.c.token_id == number).values(last_used_at=at))
    if not result.rowcount:
        conn.execute(insert(token_use).values(token_id=number, last_used_at=at))


def last_uses(conn: Connection) -> dict[int, datetime]:
    """Return the last use of tokens by their number, from the service database."""
    return {row.token_id: row.last_used_at for row in conn.execute(select(token_use))}


def drop_denials_before(conn: Connection, before: datetime) -> int:
    """Delete denials that are older than a time; return their number."""
    return conn.execute(delete(access_denial).where(access_denial.c.at < before)).rowcount


def keep_denials(conn: Connection, most: int) -> int:
    """Delete the oldest denials beyond a number; return how many."""
    last = conn.execute(
        select(access_denial.c.id).order_by(access_denial.c.id.desc()).offset(most).limit(1)
    ).scalar()
    if last is None:
        return 0
    return conn.execute(delete(access_denial).where(access_denial.c.id <= last)).rowcount


def rights(conn: Connection) -> list[Right]:
    """Return all rights, in the order of granting."""
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
    """Return the rights of a person.

    Parameters
    ----------
    conn
        Connection to the operations database.
    login
        Login; empty: anonymous.
    roles
        Roles of the person.

    Returns
    -------
    frozenset
        (release, table or ``*``) that the person may see.
    """
    query = select(data_right.c.release_name, data_right.c.table_name).where(
        or_(
            (data_right.c.grantee_kind == "role") & data_right.c.grantee.in_([r.value for r in roles]),
            (data_right.c.grantee_kind == "person") & (data_right.c.grantee == login),
        )
    )
    return frozenset((row.release_name, row.table_name) for row in conn.execute(query))


def add_right(conn: Connection, right: Right) -> None:
    """Insert a right."""
    conn.execute(
        insert(data_right).values(
            grantee_kind=right.grantee_kind,
            grantee=right.grantee,
            release_name=right.release,
            table_name=right.table,
            granted_by=right.granted_by,
            granted_at=right.granted_at,
        )
    )


def drop_right(conn: Connection, grantee_kind: str, grantee: str, release: str, table: str) -> bool:
    """Delete a right.

    Parameters
    ----------
    conn
        Connection to the operations database.
    grantee_kind, grantee
        ``role`` or ``person``, and its name.
    release, table
        Subject of the right.

    Returns
    -------
    bool
        False if there was none.
    """
    query = delete(data_right).where(
        data_right.c.grantee_kind == grantee_kind,
        data_right.c.grantee == grantee,
        data_right.c.release_name == release,
        data_right.c.table_name == table,
    )
    return conn.execute(query).rowcount > 0


def drop_rights_to(conn: Connection, release: str) -> int:
    """Delete all rights to a release, and return how many there were."""
    return conn.execute(delete(data_right).where(data_right.c.release_name == release)).rowcount


def add_denial(conn: Connection, denial: Denial) -> None:
    """Insert a denial."""
    conn.execute(insert(access_denial).values(**{name: getattr(denial, name) for name in denial.__slots__}))


def denials(conn: Connection, count: int = 100, login: str | None = None) -> list[Denial]:
    """Return the last denials, newest first.

    Parameters
    ----------
    conn
        Connection to the service database.
    count
        Largest number.
    login
        Only those of this login; None: all.

    Returns
    -------
    list of Denial
        The denials.
    """
    query = select(access_denial).order_by(access_denial.c.id.desc()).limit(count)
    if login is not None:
        query = query.where(access_denial.c.login == login)
    names = Denial.__slots__
    return [Denial(**{name: getattr(row, name) for name in names}) for row in conn.execute(query)]


def offices(conn: Connection, login: str | None = None) -> list[HeldOffice]:
    """Return who holds or held which office, in the order of logins and times; of all, or of one login."""
    o = person_office.c
    query = (
        select(person.c.login, o.office, o.working_group, o.who, o.since, o.until)
        .join(person, person.c.id == o.person_id)
        .order_by(person.c.login, o.since, o.id)
    )
    if login is not None:
        query = query.where(person.c.login == login)
    return [
        HeldOffice(row.login, Office(row.office), row.working_group, row.who, row.since, row.until)
        for row in conn.execute(query)
    ]


def offices_of(conn: Connection, login: str, at: datetime) -> list[HeldOffice]:
    """Return the offices that a person holds at a time, UTC."""
    return [one for one in offices(conn, login) if one.since <= at and (one.until is None or one.until > at)]


def add_office(conn: Connection, person_id: int, held: HeldOffice) -> None:
    """Add an office that a person holds from now on."""
    values = {
        "person_id": person_id,
        "office": held.office.value,
        "working_group": held.working_group,
        "who": held.who,
        "since": held.since,
        "until": held.until,
    }
    conn.execute(insert(person_office).values(values))


def end_office(conn: Connection, person_id: int, office: Office, working_group: str, at: datetime) -> int:
    """End an office of a person; return how many rows held it.

    Parameters
    ----------
    conn
        Connection to the operations database.
    person_id
        Number of the person.
    office, working_group
        The office, and of a member the working group.
    at
        Time, UTC.
    """
    o = person_office.c
    query = update(person_office).where(
        o.person_id == person_id,
        o.office == office.value,
        o.working_group == working_group,
        or_(o.until.is_(None), o.until > at),
    )
    return conn.execute(query.values(until=at)).rowcount
