"""The releases that hold files of the archive or products of them: what a mark, a verdict or an exclusion concerns."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from desdm.archive import store as archive_store
from desdm.archive.unsound import PIXELS, content_edges, exclusion_spreads
from desdm.release import store
from desdm.release.findings import correction
from desdm.release.model import Release
from desdm.release.selection import selection_entries
from desdm.schema.states import ReleaseState

__all__ = ["Holder", "holders", "holders_of_exposure", "holders_of_run"]


@dataclass(frozen=True, slots=True)
class Holder:
    """A release, and the numbers of the archive's files, of those that were looked for, from which it was made.

    ``create`` is the command that makes it again.
    """

    release: str
    state: ReleaseState
    files: frozenset[int]
    create: str = ""

    @property
    def text(self) -> str:
        """Describe the release, and how to remove withdrawn files from it."""
        count = len(self.files)
        files = f"{count} {'file' if count == 1 else 'files'} made from it"
        description = f"{self.state.value} release {self.release} holds {files}"
        if self.state is ReleaseState.PUBLISHED:
            return f"{description}; {correction(self.release)}"
        return (
            f"{description}; make them again without it (desdm submit coadd), then the release: desdm release discard "
            f"{self.release}, {self.create}"
        )


def holders(conn: Connection, releases: Path, files: Collection[int]) -> list[Holder]:
    """Return the releases of any state that were made from some of the files, oldest first.

    Parameters
    ----------
    conn
        Connection.
    releases
        The directory of all releases.
    files
        Numbers of files of the archive, with the products that count.

    Returns
    -------
    list of Holder
        The releases.
    """
    if not files:
        return []
    direct = store.releases_with(conn, files)
    names = {record.name: record.id for record in archive_store.files_by_id(conn, sorted(files))}
    results = []
    for release in store.releases(conn):
        # Only the selection names the sources of the rows of its tables.
        selected = (names.get(entry.file) for entry in selection_entries(releases / release.name))
        numbers = direct.get(release.name, set()) | {n for n in selected if n is not None}
        if numbers:
            results.append(Holder(release.name, release.state, frozenset(numbers), _create_command(release)))
    return results


def _create_command(release: Release) -> str:
    """Return the command that made a release, with all that it says of itself."""
    words = ["desdm", "release", "create", release.name]
    for option, value in (
        ("--title", "" if release.title == release.name else release.title),
        ("--erratum-of", release.erratum_of),
        ("--text", release.text),
        # Without conditions the selection is said in words.
        ("--select", release.selection if "=" in release.selection else ""),
    ):
        if value:
            words += [option, value]
    if release.proprietary:
        words.append("--proprietary")
    return shlex.join(words)


def holders_of_run(conn: Connection, releases: Path, attempt_id: int) -> list[Holder]:
    """Return the releases made from files of a run or from products of them.

    Parameters
    ----------
    conn
        Connection.
    releases
        The directory of all releases.
    attempt_id
        Number of the attempt.

    Returns
    -------
    list of Holder
        The releases.
    """
    return holders(conn, releases, _with_products(conn, store.files_of_attempt(conn, attempt_id)))


def holders_of_exposure(
    conn: Connection, releases: Path, expnum: int, ccdnum: int = 0, *, images: bool = False
) -> list[Holder]:
    """Return the releases that were made from an exposure.

    Parameters
    ----------
    releases
        The directory of all releases.
    expnum, ccdnum
        Exposure; CCD, or 0 for all of it.
    images
        Whether its images and what was made from them count, as for a rejected exposure; otherwise what its exclusion,
        which is in force, spoils.
    """
    start = store.files_of_exposure(conn, expnum)
    if images:
        facts = store.file_facts(conn, sorted(start))
        every = _with_products(conn, (f.id for f in facts.values() if f.filetype in PIXELS))
    else:
        every = _with_products(conn, start)
        rows = [one for one in archive_store.excluded_files(conn, sorted(start)) if one.banned == ccdnum]
        spreads = exclusion_spreads(conn, rows, content_edges(conn, sorted(every)))
        every = {n for one in spreads for n in every if one.spoils(n)}
    return holders(conn, releases, every)


def _with_products(conn: Connection, files: Iterable[int]) -> set[int]:
    """Return files with all files that were made from them."""
    start: Sequence[int] = sorted(set(files))
    return {*start, *archive_store.reached(conn, start, up=False)} if start else set()
