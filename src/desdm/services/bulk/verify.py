"""Opens a file of a release to be served, and refuses it when its bytes are not those that were released.

A file is hashed before it first goes out and again whenever it was touched: inode, size, time of modification
and time of change stand for its bytes in between. The check costs one read a file and server start.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from anyio import CapacityLimiter, to_thread

from desdm.errors import CorruptFile, TransientError
from desdm.release.model import ReleaseFile

__all__ = ["Opened", "Stamp", "Verifier"]

#: A file changed less than this before it was hashed may be changed again within the same tick of the file
#: system's clock, so that its stamp would not tell; it is hashed again next time.
_TICK_NS = 50_000_000
_PIECE = 4 << 20


class Stamp(NamedTuple):
    """What stands for a file's bytes as long as nobody touches it."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> Stamp:
        """From the answer of ``fstat``."""
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class Opened(NamedTuple):
    """An open file whose bytes are right, and its stamp; whoever gets it closes ``fd``."""

    fd: int
    stamp: Stamp

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)

    def touched(self) -> bool:
        """Whether somebody wrote into the file since it was verified."""
        return Stamp.of(os.fstat(self.fd)) != self.stamp


class _Verdict(NamedTuple):
    stamp: Stamp | None
    settled: bool
    fault: str | None


class Verifier:
    """Verifies files of releases against their recorded digests and remembers the outcome.

    Parameters
    ----------
    report
        Called once for each fault that is found, with the file and what is wrong with it.
    threads
        How many files are hashed at once; readers of verified files never wait for them.
    """

    def __init__(self, report: Callable[[ReleaseFile, str], None], threads: int = 2) -> None:
        self._report = report
        self._threads = CapacityLimiter(threads)
        self._known: dict[tuple[str, str], _Verdict] = {}
        self._under_way: dict[tuple[str, str], asyncio.Task[_Verdict]] = {}

    async def open(self, path: Path, file: ReleaseFile, readers: CapacityLimiter) -> Opened:
        """Open a file for reading, its bytes verified.

        Raises
        ------
        CorruptFile
            If they are not as recorded, or the file is gone; it stands in the problem list then.
        TransientError
            If it changes while it is read, or cannot be opened now.
        """
        for _ in range(3):
            opened = await to_thread.run_sync(_open, path, file, limiter=readers)
            stamp = None if opened is None else opened.stamp
            verdict = self._known.get((file.release, file.path))
            if verdict is not None and verdict.stamp == stamp and verdict.settled:
                return _passed(verdict, opened, file)
            if opened is not None:
                os.close(opened.fd)
            await self._once(path, file)
            opened = await to_thread.run_sync(_open, path, file, limiter=readers)
            verdict = self._known[(file.release, file.path)]
            if verdict.stamp == (None if opened is None else opened.stamp):
                return _passed(verdict, opened, file)
            if opened is not None:
                os.close(opened.fd)
        raise TransientError(f"{file.release}/{file.path} is being written on this server; try again")

    async def _once(self, path: Path, file: ReleaseFile) -> None:
        # Fifty readers of one new file make one hash; it goes on when the one who began it leaves.
        key = (file.release, file.path)
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(self._verify(path, file))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        await asyncio.shield(task)

    async def _verify(self, path: Path, file: ReleaseFile) -> _Verdict:
        before = self._known.get((file.release, file.path))
        verdict = await to_thread.run_sync(self._judge, path, file, before, limiter=self._threads)
        self._known[(file.release, file.path)] = verdict
        return verdict

    def _judge(self, path: Path, file: ReleaseFile, before: _Verdict | None) -> _Verdict:
        stamp, settled, fault = _examine(path, file)
        if fault is None:
            return _Verdict(stamp, settled, None)
        if before is not None and before.fault is not None and before.fault.startswith(fault):
            return _Verdict(stamp, settled, before.fault)
        self._report(file, fault)
        return _Verdict(stamp, settled, f"{fault}; it is not served, and goes to the problem list")


def _passed(verdict: _Verdict, opened: Opened | None, file: ReleaseFile) -> Opened:
    if verdict.fault is None and opened is not None:
        return opened
    if opened is not None:
        os.close(opened.fd)
    raise CorruptFile(f"{file.release}/{file.path}: {verdict.fault}")


def _open(path: Path, file: ReleaseFile) -> Opened | None:
    # Opened without waiting, so that a pipe that stands where a file should cannot hold the server.
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as err:
        raise TransientError(f"{file.release}/{file.path} cannot be read now: {err.strerror}") from err
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        os.close(fd)
        return None
    return Opened(fd, Stamp.of(found))


def _examine(path: Path, file: ReleaseFile) -> tuple[Stamp | None, bool, str | None]:
    """Stamp of the bytes that were read, whether it can stand for them, and what is wrong with them."""
    opened = _open(path, file)
    if opened is None:
        return None, False, "it is missing on this server"
    try:
        settled = time.time_ns() - opened.stamp.changed_ns > _TICK_NS
        if opened.stamp.size != file.filesize:
            return opened.stamp, settled, f"it has {opened.stamp.size} bytes, released were {file.filesize}"
        sha = hashlib.sha256()
        at = 0
        while piece := os.pread(opened.fd, _PIECE, at):
            sha.update(piece)
            at += len(piece)
        settled &= not opened.touched()
        fault = None if sha.hexdigest() == file.sha256 else "its bytes differ from the released digest"
        return opened.stamp, settled, fault
    except OSError as err:
        raise TransientError(f"{file.release}/{file.path} cannot be read now: {err.strerror}") from err
    finally:
        os.close(opened.fd)
