"""One archive: a name and a root directory, and the places under it that are not for files at rest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["Archive"]


class _Placed(Protocol):
    """A file with a path below the root of an archive."""

    @property
    def relpath(self) -> str:
        """Path below the root, with the file's name."""


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive by its name and root.

    Below the root are the directories of files, and three hidden ones: ``.stage`` (files before their registration),
    ``.orphans`` (bytes that were at the path of a registered file) and ``.trash`` (deleted files that can still be
    recovered).
    """

    name: str
    root: Path

    @property
    def staging(self) -> Path:
        """Where bytes are written before they get their final name."""
        return self.root / ".stage"

    @property
    def orphans(self) -> Path:
        """Where unregistered bytes go that stood in the way."""
        return self.root / ".orphans"

    @property
    def trash(self) -> Path:
        """Where deleted files wait for the end of their grace time."""
        return self.root / ".trash"

    def path(self, record: _Placed) -> Path:
        """Absolute path of a record's (or a staged file's) copy."""
        return self.root / record.relpath
