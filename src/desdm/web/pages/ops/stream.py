"""The stream of events of the desk (server-sent events): something has changed, look again."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from desdm.accounts import sessions
from desdm.accounts.model import Action
from desdm.errors import AccessDenied, TransientError
from desdm.operations.desk.store import newest_event
from desdm.services.context import Services, caller_of
from desdm.services.responses import run_blocking
from desdm.web.desk import desk_routes
from desdm.web.eventhub import EventHub, Subscription
from desdm.web.opsendpoints import STREAM
from desdm.web.pages.deskforms import filters

__all__ = ["routes"]

#: Seconds between two signs of life, and between two looks at the session.
_TICK, _SESSION = 5.0, 15.0
#: Seconds after which a stream ends: the client opens it again, with its credential.
_LONGEST = 900.0


def routes(services: Services) -> list[BaseRoute]:
    """Route of the stream."""

    async def stream(request: Request) -> Response:
        after = filters(request, STREAM).whole("AFTER")
        hub = request.app.state.events
        assert isinstance(hub, EventHub)

        def newest() -> int:
            with services.database.read() as conn:
                return newest_event(conn)

        subscription = hub.subscribe(caller_of(request).login, await run_blocking(services, newest))
        secret = request.scope.get("desdm.session")
        address = caller_of(request).address

        def holds() -> bool:
            try:
                caller = sessions.authenticate(services.database, services.state, str(secret), address)
            except AccessDenied:
                return False
            except TransientError:
                return True
            return caller.may(Action.SEE_OPERATIONS)

        async def valid() -> bool:
            return secret is None or await run_blocking(services, holds)

        async def text() -> AsyncIterator[str]:
            try:
                # A client that comes back knows more than its page did when it was rendered.
                seen = request.headers.get("last-event-id", "" if after is None else str(after))
                yield "retry: 3000\n\n"
                if seen and seen != str(subscription.newest):
                    yield _message("change", subscription.newest)
                begun = checked = time.monotonic()
                while time.monotonic() - begun < _LONGEST and not subscription.closed:
                    changed = await subscription.wait(_TICK)
                    if time.monotonic() - checked > _SESSION:
                        checked = time.monotonic()
                        if not await valid():
                            yield _message("end", subscription.newest)
                            return
                    yield _message("change" if changed else "tick", subscription.newest)
            finally:
                hub.unsubscribe(subscription)

        # A front server must not keep the messages until a buffer is full.
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return _Stream(text(), hub, subscription, headers)

    return desk_routes([(STREAM, stream)])


class _Stream(StreamingResponse):
    """A stream that gives its place up whatever happens, also if its client goes before the first message."""

    def __init__(
        self, content: AsyncIterator[str], hub: EventHub, stream: Subscription, headers: dict[str, str]
    ) -> None:
        super().__init__(content, headers=headers, media_type="text/event-stream")
        self._hub, self._stream = hub, stream

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._hub.unsubscribe(self._stream)


def _message(kind: str, number: int) -> str:
    """Return a message; a sign of life changes nothing, and has no number."""
    return (
        f"event: {kind}\ndata: {number}\n\n"
        if kind == "tick"
        else f"id: {number}\nevent: {kind}\ndata: {number}\n\n"
    )
