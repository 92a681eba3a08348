"""Known problems of a release: of severity degrade, confirmed, and open when its documents were written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import Connection

from desdm.release.blocking import degradations_of_release
from desdm.release.document import Document
from desdm.release.model import Release

__all__ = [
    "PROBLEMS",
    "KnownProblem",
    "add_known_problems",
    "known_problems",
    "read_problems",
    "write_problems",
]

#: Path of the list below the directory of a release.
PROBLEMS = "docs/problems.json"
#: Files that the notes name of one problem.
_NAMED = 8


@dataclass(frozen=True, slots=True)
class KnownProblem:
    """A problem with which data are released.

    Attributes
    ----------
    number
        Number in the problem list.
    title, effect
        What is wrong in one line, and what it affects; ``effect`` may be empty.
    subject_kind, subject
        What it is about.
    since
        Day on which it was seen first, ``2026-11-29``.
    files
        Paths of the files of the release that come from what it is about; empty: it is about the release as a whole, its
        tag or a tile.
    """

    number: int
    title: str
    effect: str
    subject_kind: str
    subject: str
    since: str
    files: tuple[str, ...]


def known_problems(
    conn: Connection, release: Release, tiles: Sequence[str], files: Mapping[int, str]
) -> list[KnownProblem]:
    """Return the known problems of a release, oldest first.

    What costs operators time, or was seen once (nuisance, watch), is not told; what blocks would not be released.

    Parameters
    ----------
    conn
        Connection.
    release
        The release.
    tiles
        Its tiles.
    files
        Numbers of the archive's files from which it was made → path in the release.
    """
    return [
        KnownProblem(
            one.problem.id,
            one.problem.title or one.problem.text.splitlines()[0],
            one.problem.impression,
            one.problem.subject_kind,
            one.problem.subject,
            f"{one.problem.first_seen or one.problem.opened_at:%Y-%m-%d}",
            tuple(sorted({files[number] for number in one.files})),
        )
        for one in degradations_of_release(conn, release.name, release.selection, tiles, sorted(files))
    ]


def write_problems(root: Path, release: str, problems: Sequence[KnownProblem]) -> None:
    """Write the known problems of a release as JSON below its directory."""
    document = {"release": release, "problems": [asdict(one) for one in problems]}
    (root / PROBLEMS).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")


def read_problems(root: Path) -> tuple[KnownProblem, ...]:
    """Return the known problems of the release at ``root``; none where it was published without the list."""
    try:
        entries = json.loads((root / PROBLEMS).read_text("utf-8"))["problems"]
        return tuple(KnownProblem(**{**entry, "files": tuple(entry["files"])}) for entry in entries)
    except (OSError, ValueError, KeyError, TypeError):
        # A damaged file is found, and told, by the checks of published files.
        return ()


def add_known_problems(page: Document, problems: Sequence[KnownProblem]) -> None:
    """Add the section of known problems to a document."""
    page.heading("Known problems")
    if not problems:
        page.paragraph("None was known when it was published.")
        return
    page.paragraph("These were known when it was published. The data are usable, with care.")
    page.table(
        ("problem", "what is wrong", "effect", "about", "files", "since"),
        [
            (one.number, one.title, one.effect, f"{one.subject_kind} {one.subject}", _files(one), one.since)
            for one in problems
        ],
    )


def _files(one: KnownProblem) -> str:
    """Return the files that a problem concerns, as a cell of a table."""
    if not one.files:
        return "all of it" if one.subject_kind in ("release", "tag") else f"those of {one.subject}"
    more = f" and {len(one.files) - _NAMED} more" if len(one.files) > _NAMED else ""
    return ", ".join(one.files[:_NAMED]) + more
