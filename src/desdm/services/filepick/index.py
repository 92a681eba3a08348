"""The files of the published releases, ready to be found: by path, by folder, by place."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np

from desdm.accounts.model import Caller
from desdm.release.model import Release, ReleaseFile
from desdm.services.access import Access, access_of
from desdm.services.context import Services
from desdm.services.filepick.outline import Outlines
from desdm.services.published import Holdings

__all__ = ["Folder", "Indexes", "ReleaseIndex", "folders_of"]


class Folder:
    """A folder of a release: the names of its folders, and its files."""

    __slots__ = ("files", "folders")

    def __init__(self) -> None:
        self.folders: set[str] = set()
        self.files: list[ReleaseFile] = []


def folders_of(files: Iterable[ReleaseFile]) -> dict[str, Folder]:
    """Folders by path, with ``""`` for the release's own; only what files are in."""
    found: dict[str, Folder] = {"": Folder()}
    for file in files:
        *names, _ = file.path.split("/")
        above = ""
        for name in names:
            found[above].folders.add(name)
            above = f"{above}/{name}" if above else name
            found.setdefault(above, Folder())
        found[above].files.append(file)
    return found


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
        return folders_of(self.files)

    def folders_for(self, access: Access) -> dict[str, Folder]:
        """Folders that hold a file which the caller may have."""
        return self.folders if access.whole(self.release) else folders_of(access.files(self.release))

    @cached_property
    def outlines(self) -> Outlines:
        """Where each file lies on the sky."""
        return Outlines(self.files)

    def near(self, ra: float, dec: float, radius: float) -> list[ReleaseFile]:
        """Files that the circle touches (degrees, ICRS), in the order of their paths."""
        return [self.files[int(i)] for i in np.flatnonzero(self.outlines.touched(ra, dec, radius))]


class Indexes:
    """An index for each published release, made when it is first asked for and kept until another is published."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._generation = -1
        self._made: dict[str, ReleaseIndex] = {}

    def holdings(self) -> Holdings:
        """What is published now."""
        return self._services.published.current()

    def access(self, caller: Caller) -> Access:
        """What a caller may see of it."""
        return access_of(self._services, caller)

    def visible(self, caller: Caller) -> list[Release]:
        """Releases of which the caller may see some file, newest first."""
        return self.access(caller).releases()

    def of(self, name: str, caller: Caller) -> ReleaseIndex:
        """The index of a release of which the caller may see something.

        Its files are all files of the release: `Access.file` says which of them the caller may have.

        Raises
        ------
        NotFoundError
            No such release is published, or the caller may see nothing of it.
        AccessDenied
            The caller's token has no scope to read.
        """
        access = self.access(caller)
        release, holdings = access.release(name), access.holdings
        with self._lock:
            if self._generation != holdings.generation:
                self._generation, self._made = holdings.generation, {}
            if release.name not in self._made:
                self._made[release.name] = ReleaseIndex(release, holdings.files.get(release.name, ()))
            return self._made[release.name]
