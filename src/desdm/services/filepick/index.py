"""Indexes of the files of published releases: by path, by folder, by position."""

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
    """A folder of a release: names of its subfolders, and its files."""

    __slots__ = ("files", "folders")

    def __init__(self) -> None:
        self.folders: set[str] = set()
        self.files: list[ReleaseFile] = []


def folders_of(files: Iterable[ReleaseFile]) -> dict[str, Folder]:
    """Folders by path, with ``""`` for the top folder; only folders with files."""
    by_path: dict[str, Folder] = {"": Folder()}
    for file in files:
        *names, _ = file.path.split("/")
        parent = ""
        for name in names:
            by_path[parent].folders.add(name)
            parent = f"{parent}/{name}" if parent else name
            by_path.setdefault(parent, Folder())
        by_path[parent].files.append(file)
    return by_path


class ReleaseIndex:
    """The files of one release.

    Parameters
    ----------
    release, files
        Release, and its files in the order of their paths.
    """

    def __init__(self, release: Release, files: Sequence[ReleaseFile]) -> None:
        self.release, self.files = release, files
        self.by_path = {file.path: file for file in files}

    @cached_property
    def folders(self) -> dict[str, Folder]:
        """Folders by path, with ``""`` for the top folder; only folders with files."""
        return folders_of(self.files)

    def folders_for(self, access: Access) -> dict[str, Folder]:
        """Return the folders with a file that the caller may read."""
        return (
            self.folders
            if access.visible_completely(self.release)
            else folders_of(access.files(self.release))
        )

    @cached_property
    def outlines(self) -> Outlines:
        """Outlines of the files on the sky."""
        return Outlines(self.files)

    def near(self, ra: float, dec: float, radius: float) -> list[ReleaseFile]:
        """Return the files that a circle touches.

        Parameters
        ----------
        ra, dec, radius
            Centre and radius, degrees (ICRS).

        Returns
        -------
        list of ReleaseFile
            Files in the order of their paths.
        """
        return [self.files[int(i)] for i in np.flatnonzero(self.outlines.touches(ra, dec, radius))]


class Indexes:
    """Indexes of the published releases, created on first use and discarded at the next publication."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._generation = -1
        self._indexes: dict[str, ReleaseIndex] = {}

    def holdings(self) -> Holdings:
        """Return the current holdings."""
        return self._services.published.current()

    def access(self, caller: Caller) -> Access:
        """Return their visibility to a caller."""
        return access_of(self._services, caller)

    def visible(self, caller: Caller) -> list[Release]:
        """Return the releases of which the caller may see at least a part, newest first."""
        return self.access(caller).releases()

    def of(self, name: str, caller: Caller) -> ReleaseIndex:
        """Return the index of a release of which the caller may see at least a part.

        It has all files of the release: `Access.file` decides which of them the caller may read.

        Raises
        ------
        NotFoundError
            No such release is published, or it is hidden from the caller.
        AccessDenied
            The caller's token has no scope to read.
        """
        access = self.access(caller)
        release, holdings = access.release(name), access.holdings
        with self._lock:
            if self._generation != holdings.generation:
                self._generation, self._indexes = holdings.generation, {}
            if release.name not in self._indexes:
                self._indexes[release.name] = ReleaseIndex(release, holdings.files.get(release.name, ()))
            return self._indexes[release.name]
