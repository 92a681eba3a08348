"""Ancestors of the files of a release in the archive, and the paths to them."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from desdm.archive import store as archive_store
from desdm.archive.unsound import content_edges
from desdm.release import store

__all__ = ["CALIBRATION", "Contents", "again", "contents_of"]

#: How the names of the file types of calibrations begin.
CALIBRATION = "cal_"


@dataclass(frozen=True, slots=True)
class Contents:
    """Ancestors of files with facts, and the edges from child to parents.

    ``files`` are the archive's files from which the release was made, by number, with the path in the release.
    """

    files: Mapping[int, str]
    ancestors: Mapping[int, store.FileFacts]
    parents: Mapping[int, Sequence[int]]

    def path(self, start: int, goals: Collection[int], *, calibrations: bool = True) -> list[str]:
        """Return the names of the files on a shortest path; parameters as of `chain`."""
        return [self.ancestors[n].name for n in self.chain(start, goals, calibrations=calibrations)]

    def chain(self, start: int, goals: Collection[int], *, calibrations: bool = True) -> list[int]:
        """Return the files on a shortest path from a file to one that it was made from; empty: none.

        Parameters
        ----------
        start
            File at which the path begins.
        goals
            Files of which the nearest ends the path; ``start`` may be one of them.
        calibrations
            Whether the path may lead through, or end at, a calibration.
        """
        previous: dict[int, int] = {start: 0}
        queue = deque([start])
        while queue:
            file = queue.popleft()
            if file in goals:
                chain = []
                while file:
                    chain.append(file)
                    file = previous[file]
                return chain[::-1]
            for parent in self.parents.get(file, ()):
                if parent not in previous and (calibrations or not self._calibration(parent)):
                    previous[parent] = file
                    queue.append(parent)
        return []

    def runs(self, chain: Sequence[int]) -> list[int]:
        """Return the attempts that produced the files of a chain, in the order in which to repeat them."""
        attempts = [self.ancestors[n].attempt_id for n in reversed(chain)]
        return list(dict.fromkeys(n for n in attempts if n is not None))

    def _calibration(self, number: int) -> bool:
        """Tell whether a file is a calibration."""
        return self.ancestors[number].filetype.startswith(CALIBRATION)


def again(conn: Connection, contents: Contents, chain: Sequence[int]) -> str:
    """Describe which runs to repeat, in their order, for a product without the end of a chain.

    Parameters
    ----------
    conn
        Connection.
    contents, chain
        Ancestors of the product, and a path in them (`Contents.chain`).

    Returns
    -------
    str
        The advice.
    """
    numbers = contents.runs(chain)
    facts = archive_store.attempt_facts(conn, numbers) if numbers else {}
    steps = [f"{facts[n].pipeline} of {facts[n].run.rpartition('_r')[0]}" for n in numbers if n in facts]
    return f"make again, in this order: {', '.join([*steps, 'the draft'])}"


def contents_of(conn: Connection, files: Mapping[int, str]) -> Contents:
    """Return the ancestors of files.

    Parameters
    ----------
    files
        Numbers of the archive's files → path in the release.
    """
    start = sorted(files)
    every = sorted({*start, *archive_store.reached(conn, start, up=True)}) if start else []
    parents: dict[int, list[int]] = {}
    for child, parent in content_edges(conn, every):
        parents.setdefault(child, []).append(parent)
    return Contents(files, store.file_facts(conn, every), parents)
