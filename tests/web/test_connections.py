"""Heads and bodies of requests have bounds and deadlines; who keeps to them is served (RFC 9110, RFC 6585)."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from desdm.web.connections import Bounds, protocol


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


@contextmanager
def serving(bounds: Bounds) -> Iterator[int]:
    app: Any = Starlette(routes=[Route("/", echo, methods=["GET", "POST"])])
    config = uvicorn.Config(app, "127.0.0.1", 0, http=protocol(bounds), log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    bounds = Bounds(
        head=4096, url=1024, headers=20, head_seconds=0.6, body_seconds=0.6, body_bytes=100, of_address=5
    )
    with serving(bounds) as found:
        yield found


def talk(port: int, *pieces: bytes, pause: float = 0.0, address: str = "127.0.0.1") -> bytes:
    """Send pieces with pauses; all that comes until the server closes, or for three seconds."""
    with socket.create_connection(("127.0.0.1", port), 3, (address, 0)) as sent:
        found = b""
        try:
            for piece in pieces:
                sent.sendall(piece)
                time.sleep(pause)
            while piece := sent.recv(65536):
                found += piece
        except (ConnectionError, TimeoutError):
            pass
        return found


HOST = b"Host: x\r\n"
CLOSE = b"Connection: close\r\n"


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ((b"GET / HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n",), 200),
        ((b"GET /?" + b"a" * 1000 + b" HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n",), 200),
        ((b"GET /?" + b"a" * 1100 + b" HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n",), 414),
        ((b"GET / HTTP/1.1\r\n" + HOST + CLOSE + b"X: " + b"a" * 4000 + b"\r\n\r\n",), 200),
        ((b"GET / HTTP/1.1\r\n" + HOST + CLOSE + b"X: " + b"a" * 5000 + b"\r\n\r\n",), 431),
        ((b"GET / HTTP/1.1\r\n" + HOST, *(b"X: " + b"a" * 1000 + b"\r\n" for _ in range(9))), 431),
        ((b"GET / HTTP/1.1\r\n" + HOST + CLOSE + b"X: 1\r\n" * 30 + b"\r\n",), 431),
        ((b"POST / HTTP/1.1\r\n" + HOST + CLOSE + b"Content-Length: 200000\r\n\r\n" + b"b" * 200_000,), 200),
    ],
)  # fmt: skip
def test_the_bounds_of_a_head(port: int, pieces: tuple[bytes, ...], status: int) -> None:
    answer = talk(port, *pieces)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:100]
    if status != 200:
        assert b"connection: close" in answer.lower()


CHUNKED = b"POST / HTTP/1.1\r\n" + HOST + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        # Trailers (RFC 9112, section 7.1.2) are joined by the parser as headers are, and have the same bound.
        ((b"5\r\nhello\r\n0\r\nX: ", *(b"a" * 1000 for _ in range(9))), 431),
        ((b"5\r\nhello\r\n0\r\nX", *(b"a" * 1000 for _ in range(9))), 431),
        ((b"5;", *(b"a" * 1000 for _ in range(9))), 431),  # extension of a chunk, section 7.1.1
        ((b"5\r\nhello\r\n0\r\nX: " + b"a" * 1000 + b"\r\n\r\n",), 200),
        ((*(b"1\r\nb\r\n" * 1000 for _ in range(10)), b"0\r\n\r\n"), 200),  # small chunks are no flood
    ],
)
def test_the_bounds_of_chunks_and_trailers(port: int, pieces: tuple[bytes, ...], status: int) -> None:
    answer = talk(port, CHUNKED, *pieces, pause=0.02)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:100]


@pytest.mark.parametrize("piece", [b"GET / HTTP/1.1\r\nX: ", b"", b"\r\n"])
def test_half_a_head_has_a_deadline(port: int, piece: bytes) -> None:
    begun = time.monotonic()
    assert talk(port, *([piece] if piece else [])).startswith(b"HTTP/1.1 408 ")
    assert 0.4 < time.monotonic() - begun < 2.0


def test_a_head_that_trickles_has_the_same_deadline(port: int) -> None:
    begun = time.monotonic()
    talk(port, b"GET / HTTP/1.1\r\n", *(b"X: a\r\n" for _ in range(15)), pause=0.2)
    assert time.monotonic() - begun < 4.0
    assert talk(port, b"GET / HTTP/1.1\r\n", *(b"X: a\r\n" for _ in range(3)), pause=0.2).startswith(
        b"HTTP/1.1 408 "
    )


def test_a_body_that_stands_still_is_let_go_and_a_slow_one_is_not(port: int) -> None:
    head = b"POST / HTTP/1.1\r\n" + HOST + CLOSE + b"Content-Length: 1000\r\n\r\n"
    begun = time.monotonic()
    assert talk(port, head + b"b" * 10) == b""
    assert time.monotonic() - begun < 2.0
    assert talk(port, head, *(b"b" * 100 for _ in range(10)), pause=0.2).startswith(b"HTTP/1.1 200 ")


def test_one_address_has_so_many_connections_and_others_have_theirs(port: int) -> None:
    request = b"GET / HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n"
    held = [socket.create_connection(("127.0.0.1", port), 3, ("127.0.0.1", 0)) for _ in range(5)]
    time.sleep(0.1)
    assert talk(port, request).startswith(b"HTTP/1.1 429 ")
    assert talk(port, request, address="127.0.0.2").startswith(b"HTTP/1.1 200 ")
    for one in held:
        one.close()
    time.sleep(0.1)
    assert talk(port, request).startswith(b"HTTP/1.1 200 ")


def test_a_connection_serves_one_request_after_another(port: int) -> None:
    request = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc"
    with socket.create_connection(("127.0.0.1", port), 3) as sent:
        for _ in range(8):
            sent.sendall(request)
            assert sent.recv(4096).startswith(b"HTTP/1.1 200 ")
            time.sleep(0.15)
