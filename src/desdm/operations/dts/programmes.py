"""Proposals and the programmes that they belong to: by them deliveries are routed."""

from __future__ import annotations

from datetime import datetime

from desdm.errors import UsageError
from desdm.operations.dts import store
from desdm.operations.dts.model import Programme
from desdm.schema.database import Database
from desdm.schema.states import EventKind
from desdm.schema.store import record_event, require_reason

__all__ = ["programmes", "set_programme"]

#: Lengths of the columns.
_NAME, _PROJECT = 32, 16


def set_programme(database: Database, programme: Programme, *, reason: str, now: datetime) -> None:
    """Enter a proposal, in the place of an earlier entry of it.

    From the first entry on, exposures of proposals that are not entered are quarantined.

    Parameters
    ----------
    database
        Database of the installation.
    programme
        The proposal; ``who`` is the author, ``since`` is replaced by ``now``.
    reason
        Why.
    now
        Current time, UTC.

    Raises
    ------
    UsageError
        A name is empty or too long, or there is no reason.
    """
    require_reason(reason)
    for what, text, most in (
        ("proposal", programme.propid, _NAME),
        ("programme", programme.programme, _NAME),
        ("project", programme.project, _PROJECT),
    ):
        if not text.strip() or len(text) > most:
            raise UsageError(f"{what} {text!r}: a name has 1 to {most} characters")
    entry = Programme(
        programme.propid.strip(),
        programme.programme.strip(),
        programme.project.strip(),
        programme.accept,
        programme.who,
        now,
    )
    with database.write() as conn:
        store.put_programme(conn, entry)
        taken = "taken" if entry.accept else "not taken"
        text = f"proposal {entry.propid} is of programme {entry.programme}, project {entry.project}: exposures are {taken}"
        record_event(conn, EventKind.DELIVERY, entry.who, text, subject=entry.propid, reason=reason)


def programmes(database: Database) -> list[Programme]:
    """Return all proposals with their programmes, by proposal."""
    with database.read() as conn:
        return store.programmes(conn)
