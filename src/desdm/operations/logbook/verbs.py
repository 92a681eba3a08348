"""Write in the logbook: an entry, or the correction of one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from desdm.errors import NotFoundError, UsageError
from desdm.operations.logbook import store
from desdm.operations.logbook.model import Details, LogEntry, LogFilter
from desdm.schema.operationstates import SubjectKind
from desdm.schema.states import EventKind
from desdm.schema.store import record_event
from desdm.schema.subjects import Subject, parse_subject

__all__ = ["correct_entry", "write_entry"]

#: Characters of an entry.
_LONGEST = 20_000
#: A night has no more hours.
_HOURS = 24.0


def write_entry(
    conn: Connection, text: str, *, who: str, details: Details, subjects: Sequence[Subject] = ()
) -> int:
    """Write an entry, and return its number.

    Parameters
    ----------
    conn
        Connection in a transaction.
    text
        The entry.
    who
        Login of the author.
    details
        Category, night, time lost.
    subjects
        What it is about.

    Raises
    ------
    UsageError
        The text is empty or longer than 20,000 characters, or the time lost is not between 0 and 24 hours.
    """
    if not text.strip():
        raise UsageError("an entry needs a text")
    if len(text) > _LONGEST:
        raise UsageError(
            f"an entry has at most {_LONGEST} characters, this one {len(text)}; give a file's name instead"
        )
    lost = details.time_lost
    if lost is not None and not (math.isfinite(lost) and 0 <= lost <= _HOURS):
        raise UsageError(f"{lost:g} hours cannot be lost of a night; give 0 to 24")
    if lost is None and details.loss is not None:
        raise UsageError("say how many hours were lost (--lost) with the cause")
    if details.nite:
        parse_subject(details.nite, SubjectKind.NITE)
    subject = subjects[0].name if subjects else details.nite
    record_event(conn, EventKind.ENTRY, who, text.strip(), subject=subject)
    number = store.newest_event(conn, EventKind.ENTRY, who[:32])
    store.add_details(conn, number, details, subjects)
    return number


def correct_entry(
    conn: Connection, number: int, text: str, *, who: str, details: Details | None = None
) -> int:
    """Write an entry that takes the place of an earlier one, which stays; return its number.

    Parameters
    ----------
    conn
        Connection in a transaction.
    number
        Number of the entry that is corrected.
    text
        The text that should have been written.
    who
        Login of the author.
    details
        Category, night and time lost that should have been written; None: those of the earlier entry.

    Raises
    ------
    NotFoundError
        No entry of a person has this number.
    UsageError
        The entry was corrected already: its correction is to be corrected.
    """
    earlier = _entry(conn, number)
    if earlier.corrected_by is not None:
        raise UsageError(f"entry {number} was corrected by entry {earlier.corrected_by}; correct that one")
    kept = details or earlier.details or Details()
    return write_entry(conn, text, who=who, details=replace(kept, corrects=number), subjects=earlier.subjects)


def _entry(conn: Connection, number: int) -> LogEntry:
    """Return an entry of a person by its number; `NotFoundError` if there is none."""
    entries = store.find_entries(conn, LogFilter(entries_only=True, before=number + 1), limit=1)
    if not entries or entries[0].id != number:
        raise NotFoundError(
            f"no entry {number} in the logbook; acts are not corrected, they are undone: see desdm logbook"
        )
    return entries[0]
