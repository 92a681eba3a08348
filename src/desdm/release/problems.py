"""The problem list: problems of data, and which open ones block a release."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection

from desdm.errors import DesdmError, NotFoundError, UsageError
from desdm.release import store
from desdm.release.model import Problem
from desdm.release.select import again
from desdm.schema.database import Database
from desdm.schema.states import EventKind
from desdm.schema.store import exposure_name, record_event

__all__ = ["KINDS", "blocking", "close_problem", "open_problem", "problems", "report_file"]

_LOG = logging.getLogger(__name__)

#: Kinds of subjects of a problem.
KINDS = ("release", "tag", "tile", "exposure", "attempt", "file")

problems = store.problems


def open_problem(
    conn: Connection, kind: str, subject: str, text: str, *, blocks: bool = True, who: str
) -> int:
    """Enter a problem.

    Parameters
    ----------
    conn
        Connection in a transaction.
    kind, subject
        Kind of the subject (one of `KINDS`), and its name.
    text
        Description of the problem.
    blocks
        Whether it blocks a release that contains its subject.
    who
        User who opens it.

    Returns
    -------
    int
        Number of the problem.

    Raises
    ------
    UsageError
        The kind is none of `KINDS`, or subject or text is empty.
    """
    if kind not in KINDS:
        raise UsageError(f"a problem is about one of {', '.join(KINDS)}; not {kind!r}")
    if not text.strip() or not subject.strip():
        raise UsageError("say what it is about and what is wrong")
    number = store.insert_problem(
        conn, kind, subject.strip(), text.strip(), blocks=blocks, who=who, when=_now()
    )
    event = f"problem {number} opened: {kind} {subject.strip()}" + ("" if blocks else ", blocks nothing")
    record_event(
        conn, EventKind.PROBLEM, who, event, subject=_event_subject(kind, subject), reason=text.strip()
    )
    return number


def report_file(database: Database, release: str, path: str, text: str, who: str) -> int | None:
    """Enter a problem for a file of a release whose bytes differ from the release, unless one is open.

    A list that cannot be written is logged and not raised: the caller must still report the file.

    Parameters
    ----------
    database
        Database of the installation.
    release, path
        Name of the release, and path of the file in it.
    text
        Description of the problem.
    who
        User or program that detected it.

    Returns
    -------
    int or None
        Number of the problem; None if the list cannot be written.
    """
    subject = f"{release}/{path}"[:200]
    try:
        with database.read() as conn:
            number = _number_of(conn, subject)
        if number is not None:
            return number
        with database.write() as conn:
            number = _number_of(conn, subject)
            return number if number is not None else open_problem(conn, "file", subject, text, who=who)
    except DesdmError as err:
        _LOG.error("%s: %s; the problem list could not be written: %s", subject, text, err)
        return None


def _number_of(conn: Connection, subject: str) -> int | None:
    """Return the number of the open problem of a file; None without one."""
    problems_of_file = (
        p for p in store.open_problems(conn) if (p.subject_kind, p.subject) == ("file", subject)
    )
    return next((p.id for p in problems_of_file), None)


def close_problem(conn: Connection, number: int, resolution: str, *, who: str) -> None:
    """Close a problem.

    Parameters
    ----------
    conn
        Connection in a transaction.
    number
        Number of the problem.
    resolution
        How it was resolved.
    who
        User who closes it.

    Raises
    ------
    NotFoundError
        No open problem has this number.
    """
    if not resolution.strip():
        raise UsageError("say how it was resolved")
    problem = next((p for p in store.open_problems(conn) if p.id == number), None)
    if problem is None or not store.close_problem(conn, number, resolution.strip(), who=who, when=_now()):
        raise NotFoundError(f"no open problem {number}; see: desdm problem list")
    kind, subject = problem.subject_kind, problem.subject
    event = f"problem {number} closed: {kind} {subject}"
    subject = _event_subject(kind, subject)
    record_event(conn, EventKind.PROBLEM, who, event, subject=subject, reason=resolution.strip())


def blocking(
    conn: Connection, release: str, selection: str, tiles: Sequence[str], files: Sequence[int]
) -> list[Problem]:
    """Return the open problems that block a release.

    Parameters
    ----------
    conn
        Connection.
    release
        Name of the release.
    selection
        How it was selected; a tag in it counts.
    tiles
        Its tiles.
    files
        Numbers of the archive's files from which it was made; what they come from counts too.

    Returns
    -------
    list of Problem
        The problems, oldest first.
    """
    candidates = [p for p in store.open_problems(conn) if p.blocks]
    if not candidates:
        return []
    expnums, runs, names = store.upstream(conn, files)
    tag = (again(selection) or {}).get("tag", "")
    subjects: dict[str, set[str]] = {
        "release": {release.lower()},
        "tag": {t.lower() for t in tag.split(",") if t},
        "tile": {t.lower() for t in tiles},
        "exposure": {str(n) for n in expnums},
        "attempt": {r.lower() for r in runs},
        "file": {n.lower() for n in names},
    }
    return [p for p in candidates if _subject(p) in subjects.get(p.subject_kind, set())]


def _subject(problem: Problem) -> str:
    """Return a subject in the form in which subjects are compared."""
    subject = problem.subject.strip().lower()
    # An exposure is known by its number and by its name, D00229686.
    return (
        str(int(subject.lstrip("d")))
        if problem.subject_kind == "exposure" and subject.lstrip("d").isdigit()
        else subject
    )


def _event_subject(kind: str, subject: str) -> str:
    """Return the subject of the event: the name of an exposure for its number, others unchanged."""
    digits = subject.strip().lower().removeprefix("d")
    return exposure_name(int(digits)) if kind == "exposure" and digits.isdecimal() else subject.strip()


def _now() -> datetime:
    """Return the time, UTC without time zone."""
    return datetime.now(UTC).replace(tzinfo=None)
