"""A deposit under way: the lock that tells audits and sweepers that its files are not lost but about to be registered."""

from __future__ import annotations

import fcntl
import os
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from desdm.archive.archive import Archive

__all__ = ["Flight", "live_since", "sweep"]


class Flight:
    """One deposit under way.

    Its lock file ``.stage/<token>.lock`` is held with flock from the first byte until the registration is
    over; the kernel lets go of it when the process dies, however it dies. Staged bytes are named after it.
    """

    def __init__(self, archive: Archive) -> None:
        self._staging = str(archive.staging)
        self._count = 0
        fd, self.token = _locked(archive.staging)
        self._close = weakref.finalize(self, _release, fd, f"{self._staging}/{self.token}.lock")

    def temporary(self) -> str:
        """A fresh path for staged bytes."""
        self._count += 1
        return f"{self._staging}/{self.token}.{self._count}"

    def clear(self) -> None:
        """Remove every staged file of this deposit."""
        for i in range(1, self._count + 1):
            with suppress(FileNotFoundError):
                os.unlink(f"{self._staging}/{self.token}.{i}")  # noqa: PTH108

    def close(self) -> None:
        """The registration is over: let go of the lock."""
        self._close()


def _locked(staging: Path) -> tuple[int, str]:
    # A clock and a process number make the token ours; the check after the lock makes sure that no sweeper
    # removed the file between its creation and our lock.
    while True:
        token = f"{os.getpid():x}-{time.time_ns():x}"
        path = staging / f"{token}.lock"
        try:
            fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:
            staging.mkdir(parents=True, exist_ok=True)
            continue
        except FileExistsError:
            continue
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return fd, token
        os.close(fd)


def _release(fd: int, path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 - runs at interpreter exit too, and for every deposit
    os.close(fd)


def _locks(archive: Archive) -> Iterator[tuple[Path, bool, float]]:
    """(lock file, whether its deposit lives, when it began)."""
    with suppress(FileNotFoundError):
        for path in sorted(archive.staging.glob("*.lock")):
            try:
                fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                alive = False
            except BlockingIOError:
                alive = True
            try:
                yield path, alive, os.fstat(fd).st_mtime
            finally:
                os.close(fd)


def live_since(archive: Archive) -> float | None:
    """Unix time since when the oldest deposit under way is under way; None if there is none."""
    return min((began for _, alive, began in _locks(archive) if alive), default=None)


def sweep(archive: Archive) -> int:
    """Remove what deposits that are over left in ``.stage``; the number of files removed."""
    removed = 0
    dead = set()
    for lock, alive, _ in _locks(archive):
        if not alive:
            # We hold the lock while it goes, so that the deposit cannot come to life in between.
            lock.unlink(missing_ok=True)
            dead.add(lock.stem)
    with suppress(FileNotFoundError):
        for name in os.listdir(archive.staging):  # noqa: PTH208 - nearly always empty, asked at every deposit
            token, _, rest = name.rpartition(".")
            if rest == "lock" or (token not in dead and (archive.staging / f"{token}.lock").exists()):
                continue
            (archive.staging / name).unlink(missing_ok=True)
            removed += 1
    return removed
