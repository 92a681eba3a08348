"""The releases that hold files of the archive or products of them: what a mark, a verdict or an exclusion concerns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from desdm.archive import store as archive_store
from desdm.archive.unsound import PIXELS
from desdm.release import store
from desdm.release.contents import Contents
from desdm.release.exposures import is_of
from desdm.release.findings import correction
from desdm.release.validate import selection_of
from desdm.schema.states import ReleaseState

__all__ = ["Holder", "holders", "holders_of_exposure", "holders_of_run"]


@dataclass(frozen=True, slots=True)
class Holder:
    """A release, and the numbers of the archive's files, of those that were looked for, from which it was made."""

    release: str
    state: ReleaseState
    files: frozenset[int]

    @property
    def text(self) -> str:
        """What a person should know who has withdrawn what the release was made from."""
        count = len(self.files)
        what = f"{self.state.value} release {self.release} holds {count} {'file' if count == 1 else 'files'} made from it"
        if self.state is ReleaseState.PUBLISHED:
            return f"{what}; {correction(self.release)}"
        return (
            f"{what}; make them again without it (desdm submit coadd), then the release: desdm release discard "
            f"{self.release}, desdm release create {self.release}"
        )


def holders(conn: Connection, releases: Path, files: Collection[int]) -> list[Holder]:
    """Return the releases of any state that were made from some of the files, by the releases' ages.

    Parameters
    ----------
    releases
        The directory of all releases.
    files
        Numbers of files of the archive, with the products that count.
    """
    if not files:
        return []
    direct = store.releases_with(conn, files)
    names = {record.name: record.id for record in archive_store.files_by_id(conn, sorted(files))}
    found = []
    for one in store.releases(conn):
        # The rows of a release's tables have their source in its selection alone.
        selected = (names.get(entry["file"]) for entry in selection_of(releases / one.name).get("files", []))
        numbers = direct.get(one.name, set()) | {n for n in selected if n is not None}
        if numbers:
            found.append(Holder(one.name, one.state, frozenset(numbers)))
    return found


def holders_of_run(conn: Connection, releases: Path, attempt_id: int) -> list[Holder]:
    """Return the releases that were made from files of a run or from products of them. Parameters as of `holders`."""
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
        Whether its images alone count, as for a rejected exposure; otherwise also the calibrations that were made from it,
        as for an excluded one.
    """
    start = store.files_of_exposure(conn, expnum)
    every = _with_products(conn, start)
    if images or ccdnum:
        facts = store.file_facts(conn, sorted(every))
        parents: dict[int, list[int]] = {}
        for child, parent in archive_store.derived_among(conn, sorted(every)):
            if parent in facts:
                parents.setdefault(child, []).append(parent)
        contents = Contents({}, facts, parents)
        every = _with_products(
            conn,
            (
                f.id
                for f in facts.values()
                if is_of(contents, f, expnum, ccdnum) and (not images or f.filetype in PIXELS)
            ),
        )
    return holders(conn, releases, every)


def _with_products(conn: Connection, files: Iterable[int]) -> set[int]:
    """The files with everything that was made from them."""
    start: Sequence[int] = sorted(set(files))
    return {*start, *archive_store.reached(conn, start, up=False)} if start else set()
