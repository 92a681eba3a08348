"""Suspect files: those derived from a damaged file, until its good copy is back or a person decides."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from desdm.archive import catalog, store
from desdm.archive.model import FileRecord
from desdm.archive.store import Suspect
from desdm.errors import NotFoundError
from desdm.schema.states import EventKind
from desdm.schema.store import Act, record_events, require_reason

__all__ = ["AUDIT", "Suspect", "inherit", "lift", "lift_of_cause", "mark_descendants"]

AUDIT = "audit"
"""Author of the marks that an audit makes."""


def mark_descendants(conn: Connection, record: FileRecord, damage: str) -> list[Suspect]:
    """Mark a damaged file and all that was derived from it; the new marks.

    When the bytes changed is not known, so that everything that was ever derived from the file is in doubt.

    Parameters
    ----------
    conn
        Connection to the database.
    record
        The damaged file.
    damage
        What is wrong with it, for the reason of the marks.
    """
    before = {mark.desfile_id for mark in store.suspects_of_causes(conn, [record.id])}
    reached = [record.id, *store.reached(conn, record.id, up=False)]
    fresh = [number for number in reached if number not in before]
    reason = f"an audit found {record.name} {damage}"
    store.add_suspects(conn, [(number, record.id) for number in fresh], AUDIT, reason)
    marks = [m for m in store.suspects_of_causes(conn, [record.id]) if m.desfile_id not in before]
    _record(conn, AUDIT, marks, "is suspect", reason)
    return marks


def lift_of_cause(conn: Connection, causes: Sequence[int], who: str, reason: str) -> list[Suspect]:
    """Lift the marks of which these files are the cause, for their good copies are back.

    Parameters
    ----------
    conn
        Connection to the database.
    causes
        Numbers of the files whose good copies are back.
    who
        Login or program that lifts the marks.
    reason
        Why, for the events.
    """
    marks = store.suspects_of_causes(conn, causes)
    store.drop_suspects(conn, marks)
    _record(conn, who, marks, "is suspect no longer", reason)
    return marks


def lift(conn: Connection, name: str, *, who: str, reason: str) -> list[Suspect]:
    """Lift the marks of a file, and those that it is the cause of: a person has looked at it.

    Parameters
    ----------
    conn
        Connection to the database.
    name
        Full name of the file.
    who
        Login of the person who looked at it.
    reason
        Why the marks are lifted.

    Raises
    ------
    NotFoundError
        There is no such file, or it is not suspect.
    UsageError
        The reason is empty.
    """
    require_reason(reason)
    record = catalog.by_name(conn, name)
    if record is None:
        raise NotFoundError(f"no file {name} in the archive; see: desdm files")
    own = [*store.suspects_of(conn, [record.id]), *store.suspects_of_causes(conn, [record.id])]
    marks = list(dict.fromkeys(own))
    if not marks:
        raise NotFoundError(f"{name} is not suspect; see: desdm files --suspect")
    store.drop_suspects(conn, marks)
    _record(conn, who, marks, "is suspect no longer", reason)
    return marks


def inherit(conn: Connection, parents: Sequence[int]) -> None:
    """Mark what was derived from suspect parents: a new product is as much in doubt as what it was derived from."""
    causes = sorted({mark.cause_id for mark in store.suspects_of(conn, parents)})
    for cause in store.files_by_id(conn, causes):
        before = {mark.desfile_id for mark in store.suspects_of_causes(conn, [cause.id])}
        fresh = [number for number in store.reached(conn, sorted(before), up=False) if number not in before]
        reason = f"it was made from what came of {cause.name}, which an audit found damaged"
        store.add_suspects(conn, [(number, cause.id) for number in fresh], AUDIT, reason)
        marks = [m for m in store.suspects_of(conn, fresh) if m.cause_id == cause.id]
        _record(conn, AUDIT, marks, "is suspect", reason)


def _record(conn: Connection, who: str, marks: Sequence[Suspect], what: str, reason: str) -> None:
    """One event for each mark."""
    acts = [Act(m.filename, f"{m.filename} {what}; cause: {m.cause}", reason) for m in marks]
    record_events(conn, EventKind.MARK, who, acts)
