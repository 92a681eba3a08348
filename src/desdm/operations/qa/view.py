"""What a person sees of data before marking them, with a digest by which a later change is noticed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from desdm.archive import store as archive
from desdm.archive.model import Scope
from desdm.errors import UsageError
from desdm.quality.qa import store
from desdm.quality.qa.exclusions import exclusions, exclusions_of_run
from desdm.quality.qa.model import Subject
from desdm.quality.qa.verdict import verdicts
from desdm.release.blocking import Blocker, open_problems_of
from desdm.schema import EVALUATIONS
from desdm.schema.operationstates import SubjectKind

__all__ = ["View", "numbers_of_subject", "problems_of_subject", "view_of"]

_TOKEN = re.compile(r"([0-9a-f]{64})(?:-((?:[0-9a-f]{8}\.)*[0-9a-f]{8}))?")
#: Lines of a part that the text of a change tells.
_LINES = 3


@dataclass(frozen=True, slots=True)
class View:
    """What a person sees of a subject: lines of text, by part."""

    parts: Mapping[str, tuple[str, ...]]

    @property
    def digest(self) -> str:
        """sha-256 of all parts."""
        text = json.dumps(list(self.parts.items()), ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def token(self) -> str:
        """The digest, and a short one of each part, by which it can be told which part has changed."""
        return f"{self.digest}-{'.'.join(self._short())}"

    def changes(self, token: str) -> list[str]:
        """Return what has changed since a person saw the view of a token (or of a digest), in words; empty: nothing.

        Raises
        ------
        UsageError
            The text is neither a token nor a digest.
        """
        match = _TOKEN.fullmatch(token.strip().lower())
        if match is None:
            raise UsageError(
                "--seen takes the text that desdm mark SUBJECT prints: 64 hexadecimal digits and more"
            )
        if match[1] == self.digest:
            return []
        before = match[2].split(".") if match[2] else []
        if len(before) != len(self.parts):
            before = ["" for _ in self.parts]
        return [
            f"{name}: now {self._words(lines)}"
            for (name, lines), old, new in zip(self.parts.items(), before, self._short(), strict=True)
            if old != new
        ]

    def _short(self) -> list[str]:
        """Return a short digest of each part."""
        return [
            hashlib.sha256(json.dumps(lines, ensure_ascii=False).encode()).hexdigest()[:8]
            for lines in self.parts.values()
        ]

    def _words(self, lines: tuple[str, ...]) -> str:
        """Return the first lines of a part in one text."""
        more = f" and {len(lines) - _LINES} more" if len(lines) > _LINES else ""
        return "; ".join(lines[:_LINES]) + more if lines else "none"


def view_of(
    conn: Connection, subject: Subject, scope: Scope, concerns: Sequence[Blocker] | None = None
) -> View:
    """Return what a person sees of a subject.

    Parameters
    ----------
    conn
        Connection to the database.
    subject
        The subject.
    scope
        Project, campaign and run classes whose verdicts count.
    concerns
        The problems of `problems_of_subject`; None: they are looked up.
    """
    number = subject.attempt_id
    concerns = problems_of_subject(conn, subject) if concerns is None else concerns
    facts = archive.attempt_facts(conn, [number])[number] if number is not None else None
    expnums = [subject.expnum] if subject.expnum is not None else []
    words = [
        f"{cut}: {row['accepted']} {row['reason']} ({row['analyst']})".replace("  ", " ")
        for cut in EVALUATIONS
        for row in (verdicts(conn, cut, expnums, scope) if expnums else ())
    ]
    mine = exclusions(conn, expnums) if expnums else exclusions_of_run(conn, number) if number else []
    if subject.ccdnum is not None:
        mine = [one for one in mine if one.ccdnum in (None, subject.ccdnum)]
    numbers = numbers_of_subject(conn, subject)
    messages = store.message_counts(conn, number) if number is not None else []
    problems = [one.problem for one in concerns]
    marks = store.marks_of(conn, subject.kind, subject.name)
    dispatches = store.dispatches(conn, subject=subject.name, everything=True)
    answers = [(d, a) for d in dispatches for a in store.answers_of(conn, d.id)]
    return View(
        {
            "verdict": tuple(words),
            "data state": (f"{facts.run} {facts.state.value}, {facts.data_state.value}",) if facts else (),
            "messages": tuple(f"level {m.level} {m.pattern}: {m.messages}" for m in messages),
            "QA numbers": tuple(
                " ".join(filter(None, (m.name, m.module, m.band, m.wrapkeys, f"{m.value!r}", m.unit)))
                for m in numbers
            ),
            "open problems": tuple(
                f"problem {p.id} ({p.severity.value}, {p.state.value}): {p.title or p.text}" for p in problems
            ),
            "exclusions": tuple(one.text for one in mine),
            "answers": tuple(
                f"{d.working_group}, {d.question}: {a.verdict.value}, {a.text} ({a.who})" for d, a in answers
            ),
            "marks": tuple(f"{m.verdict.value} by {m.author} (mark {m.id}): {m.reason}" for m in marks[-1:]),
        }
    )


def numbers_of_subject(conn: Connection, subject: Subject) -> list[store.MetricValue]:
    """Return the QA numbers of the run of a subject; of a CCD only its own."""
    if subject.attempt_id is None:
        return []
    numbers = store.metric_values(conn, subject.attempt_id)
    if subject.ccdnum is None:
        return numbers
    return [n for n in numbers if n.keys.get("ccdnum", "").lstrip("0") == str(subject.ccdnum)]


def problems_of_subject(conn: Connection, subject: Subject) -> list[Blocker]:
    """Return the open problems of a subject, and of what its files come from, of every severity."""
    subjects = [(subject.kind.value, subject.name)]
    if subject.expnum is not None:
        # As subjects of problems are compared: an exposure by its number.
        subjects = [("exposure", str(subject.expnum))]
        if subject.ccdnum is not None:
            subjects.append(("ccd", f"{subject.expnum}_c{subject.ccdnum}"))
    if subject.run:
        subjects += [("attempt", subject.run), ("unit", subject.run.rpartition("_r")[0])]
    if subject.kind is SubjectKind.FILE and subject.desfile_id is not None:
        files = [subject.desfile_id]
    elif subject.ccdnum is not None and subject.attempt_id is not None and subject.expnum is not None:
        files = sorted(store.files_of_ccd(conn, subject.attempt_id, subject.expnum, subject.ccdnum))
    elif subject.attempt_id is not None:
        files = sorted(archive.files_of_attempts(conn, [subject.attempt_id]))
    else:
        files = []
    return open_problems_of(conn, files, subjects)
