"""Download one file over HTTP: resumed where it stopped, verified, renamed when complete."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import requests

from desdm.errors import ConflictError, CorruptFile, FatalError, StorageFull, TransientError, UsageError

__all__ = ["Link", "RemoteFile", "digest", "is_complete", "reason", "transfer"]

#: Bytes taken at once: so much is lost when a connection breaks, and no more.
_PIECE = 64 << 10
#: Seconds to connect, and between two pieces.
_TIMES = (10.0, 60.0)
_LATER = (429, 502, 503, 504)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
#: What can go wrong on the way and may go right the next time.
_BROKEN = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file at the server: path in the release, address, size and sha-256."""

    path: str
    url: str
    size: int
    sha256: str


@dataclass(slots=True)
class Link:
    """HTTP client, shared by all transfers.

    Attributes
    ----------
    token
        Sent as ``Authorization: Bearer``; requests drops it when another host is redirected to.
    patience
        Seconds without a single byte after which a server that does not answer is given up.
    stop
        Event that ends every transfer; partial files stay.
    progress
        Called with the number of bytes received, negative for discarded ones.
    """

    token: str | None = None
    patience: float = 60.0
    stop: threading.Event = field(default_factory=threading.Event)
    progress: Callable[[int], object] = lambda count: None
    _own: threading.local = field(default_factory=threading.local)

    def get(self, url: str, headers: dict[str, str] | None = None, stream: bool = True) -> requests.Response:
        """Send a GET in this thread's own session.

        Parameters
        ----------
        url
            Address.
        headers
            Further headers.
        stream
            Whether the body is read later.

        Returns
        -------
        requests.Response
            The answer.
        """
        session: requests.Session | None = getattr(self._own, "session", None)
        if session is None:
            session = self._own.session = requests.Session()
        # Uncompressed, as on the disk: the digest is that of the file.
        request_headers = {"Accept-Encoding": "identity", **(headers or {})}
        if self.token:
            request_headers["Authorization"] = f"Bearer {self.token}"
        return session.get(url, headers=request_headers, stream=stream, timeout=_TIMES)

    def fetch(self, url: str) -> requests.Response:
        """Read a whole answer; repeat while the server does not answer, and return any final status.

        Raises
        ------
        TransientError
            If it does not answer within ``patience``.
        """
        began, pause = time.monotonic(), 0.2
        while True:
            try:
                answer = self.get(url, stream=False)
                if answer.status_code not in _LATER:
                    return answer
                reason = f"status {answer.status_code}"
            except _BROKEN as err:
                reason = _failure(err)
            except requests.RequestException as err:
                raise UsageError(f"{url}: {err}") from err
            if self.stop.is_set() or time.monotonic() - began + pause > self.patience:
                raise TransientError(f"{url} does not answer ({reason}); try again later")
            self.stop.wait(pause)
            pause = min(pause * 2, 2.0)


