"""HTTP response with an open file: whole, one range or several, with bounded memory."""

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
from desdm.services.bulk.verify import VerifiedFile

__all__ = ["FileResponse"]

#: Bytes in memory for each client.
_PIECE = 512 << 10
#: Seconds without progress before a stalled client is disconnected.
_STALL = 120.0


class FileResponse(Response):
    """A verified file, or some of its bytes.

    Parameters
    ----------
    file
        The file; closed when the response ends.
    spans
        Bytes to send, or None for all. Two or more ranges make a ``multipart/byteranges`` (RFC 9110, 14.6).
    headers
        Headers of the response, without length and range.
    readers
        Limits the threads that read the disk at once.
    stall
        Seconds without progress before a stalled client is disconnected.
    """

    def __init__(
        self,
        file: VerifiedFile,
        spans: Sequence[Span] | None,
        mime: str,
        headers: dict[str, str],
        readers: CapacityLimiter,
        stall: float = _STALL,
    ) -> None:
        self._file, self._readers, self._stall = file, readers, stall
        size = file.stamp.size
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
        disconnected = asyncio.create_task(_wait_for_disconnect(receive))
        try:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b""})
                return
            for part in self._parts:
                if not await self._send(part, send, disconnected):
                    return  # incomplete: the server closes the connection, which tells the client
            await send({"type": "http.response.body", "body": b""})
        finally:
            disconnected.cancel()
            os.close(self._file.fd)

    async def _send(self, part: bytes | Span, send: Send, disconnected: asyncio.Task[None]) -> bool:
        """Send bytes, or a span of the file; False if the client is gone or the file changed."""
        if isinstance(part, bytes):
            return await self._send_piece(part, send)
        offset = part.start
        while offset < part.stop:
            if disconnected.done():
                return False
            piece = await to_thread.run_sync(
                self._read, offset, min(_PIECE, part.stop - offset), limiter=self._readers
            )
            if not piece or not await self._send_piece(piece, send):
                return False
            offset += len(piece)
        return True

    def _read(self, offset: int, length: int) -> bytes:
        """Read a piece of the file; empty if that fails or the file changed."""
        try:
            piece = os.pread(self._file.fd, length, offset)
        except OSError:
            return b""
        # A file that changes while it is sent is damaged: none of the new bytes are sent.
        return b"" if self._file.changed() else piece

    async def _send_piece(self, piece: bytes, send: Send) -> bool:
        """Send a piece; False if the client stalls."""
        try:
            async with asyncio.timeout(self._stall):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except TimeoutError:
            return False
        return True


async def _wait_for_disconnect(receive: Receive) -> None:
    """Wait until the client disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _multipart(spans: Sequence[Span], boundary: str, mime: str, size: int) -> Iterator[bytes | Span]:
    """Yield the parts of a ``multipart/byteranges``."""
    for span in spans:
        yield (
            f"\r\n--{boundary}\r\nContent-Type: {mime}\r\n"
            f"Content-Range: bytes {span.start}-{span.stop - 1}/{size}\r\n\r\n"
        ).encode("latin-1")
        yield span
    yield f"\r\n--{boundary}--\r\n".encode("latin-1")
