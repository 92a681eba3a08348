"""Tokens of programs: creation, authentication, revocation; only their sha-256 is stored."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import Connection

from desdm.accounts import people, store
from desdm.accounts.clock import now
from desdm.accounts.model import MATRIX, OFFICES, Action, Caller, NewToken, Person, Token
from desdm.errors import AccessDenied, NotFoundError, UsageError
from desdm.schema.operationstates import Office
from desdm.schema.states import EventKind, Role
from desdm.schema.store import record_event

__all__ = [
    "WITHHELD",
    "actions_of",
    "authenticate",
    "caller_of",
    "digest",
    "make",
    "public",
    "revoke",
    "roles_of",
]

#: Actions that a token allows only on request: creating tokens and managing people.
WITHHELD = frozenset((Action.TOKEN, Action.PEOPLE))

_LONGEST = timedelta(days=366)


def actions_of(role: Role, offices: Collection[Office] = ()) -> frozenset[Action]:
    """Return the actions that a role and offices allow."""
    own = frozenset(action for action, roles in MATRIX.items() if role in roles)
    return own.union(*(OFFICES[office] for office in offices))


def roles_of(role: Role) -> tuple[Role, ...]:
    """Return a role and those before it, whose rights it has too."""
    order = tuple(Role)
    return order[: order.index(role) + 1]


def digest(secret: str) -> str:
    """Return the sha-256 of a token, as the database stores it."""
    return hashlib.sha256(secret.encode()).hexdigest()


def make(
    conn: Connection,
    person: Person,
    *,
    name: str = "",
    scopes: Collection[Action] | None = None,
    lasts: timedelta = timedelta(days=90),
    who: str = "",
) -> str:
    """Create a token and return its secret, which is not stored.

    Parameters
    ----------
    conn
        Connection to the operations database.
    person
        Owner.
    name
        Name, for lists.
    scopes
        Actions that it allows; None: all of role and offices but those `WITHHELD`.
    lasts
        Life time, at most a year.
    who
        Login of the creator; empty: the owner.

    Raises
    ------
    UsageError
        A scope exceeds role and offices, or the life time is not between 0 and 366 days.
    """
    held = store.offices_of(conn, person.login, now())
    may = actions_of(person.role, {one.office for one in held})
    granted = frozenset(scopes) if scopes is not None else may - WITHHELD
    if granted - may:
        who_may_not = ", ".join([person.role.value, *sorted({one.office.value for one in held})])
        raise UsageError(f"{who_may_not} may not: {', '.join(sorted(granted - may))}")
    if not granted:
        raise UsageError("a token without scopes allows nothing")
    if not timedelta(0) < lasts <= _LONGEST:
        raise UsageError("a token lasts more than nothing and at most 366 days")
    secret = f"desdm_t_{secrets.token_urlsafe(32)}"
    at = now()
    store.add_token(conn, person.id, digest(secret), NewToken(name, granted, at, at + lasts))
    text = f"{person.login}: token made, until {at + lasts:%Y-%m-%d}, for {' '.join(sorted(granted))}"
    record_event(conn, EventKind.ACCOUNT, who or person.login, text, subject=person.login, reason=name)
    return secret


def revoke(conn: Connection, login: str, number: int | None = None, *, who: str, reason: str = "") -> int:
    """Revoke a token of a person, or all tokens and sessions.

    Parameters
    ----------
    conn
        Connection to the operations database.
    login
        Login of the account.
    number
        Number of the token; None: all.
    who
        Login of the person who does it.
    reason
        Reason, for the event.

    Returns
    -------
    int
        Number of revoked tokens.

    Raises
    ------
    NotFoundError
        There is no such account, or no such valid token.
    """
    people.find(conn, login)
    count = store.revoke_tokens(conn, login, now(), number)
    if number is not None and not count:
        raise NotFoundError(f"{login} has no token {number} that stands; desdm account tokens {login}")
    if number is None:
        store.end_sessions(conn, login)
    subject = f"token {number}" if number is not None else f"all tokens, {count}, and sessions"
    record_event(conn, EventKind.ACCOUNT, who, f"{login}: {subject} revoked", subject=login, reason=reason)
    return count


def public(conn: Connection, address: str = "") -> Caller:
    """Return the anonymous caller."""
    return Caller(
        actions=actions_of(Role.PUBLIC), rights=store.rights_of(conn, "", (Role.PUBLIC,)), address=address
    )


def authenticate(
    conn: Connection, secret: str, *, login: str | None = None, address: str = ""
) -> tuple[Caller, Token]:
    """Return the caller of a program's token.

    Parameters
    ----------
    conn
        Connection to the operations database.
    secret
        The token.
    login
        Login of HTTP Basic, which must be the owner's; None without one.
    address
        Address of the client.

    Raises
    ------
    AccessDenied
        The token is unknown, expired or revoked, or its account is closed.
    """
    match = store.token_by_digest(conn, digest(secret))
    if match is None or (login is not None and match[1].login != login):
        raise AccessDenied("this token is not known here; make one on the account page", known=False)
    token, person = match
    if token.revoked_at is not None or person.disabled_at is not None:
        raise AccessDenied("this token was revoked", known=False)
    if token.expires_at <= now():
        raise AccessDenied("this token has expired; make another", known=False)
    return caller_of(conn, person, token.scopes, address), token


def caller_of(conn: Connection, person: Person, scopes: frozenset[Action], address: str) -> Caller:
    """Return the caller for a person: current actions of the role, narrowed by scopes.

    Parameters
    ----------
    conn
        Connection to the operations database, for the data rights.
    person, scopes
        Person, and scopes of the token or session.
    address
        Address of the client.
    """
    held = store.offices_of(conn, person.login, now())
    return Caller(
        login=person.login,
        role=person.role,
        actions=actions_of(person.role, {one.office for one in held}) & scopes,
        rights=store.rights_of(conn, person.login, roles_of(person.role)),
        address=address,
        groups=frozenset(one.working_group for one in held if one.working_group),
    )
