"""The files of the published releases, ready to be found: by path, by folder, by place."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from desdm.accounts.model import Action, Caller
from desdm.errors import AccessDenied, NotFoundError
from desdm.release.model import Release, ReleaseFile
from desdm.services.filepick.outline import Outlines
from desdm.services.published import Holdings, Published

__all__ = ["Folder", "Indexes", "ReleaseIndex", "may_see", "table_of"]


class Folder:
    """A folder of a release: the names of its folders, and its files."""

    __slots__ = ("files", "folders")

    def __init__(self) -> None:
        self.folders: set[str] = set()
        self.files: list[ReleaseFile] = []


class ReleaseIndex:
    """The files of one release.

    Parameters
    ----------
    release, files
        As the holdings have them, files in the order of their paths.
    """

    def __init__(self, release: Release, files: Sequence[ReleaseFile]) -> None:
        self.release, self.files = release, files
        self.by_path = {file.path: file for file in files}

    @cached_property
    def folders(self) -> dict[str, Folder]:
        """Folders by path, with ``""`` for the release's own; only what files are in."""
        found: dict[str, Folder] = {"": Folder()}
        for file in self.files:
            *names, _ = file.path.split("/")
            above = ""
            for name in names:
                found[above].folders.add(name)
                above = f"{above}/{name}" if above else name
                found.setdefault(above, Folder())
            found[above].files.append(file)
        return found

    @cached_property
    def outlines(self) -> Outlines:
        """Where each file lies on the sky."""
        return Outlines(self.files)

    def near(self, ra: float, dec: float, radius: float) -> list[ReleaseFile]:
        """Files that the circle touches (degrees, ICRS), in the order of their paths."""
        return [self.files[int(i)] for i in np.flatnonzero(self.outlines.touched(ra, dec, radius))]


class Indexes:
    """An index for each published release, made when it is first asked for and kept until another is published."""

    def __init__(self, published: Published) -> None:
        self._published = published
        self._lock = threading.Lock()
        self._generation = -1
        self._made: dict[str, ReleaseIndex] = {}

    def holdings(self) -> Holdings:
        """What is published now."""
        return self._published.current()

    def visible(self, caller: Caller) -> list[Release]:
        """Releases of which the caller may see some file, newest first."""
        holdings = self.holdings()
        seen = [r for r in holdings.releases if _any_right(holdings, caller, r)]
        return sorted(seen, key=lambda r: (r.published_at is not None, r.published_at), reverse=True)

    def of(self, name: str, caller: Caller) -> ReleaseIndex:
        """The index of a release that the caller may see.

        Raises
        ------
        NotFoundError
            If no such release is published.
        AccessDenied
            If it is proprietary and the caller has no right to any of it.
        """
        holdings = self.holdings()
        release = holdings.release(name)
        if release is None:
            raise NotFoundError(f"no published release {name[:40]}; they are listed at /api/releases")
        if not caller.may(Action.READ):
            raise AccessDenied("your token has no scope to read", caller.known)
        if not _any_right(holdings, caller, release):
            raise AccessDenied(
                f"release {release.name} is proprietary: ask for a data right, and send your token",
                caller.known,
            )
        with self._lock:
            if self._generation != holdings.generation:
                self._generation, self._made = holdings.generation, {}
            if release.name not in self._made:
                self._made[release.name] = ReleaseIndex(release, holdings.files.get(release.name, ()))
            return self._made[release.name]


def table_of(path: str) -> str:
    """The table that a file belongs to; ``*`` for files of the whole release."""
    parts = path.split("/", 2)
    return parts[1] if len(parts) == 3 and parts[0] == "tables" else "*"


def may_see(holdings: Holdings, caller: Caller, release: Release, file: ReleaseFile) -> bool:
    """Whether the caller may have a file: a right to one table brings the files of that table."""
    return holdings.visible(caller, release, table_of(file.path))


def _any_right(holdings: Holdings, caller: Caller, release: Release) -> bool:
    if holdings.visible(caller, release):
        return True
    tables = [name for of, name in holdings.tables if of == release.name]
    return any(holdings.visible(caller, release, table) for table in tables)
