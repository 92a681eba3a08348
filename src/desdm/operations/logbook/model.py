"""Records of the logbook."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from desdm.schema.operationstates import LogCategory, TimeLoss
from desdm.schema.states import EventKind
from desdm.schema.subjects import Subject

__all__ = ["Details", "LogEntry", "LogFilter"]


@dataclass(frozen=True, slots=True)
class Details:
    """What an entry of a person has beside author, time and text.

    Attributes
    ----------
    nite
        Night that it is about, YYYYMMDD; empty: none.
    time_lost
        Hours that were lost; None: none.
    loss
        Why they were lost.
    corrects
        Number of the entry that it corrects.
    """

    category: LogCategory = LogCategory.OTHER
    nite: str = ""
    time_lost: float | None = None
    loss: TimeLoss | None = None
    corrects: int | None = None


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of the logbook: an act, or an entry that a person wrote.

    Attributes
    ----------
    subject
        What an act concerns, as its event names it.
    subjects
        Subjects of an entry.
    run
        Run that an act concerns; empty: none.
    reason
        Why, in the words of ``who``.
    details
        What an entry of a person has besides; None: an act.
    corrected_by
        Number of the newest entry that corrects this one.
    """

    id: int
    time: datetime
    kind: EventKind
    who: str
    text: str
    reason: str
    subject: str
    run: str
    subjects: tuple[Subject, ...] = ()
    details: Details | None = None
    corrected_by: int | None = None


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which lines of the logbook are wanted; the default is all.

    Attributes
    ----------
    kind, who, category
        Kind of act, author, category of entries.
    subject
        Subject of an act or entry: a run finds the acts of its attempt besides.
    nite
        Entries about a night, and acts whose subject it is.
    words
        Words that text or reason contain, each of them, whatever their case.
    since, until
        UTC, both inclusive.
    entries_only
        Only what people wrote.
    without_done_jobs
        Leave out that jobs are done, which a run says of each; those that failed stay.
    before
        Only lines with smaller numbers: the next page.
    """

    kind: EventKind | None = None
    who: str = ""
    category: LogCategory | None = None
    subject: str = ""
    nite: str = ""
    words: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    entries_only: bool = False
    without_done_jobs: bool = False
    before: int | None = None
