"""People: an account is made, given a role and a password, closed and opened again."""

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
_SHORTEST = 10

# argon2id with the parameters of RFC 9106's second choice: 64 MiB, 3 passes, 4 lanes.
_HASHER = PasswordHasher(time_cost=3, memory_cost=65536, parallelism=4)


def find(conn: Connection, login: str) -> Person:
    """The person of a login; `NotFoundError` if there is none."""
    found = store.people(conn, login)
    if not found:
        raise NotFoundError(f"no account {login!r}; desdm account list shows them")
    return found[0]


def add(
    conn: Connection, login: str, role: Role, *, who: str, name: str = "", email: str = "", reason: str = ""
) -> Person:
    """Make an account, without a password yet.

    Raises
    ------
    UsageError
        The login is not lower-case letters, digits, ``.``, ``-`` or ``_`` from 2 to 32, or the role is public.
    ConflictError
        The login is taken.
    """
    if not _LOGIN.fullmatch(login):
        raise UsageError(
            f"login {login!r}: 2 to 32 of a-z, 0-9, '.', '-', '_', and a letter first (it names tables and jobs)"
        )
    if role is Role.PUBLIC:
        raise UsageError("public is who has no account; give collaborator, operator or admin")
    if store.people(conn, login):
        raise ConflictError(f"account {login!r} exists; change it with desdm account role or password")
    store.add_person(
        conn,
        {
            "login": login,
            "name": name,
            "email": email,
            "role": role.value,
            "created_by": who,
            "created_at": now(),
        },
    )
    record_event(
        conn, EventKind.ACCOUNT, who, f"{login}: account made, {role.value}", subject=login, reason=reason
    )
    return find(conn, login)


def set_role(conn: Connection, login: str, role: Role, *, who: str, reason: str = "") -> None:
    """Change a role; tokens keep their scopes and are narrowed by the new role at their next use."""
    if role is Role.PUBLIC:
        raise UsageError("public is who has no account; to close this one: desdm account disable")
    before = find(conn, login).role
    store.change_person(conn, login, role=role.value)
    told = f"{login}: role {role.value}, was {before.value}"
    record_event(conn, EventKind.ACCOUNT, who, told, subject=login, reason=reason)


def set_password(conn: Connection, login: str, password: str, *, who: str, reason: str = "") -> None:
    """Set a password, as its argon2id hash; the browsers that were logged in by the old one are logged out."""
    find(conn, login)
    if len(password) < _SHORTEST:
        raise UsageError(f"a password has at least {_SHORTEST} characters")
    if password.lower() == login.lower():
        raise UsageError("the password is the login; take another")
    store.change_person(conn, login, password_hash=_HASHER.hash(password))
    store.end_sessions(conn, login)
    record_event(conn, EventKind.ACCOUNT, who, f"{login}: password set", subject=login, reason=reason)


def disable(conn: Connection, login: str, *, who: str, reason: str = "") -> None:
    """Close an account: its tokens are revoked and nobody logs in with it; what it made stays."""
    find(conn, login)
    store.change_person(conn, login, disabled_at=now())
    count = store.revoke_tokens(conn, login, now())
    store.end_sessions(conn, login)
    told = f"{login}: account closed, {count} tokens revoked, sessions ended"
    record_event(conn, EventKind.ACCOUNT, who, told, subject=login, reason=reason)


def enable(conn: Connection, login: str, *, who: str, reason: str = "") -> None:
    """Open a closed account again; its old tokens stay revoked."""
    find(conn, login)
    store.change_person(conn, login, disabled_at=None)
    record_event(conn, EventKind.ACCOUNT, who, f"{login}: account opened again", subject=login, reason=reason)


@cache
def _nobody() -> str:
    return _HASHER.hash("nobody has this password")


def matches(stored: str | None, password: str) -> bool:
    """Whether a password is the one of a hash; None (no such login) takes as long. Slow by design: hold no connection."""
    try:
        _HASHER.verify(stored or _nobody(), password)
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


def check_password(database: Database, login: str, password: str) -> Person:
    """The person whose login and password these are; no connection is held while the password is hashed.

    Raises
    ------
    AccessDenied
        They do not belong together; it is not said whether the login exists, and a wrong login takes as long.
    """
    with database.read() as conn:
        stored = store.password_hash(conn, login)
        person = next(iter(store.people(conn, login)), None)
    right = matches(stored, password)
    if not right or person is None or person.disabled_at is not None:
        raise AccessDenied("login and password do not belong together", known=False)
    # Of the time before the hash: a password that was changed meanwhile ends the session that this one begins.
    return person