def digest(path: Path) -> str:
    """Return the sha-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_complete(target: Path, remote: RemoteFile) -> bool:
    """Tell whether a file exists with the right bytes."""
    try:
        return target.is_file() and target.stat().st_size == remote.size and digest(target) == remote.sha256
    except OSError:
        return False  # the download reports the obstacle


def transfer(link: Link, remote: RemoteFile, target: Path) -> None:
    """Download one file; bytes of an earlier try are not fetched again.

    Parameters
    ----------
    link
        HTTP client.
    remote
        The file at the server.
    target
        Replaced only by the whole, right file; until then the bytes stand beside it as ``.<name>.<digest>.part``.

    Raises
    ------
    CorruptFile
        If the bytes that came, twice from their beginning, differ from the digest.
    ConflictError
        If another process is downloading the same file.
    UsageError, FatalError, TransientError
        If the server refuses it, is wrong, or does not answer.
    StorageFull
        If the disk is full.
    """
    part = target.with_name(f".{target.name}.{remote.sha256[:12]}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("a+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as err:
                raise ConflictError(
                    f"{remote.path}: another desdm get is fetching it here; let it finish"
                ) from err
            for last in (False, True):
                if _Download(link, remote, file).run() == remote.sha256:
                    break
                _empty(file)
                link.progress(-remote.size)
                if last:
                    part.unlink()
                    raise CorruptFile(
                        f"{remote.path}: what the server sends differs from its digest; report it"
                    )
            file.flush()
            part.replace(target)
    except OSError as err:
        if err.errno in _FULL:
            raise StorageFull(
                f"{target}: no room for {remote.size} bytes; make room and run it again"
            ) from err
        raise UsageError(f"{target}: {err.strerror or err}") from err


class _Download:
    """Fills one part file up to its size, over as many connections as it takes."""

    def __init__(self, link: Link, remote: RemoteFile, file: IO[bytes]) -> None:
        self._link, self._remote, self._file = link, remote, file
        self._sha = hashlib.sha256()
        self._received = 0

    def run(self) -> str:
        """Continue after the bytes on disk; return the sha-256 of the file."""
        self._resume()
        moved_at, pause = time.monotonic(), 0.2
        while self._received < self._remote.size:
            before = self._received
            wait, reason = self._connect()
            if self._link.stop.is_set():
                raise TransientError(f"{self._remote.path}: stopped; run it again to go on")
            if self._received > before:
                moved_at, pause = time.monotonic(), 0.2
            if self._received == self._remote.size:
                break
            wait = max(wait, pause)
            if time.monotonic() - moved_at + wait > self._link.patience:
                raise TransientError(f"{self._remote.path}: {reason}; run it again to go on")
            self._link.stop.wait(wait)
            pause = min(pause * 2, 2.0)
        return self._sha.hexdigest()

    def _resume(self) -> None:
        """Read the bytes on disk."""
        self._file.seek(0)
        while self._received <= self._remote.size and (piece := self._file.read(1 << 20)):
            self._sha.update(piece)
            self._received += len(piece)
        if self._received > self._remote.size:
            self._restart()
        self._link.progress(self._received)

    def _restart(self) -> None:
        """Discard the bytes on disk."""
        _empty(self._file)
        self._sha, self._received = hashlib.sha256(), 0

    def _connect(self) -> tuple[float, str]:
        """Download over one connection; return seconds to wait, and why it ended."""
        headers = {}
        if self._received:
            headers = {"Range": f"bytes={self._received}-", "If-Range": f'"{self._remote.sha256}"'}
        try:
            with self._link.get(self._remote.url, headers) as answer:
                return self._receive(answer)
        except _BROKEN as err:
            return 0.0, _failure(err)
        except requests.RequestException as err:
            raise UsageError(f"{self._remote.url}: {err}") from err

    def _receive(self, answer: requests.Response) -> tuple[float, str]:
        """Write the body of an answer; return seconds to wait, and why it ended."""
        status = answer.status_code
        if status in _LATER:
            retry_after = answer.headers.get("Retry-After", "")
            return (
                min(float(retry_after), 60.0) if retry_after.isdigit() else 0.0
            ), f"the server answers {status}"
        if status == 200:
            if self._received:
                self._link.progress(-self._received)
                self._restart()
        elif status == 206:
            begins = f"bytes {self._received}-"
            if not answer.headers.get("Content-Range", "").startswith(begins):
                raise FatalError(
                    f"{self._remote.path}: the server sends another range than the requested one"
                )
        else:
            raise _refused(self._remote.path, answer)
        for piece in answer.iter_content(_PIECE):
            self._file.write(piece)
            self._sha.update(piece)
            self._received += len(piece)
            self._link.progress(len(piece))
            if self._received > self._remote.size:
                raise FatalError(f"{self._remote.path}: the server sends more than {self._remote.size} bytes")
            if self._link.stop.is_set():
                break
        return 0.0, "the connection broke"


def _empty(file: IO[bytes]) -> None:
    """Truncate a file."""
    file.seek(0)
    file.truncate()


def _refused(path: str, answer: requests.Response) -> Exception:
    """Return the error for an answer that is not the file."""
    text = reason(answer)
    if 400 <= answer.status_code < 500:
        return UsageError(f"{path}: refused ({answer.status_code}): {text}")
    return FatalError(f"{path}: the server fails ({answer.status_code}): {text}")


def reason(answer: requests.Response) -> str:
    """Return the message of an answer that is not a file, in one line."""
    text = answer.text
    try:
        error = json.loads(text)["error"]
        text = str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        pass  # a line of text already
    line = text.strip().partition("\n")[0].removeprefix("error: ")
    return line[:300] or answer.reason or "no reason given"


def _failure(err: Exception) -> str:
    """Describe a failed connection."""
    if isinstance(err, requests.Timeout):
        return "the server does not answer"
    return "the connection broke" if "Connection broken" in str(err) else "the server cannot be reached"
