"""Open problems of files or of what they come from: those that forbid to release or bless, and those that notes tell.

Each with the path from a file to what the problem is about.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from desdm.archive import store as archive_store
from desdm.release import store
from desdm.release.model import Problem
from desdm.release.select import again
from desdm.schema.operationstates import ProblemState, Severity

__all__ = ["Blocker", "blockers_of_release", "degradations_of_release", "open_problems_of"]

_CCD = re.compile(r"d?0*(\d+)_c0*(\d+)")


@dataclass(frozen=True, slots=True)
class Blocker:
    """An open problem that concerns files.

    Attributes
    ----------
    path
        Names of the files from one that would be released or blessed to the one that the problem is about; empty: the
        problem is about the release, tag or tile itself.
    files
        Numbers of the files that would be released or blessed and come from what the problem is about; empty as ``path``.
    """

    problem: Problem
    path: tuple[str, ...] = ()
    files: tuple[int, ...] = ()

    @property
    def subject(self) -> str:
        """The subject of the problem, with the path to it where it is upstream."""
        subject = f"{self.problem.subject_kind} {self.problem.subject}"
        return subject + (f", path: {' <- '.join(self.path)}" if len(self.path) > 1 else "")


def blockers_of_release(
    conn: Connection, release: str, selection: str, tiles: Sequence[str], files: Sequence[int]
) -> list[Blocker]:
    """Return the open problems that block a release; one that nobody has confirmed does not.

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
    list of Blocker
        The problems, oldest first.
    """
    subjects = _subjects_of_release(release, selection, tiles)
    return _concerning(conn, files, subjects, lambda p: p.blocks and p.state is not ProblemState.NEW)


def degradations_of_release(
    conn: Connection, release: str, selection: str, tiles: Sequence[str], files: Sequence[int]
) -> list[Blocker]:
    """Return the open problems of severity degrade that a person has confirmed; parameters as of `blockers_of_release`.

    Parameters
    ----------
    conn
        Connection.
    release, selection, tiles
        Name of the release, how it was selected, and its tiles.
    files
        Numbers of the archive's files from which it was made.
    """

    def counts(problem: Problem) -> bool:
        return problem.severity is Severity.DEGRADE and problem.state is not ProblemState.NEW

    return _concerning(conn, files, _subjects_of_release(release, selection, tiles), counts)


def _subjects_of_release(release: str, selection: str, tiles: Sequence[str]) -> set[tuple[str, str]]:
    """Return the subjects of problems that concern a release as a whole: it, the tags of its selection, its tiles."""
    tag = (again(selection) or {}).get("tag", "")
    direct = {("release", release.lower())}
    direct |= {("tag", t.lower()) for t in tag.split(",") if t}
    return direct | {("tile", t.lower()) for t in tiles}


def open_problems_of(
    conn: Connection, files: Sequence[int], subjects: Iterable[tuple[str, str]]
) -> list[Blocker]:
    """Return the open problems of data and of what they come from, those that nobody has confirmed yet included.

    Parameters
    ----------
    conn
        Connection.
    files
        Numbers of the files; what they come from counts too.
    subjects
        (kind, name) of the data themselves.
    """
    direct = {(kind, name.strip().lower()) for kind, name in subjects}
    return _concerning(conn, files, direct, lambda p: True)


def _concerning(
    conn: Connection,
    files: Sequence[int],
    direct: set[tuple[str, str]],
    counts: Callable[[Problem], bool],
) -> list[Blocker]:
    """Return the open problems that count, of these subjects or of anything that the files come from."""
    candidates = [p for p in store.open_problems(conn) if counts(p)]
    if not candidates:
        return []
    start = sorted(set(files))
    every = sorted({*start, *archive_store.reached(conn, start, up=True)}) if start else []
    facts = store.file_facts(conn, every)
    numbers = sorted({f.attempt_id for f in facts.values() if f.attempt_id is not None})
    runs = {n: name for n, (name, _) in archive_store.attempt_names(conn, numbers).items()}
    at: dict[tuple[str, str], set[int]] = {}
    for file in facts.values():
        for key in _keys(file, runs):
            at.setdefault(key, set()).add(file.id)
    parents: dict[int, list[int]] = {}
    children: dict[int, list[int]] = {}
    for child, parent in archive_store.derived_among(conn, every) if every else []:
        parents.setdefault(child, []).append(parent)
        children.setdefault(parent, []).append(child)
    previous = _tree(start, parents)
    result = []
    for problem in candidates:
        key = _key(problem)
        if key in direct:
            result.append(Blocker(problem))
        elif key in at:
            concerned = _tree(sorted(at[key]), children)
            files_below = tuple(number for number in start if number in concerned)
            result.append(Blocker(problem, _path(at[key], previous, facts), files_below))
    return result


def _keys(file: store.FileFacts, runs: dict[int, str]) -> Iterable[tuple[str, str]]:
    """Yield the subjects of problems that concern a file."""
    yield "file", file.name.lower()
    if file.attempt_id is not None and file.attempt_id in runs:
        run = runs[file.attempt_id].lower()
        yield "attempt", run
        yield "unit", run.rpartition("_r")[0]
    if file.expnum is not None:
        yield "exposure", str(file.expnum)
        if file.ccdnum is not None:
            yield "ccd", f"{file.expnum}_c{file.ccdnum}"
    if file.nite:
        yield "nite", file.nite


def _key(problem: Problem) -> tuple[str, str]:
    """Return the subject of a problem in the form in which subjects are compared."""
    kind, subject = problem.subject_kind, problem.subject.strip().lower()
    # An exposure is known by its number and by its name, D00229686.
    if kind == "exposure" and subject.lstrip("d").isdigit():
        return kind, str(int(subject.lstrip("d")))
    match = _CCD.fullmatch(subject) if kind == "ccd" else None
    return (kind, f"{match[1]}_c{match[2]}") if match else (kind, subject)


def _tree(start: Sequence[int], edges: Mapping[int, Sequence[int]]) -> dict[int, int]:
    """Return, of all that edges lead to, the file before it on a shortest path from any of the files, nearest first."""
    previous = dict.fromkeys(start, 0)
    queue = deque(start)
    while queue:
        file = queue.popleft()
        for other in edges.get(file, ()):
            if other not in previous:
                previous[other] = file
                queue.append(other)
    return previous


def _path(
    goals: set[int], previous: Mapping[int, int], facts: Mapping[int, store.FileFacts]
) -> tuple[str, ...]:
    """Return the names of the files on the shortest path to any of the goals."""
    file = next(number for number in previous if number in goals)
    chain = []
    while file:
        chain.append(facts[file].name)
        file = previous[file]
    return tuple(reversed(chain))
