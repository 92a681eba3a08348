"""Footprints of the published releases visible to a caller, with the files of their tiles."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from desdm.accounts.model import Caller
from desdm.archive.publish import digest
from desdm.errors import CorruptReleaseFile, NotFoundError
from desdm.release.model import Release, ReleaseFile
from desdm.services.access import access_of
from desdm.services.context import Services
from desdm.services.footprint.lookup import Footprint
from desdm.services.published import Holdings

__all__ = ["Atlas", "has_footprint"]

_LISTING = "footprint/tiles.json"


#: Device, inode, size and times of a file; None: it is not there.
Stamp = tuple[int, ...] | None


@dataclass(slots=True)
class _Entry:
    """Footprint of one release, and its files by tile and by path."""

    footprint: Footprint
    by_tile: dict[str, list[ReleaseFile]] = field(default_factory=dict)
    by_path: dict[str, ReleaseFile] = field(default_factory=dict)
    stamps: dict[Path, Stamp] = field(default_factory=dict)

    def is_current(self) -> bool:
        """Whether the files are those that were verified: maps are read in place, and would show every change."""
        return all(_stamp(path) == stamp for path, stamp in self.stamps.items())


class Atlas:
    """Opens the footprint of a release on first use and keeps it open."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._generation = -1
        self._entries: dict[str, _Entry] = {}
        #: file → stamp when its digest was computed, and whether it was that of the release
        self._verified: dict[Path, tuple[Stamp, bool]] = {}

    def release(self, caller: Caller, name: str = "") -> Release:
        """Return a release by name, or the newest visible one with a footprint.

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
            release = access.whole_release(name)
            if not has_footprint(access.holdings.files.get(release.name, ())):
                raise NotFoundError(f"release {release.name} has no footprint")
            return release
        releases = [
            release
            for release in access.whole_releases()
            if has_footprint(access.holdings.files.get(release.name, ()))
        ]
        if not releases:
            raise NotFoundError(
                "no release with a footprint is published; releases are listed at /api/releases"
            )
        return releases[0]

    def footprint(self, release: Release) -> Footprint:
        """Return the footprint of a release.

        Raises
        ------
        CorruptReleaseFile
            A file of the footprint differs from the release.
        """
        return self._entry(release).footprint

    def files(self, release: Release, tiles: Iterable[str], bands: Sequence[str]) -> list[ReleaseFile]:
        """Return the files of some tiles, of some bands or common to all bands.

        Parameters
        ----------
        release
            Release.
        tiles, bands
            Names of tiles and bands.

        Returns
        -------
        list of ReleaseFile
            Files in the order of the tiles.
        """
        entry = self._entry(release)
        return [
            file
            for tile in tiles
            for file in entry.by_tile.get(tile, ())
            if file.band is None or file.band in bands
        ]

    def file(self, release: Release, path: str) -> tuple[ReleaseFile, bytes]:
        """Return a small file of the footprint and its verified bytes."""
        record = self._entry(release).by_path.get(f"footprint/{path}")
        if record is None:
            raise NotFoundError(f"release {release.name} has no footprint/{path[:60]}")
        full_path = self._services.root(release.name) / record.path
        self._verify(full_path, record)
        return record, full_path.read_bytes()

    def _entry(self, release: Release) -> _Entry:
        """Return the entry of a release, opened on first use."""
        holdings = self._services.published.current()
        with self._lock:
            if self._generation != holdings.generation:
                self._generation, self._entries = holdings.generation, {}
            entry = self._entries.get(release.name)
            if entry is None or not entry.is_current():
                self._entries.pop(release.name, None)
                self._entries[release.name] = self._open(holdings, release)
            return self._entries[release.name]

    def _open(self, holdings: Holdings, release: Release) -> _Entry:
        """Open the footprint of a release and verify its files."""
        root = self._services.root(release.name)
        by_tile: dict[str, list[ReleaseFile]] = {}
        by_path: dict[str, ReleaseFile] = {}
        stamps: dict[Path, Stamp] = {}
        for file in holdings.files.get(release.name, ()):
            if file.tilename:
                by_tile.setdefault(file.tilename, []).append(file)
            if file.path.startswith("footprint/"):
                by_path[file.path] = file
                # Verified before the file is mapped, and again when it has changed.
                stamps[root / file.path] = self._verify(root / file.path, file)
        return _Entry(Footprint(root), by_tile, by_path, stamps)

    def _verify(self, path: Path, file: ReleaseFile) -> Stamp:
        """Return the stamp of a file; raise `CorruptReleaseFile` and report a fault if it differs from the release."""
        stamp = _stamp(path)
        known = self._verified.get(path)
        if known is None or known[0] != stamp:
            known = stamp, stamp is not None and path.is_file() and digest(path)[0] == file.sha256
            self._verified[path] = known
        if known[1]:
            return stamp
        fault = f"{file.path} of {file.release} is not as it was released; see: desdm release verify"
        self._services.faults.report(file.release, file.path, fault, "footprint")
        raise CorruptReleaseFile(fault)


def _stamp(path: Path) -> Stamp:
    """Return the stamp of a file; None if it cannot be looked at."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def has_footprint(files: Iterable[ReleaseFile]) -> bool:
    """Whether the files of a release are those of a release with a footprint."""
    return any(file.path == _LISTING for file in files)
