"""A table on its way to a client: made in the pool, a piece at a time, while the piece before is sent.

The client sets the pace. Nothing is made before what came before it is on its way, so that memory is bounded; a
client that reads nothing for a while, or that goes away, ends the query in the database.
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

__all__ = ["Stream", "let_go", "watched"]

_LOG = logging.getLogger(__name__)
#: A client that takes nothing for so many seconds has gone, though its connection stands.
_STALL = 60.0
_END = b""
T = TypeVar("T")


class Stream(Response):
    """An answer whose bytes come from an iterator that blocks.

    Parameters
    ----------
    pieces
        The bytes. What they raise after their first piece is told in a VOTable's own end (DALI 1.1, section 4.4.1);
        an answer in any other format is left without the chunk that ends it.
    held
        What is to be let go at the end: the query with its connection.
    cancel
        Ends the query in the database.
    """

    def __init__(
        self,
        services: Services,
        pieces: Iterator[bytes],
        held: ExitStack,
        cancel: Cancel,
        media_type: str,
        headers: Mapping[str, str] | None = None,
        stall: float = _STALL,
    ) -> None:
        self.status_code, self.media_type, self.background = 200, media_type, None
        self.init_headers({**(headers or {}), **(pieces.headers if isinstance(pieces, TableStream) else {})})
        # The length is not known before the end.
        self.raw_headers = [(k, v) for k, v in self.raw_headers if k != b"content-length"]
        self._services, self._pieces, self._held, self._cancel = services, pieces, held, cancel
        self._stall = stall

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(_gone(receive, self._cancel))
        try:
            await self._send(
                send, {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            )
            made = self._next()
            while (piece := await made) != _END:
                made = self._next()
                try:
                    await self._send(send, {"type": "http.response.body", "body": piece, "more_body": True})
                except BaseException:
                    self._cancel()
                    # The thread must be done with the query before its connection is let go.
                    with suppress(Exception):
                        await asyncio.shield(made)
                    raise
                if gone.done():
                    self._cancel()
            await self._send(send, {"type": "http.response.body", "body": b"", "more_body": False})
        except DesdmError as err:
            if gone.done():
                return
            if isinstance(self._pieces, TableStream) and self._pieces.reported_error:
                _LOG.warning("an answer ended with an error in it: %s", err)
                await self._send(send, {"type": "http.response.body", "body": b"", "more_body": False})
                return
            # Without the chunk that ends an answer the client knows that this one is not whole.
            _LOG.warning("an answer broke off: %s", err)
            raise _BrokenOffError(str(err)) from None
        finally:
            gone.cancel()
            await let_go(self._held)

    def _next(self) -> asyncio.Task[bytes]:
        return asyncio.ensure_future(self._services.threads.run(partial(_following, self._pieces)))

    async def _send(self, send: Send, message: Message) -> None:
        await asyncio.wait_for(send(message), self._stall)


class _BrokenOffError(ConnectionError):
    """An answer could not be ended; the server closes the connection."""


async def _gone(receive: Receive, cancel: Cancel) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    cancel()


async def let_go(held: ExitStack) -> None:
    """Let a query go in a thread of its own: it waits for who still reads from it, the others need not."""
    await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, held.close))


async def watched(receive: Receive, cancel: Cancel, task: Awaitable[T]) -> T:
    """Wait for the first rows of a query, and end it in the database if the client goes away meanwhile."""
    gone = asyncio.create_task(_gone(receive, cancel))
    try:
        return await task
    finally:
        gone.cancel()


def _following(pieces: Iterator[bytes]) -> bytes:
    # An empty piece would be taken for the end.
    for piece in pieces:
        if piece:
            return piece
    return _END
