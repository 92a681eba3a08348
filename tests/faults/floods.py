"""Floods of strangers against a served installation, and what another address sees of the server meanwhile.

Each flood is a function of the server's URL. ``run`` starts one from 127.0.0.1 while 127.0.0.2 asks for health and for a
simple query; it returns the slowest answers and whether everything works afterwards.
"""

from __future__ import annotations

import http.client
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

__all__ = ["FLOODS", "Watched", "ask", "held_lock", "run"]

SIMPLE = "/tap/sync?" + urlencode({"LANG": "ADQL", "QUERY": "SELECT TOP 1 id FROM T1.objects"})
#: 8e9 combinations of rows: far longer than the flood.
SLOW = (
    "SELECT count(*) AS n FROM T1.objects AS a, T1.objects AS b, T1.objects AS c "
    "WHERE sin(a.ra) * cos(b.dec) * sin(c.ra) > 0.5"
)
Flood = Callable[[str], None]


def _connection(url: str, address: str, timeout: float) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    assert parts.hostname is not None
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout, source_address=(address, 0))


def ask(
    url: str,
    path: str,
    *,
    address: str = "127.0.0.1",
    data: dict[str, str] | None = None,
    timeout: float = 30.0,
) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of one request from a loopback address."""
    connection = _connection(url, address, timeout)
    try:
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if data else {}
        connection.request("POST" if data else "GET", path, urlencode(data) if data else None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), {k.lower(): v for k, v in answer.getheaders()}
    finally:
        connection.close()


@dataclass(frozen=True)
class Watched:
    """What another address saw during a flood: slowest health and query answers (s), statuses, and count."""

    health: float
    query: float
    statuses: frozenset[int]
    answers: int


def run(url: str, flood: Flood, *, least: float = 3.0, address: str = "127.0.0.2") -> Watched:
    """Watch the server from another address while a flood runs, at least ``least`` seconds."""
    ended = threading.Event()

    failed: list[BaseException] = []

    def begin() -> None:
        try:
            flood(url)
        except BaseException as err:  # noqa: BLE001 - told to the caller below
            failed.append(err)
        finally:
            ended.set()

    thread = threading.Thread(target=begin, daemon=True)
    thread.start()
    slowest, statuses, count, end = {"/health": 0.0, SIMPLE: 0.0}, set(), 0, time.monotonic() + least
    time.sleep(0.5)
    while not ended.is_set() or time.monotonic() < end:
        for path in slowest:
            begun = time.monotonic()
            status, _, _ = ask(url, path, address=address)
            slowest[path] = max(slowest[path], time.monotonic() - begun)
            statuses.add(status)
            count += 1
        time.sleep(0.2)
    thread.join(60)
    if failed:
        raise failed[0]
    return Watched(slowest["/health"], slowest[SIMPLE], frozenset(statuses), count)


def _many(count: int, request: Callable[[int], object]) -> None:
    with ThreadPoolExecutor(count if count < 100 else 100) as pool:
        list(pool.map(request, range(count)))


def slow_queries(url: str, count: int = 24, seconds: float = 6.0) -> None:
    """Many queries at once that take as long as they may; their client leaves after ``seconds``."""

    def one(_: int) -> None:
        with suppress(TimeoutError):
            status, body, _ = ask(url, "/tap/sync", data={"LANG": "ADQL", "QUERY": SLOW}, timeout=seconds)
            raise AssertionError(f"the slow query was answered: {status} {body[:200]!r}")

    _many(count, one)


def wrong_logins(url: str, count: int = 40, login: str = "victim") -> None:
    """Guesses of a password, all at once."""
    _many(
        count,
        lambda n: ask(url, "/login", data={"login": login, "password": f"guess number {n}"}, timeout=120),
    )


def jobs(url: str, count: int = 700) -> None:
    """Jobs that are never started."""
    _many(
        count,
        lambda _: ask(url, "/tap/async", data={"LANG": "ADQL", "QUERY": "SELECT 1 AS one"}, timeout=120),
    )


def denials(url: str, count: int = 400) -> None:
    """Requests that are denied, each of which is recorded."""

    def one(_: int) -> None:
        connection = _connection(url, "127.0.0.1", 60)
        try:
            connection.request("GET", "/account", headers={"Authorization": "Bearer nobody"})
            connection.getresponse().read()
        finally:
            connection.close()

    _many(count, one)


def _raw(url: str, pieces: Callable[[socket.socket], None]) -> bytes:
    """Send on a bare socket until the server closes it; what it answered."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    with socket.create_connection((parts.hostname, parts.port or 80), 30, ("127.0.0.1", 0)) as sent:
        try:
            pieces(sent)
            return sent.recv(4096)
        except (ConnectionError, BrokenPipeError):
            return b""


def large_head(url: str, megabytes: int = 150) -> None:
    """One request with headers of many megabytes."""

    def pieces(sent: socket.socket) -> None:
        sent.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        for n in range(megabytes * 16):
            sent.sendall(b"X-%d: " % n + b"a" * 65_000 + b"\r\n")

    _raw(url, pieces)


def long_address(url: str, megabytes: int = 40) -> None:
    """One request with an address of many megabytes."""

    def pieces(sent: socket.socket) -> None:
        sent.sendall(b"GET /")
        for _ in range(megabytes * 16):
            sent.sendall(b"a" * 65_536)

    _raw(url, pieces)


def half_requests(url: str, count: int = 150, seconds: float = 20.0) -> None:
    """Connections that send half a head and wait for the server to end them.

    Raises
    ------
    AssertionError
        Some stand longer than ``seconds``.
    """
    parts = urlsplit(url)
    assert parts.hostname is not None
    where = (parts.hostname, parts.port or 80)
    held = [socket.create_connection(where, 30, ("127.0.0.1", 0)) for _ in range(count)]
    end = time.monotonic() + seconds
    try:
        for one in held:
            one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Half: ")
        for one in held:
            one.settimeout(max(0.1, end - time.monotonic()))
            while one.recv(4096):
                pass
    except TimeoutError as err:
        raise AssertionError(f"a half request stood for {seconds:g} s") from err
    finally:
        for one in held:
            one.close()


def held_lock(path: Path, seconds: float = 8.0) -> Flood:
    """The flood of denials while another process holds the write lock of a SQLite database."""

    def flood(url: str) -> None:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            end = time.monotonic() + seconds
            denials(url, 40)
            time.sleep(max(0.0, end - time.monotonic()))
        finally:
            other.execute("ROLLBACK")
            other.close()

    return flood


FLOODS: dict[str, Flood] = {
    "slow queries": slow_queries,
    "wrong logins": wrong_logins,
    "jobs": jobs,
    "denials": denials,
    "large head": large_head,
    "long address": long_address,
    "half requests": half_requests,
}
