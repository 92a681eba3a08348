"""The door's guard: finds out who asks, refuses what is wrong or too much, and keeps every denial."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from http.cookies import CookieError, SimpleCookie
from typing import TypeVar

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from desdm.accounts import denials, sessions, store, tokens
from desdm.accounts.clock import now
from desdm.accounts.model import Caller
from desdm.errors import AccessDenied, DesdmError
from desdm.schema.database import Database
from desdm.services.journal import Journal
from desdm.services.threads import CALLER, PAGE
from desdm.web.error_responses import error_response, plain_text
from desdm.web.headers import OPEN, within
from desdm.web.rates import Rates

__all__ = ["COOKIE", "FORMS", "Authentication"]

COOKIE = "desdm_session"

#: Forms of our pages: their handlers check the form's token, since it stands in the body.
FORMS = ("/login", "/logout", "/account")

_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
#: What a wrong credential takes out of the address's bucket: guessing ends soon.
_GUESS = 20.0
#: HiPS tiles and pieces of files come in hundreds; each is small.
_SMALL, _SMALL_COST = ("/hips", "/map/hips", "/files"), 0.25
#: Known callers have this many times the public's rate.
_SHARE = 4.0
#: Seconds that the answer to a denial waits until the denial is written.
_RECORDED = 0.25

T = TypeVar("T")


class Authentication:
    """Puts a `Caller` into ``scope["desdm.caller"]``, or refuses.

    A credential that is wrong, expired or revoked is refused, never taken for no credential: who believes to be
    known must not get the public's answer without noticing.

    Parameters
    ----------
    database, state
        Of operations, where people and tokens stand, and the service's own with the sessions.
    journal
        Takes denials and the use of tokens, which no request waits for.
    threads
        Of its own: when all of the services' are at long queries, the door still opens.
    """

    def __init__(
        self,
        app: ASGIApp,
        database: Database,
        state: Database,
        rates: Rates,
        threads: ThreadPoolExecutor,
        journal: Journal,
    ) -> None:
        self.app, self._database, self._rates, self._threads = app, database, rates, threads
        self._state, self._journal = state, journal
        self._used: dict[int, datetime] = {}
        self._public: tuple[float, Caller | None] = (0.0, None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or within(scope["path"], ("/static", "/health")):
            await self.app(scope, receive, send)
            return
        address = scope["client"][0] if scope.get("client") else ""
        headers = Headers(scope=scope)
        # Who logs in anew is not held up by what is left of the last session.
        cookie = None if scope["path"] == "/login" else _cookie(headers)
        caller = Caller(address=address)
        try:
            caller = await self._caller(scope, headers, cookie, address)
            cost = _SMALL_COST if within(scope["path"], _SMALL) else 1.0
            self._rates.take(caller.login or address, cost, _SHARE if caller.known else 1.0)
        except DesdmError as err:
            if isinstance(err, AccessDenied):
                await self._record(caller, scope, str(err))
            answer = error_response(scope, err, session=cookie is not None)
            if cookie is not None and isinstance(err, AccessDenied) and not err.known:
                answer.delete_cookie(COOKIE)
            await answer(scope, receive, send)
            return
        scope["desdm.caller"] = caller
        CALLER.set(caller.login or address or "-")
        PAGE.set(not within(scope["path"], OPEN) or scope["path"].endswith("/availability"))
        await self.app(scope, receive, self._watched(caller, scope, send))

    async def _caller(self, scope: Scope, headers: Headers, cookie: str | None, address: str) -> Caller:
        authorization = headers.get("authorization")
        if authorization is None and cookie is None:
            return await self._anybody(address)
        self._rates.check(address)
        try:
            if authorization is not None:
                login, secret = _credential(authorization)
                return await self._known(secret, login, address)
            assert cookie is not None
            session = cookie
            caller = await self._do(
                lambda: sessions.authenticate(self._database, self._state, session, address)
            )
        except AccessDenied:
            with contextlib.suppress(DesdmError):
                self._rates.take(address, _GUESS)
            raise
        if scope["method"] not in _SAFE and not within(scope["path"], FORMS):
            sessions.check_form(cookie, headers.get("x-csrf-token", ""))
        scope["desdm.session"] = cookie
        return caller

    async def _anybody(self, address: str) -> Caller:
        looked, caller = self._public
        if caller is None or time.monotonic() - looked > 1:
            caller = await self._do(self._look_public)
            self._public = (time.monotonic(), caller)
        return Caller(actions=caller.actions, rights=caller.rights, address=address)

    def _look_public(self) -> Caller:
        with self._database.read() as conn:
            return tokens.public(conn)

    async def _known(self, secret: str, login: str | None, address: str) -> Caller:
        def look() -> Caller:
            with self._database.read() as conn:
                caller, token = tokens.authenticate(conn, secret, login=login, address=address)
            at = now()
            before = self._used.get(token.id)
            if before is None or at - before >= timedelta(minutes=1):
                self._used[token.id] = at
                self._journal.put(lambda conn: store.touch(conn, token.id, at))
            return caller

        return await self._do(look)

    def _watched(self, caller: Caller, scope: Scope, send: Send) -> Send:
        """Sends on, and keeps what a service denied before its answer goes out."""
        held: list[Message] = []

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in (401, 403):
                held.append(message)
                return
            if held:
                start = held.pop()
                await self._record(
                    caller, scope, plain_text(message.get("body", b"")) or f"{start['status']}"
                )
                await send(start)
            await send(message)

        return watch

    async def _record(self, caller: Caller, scope: Scope, reason: str) -> None:
        query = scope.get("query_string", b"").decode("latin-1")
        subject = scope["path"] + (f"?{query}" if query else "")

        written = self._journal.put(
            lambda conn: denials.record(conn, caller, scope["method"], subject, reason)
        )
        # As a rule a denial is written before its answer goes out; a locked database does not hold the answer up.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(written)), _RECORDED)

    async def _do(self, task: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, task)


def _cookie(headers: Headers) -> str | None:
    sent = headers.get("cookie")
    if not sent:
        return None
    try:
        found = SimpleCookie(sent).get(COOKIE)
    except CookieError:
        return None
    return found.value if found is not None else None


def _credential(authorization: str) -> tuple[str | None, str]:
    """Login (Basic only) and token of an ``Authorization`` header."""
    scheme, _, value = authorization.partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer" and value:
        return None, value
    if scheme.lower() == "basic":
        try:
            login, colon, secret = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            colon = ""
        if colon:
            return login, secret
    raise AccessDenied(
        "Authorization cannot be read; send Bearer with a token, or Basic with login and token", known=False
    )
