"""The footprints of the published releases, as a caller may see them, with the files of their tiles."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from desdm.accounts.model import Caller
from desdm.errors import CorruptFile, NotFoundError
from desdm.release.model import Release, ReleaseFile
from desdm.release.steps import digest
from desdm.services.access import access_of
from desdm.services.context import Services
from desdm.services.footprint.lookup import Footprint
from desdm.services.published import Holdings

__all__ = ["Atlas"]

_LISTING = "footprint/tiles.json"


@dataclass(slots=True)
class _Kept:
    """One release: its footprint, and its files by tile and by path."""

    footprint: Footprint
    by_tile: dict[str, list[ReleaseFile]] = field(default_factory=dict)
    by_path: dict[str, ReleaseFile] = field(default_factory=dict)


class Atlas:
    """Opens the footprint of a release when it is first asked for, and keeps it."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._generation = -1
        self._kept: dict[str, _Kept] = {}

    def release(self, caller: Caller, name: str = "") -> Release:
        """The release meant; none said: the newest with a footprint that the caller may see.

        Raises
        ------
        NotFoundError
            There is none, or the caller may not see all of it.
        AccessDenied
            The caller's token has no scope to read.
        """
        access = access_of(self._services, caller)
        access.require_read()
        if name:
            found = access.whole_release(name)
            if not _has(access.holdings, found):
                raise NotFoundError(f"release {found.name} has no footprint")
            return found
        seen = [release for release in access.whole_releases() if _has(access.holdings, release)]
        if not seen:
            raise NotFoundError(
                "no release with a footprint is published; releases are listed at /api/releases"
            )
        return seen[0]

    def footprint(self, release: Release) -> Footprint:
        """The footprint of a release.

        Raises
        ------
        CorruptFile
            A file of it is not as it was released.
        """
        return self._of(release).footprint

    def files(self, release: Release, tiles: Iterable[str], bands: Sequence[str]) -> list[ReleaseFile]:
        """Files of the release that belong to these tiles, of these bands or of all bands together."""
        kept = self._of(release)
        return [
            file for tile in tiles for file in kept.by_tile.get(tile, ()) if file.band is None or file.band in bands
        ]  # fmt: skip

    def file(self, release: Release, path: str) -> tuple[ReleaseFile, bytes]:
        """A small file of the release's footprint, whole, its bytes held against its digest."""
        found = self._of(release).by_path.get(f"footprint/{path}")
        if found is None:
            raise NotFoundError(f"release {release.name} has no footprint/{path[:60]}")
        place = self._services.root(release.name) / found.path
        self._verified(place, found)
        return found, place.read_bytes()

    def _of(self, release: Release) -> _Kept:
        holdings = self._services.published.current()
        with self._lock:
            if self._generation != holdings.generation:
                self._generation, self._kept = holdings.generation, {}
            if release.name not in self._kept:
                self._kept[release.name] = self._open(holdings, release)
            return self._kept[release.name]

    def _open(self, holdings: Holdings, release: Release) -> _Kept:
        root = self._services.root(release.name)
        by_tile: dict[str, list[ReleaseFile]] = {}
        by_path: dict[str, ReleaseFile] = {}
        for file in holdings.files.get(release.name, ()):
            if file.tilename:
                by_tile.setdefault(file.tilename, []).append(file)
            if file.path.startswith("footprint/"):
                by_path[file.path] = file
                # Read once in a server's life; what is mapped afterwards is what was released.
                self._verified(root / file.path, file)
        return _Kept(Footprint(root), by_tile, by_path)

    def _verified(self, path: Path, file: ReleaseFile) -> None:
        if path.is_file() and digest(path) == file.sha256:
            return
        said = f"{file.path} of {file.release} is not as it was released; see: desdm release verify"
        self._services.faults.report(file.release, file.path, said, "footprint")
        raise CorruptFile(said)


def _has(holdings: Holdings, release: Release) -> bool:
    return any(file.path == _LISTING for file in holdings.files.get(release.name, ()))
