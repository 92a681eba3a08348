"""Releases as the pages show them: only what the caller may see."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from desdm.accounts.model import Caller
from desdm.release.model import Release, ReleaseFile, ReleaseTable
from desdm.services.access import Access, access_of
from desdm.services.context import Services
from desdm.survey.bands import band_order

__all__ = ["VisibleRelease", "select_release", "visible_release", "visible_releases"]


@dataclass(frozen=True, slots=True)
class VisibleRelease:
    """A release with the tables and files that the caller may see; ``whole``: the caller may see everything."""

    release: Release
    tables: tuple[ReleaseTable, ...]
    files: tuple[ReleaseFile, ...]
    whole: bool

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(t.row_count for t in self.tables)

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(f.filesize for f in self.files)

    @property
    def bands(self) -> list[str]:
        """Bands in the order of their wavelengths."""
        bands = {f.band for f in self.files if f.band and len(f.band) == 1}
        return sorted(bands, key=band_order)

    @property
    def kinds(self) -> list[tuple[str, int, int]]:
        """(file type, files, bytes) by type."""
        count = Counter(f.filetype for f in self.files)
        size: Counter[str] = Counter()
        for file in self.files:
            size[file.filetype] += file.filesize
        return [(kind, count[kind], size[kind]) for kind in sorted(count)]


def visible_releases(services: Services, caller: Caller) -> list[VisibleRelease]:
    """Return the releases of which the caller may see at least a part, newest first."""
    return _all_visible(access_of(services, caller))


def _all_visible(access: Access) -> list[VisibleRelease]:
    """Releases of which a caller sees something, newest first."""
    return [
        VisibleRelease(
            # The name of a hidden release is not shown.
            replace(release, erratum_of=access.erratum_of(release)),
            tuple(access.tables(release)),
            access.files(release),
            access.visible_completely(release),
        )
        for release in access.releases()
    ]


def visible_release(services: Services, caller: Caller, name: str) -> VisibleRelease:
    """Return a visible release by name, ignoring case.

    Parameters
    ----------
    services
        Shared state of the services.
    caller
        Caller of the request.
    name
        Name of the release.

    Returns
    -------
    VisibleRelease
        The release.

    Raises
    ------
    AccessDenied
        The caller's token has no scope to read.
    NotFoundError
        There is no such release, or it is hidden from the caller.
    """
    access = access_of(services, caller)
    wanted = access.release(name).name
    return next(s for s in _all_visible(access) if s.release.name == wanted)


def select_release(
    services: Services, caller: Caller, name: str
) -> tuple[VisibleRelease | None, list[VisibleRelease]]:
    """Return the release of a page about images, and all releases that the page offers.

    Parameters
    ----------
    services
        Shared state of the services.
    caller
        Caller of the request.
    name
        Name of the release; empty: the newest with files.

    Returns
    -------
    VisibleRelease or None
        The release; None if nothing is published.
    list of VisibleRelease
        Releases with files that the caller may see completely, and the named one; newest first.

    Raises
    ------
    AccessDenied
        The caller's token has no scope to read.
    NotFoundError
        There is no such release, or the caller may not see all of it.
    """
    access = access_of(services, caller)
    access.require_read()
    wanted = access.whole_release(name).name if name else ""
    offered = [s for s in _all_visible(access) if s.whole and (s.files or s.release.name == wanted)]
    if not wanted:
        return (offered[0] if offered else None), offered
    return next(s for s in offered if s.release.name == wanted), offered
