"""Streaming response: the next piece is computed in the thread pool while the previous one is sent.

The client sets the pace: at most one piece is computed ahead, so that memory is bounded. A client that stops reading or
disconnects cancels the query in the database.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from typing import TypeVar

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from typing_extensions import override

from desdm.errors import DesdmError
from desdm.query.engines.model import Cancel
from desdm.query.formats import TableStream
from desdm.services.context import Services

__all__ = ["Stream", "cancel_on_disconnect", "close_resources"]

_LOG = logging.getLogger(__name__)
#: Seconds without progress before a stalled client is disconnected.
_STALL = 60.0
_END = b""
T = TypeVar("T")


class Stream(Response):
    """Response whose bytes come from a blocking iterator.

    Parameters
    ----------
    pieces
        The bytes. An error after the first piece is reported at the end of a VOTable (DALI 1.1, section 4.4.1); a
        response in any other format is left without its terminating chunk.
    resources
        Closed at the end: the query with its connection.
    cancel
        Cancels the query in the database.
    """

    def __init__(
        self,
        services: Services,
        pieces: Iterator[bytes],
        resources: ExitStack,
        cancel: Cancel,
        media_type: str,
        headers: Mapping[str, str] | None = None,
        stall: float = _STALL,
    ) -> None:
        self.status_code, self.media_type, self.background = 200, media_type, None
        self.init_headers({**(headers or {}), **(pieces.headers if isinstance(pieces, TableStream) else {})})
        # The length is unknown until the end.
        self.raw_headers = [(k, v) for k, v in self.raw_headers if k != b"content-length"]
        self._services, self._pieces, self._resources, self._cancel = services, pieces, resources, cancel
        self._stall = stall

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        disconnected = asyncio.create_task(_wait_for_disconnect(receive, self._cancel))
        try:
            await self._send(
                send, {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            )
            following = self._start_next()
            while (piece := await following) != _END:
                following = self._start_next()
                try:
                    await self._send(send, {"type": "http.response.body", "body": piece, "more_body": True})
                except BaseException:
                    self._cancel()
                    # The thread must finish with the query before its connection is released.
                    with suppress(Exception):
                        await asyncio.shield(following)
                    raise
                if disconnected.done():
                    self._cancel()
            await self._send(send, {"type": "http.response.body", "body": b"", "more_body": False})
        except DesdmError as err:
            if disconnected.done():
                return
            if isinstance(self._pieces, TableStream) and self._pieces.reported_error:
                _LOG.warning("a response ended with an error in it: %s", err)
                await self._send(send, {"type": "http.response.body", "body": b"", "more_body": False})
                return
            # Without the terminating chunk the client knows that the response is incomplete.
            _LOG.warning("a response was aborted: %s", err)
            raise _IncompleteResponseError(str(err)) from None
        finally:
            disconnected.cancel()
            await close_resources(self._resources)

    def _start_next(self) -> asyncio.Task[bytes]:
        """Start to compute the next piece in the thread pool."""
        return asyncio.ensure_future(self._services.threads.run(partial(_next_piece, self._pieces)))

    async def _send(self, send: Send, message: Message) -> None:
        """Send a message; `TimeoutError` if the client stalls."""
        await asyncio.wait_for(send(message), self._stall)


class _IncompleteResponseError(ConnectionError):
    """A response could not be completed; the server closes the connection."""


async def _wait_for_disconnect(receive: Receive, cancel: Cancel) -> None:
    """Wait until the client disconnects, then cancel the query."""
    while (await receive())["type"] != "http.disconnect":
        pass
    cancel()


async def close_resources(resources: ExitStack) -> None:
    """Close the resources of a query in another thread, since that waits for its readers."""
    await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, resources.close))


async def cancel_on_disconnect(receive: Receive, cancel: Cancel, task: Awaitable[T]) -> T:
    """Await the first rows of a query, and cancel it in the database if the client disconnects meanwhile.

    Parameters
    ----------
    receive
        ASGI channel of the request.
    cancel
        Cancels the query.
    task
        Computes the first rows.

    Returns
    -------
    T
        Result of ``task``.
    """
    disconnected = asyncio.create_task(_wait_for_disconnect(receive, cancel))
    try:
        return await task
    finally:
        disconnected.cancel()


def _next_piece(pieces: Iterator[bytes]) -> bytes:
    """Return the next piece that is not empty; `_END` after the last."""
    # An empty piece would be mistaken for the end.
    for piece in pieces:
        if piece:
            return piece
    return _END
