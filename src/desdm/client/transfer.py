"""Brings one file over HTTP to its place: resumed where it stopped, verified, under its name only when whole."""

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
from typing import IO, Any

import requests

from desdm.errors import ConflictError, CorruptFile, FatalError, StorageFull, TransientError, UsageError

__all__ = ["Link", "Wanted", "digest", "reason", "standing", "transfer"]

#: Bytes taken at once: so much is lost when a connection breaks, and no more.
_PIECE = 64 << 10
#: Seconds to connect, and between two pieces.
_TIMES = (10.0, 60.0)
_LATER = (429, 502, 503, 504)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
#: What can go wrong on the way and may go right the next time.
_BROKEN = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to be had: its path in the release, address, size and sha-256."""

    path: str
    url: str
    size: int
    sha256: str


@dataclass(slots=True)
class Link:
    """The way to the server, shared by all transfers.

    Attributes
    ----------
    token
        Sent as ``Authorization: Bearer``; requests drops it when another host is redirected to.
    patience
        Seconds without a single byte after which a server that does not answer is given up.
    stop
        Set from outside: every transfer ends soon, its part stays.
    moved
        Called with the number of bytes that came, or with a negative one when they were thrown away.
    """

    token: str | None = None
    patience: float = 60.0
    stop: threading.Event = field(default_factory=threading.Event)
    moved: Callable[[int], object] = lambda count: None
    _own: threading.local = field(default_factory=threading.local)

    def get(self, url: str, headers: dict[str, str] | None = None, stream: bool = True) -> requests.Response:
        """A GET by this thread's own session."""
        session: requests.Session | None = getattr(self._own, "session", None)
        if session is None:
            session = self._own.session = requests.Session()
        # Bytes as they are on the disk: a digest of the file says nothing of a compressed body.
        sent = {"Accept-Encoding": "identity", **(headers or {})}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        return session.get(url, headers=sent, stream=stream, timeout=_TIMES)

    def asked(self, url: str) -> requests.Response:
        """A GET whose answer is read whole; repeated while the server does not answer, whatever the status in the end.

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
                reason = _why(err)
            except requests.RequestException as err:
                raise UsageError(f"{url}: {err}") from err
            if self.stop.is_set() or time.monotonic() - began + pause > self.patience:
                raise TransientError(f"{url} does not answer ({reason}); try again later")
            self.stop.wait(pause)
            pause = min(pause * 2, 2.0)


def digest(path: Path) -> str:
    """sha-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def standing(target: Path, wanted: Wanted) -> bool:
    """Whether the file stands already, with the right bytes."""
    try:
        return target.is_file() and target.stat().st_size == wanted.size and digest(target) == wanted.sha256
    except OSError:
        return False  # fetching it will say what is in the way


