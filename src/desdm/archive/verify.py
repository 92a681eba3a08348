"""Holds a file of the archive against its registered size and digest: every internal reader asks this before it reads."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from desdm.archive.archive import Archive
from desdm.archive.model import FileRecord
from desdm.archive.publish import digest
from desdm.errors import CorruptFile

__all__ = ["Damage", "Expected", "Verifier", "damage", "read_digests", "verified"]


class Expected(NamedTuple):
    """Registered size and sha-256 of a file."""

    filesize: int
    sha256: str


class _Look(NamedTuple):
    """What tells whether a file may have changed since it was hashed."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(slots=True)
class Verifier:
    """Hashes each file once and remembers by size, times and inode that it was sound.

    A warm worker keeps one from job to job, so that a file that many jobs read (a calibration, a raw frame of 62 CCDs)
    is hashed once for each worker.
    """

    _sound: dict[str, tuple[_Look, str]] = field(default_factory=dict)

    def check(self, path: Path, expected: Expected) -> None:
        """Raise `CorruptFile` unless the file has the registered size and digest."""
        look = _look(path)
        key = str(path)
        if look is not None and self._sound.get(key) == (look, expected.sha256):
            return
        damaged = damage(path, expected)
        if damaged is not None:
            raise CorruptFile(_refusal(path, damaged.text))
        if look is not None:
            self._sound[key] = (look, expected.sha256)

    def path(self, archive: Archive, record: FileRecord) -> Path:
        """Where a registered file lies, its bytes verified; `CorruptFile` if they are not as registered."""
        path = archive.path(record)
        self.check(path, Expected(record.filesize, record.sha256))
        return path


def verified(archive: Archive, record: FileRecord) -> Path:
    """Where a registered file lies, its bytes verified; `CorruptFile` if they are not as registered."""
    return Verifier().path(archive, record)


class Damage(StrEnum):
    """What can be wrong with a file of the archive; ``text`` says it in words."""

    MISSING = "missing"
    MISPLACED = "misplaced"
    TRUNCATED = "truncated"
    GROWN = "grown"
    CORRUPT = "corrupt"

    @property
    def text(self) -> str:
        """The damage in words."""
        return _TEXTS[self]


def damage(path: Path, expected: Expected) -> Damage | None:
    """Return what is wrong with a file; None: nothing."""
    try:
        if not path.is_file():
            return Damage.MISPLACED if os.path.lexists(path) else Damage.MISSING
        size = path.stat().st_size
        if size == expected.filesize:
            sha256, size = digest(path)
            if sha256 == expected.sha256:
                return None
    except (FileNotFoundError, NotADirectoryError):
        return Damage.MISSING
    except OSError as err:
        raise CorruptFile(_refusal(path, f"unreadable ({os.strerror(err.errno or 0)})")) from err
    if size == expected.filesize:
        return Damage.CORRUPT
    return Damage.TRUNCATED if size < expected.filesize else Damage.GROWN


_TEXTS: Mapping[Damage, str] = {
    Damage.MISSING: "missing: it is registered but not there",
    Damage.MISPLACED: "not a regular file: a directory or special file has its name",
    Damage.TRUNCATED: "truncated: it is shorter than registered",
    Damage.GROWN: "grown: it is longer than registered",
    Damage.CORRUPT: "corrupt: its bytes differ from the registered digest",
}


def _refusal(path: Path, what: str) -> str:
    """Return the message for a damaged file: which, where, what and what to do."""
    return f"{path.name} is damaged, {what} ({path}); run: desdm audit, then put back a good copy and resume"


def _look(path: Path) -> _Look | None:
    """Return size, times and inode of a file, or None if it cannot be examined."""
    try:
        status = path.stat()
    except OSError:
        return None
    return _Look(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def read_digests(path: Path) -> Mapping[str, Expected]:
    """The registered size and digest of each input, by its path relative to the archive's root."""
    tree: dict[str, tuple[int, str]] = json.loads(path.read_text("utf-8"))
    return {relpath: Expected(*values) for relpath, values in tree.items()}
