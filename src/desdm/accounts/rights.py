"""Data rights: who may see a proprietary release, or one table of it, before it is public."""

from __future__ import annotations

from sqlalchemy import Connection

from desdm.accounts import people, store
from desdm.accounts.clock import now
from desdm.errors import ConflictError, NotFoundError
from desdm.schema.states import EventKind, Role
from desdm.schema.store import record_event

__all__ = ["grant", "withdraw"]


def _kind(conn: Connection, grantee: str) -> str:
    if grantee in tuple(Role):
        return "role"
    people.find(conn, grantee)
    return "person"


def grant(
    conn: Connection, grantee: str, release: str, table: str = "*", *, who: str, reason: str = ""
) -> None:
    """Let a role or a person see a table of a release; ``*``: all its tables, and its files.

    Raises
    ------
    NotFoundError
        No such role or login.
    ConflictError
        The right stands already.
    """
    kind = _kind(conn, grantee)
    if any(
        (r.grantee_kind, r.grantee, r.release, r.table) == (kind, grantee, release, table)
        for r in store.rights(conn)
    ):
        raise ConflictError(f"{grantee} may see {release}.{table} already")
    store.add_right(
        conn,
        {
            "grantee_kind": kind,
            "grantee": grantee,
            "release_name": release,
            "table_name": table,
            "granted_by": who,
            "granted_at": now(),
        },
    )
    told = f"{grantee}: may see {release}.{table}"
    record_event(conn, EventKind.ACCOUNT, who, told, subject=grantee, reason=reason)


def withdraw(
    conn: Connection, grantee: str, release: str, table: str = "*", *, who: str, reason: str = ""
) -> None:
    """Take a right back; `NotFoundError` if it was never granted."""
    kind = _kind(conn, grantee)
    if not store.drop_right(conn, kind, grantee, release, table):
        raise NotFoundError(f"{grantee} has no right of its own on {release}.{table}; desdm account rights")
    told = f"{grantee}: right to see {release}.{table} withdrawn"
    record_event(conn, EventKind.ACCOUNT, who, told, subject=grantee, reason=reason)
