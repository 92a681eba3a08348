"""Tags on files and attempts: what belongs together, and what must not be deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from desdm.archive import catalog, store
from desdm.errors import NotFoundError, UsageError
from desdm.schema.states import EventKind
from desdm.schema.store import Act, record_events

__all__ = ["Tag", "list_tags", "tag", "untag"]


class Tag(NamedTuple):
    """A tag, what it stands for, and on how many files and attempts it is."""

    tag: str
    description: str
    files: int
    attempts: int


def tag(
    conn: Connection,
    name: str,
    files: Sequence[str],
    attempts: Sequence[str],
    *,
    who: str,
    description: str = "",
    reason: str = "",
) -> int:
    """Tag files (by full name) and attempts; all or none.

    Parameters
    ----------
    name
        The tag.
    files, attempts
        What gets it.
    who, reason
        Who sets it, and why.
    description
        What the tag stands for; empty: as it is.

    Returns
    -------
    int
        How many were not tagged so before.

    Raises
    ------
    UsageError, NotFoundError
        If the tag's name is not one, or a file or attempt does not exist.
    """
    if not name or len(name) > 32 or not all(c.isalnum() or c in "_.+-" for c in name):
        raise UsageError(f"{name!r} is not a tag: at most 32 letters, digits and _.+-")
    file_ids, attempt_ids = _ids(conn, files, attempts)
    store.define_tag(conn, name, description)
    added = store.add_tags(conn, name, file_ids, attempt_ids, who, reason)
    _record(conn, name, who, len(file_ids), list(zip(attempts, attempt_ids, strict=True)), "tagged", reason)
    return added


def untag(
    conn: Connection, name: str, files: Sequence[str], attempts: Sequence[str], *, who: str, reason: str = ""
) -> int:
    """Remove a tag from files and attempts; return how many had it.

    Parameters
    ----------
    conn
        Connection to the database.
    name
        Name of the tag.
    files
        Full names of files.
    attempts
        Names of runs or numbers of attempts.
    who
        Login of the person, for the events.
    reason
        Why, for the events.
    """
    file_ids, attempt_ids = _ids(conn, files, attempts)
    removed = store.remove_tags(conn, name, file_ids, attempt_ids)
    _record(
        conn, name, who, len(file_ids), list(zip(attempts, attempt_ids, strict=True)), "tag removed", reason
    )
    return removed


def _record(
    conn: Connection,
    name: str,
    who: str,
    files: int,
    attempts: Sequence[tuple[str, int]],
    what: str,
    reason: str,
) -> None:
    """Record one event for each attempt, and one for all the files."""
    acts = [Act(name, f"{name}: {run} {what}", reason, number) for run, number in attempts]
    if files:
        acts.append(Act(name, f"{name}: {files} files {what}", reason))
    record_events(conn, EventKind.TAG, who, acts)


def list_tags(conn: Connection) -> list[Tag]:
    """Every tag."""
    return [Tag(*row) for row in store.tags_with_counts(conn)]


def _ids(conn: Connection, files: Sequence[str], attempts: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return the numbers of files and attempts with these names; an unknown name raises an error."""
    file_ids = []
    for name in files:
        record = catalog.by_name(conn, name)
        if record is None:
            raise NotFoundError(f"no file {name} in the archive; see: desdm files")
        file_ids.append(record.id)
    return file_ids, [catalog.attempt_number(conn, name) for name in attempts]
