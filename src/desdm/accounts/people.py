"""Accounts of people: creation, role, password, closing and reopening."""

from __future__ import annotations

import re
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection

from desdm.accounts import store
from desdm.accounts.clock import now
from desdm.accounts.model import Person
from desdm.errors import AccessDenied, ConflictError, NotFoundError, UsageError
from desdm.schema.database import Database
from desdm.schema.states import EventKind, Role
from desdm.schema.store import record_event

__all__ = ["add", "check_password", "disable", "enable", "find", "matches", "set_password", "set_role"]

_LOGIN = re.compile(r"[a-z][a-z0-9_.-]{1,31}")
_MIN_LENGTH = 10

# argon2id with the parameters of RFC 9106's second choice: 64 MiB, 3 passes, 4 lanes.
_HASHER = PasswordHasher(time_cost=3, memory_cost=65536, parallelism=4)


def find(conn: Connection, login: str) -> Person:
    """Return the person of a login; `NotFoundError` if there is none."""
    matching = store.people(conn, login)
    if not matching:
        raise NotFoundError(f"no account {login!r}; desdm account list shows them")
    return matching[0]


def add(
    conn: Connection, login: str, role: Role, *, who: str, name: str = "", email: str = "", reason: str = ""
) -> Person:
    """Create an account without a password.

    Parameters
    ----------
    conn
        Connection to the operations database.
    login
        Login of the account.
    role
        Role; not public.
    who
        Login of the person who does it.
    name, email
        Name and address of the person.
    reason
        Reason, for the event.

    Returns
    -------
    Person
        The new account.

    Raises
    ------
    UsageError
        The login is not 2 to 32 lower-case letters, digits, ``.``, ``-`` or ``_``, or the role is public.
    ConflictError
        The login exists.
    """
    if not _LOGIN.fullmatch(login):
        raise UsageError(
            f"login {login!r}: 2 to 32 of a-z, 0-9, '.', '-', '_', and a letter first (it names tables and jobs)"
        )
    if role is Role.PUBLIC:
        raise UsageError("public is the role without an account; give collaborator, operator or admin")
    if store.people(conn, login):
        raise ConflictError(f"account {login!r} exists; change it with desdm account role or password")
    store.add_person(conn, login=login, name=name, email=email, role=role, created_by=who, created_at=now())
    record_event(
        conn, EventKind.ACCOUNT, who, f"{login}: account made, {role.value}", subject=login, reason=reason
    )
    return find(conn, login)


def set_role(conn: Connection, login: str, role: Role, *, who: str, reason: str = "") -> None:
    """Change a role; tokens keep their scopes, narrowed by the new role at their next use.

    Parameters
    ----------
    conn
        Connection to the operations database.
    login
        Login of the account.
    role
        New role; not public.
    who
        Login of the person who does it.
    reason
        Reason, for the event.

    Raises
    ------
    UsageError
        The role is public.
    NotFoundError
        There is no such account.
    """
    if role is Role.PUBLIC:
        raise UsageError("public is the role without an account; to close this one: desdm account disable")
    before = find(conn, login).role
    store.change_person(conn, login, role=role.value)
    text = f"{login}: role {role.value}, was {before.value}"
    record_event(conn, EventKind.ACCOUNT, who, text, subject=login, reason=reason)


def set_password(conn: Connection, login: str, password: str, *, who: str, reason: str = "") -> None:
    """Set a password, stored as its argon2id hash, and end all browser sessions.

    Parameters
    ----------
    conn
        Connection to the operations database.
    login
        Login of the account.
    password
        New password.
    who
        Login of the person who does it.
    reason
        Reason, for the event.

    Raises
    ------
    UsageError
        The password is too short, or equals the login.
    NotFoundError
        There is no such account.
    """
    find(conn, login)
    if len(password) < _MIN_LENGTH:
        raise UsageError(f"a password has at least {_MIN_LENGTH} characters")
    if password.lower() == login.lower():
        raise UsageError("the password is the login; take another")
    store.change_person(conn, login, password_hash=_HASHER.hash(password))
    store.end_sessions(conn, login)
    record_event(conn, EventKind.ACCOUNT, who, f"{login}: password set", subject=login, reason=reason)


def disable(conn: Connection, login: str, *, who: str, reason: str = "") -> None:
    """Close an account: revoke its tokens and end its sessions; its data stay.

    Parameters
    ----------
    conn
        Connection to the operations database.
    login
        Login of the account.
    who
        Login of the person who does it.
    reason
        Reason, for the event.

    Raises
    ------
    NotFoundError
        There is no such account.
    """
    find(conn, login)
    store.change_person(conn, login, disabled_at=now())
    count = store.revoke_tokens(conn, login, now())
    store.end_sessions(conn, login)
    text = f"{login}: account closed, {count} tokens revoked, sessions ended"
    record_event(conn, EventKind.ACCOUNT, who, text, subject=login, reason=reason)


def enable(conn: Connection, login: str, *, who: str, reason: str = "") -> None:
    """Reopen a closed account; its old tokens stay revoked.

    Parameters
    ----------
    conn
        Connection to the operations database.
    login
        Login of the account.
    who
        Login of the person who does it.
    reason
        Reason, for the event.

    Raises
    ------
    NotFoundError
        There is no such account.
    """
    find(conn, login)
    store.change_person(conn, login, disabled_at=None)
    record_event(conn, EventKind.ACCOUNT, who, f"{login}: account opened again", subject=login, reason=reason)


@cache
def _dummy_hash() -> str:
    """Return a hash for unknown logins, so that they take as long."""
    return _HASHER.hash("nobody has this password")


def matches(stored: str | None, password: str) -> bool:
    """Whether a password matches a hash; None (no such login) takes as long; slow by design, so use no connection."""
    try:
        _HASHER.verify(stored or _dummy_hash(), password)
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


def check_password(database: Database, login: str, password: str) -> Person:
    """Return the person of a login and password; uses no connection while the password is hashed.

    Parameters
    ----------
    database
        Operations database.
    login, password
        Credentials as the client sent them.

    Returns
    -------
    Person
        The person, as of before the hash.

    Raises
    ------
    AccessDenied
        Login and password do not match; the message does not tell whether the login exists, and takes as long.
    """
    with database.read() as conn:
        stored = store.password_hash(conn, login)
        person = next(iter(store.people(conn, login)), None)
    valid = matches(stored, password)
    if not valid or person is None or person.disabled_at is not None:
        raise AccessDenied("login and password do not belong together", known=False)
    # As of before the hash, so that a change of the password meanwhile ends the new session.
    return person
