"""A deposit under way: the lock that tells audits and sweepers that its files are not lost but about to be registered."""

from __future__ import annotations

import fcntl
import os
import struct
import time
import weakref
from contextlib import suppress

from desdm.archive.archive import Archive
from desdm.modes import make_private

__all__ = ["Flight", "live_since", "sweep"]

# struct flock of Linux on 64 bits: type, whence, start, length, process.
_FLOCK = struct.Struct("hhqqi4x")
_LOCKS = "flights"
_END = 1 << 62


class Flight:
    """One deposit under way.

    It holds a lock on one byte of ``.stage/flights``, from its first staged byte until its registration is over;
    the kernel lets go of it when the process dies, however it dies. Which byte says when it began (microseconds)
    and names its staged files. A byte of a file that stands costs nothing, a lock file of its own would cost more
    than a small file's deposit.
    """

    def __init__(self, archive: Archive) -> None:
        self._staging = str(archive.staging)
        fd = _opened(archive)
        while True:
            self.token = (time.time_ns() // 1000 << 10) | (os.getpid() & 1023)
            try:
                fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, 0, self.token, 1, 0))
                break
            except BlockingIOError:
                continue
        self._count = 0
        self._close = weakref.finalize(self, os.close, fd)

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


def _opened(archive: Archive) -> int:
    """Open the file of locks, which is created if it does not exist; return its descriptor."""
    path = f"{archive.staging}/{_LOCKS}"
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        make_private(archive.staging)
        return os.open(path, flags, 0o600)


def _first_lock(fd: int, start: int, length: int) -> int | None:
    """First byte of a lock that another holds within a range; None if there is none."""
    request = _FLOCK.pack(fcntl.F_WRLCK, 0, start, length, 0)
    kind, _, begin, _, _ = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_OFD_GETLK, request))
    return None if kind == fcntl.F_UNLCK else max(int(begin), start)


def live_since(archive: Archive) -> float | None:
    """Unix time since when the oldest deposit under way is under way; None if there is none."""
    try:
        fd = os.open(f"{archive.staging}/{_LOCKS}", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        oldest = _first_lock(fd, 0, _END)
        while oldest and (older := _first_lock(fd, 0, oldest)) is not None:
            oldest = older
    finally:
        os.close(fd)
    return None if oldest is None else (oldest >> 10) / 1e6


def sweep(archive: Archive) -> int:
    """Remove what deposits that are over left in ``.stage``; the number of files removed."""
    try:
        names = os.listdir(archive.staging)  # noqa: PTH208 - nearly always empty, listed at every deposit
    except FileNotFoundError:
        return 0
    if len(names) < 2:
        return 0
    removed = 0
    fd = _opened(archive)
    try:
        for name in names:
            token = name.partition(".")[0]
            if token.isdecimal() and _first_lock(fd, int(token), 1) is None:
                (archive.staging / name).unlink(missing_ok=True)
                removed += 1
    finally:
        os.close(fd)
    return removed
