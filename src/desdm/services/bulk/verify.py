"""Opens release files for serving, and rejects those whose bytes differ from the release.

A file is hashed before it is first sent and again after each change: inode, size, time of modification and time of
change identify its content in between. The check costs one read of each file after a start of the server.
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

from desdm.errors import CorruptReleaseFile, TransientError
from desdm.release.model import ReleaseFile

__all__ = ["Stamp", "VerifiedFile", "Verifier", "sha256_of"]

#: A file changed less than this before it was hashed may be changed again within the same tick of the file
#: system's clock, without a change of its stamp; it is hashed again next time.
_TICK_NS = 50_000_000
#: Bytes to hash at once.
_PIECE = 4 << 20


class Stamp(NamedTuple):
    """Identity of a file's content as long as nobody changes the file."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """Return the stamp of a result of ``fstat``."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class VerifiedFile(NamedTuple):
    """A verified open file and its stamp; the receiver closes ``fd``."""

    fd: int
    stamp: Stamp

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)

    def changed(self) -> bool:
        """Whether the file changed since it was verified."""
        return Stamp.of(os.fstat(self.fd)) != self.stamp


class _Verdict(NamedTuple):
    """Result of a verification: stamp, whether it identifies the bytes, fault or None."""

    stamp: Stamp | None
    settled: bool
    fault: str | None


class Verifier:
    """Verifies release files against their recorded digests and remembers the result.

    Parameters
    ----------
    report
        Called once for each fault, with the file and a description.
    threads
        Files that are hashed at once; readers of verified files never wait for them.
    """

    def __init__(self, report: Callable[[ReleaseFile, str], None], threads: int = 2) -> None:
        self._report = report
        self._threads = CapacityLimiter(threads)
        self._verdicts: dict[tuple[str, str], _Verdict] = {}
        self._running: dict[tuple[str, str], asyncio.Task[_Verdict]] = {}

    async def open(self, path: Path, file: ReleaseFile, readers: CapacityLimiter) -> VerifiedFile:
        """Open a file for reading after verification.

        Parameters
        ----------
        path
            Path of the file on this server.
        file
            Its record.
        readers
            Limits the threads that open files at once.

        Returns
        -------
        VerifiedFile
            The open file, to be closed by the caller.

        Raises
        ------
        CorruptReleaseFile
            The bytes differ from the record, or the file is missing; the fault is entered into the problem list.
        TransientError
            The file changes while it is read, or cannot be opened now.
        """
        for _ in range(3):
            handle = await to_thread.run_sync(_open, path, file, limiter=readers)
            stamp = None if handle is None else handle.stamp
            verdict = self._verdicts.get((file.release, file.path))
            if verdict is not None and verdict.stamp == stamp and verdict.settled:
                return _require_intact(verdict, handle, file)
            if handle is not None:
                os.close(handle.fd)
            await self._verify_once(path, file)
            handle = await to_thread.run_sync(_open, path, file, limiter=readers)
            verdict = self._verdicts[(file.release, file.path)]
            if verdict.stamp == (None if handle is None else handle.stamp):
                return _require_intact(verdict, handle, file)
            if handle is not None:
                os.close(handle.fd)
        raise TransientError(f"{file.release}/{file.path} is being written on this server; try again")

    async def _verify_once(self, path: Path, file: ReleaseFile) -> None:
        """Verify a file; simultaneous readers share one task, which outlives the reader that started it."""
        key = (file.release, file.path)
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(self._verify(path, file))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))
        await asyncio.shield(task)

    async def _verify(self, path: Path, file: ReleaseFile) -> _Verdict:
        """Verify a file in a thread and remember the verdict."""
        before = self._verdicts.get((file.release, file.path))
        verdict = await to_thread.run_sync(self._judge, path, file, before, limiter=self._threads)
        self._verdicts[(file.release, file.path)] = verdict
        return verdict

    def _judge(self, path: Path, file: ReleaseFile, before: _Verdict | None) -> _Verdict:
        """Hash a file and report a new fault."""
        stamp, settled, fault = _examine(path, file)
        if fault is None:
            return _Verdict(stamp, settled, None)
        if before is not None and before.fault is not None and before.fault.startswith(fault):
            return _Verdict(stamp, settled, before.fault)
        self._report(file, fault)
        return _Verdict(stamp, settled, f"{fault}; it is not served, and goes to the problem list")


def _require_intact(verdict: _Verdict, handle: VerifiedFile | None, file: ReleaseFile) -> VerifiedFile:
    """Return an intact file; raise `CorruptReleaseFile` for a damaged one."""
    if verdict.fault is None and handle is not None:
        return handle
    if handle is not None:
        os.close(handle.fd)
    raise CorruptReleaseFile(f"{file.release}/{file.path}: {verdict.fault}")


def _open(path: Path, file: ReleaseFile) -> VerifiedFile | None:
    """Open a regular file; None if there is none."""
    # Non-blocking, so that a named pipe in the place of a file cannot block the server.
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as err:
        raise TransientError(f"{file.release}/{file.path} cannot be read now: {err.strerror}") from err
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        return None
    return VerifiedFile(fd, Stamp.of(status))


def sha256_of(fd: int) -> hashlib._Hash:
    """Hash an open file from its beginning, whatever its position is.

    `hashlib.file_digest` waits for Python's lock after every 256 kB: beside other threads of a server the first request
    of a file took half as long again.
    """
    sha, at = hashlib.sha256(), 0
    while piece := os.pread(fd, _PIECE, at):
        sha.update(piece)
        at += len(piece)
    return sha


def _examine(path: Path, file: ReleaseFile) -> tuple[Stamp | None, bool, str | None]:
    """Hash a file; return its stamp, whether the stamp identifies the bytes, and the fault if there is one."""
    handle = _open(path, file)
    if handle is None:
        return None, False, "it is missing on this server"
    try:
        settled = time.time_ns() - handle.stamp.changed_ns > _TICK_NS
        if handle.stamp.size != file.filesize:
            return handle.stamp, settled, f"it has {handle.stamp.size} bytes, released were {file.filesize}"
        sha = sha256_of(handle.fd)
        settled &= not handle.changed()
        fault = None if sha.hexdigest() == file.sha256 else "its bytes differ from the released digest"
        return handle.stamp, settled, fault
    except OSError as err:
        raise TransientError(f"{file.release}/{file.path} cannot be read now: {err.strerror}") from err
    finally:
        os.close(handle.fd)
