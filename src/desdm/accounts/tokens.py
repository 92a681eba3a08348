"""Tokens: made and shown once, kept as sha-256, known again at every request, revoked."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import Connection

from desdm.accounts import people, store
from desdm.accounts.clock import now
from desdm.accounts.model import MATRIX, Action, Caller, Person, Token
from desdm.errors import AccessDenied, NotFoundError, UsageError
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

#: What a token allows when nobody says otherwise: not to make further tokens, nor to govern people.
WITHHELD = frozenset((Action.TOKEN, Action.PEOPLE))

_LONGEST = timedelta(days=366)


def actions_of(role: Role) -> frozenset[Action]:
    """What a role may do."""
    return frozenset(action for action, roles in MATRIX.items() if role in roles)


def roles_of(role: Role) -> tuple[Role, ...]:
    """The role and those before it, whose rights it has too."""
    order = tuple(Role)
    return order[: order.index(role) + 1]


def digest(secret: str) -> str:
    """sha-256 of a token, as the database keeps it."""
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
    """Make a token and return it: the only time that it is seen.

    Parameters
    ----------
    scopes
        What it allows; None: all that the role may, but tokens and people.
    lasts
        How long, at most a year.
    who
        Who makes it; empty: the person.

    Raises
    ------
    UsageError
        A scope is more than the role may, or the time is not between nothing and a year.
    """
    may = actions_of(person.role)
    wanted = frozenset(scopes) if scopes is not None else may - WITHHELD
    if wanted - may:
        raise UsageError(f"{person.role.value} may not: {', '.join(sorted(wanted - may))}")
    if not wanted:
        raise UsageError("a token without scopes allows nothing")
    if not timedelta(0) < lasts <= _LONGEST:
        raise UsageError("a token lasts more than nothing and at most 366 days")
    secret = f"desdm_t_{secrets.token_urlsafe(32)}"
    at = now()
    store.add_token(
        conn,
        {
            "person_id": person.id,
            "kind": "api",
            "name": name,
            "digest": digest(secret),
            "scopes": " ".join(sorted(wanted)),
            "created_at": at,
            "expires_at": at + lasts,
        },
    )
    told = f"{person.login}: token made, until {at + lasts:%Y-%m-%d}, for {' '.join(sorted(wanted))}"
    record_event(conn, EventKind.ACCOUNT, who or person.login, told, subject=person.login, reason=name)
    return secret


def revoke(conn: Connection, login: str, number: int | None = None, *, who: str, reason: str = "") -> int:
    """Revoke a person's token, or all of them and end the sessions; how many tokens."""
    people.find(conn, login)
    count = store.revoke_tokens(conn, login, now(), number)
    if number is not None and not count:
        raise NotFoundError(f"{login} has no token {number} that stands; desdm account tokens {login}")
    if number is None:
        store.end_sessions(conn, login)
    what = f"token {number}" if number is not None else f"all tokens, {count}, and sessions"
    record_event(conn, EventKind.ACCOUNT, who, f"{login}: {what} revoked", subject=login, reason=reason)
    return count


def public(conn: Connection, address: str = "") -> Caller:
    """Anybody."""
    return Caller(
        actions=actions_of(Role.PUBLIC), rights=store.rights_of(conn, "", (Role.PUBLIC,)), address=address
    )


def authenticate(
    conn: Connection, secret: str, *, login: str | None = None, address: str = ""
) -> tuple[Caller, Token]:
    """Who acts by a program's token.

    Parameters
    ----------
    login
        Login that was said beside it (HTTP Basic); it must be the token's.

    Raises
    ------
    AccessDenied
        The token is unknown, expired or revoked, or its account is closed.
    """
    found = store.token_by_digest(conn, digest(secret))
    if found is None or (login is not None and found[1].login != login):
        raise AccessDenied("this token is not known here; make one on the account page", known=False)
    token, person = found
    if token.revoked_at is not None or person.disabled_at is not None:
        raise AccessDenied("this token was revoked", known=False)
    if token.expires_at <= now():
        raise AccessDenied("this token has expired; make another", known=False)
    return caller_of(conn, person, token.scopes, address), token


def caller_of(conn: Connection, person: Person, scopes: frozenset[Action], address: str) -> Caller:
    """A person who asks, with what the role allows now and the scopes that were given.

    Parameters
    ----------
    conn
        Of the operations database, for the data rights.
    person, scopes
        Who asks, and what the token or session allows.
    address
        From where.
    """
    return Caller(
        login=person.login,
        role=person.role,
        actions=actions_of(person.role) & scopes,
        rights=store.rights_of(conn, person.login, roles_of(person.role)),
        address=address,
    )
