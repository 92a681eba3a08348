"""Files of an installation that a database should know: in its archive, and of frozen or published releases."""

from __future__ import annotations

import os
from pathlib import Path

from desdm.archive.archive import Archive
from desdm.release.manifest import MANIFESTS

__all__ = ["archived_files", "frozen_directories"]


def archived_files(archive: Archive, most: int = 10_000) -> int:
    """Return how many files lie in an archive, at most ``most``; what is staged, set aside or deleted does not count."""
    count = 0
    for folder, folders, names in os.walk(archive.root):
        if Path(folder) == archive.root:
            folders[:] = [name for name in folders if not name.startswith(".")]
        count += sum(not name.startswith(".") for name in names)
        if count >= most:
            return most
    return count


def frozen_directories(releases: Path) -> list[str]:
    """Return the names of the directories below ``releases`` that have a manifest: the release was frozen or published."""
    return sorted(path.parent.name for path in releases.glob(f"*/{MANIFESTS[0]}"))