def transfer(link: Link, wanted: Wanted, target: Path) -> None:
    """Bring one file to ``target``; what an earlier try brought is not fetched again.

    Parameters
    ----------
    target
        Replaced only by the whole, right file; until then the bytes stand beside it as ``.<name>.<digest>.part``.

    Raises
    ------
    CorruptFile
        If the bytes that came, twice from their beginning, differ from the digest.
    ConflictError
        If another process is bringing the same file.
    UsageError, FatalError, TransientError
        If the server refuses it, is wrong, or does not answer.
    StorageFull
        If there is no room.
    """
    part = target.with_name(f".{target.name}.{wanted.sha256[:12]}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("a+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as err:
                raise ConflictError(
                    f"{wanted.path}: another desdm get is fetching it here; let it finish"
                ) from err
            for last in (False, True):
                if _Fill(link, wanted, file).run() == wanted.sha256:
                    break
                _empty(file)
                link.moved(-wanted.size)
                if last:
                    part.unlink()
                    raise CorruptFile(
                        f"{wanted.path}: what the server sends differs from its digest; report it"
                    )
            file.flush()
            part.replace(target)
    except OSError as err:
        if err.errno in _FULL:
            raise StorageFull(
                f"{target}: no room for {wanted.size} bytes; make room and run it again"
            ) from err
        raise UsageError(f"{target}: {err.strerror or err}") from err


class _Fill:
    """Fills one part file up to its size, over as many connections as it takes."""

    def __init__(self, link: Link, wanted: Wanted, file: IO[bytes]) -> None:
        self._link, self._wanted, self._file = link, wanted, file
        self._sha = hashlib.sha256()
        self._have = 0

    def run(self) -> str:
        """Go on from what is there; the sha-256 of the whole."""
        self._take_up()
        moved_at, pause = time.monotonic(), 0.2
        while self._have < self._wanted.size:
            before = self._have
            wait, reason = self._once()
            if self._link.stop.is_set():
                raise TransientError(f"{self._wanted.path}: stopped; run it again to go on")
            if self._have > before:
                moved_at, pause = time.monotonic(), 0.2
            if self._have == self._wanted.size:
                break
            wait = max(wait, pause)
            if time.monotonic() - moved_at + wait > self._link.patience:
                raise TransientError(f"{self._wanted.path}: {reason}; run it again to go on")
            self._link.stop.wait(wait)
            pause = min(pause * 2, 2.0)
        return self._sha.hexdigest()

    def _take_up(self) -> None:
        self._file.seek(0)
        while self._have <= self._wanted.size and (piece := self._file.read(1 << 20)):
            self._sha.update(piece)
            self._have += len(piece)
        if self._have > self._wanted.size:
            self._begin()
        self._link.moved(self._have)

    def _begin(self) -> None:
        _empty(self._file)
        self._sha, self._have = hashlib.sha256(), 0

    def _once(self) -> tuple[float, str]:
        """One connection: seconds that the server asks to wait, and why it ended."""
        headers = {}
        if self._have:
            headers = {"Range": f"bytes={self._have}-", "If-Range": f'"{self._wanted.sha256}"'}
        try:
            with self._link.get(self._wanted.url, headers) as answer:
                return self._take(answer)
        except _BROKEN as err:
            return 0.0, _why(err)
        except requests.RequestException as err:
            raise UsageError(f"{self._wanted.url}: {err}") from err

    def _take(self, answer: requests.Response) -> tuple[float, str]:
        status = answer.status_code
        if status in _LATER:
            said = answer.headers.get("Retry-After", "")
            return (min(float(said), 60.0) if said.isdigit() else 0.0), f"the server answers {status}"
        if status == 200:
            if self._have:
                self._link.moved(-self._have)
                self._begin()
        elif status == 206:
            begins = f"bytes {self._have}-"
            if not answer.headers.get("Content-Range", "").startswith(begins):
                raise FatalError(f"{self._wanted.path}: the server sends another range than it was asked for")
        else:
            raise _refused(self._wanted.path, answer)
        for piece in answer.iter_content(_PIECE):
            self._file.write(piece)
            self._sha.update(piece)
            self._have += len(piece)
            self._link.moved(len(piece))
            if self._have > self._wanted.size:
                raise FatalError(f"{self._wanted.path}: the server sends more than {self._wanted.size} bytes")
            if self._link.stop.is_set():
                break
        return 0.0, "the connection broke"


def _empty(file: IO[bytes]) -> None:
    file.seek(0)
    file.truncate()


def _refused(path: str, answer: requests.Response) -> Exception:
    said = reason(answer)
    if 400 <= answer.status_code < 500:
        return UsageError(f"{path}: refused ({answer.status_code}): {said}")
    return FatalError(f"{path}: the server fails ({answer.status_code}): {said}")


def reason(answer: requests.Response) -> str:
    """What an answer that is no file says, in one line."""
    text = answer.text
    try:
        found: Any = json.loads(text)["error"]
        text = str(found["message"] if isinstance(found, dict) else found)
    except (ValueError, KeyError, TypeError):
        pass  # a line of text already
    line = text.strip().partition("\n")[0].removeprefix("error: ")
    return line[:300] or answer.reason or "no reason given"


def _why(err: Exception) -> str:
    if isinstance(err, requests.Timeout):
        return "the server does not answer"
    return "the connection broke" if "Connection broken" in str(err) else "the server cannot be reached"
