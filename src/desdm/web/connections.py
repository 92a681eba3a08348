"""Connections of clients: bounds of request heads, deadlines for heads and bodies, connections of one address.

uvicorn's protocol on httptools has none of these. The additional code runs at the begin and end of a head and for each
piece of data, which costs some microseconds for each request.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["Bounds", "protocol"]


@dataclass(slots=True)
class Bounds:
    """Bounds of all connections of a server, and their current number.

    Attributes
    ----------
    head, url, headers
        Bytes of a request's head, and of its trailers; bytes of its address; number of its headers.
    head_seconds
        Time in which a head must be complete, from its first byte, or from the connection.
    body_seconds, body_bytes
        Least number of bytes of a body in each such interval while the server reads it.
    of_address, total
        Connections of one address, and of all.
    proxy
        Address of a front server, behind which all clients are: its connections are bounded by ``total`` alone.
    """

    head: int = 64 << 10
    url: int = 16 << 10
    headers: int = 200
    head_seconds: float = 15.0
    body_seconds: float = 20.0
    body_bytes: int = 20_000
    of_address: int = 256
    total: int = 2048
    proxy: str = ""
    connections: Counter[str] = field(default_factory=Counter)


def protocol(bounds: Bounds) -> type[asyncio.Protocol]:
    """Return the protocol class of a server with these bounds."""

    class Bounded(_Bounded):
        _bounds = bounds

    return Bounded


#: Seconds in which a rejected client may read the response; its further bytes are discarded.
_LINGER = 1.0
_STATUS_LINES = {
    408: b"HTTP/1.1 408 Request Timeout\r\n",
    414: b"HTTP/1.1 414 URI Too Long\r\n",
    429: b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 10\r\n",
    431: b"HTTP/1.1 431 Request Header Fields Too Large\r\n",
    503: b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\n",
}


class _Bounded(HttpToolsProtocol):
    """A connection with bounds and deadlines."""

    _bounds: Bounds

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._in_head, self._head_size, self._url_size, self._header_count = True, 0, 0, 0
        self._body_size = 0
        #: bytes since the last ones that belonged to a body: lengths of chunks, extensions, trailers
        self._framing_size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._address: str | None = None
        self._refused = False

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        bounds = self._bounds
        self._address = self.client[0] if self.client else ""
        count = bounds.connections
        count[self._address] += 1
        if count.total() > bounds.total:
            self._refuse(503, "the server has too many connections; try again")
        elif count[self._address] > bounds.of_address and self._address != bounds.proxy:
            self._refuse(429, f"more than {bounds.of_address} connections from your address; close some")
        else:
            self._timer = self.loop.call_later(bounds.head_seconds, self._head_timeout)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        if self._address is not None:
            count = self._bounds.connections
            count[self._address] -= 1
            if count[self._address] <= 0:
                del count[self._address]
            self._address = None
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._in_head:
            self._head_size += len(data)
        else:
            self._body_size += len(data)
            self._framing_size += len(data)
        super().data_received(data)
        self._after_data()

    def _after_data(self) -> None:
        """Reject a head that is too large; set a deadline for data that do not begin a request."""
        if self._refused:
            return
        if not self._in_head:
            if self._framing_size > self._bounds.head:
                self._too_large_trailer()
            return
        if self._head_size > self._bounds.head:
            self._too_large()
        elif self._timer is None and (self.cycle is None or self.cycle.response_complete):  # type: ignore[redundant-expr]
            self._timer = self.loop.call_later(self._bounds.head_seconds, self._head_timeout)

    def _too_large_trailer(self) -> None:
        """Reject trailers or chunk extensions that are too large: the parser joins their pieces, at quadratic cost."""
        if self.cycle.response_started:
            self._refused = True
            self._stop_timer()
            self.transport.close()
        else:
            self._refuse(431, f"the trailers of a request have at most {self._bounds.head} bytes")

    def _too_large(self) -> None:
        """Reject a head that is too large."""
        self._refuse(431, f"the head of a request has at most {self._bounds.head} bytes")

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._url_size, self._header_count = True, 0, 0
        if self._timer is None and not self._refused:
            self._timer = self.loop.call_later(self._bounds.head_seconds, self._head_timeout)

    @override
    def on_url(self, url: bytes) -> None:
        self._url_size += len(url)
        if self._url_size > self._bounds.url:
            self._refuse(414, f"an address has at most {self._bounds.url} bytes; send the parameters by POST")
        elif not self._refused:
            super().on_url(url)

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_count += 1
        if self._header_count > self._bounds.headers:
            self._refuse(431, f"a request has at most {self._bounds.headers} headers")
        elif not self._refused:
            super().on_header(name, value)

    @override
    def on_headers_complete(self) -> None:
        self._stop_timer()
        if (
            not self._refused
            and self._url_size + sum(len(n) + len(v) for n, v in self.headers) > self._bounds.head
        ):
            self._too_large()
        if self._refused:
            return
        self._in_head, self._head_size, self._body_size, self._framing_size = False, 0, 0, 0
        super().on_headers_complete()
        self._timer = self.loop.call_later(self._bounds.body_seconds, self._body_timeout)

    @override
    def on_body(self, body: bytes) -> None:
        self._framing_size = 0
        if not self._refused:
            super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        self._stop_timer()
        self._in_head = True
        if not self._refused:
            super().on_message_complete()

    def _head_timeout(self) -> None:
        """Reject a head that is too slow."""
        self._timer = None
        self._refuse(408, f"the head of the request did not come within {self._bounds.head_seconds:g} s")

    def _body_timeout(self) -> None:
        """Close a connection whose body arrives too slowly, unless the server itself does not read."""
        self._timer = None
        reading = len(self.cycle.body) <= HIGH_WATER_LIMIT
        if reading and self._body_size < self._bounds.body_bytes:
            self._refused = True
            self.transport.close()
            return
        self._body_size = 0
        self._timer = self.loop.call_later(self._bounds.body_seconds, self._body_timeout)

    def _stop_timer(self) -> None:
        """Cancel the current deadline."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: int, message: str) -> None:
        """Respond without the application, and close."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        self._stop_timer()
        text = message.encode() + b"\n"
        self.transport.write(
            _STATUS_LINES[status]
            + b"Server: desdm\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
            b"Content-Length: " + str(len(text)).encode() + b"\r\n\r\n" + text
        )
        # An immediate close would reset the connection before the client has read the response.
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._timer = self.loop.call_later(_LINGER, self.transport.close)
        else:
            self.transport.close()
