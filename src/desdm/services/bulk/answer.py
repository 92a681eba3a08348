"""Sends an open file as an HTTP answer: whole, one range or several, with bounded memory."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Iterator, Sequence

from anyio import CapacityLimiter, to_thread
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from desdm.services.bulk.ranges import Span
from desdm.services.bulk.verify import Opened

__all__ = ["FileAnswer"]

#: One piece is in flight for each client: this times the clients is the memory that downloads take.
_PIECE = 512 << 10
#: A client that takes nothing for so many seconds is let go.
_PATIENCE = 120.0


class FileAnswer(Response):
    """A verified file, or some of its bytes.

    Parameters
    ----------
    opened
        The file; closed when the answer ends, however it ends.
    spans
        Bytes to send, or None for all. Two or more make a ``multipart/byteranges`` (RFC 9110, 14.6).
    headers
        Of the answer, without length and range.
    readers
        How many threads read the disk at once.
    patience
        Seconds without progress after which a client is let go.
    """

    def __init__(
        self,
        opened: Opened,
        spans: Sequence[Span] | None,
        mime: str,
        headers: dict[str, str],
        readers: CapacityLimiter,
        patience: float = _PATIENCE,
    ) -> None:
        self._opened, self._readers, self._patience = opened, readers, patience
        size = opened.stamp.size
        headers = {**headers, "accept-ranges": "bytes"}
        self.status_code = 200 if spans is None else 206
        self.background = None
        self._parts: list[bytes | Span]
        if spans is None or len(spans) == 1:
            span = Span(0, size) if spans is None else spans[0]
            self._parts = [span]
            if spans is not None:
                headers["content-range"] = f"bytes {span.start}-{span.stop - 1}/{size}"
        else:
            boundary = secrets.token_hex(12)
            self._parts = list(_multipart(spans, boundary, mime, size))
            mime = f"multipart/byteranges; boundary={boundary}"
        length = sum(len(p) if isinstance(p, bytes) else p.stop - p.start for p in self._parts)
        headers["content-length"] = str(length)
        headers["content-type"] = mime
        self.init_headers(headers)

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(_gone(receive))
        try:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b""})
                return
            for part in self._parts:
                if not await self._send(part, send, gone):
                    return  # unfinished on purpose: the server breaks the connection, the client sees it
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()
            os.close(self._opened.fd)

    async def _send(self, part: bytes | Span, send: Send, gone: asyncio.Task[None]) -> bool:
        if isinstance(part, bytes):
            return await self._pass_on(part, send)
        at = part.start
        while at < part.stop:
            if gone.done():
                return False
            piece = await to_thread.run_sync(
                self._read, at, min(_PIECE, part.stop - at), limiter=self._readers
            )
            if not piece or not await self._pass_on(piece, send):
                return False
            at += len(piece)
        return True

    def _read(self, at: int, length: int) -> bytes:
        try:
            piece = os.pread(self._opened.fd, length, at)
        except OSError:
            return b""
        # Whoever writes into a released file spoils it: nothing of it goes out as if it were right.
        return b"" if self._opened.touched() else piece

    async def _pass_on(self, piece: bytes, send: Send) -> bool:
        try:
            async with asyncio.timeout(self._patience):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except TimeoutError:
            return False
        return True


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _multipart(spans: Sequence[Span], boundary: str, mime: str, size: int) -> Iterator[bytes | Span]:
    for span in spans:
        yield (
            f"\r\n--{boundary}\r\nContent-Type: {mime}\r\n"
            f"Content-Range: bytes {span.start}-{span.stop - 1}/{size}\r\n\r\n"
        ).encode("latin-1")
        yield span
    yield f"\r\n--{boundary}--\r\n".encode("latin-1")
