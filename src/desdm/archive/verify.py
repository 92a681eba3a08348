"""Holds a file of the archive against its registered size and digest: every internal reader asks this before it reads."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from desdm.archive.archive import Archive
from desdm.archive.model import FileRecord
from desdm.archive.publish import digest
from desdm.errors import CorruptFile

__all__ = ["Expected", "Verifier", "damage", "read_digests", "verified"]


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
        kind = damage(path, expected)
        if kind:
            raise CorruptFile(_refusal(path, kind))
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


def damage(path: Path, expected: Expected) -> str:
    """What is wrong with a file: ``missing``, ``misplaced``, ``truncated``, ``grown``, ``corrupt``; empty: nothing.

    ``misplaced``: something else than a regular file has its name.
    """
    try:
        if not path.is_file():
            return "misplaced" if os.path.lexists(path) else "missing"
        size = path.stat().st_size
        if size == expected.filesize:
            sha256, size = digest(path)
            if sha256 == expected.sha256:
                return ""
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    except OSError as err:
        raise CorruptFile(_refusal(path, f"unreadable ({os.strerror(err.errno or 0)})")) from err
    return "truncated" if size < expected.filesize else "grown" if size > expected.filesize else "corrupt"


_TEXTS: Mapping[str, str] = {
    "missing": "missing: it is registered but not there",
    "misplaced": "not a regular file: a directory or special file has its name",
    "truncated": "truncated: it is shorter than registered",
    "grown": "grown: it is longer than registered",
    "corrupt": "corrupt: its bytes differ from the registered digest",
}


def _refusal(path: Path, kind: str) -> str:
    """The message for a damaged file: which, where, what and what to do."""
    return (
        f"{path.name} is damaged, {_TEXTS.get(kind, kind)} ({path}); "
        "run: desdm audit, then put back a good copy and resume"
    )


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
