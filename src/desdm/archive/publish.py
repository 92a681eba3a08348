"""Puts staged bytes under their final name, never over another file, and makes that durable."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
from functools import cache
from pathlib import Path
from typing import Any

from desdm import errors
from desdm.errors import DesdmError, StorageFull, TransientError

__all__ = ["digest", "move_aside", "publish", "storage_error", "sync_directories"]

_NOREPLACE = 1
_AT_FDCWD = -100


@cache
def _renameat2() -> Any:
    """Return the C library's ``renameat2``, or None where it has none."""
    return getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)


def publish(source: str, target: str) -> bool:
    """Give a file its final name; False, and nothing done, if that name is taken.

    ``renameat2`` with RENAME_NOREPLACE does it in one step; where the file system does not know that, a hard
    link (which never overwrites either) and an unlink do.
    """
    rename = _renameat2()
    if rename is not None:
        if not rename(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _NOREPLACE):
            return True
        number = ctypes.get_errno()
        if number == errno.EEXIST:
            return False
        if number not in (errno.EINVAL, errno.ENOSYS, errno.EPERM):
            raise OSError(number, os.strerror(number), target)
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    os.unlink(source)  # noqa: PTH108
    return True


def sync_directories(directories: set[str]) -> None:
    """fsync directories, so that the names in them survive a loss of power."""
    for directory in directories:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def move_aside(path: Path, orphans: Path) -> Path:
    """Move a file into ``.orphans`` under a name that says when it changed and is not taken."""
    orphans.mkdir(parents=True, exist_ok=True)
    changed = path.stat().st_ctime_ns
    for i in range(1_000_000):
        target = orphans / (f"{changed:x}-{i}-{path.name}" if i else f"{changed:x}-{path.name}")
        if publish(str(path), str(target)):
            return target
    raise TransientError(f"{orphans}: no free name for {path.name}")


def digest(path: Path | str) -> tuple[str, int]:
    """(sha-256, bytes) of a file, read in pieces."""
    with Path(path).open("rb", buffering=0) as file:
        sha = hashlib.file_digest(file, "sha256")
        return sha.hexdigest(), file.tell()


def storage_error(err: OSError, path: object) -> DesdmError | None:
    """The typed error for a write that failed for want of room; None if that was not the reason."""
    error = errors.storage_error(err, path)
    return error if isinstance(error, StorageFull) else None
