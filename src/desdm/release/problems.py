"""The problem list: what is wrong with data, and which open problems block a release."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from desdm.errors import DesdmError, NotFoundError, UsageError
from desdm.release import store
from desdm.release.select import again
from desdm.schema.database import Database
from desdm.schema.states import EventKind
from desdm.schema.store import exposure_name, record_event

__all__ = ["KINDS", "blocking", "close_problem", "open_problem", "problems", "report_file"]

_LOG = logging.getLogger(__name__)

#: What a problem can be about.
KINDS = ("release", "tag", "tile", "exposure", "attempt", "file")

problems = store.problems


def open_problem(
    conn: Connection, kind: str, subject: str, text: str, *, blocks: bool = True, who: str
) -> int:
    """Enter a problem; its number.

    Raises
    ------
    UsageError
        The kind is none of `KINDS`, or nothing is said.
    """
    if kind not in KINDS:
        raise UsageError(f"a problem is about one of {', '.join(KINDS)}; not {kind!r}")
    if not text.strip() or not subject.strip():
        raise UsageError("say what it is about and what is wrong")
    number = store.insert_problem(
        conn,
        {"subject_kind": kind, "subject": subject.strip(), "text": text.strip(), "blocks": blocks, "opened_by": who,
         "opened_at": _now()},
    )  # fmt: skip
    told = f"problem {number} opened: {kind} {subject.strip()}" + ("" if blocks else ", blocks nothing")
    record_event(
        conn, EventKind.PROBLEM, who, told, subject=_event_subject(kind, subject), reason=text.strip()
    )
    return number


def report_file(database: Database, release: str, path: str, text: str, who: str) -> int | None:
    """Enter a file of a release that is not as it was released, once while the problem stands open; its number.

    None, and a line in the log, if the list cannot be written: whoever met the fault must be told of it all the same.
    """
    subject = f"{release}/{path}"[:200]
    try:
        with database.read() as conn:
            known = _number_of(conn, subject)
        if known is not None:
            return known
        with database.write() as conn:
            known = _number_of(conn, subject)
            return known if known is not None else open_problem(conn, "file", subject, text, who=who)
    except DesdmError as err:
        _LOG.error("%s: %s; the problem list could not be written: %s", subject, text, err)
        return None


def _number_of(conn: Connection, subject: str) -> int | None:
    """The number of the open problem of a file; None: there is none."""
    found = (p for p in store.open_problems(conn) if (p["subject_kind"], p["subject"]) == ("file", subject))
    return next((int(p["id"]) for p in found), None)


def close_problem(conn: Connection, number: int, resolution: str, *, who: str) -> None:
    """Close a problem with how it was resolved; `NotFoundError` if none of that number is open."""
    if not resolution.strip():
        raise UsageError("say how it was resolved")
    values = {"closed_by": who, "closed_at": _now(), "resolution": resolution.strip()}
    found = next((p for p in store.open_problems(conn) if p["id"] == number), None)
    if found is None or not store.close_problem(conn, number, values):
        raise NotFoundError(f"no open problem {number}; see: desdm problem list")
    kind, subject = str(found["subject_kind"]), str(found["subject"])
    told = f"problem {number} closed: {kind} {subject}"
    subject = _event_subject(kind, subject)
    record_event(conn, EventKind.PROBLEM, who, told, subject=subject, reason=resolution.strip())


def blocking(
    conn: Connection, release: str, selection: str, tiles: Sequence[str], files: Sequence[int]
) -> list[Mapping[str, Any]]:
    """Open problems that block a release.

    Parameters
    ----------
    selection
        How it was selected; a tag in it counts.
    tiles
        Its tiles.
    files
        Numbers of the archive's files from which it was made; what they come from counts too.
    """
    found = [p for p in store.open_problems(conn) if p["blocks"]]
    if not found:
        return []
    expnums, runs, names = store.upstream(conn, files)
    tag = (again(selection) or {}).get("tag", "")
    subjects: dict[str, set[str]] = {
        "release": {release.lower()}, "tag": {t.lower() for t in tag.split(",") if t},
        "tile": {t.lower() for t in tiles}, "exposure": {str(n) for n in expnums},
        "attempt": {r.lower() for r in runs}, "file": {n.lower() for n in names},
    }  # fmt: skip
    return [p for p in found if _subject(p) in subjects.get(p["subject_kind"], set())]


def _subject(problem: Mapping[str, Any]) -> str:
    subject = str(problem["subject"]).strip().lower()
    # An exposure is known by its number and by its name, D00229686.
    return (
        str(int(subject.lstrip("d")))
        if problem["subject_kind"] == "exposure" and subject.lstrip("d").isdigit()
        else subject
    )


def _event_subject(kind: str, subject: str) -> str:
    """Subject of the event: an exposure by its name, whichever way it was written; others as they are."""
    digits = subject.strip().lower().removeprefix("d")
    return exposure_name(int(digits)) if kind == "exposure" and digits.isdecimal() else subject.strip()


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
