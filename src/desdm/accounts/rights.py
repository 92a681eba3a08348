"""Data rights: roles and people who may see a proprietary release, or one table of it."""

from __future__ import annotations

from sqlalchemy import Connection

from desdm.accounts import people, store
from desdm.accounts.clock import now
from desdm.accounts.model import Right
from desdm.errors import ConflictError, NotFoundError
from desdm.schema.states import EventKind, Role
from desdm.schema.store import record_event

__all__ = ["grant", "withdraw"]


def _grantee_kind(conn: Connection, grantee: str) -> str:
    """Return whether a grantee is a role or a person; `NotFoundError` for an unknown login."""
    if grantee in tuple(Role):
        return "role"
    people.find(conn, grantee)
    return "person"


def grant(
    conn: Connection, grantee: str, release: str, table: str = "*", *, who: str, reason: str = ""
) -> None:
    """Grant a role or a person the right to see a table of a release.

    Parameters
    ----------
    conn
        Connection to the operations database.
    grantee
        Role or login.
    release, table
        Release, and table; ``*``: all tables and files.
    who
        Login of the person who does it.
    reason
        Reason, for the event.

    Raises
    ------
    NotFoundError
        There is no such role or login.
    ConflictError
        The right exists already.
    """
    kind = _grantee_kind(conn, grantee)
    if any(
        (r.grantee_kind, r.grantee, r.release, r.table) == (kind, grantee, release, table)
        for r in store.rights(conn)
    ):
        raise ConflictError(f"{grantee} may see {release}.{table} already")
    store.add_right(conn, Right(kind, grantee, release, table, granted_by=who, granted_at=now()))
    text = f"{grantee}: may see {release}.{table}"
    record_event(conn, EventKind.ACCOUNT, who, text, subject=grantee, reason=reason)


def withdraw(
    conn: Connection, grantee: str, release: str, table: str = "*", *, who: str, reason: str = ""
) -> None:
    """Withdraw a right.

    Parameters
    ----------
    conn
        Connection to the operations database.
    grantee
        Role or login.
    release, table
        Release, and table; ``*``: all tables and files.
    who
        Login of the person who does it.
    reason
        Reason, for the event.

    Raises
    ------
    NotFoundError
        The right was never granted.
    """
    kind = _grantee_kind(conn, grantee)
    if not store.drop_right(conn, kind, grantee, release, table):
        raise NotFoundError(f"{grantee} has no right of its own on {release}.{table}; desdm account rights")
    text = f"{grantee}: right to see {release}.{table} withdrawn"
    record_event(conn, EventKind.ACCOUNT, who, text, subject=grantee, reason=reason)
