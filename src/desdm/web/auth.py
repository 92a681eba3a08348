"""Authentication middleware: identifies the caller, enforces rate limits, and records denials."""

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

#: Forms of our pages: their handlers check the form's token, which is in the body.
FORMS = ("/login", "/logout", "/account", "/ops", "/qa", "/survey")

_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
#: Requests that a wrong credential costs its address, against guessing.
_WRONG_CREDENTIAL_COST = 20.0
#: HiPS tiles and ranges of files: small requests that come in hundreds.
_CHEAP, _CHEAP_COST = ("/hips", "/map/hips", "/files"), 0.25
#: Rate of authenticated callers as a multiple of the public rate.
_KNOWN_SHARE = 4.0
#: Seconds that the response to a denial waits until the denial is written.
_RECORD_SECONDS = 0.25

T = TypeVar("T")


class Authentication:
    """Sets ``scope["desdm.caller"]``, or responds with an error.

    A wrong, expired or revoked credential is an error and never treated as absent, so that nobody gets the anonymous
    response without noticing.

    Parameters
    ----------
    database, state
        Operations database with people and tokens; service database with sessions.
    journal
        Queue for denials and the use of tokens, so that no request waits for a database.
    threads
        Separate threads, so that authentication works while all others run long queries.
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
        self._last_recorded: dict[int, datetime] = {}
        self._public: tuple[float, Caller | None] = (0.0, None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or within(scope["path"], ("/static", "/health")):
            await self.app(scope, receive, send)
            return
        address = scope["client"][0] if scope.get("client") else ""
        headers = Headers(scope=scope)
        # A stale cookie does not prevent a new login.
        cookie = None if scope["path"] == "/login" else _cookie(headers)
        caller = Caller(address=address)
        try:
            caller = await self._caller(scope, headers, cookie, address)
            cost = _CHEAP_COST if within(scope["path"], _CHEAP) else 1.0
            self._rates.take(caller.login or address, cost, _KNOWN_SHARE if caller.known else 1.0)
        except DesdmError as err:
            if isinstance(err, AccessDenied):
                await self._record(caller, scope, str(err))
            answer = error_response(scope, err, basic=cookie is None)
            if cookie is not None and isinstance(err, AccessDenied) and not err.known:
                answer.delete_cookie(COOKIE)
            await answer(scope, receive, send)
            return
        scope["desdm.caller"] = caller
        CALLER.set(caller.login or address or "-")
        PAGE.set(not within(scope["path"], OPEN) or scope["path"].endswith("/availability"))
        await self.app(scope, receive, self._recording_send(caller, scope, send))

    async def _caller(self, scope: Scope, headers: Headers, cookie: str | None, address: str) -> Caller:
        """Return the caller of the request's credential; anonymous without one."""
        authorization = headers.get("authorization")
        if authorization is None and cookie is None:
            return await self._anonymous(address)
        self._rates.check(address)
        try:
            if authorization is not None:
                login, secret = _credential(authorization)
                return await self._token_caller(secret, login, address)
            assert cookie is not None
            session = cookie
            caller = await self._run(
                lambda: sessions.authenticate(self._database, self._state, session, address)
            )
        except AccessDenied:
            with contextlib.suppress(DesdmError):
                self._rates.take(address, _WRONG_CREDENTIAL_COST)
            raise
        if scope["method"] not in _SAFE and not within(scope["path"], FORMS):
            sessions.check_form(cookie, headers.get("x-csrf-token", ""))
        scope["desdm.session"] = cookie
        return caller

    async def _anonymous(self, address: str) -> Caller:
        """Return the anonymous caller; its rights are re-read once a second."""
        loaded_at, caller = self._public
        if caller is None or time.monotonic() - loaded_at > 1:
            caller = await self._run(self._load_public)
            self._public = (time.monotonic(), caller)
        return Caller(actions=caller.actions, rights=caller.rights, address=address)

    def _load_public(self) -> Caller:
        """Load the rights of anonymous callers."""
        with self._database.read() as conn:
            return tokens.public(conn)

    async def _token_caller(self, secret: str, login: str | None, address: str) -> Caller:
        """Return the caller of a token, and record its use once a minute."""

        def authenticate() -> Caller:
            with self._database.read() as conn:
                caller, token = tokens.authenticate(conn, secret, login=login, address=address)
            at = now()
            before = self._last_recorded.get(token.id)
            if before is None or at - before >= timedelta(minutes=1):
                self._last_recorded[token.id] = at
                self._journal.put(lambda conn: store.touch(conn, token.id, at))
            return caller

        return await self._run(authenticate)

    def _recording_send(self, caller: Caller, scope: Scope, send: Send) -> Send:
        """Return a channel that records a denial of a service before its response is sent."""
        pending: list[Message] = []

        async def record_and_send(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in (401, 403):
                pending.append(message)
                return
            if pending:
                start = pending.pop()
                await self._record(
                    caller, scope, plain_text(message.get("body", b"")) or f"{start['status']}"
                )
                await send(start)
            await send(message)

        return record_and_send

    async def _record(self, caller: Caller, scope: Scope, reason: str) -> None:
        """Record a denial."""
        query = scope.get("query_string", b"").decode("latin-1")
        subject = scope["path"] + (f"?{query}" if query else "")

        written = self._journal.put(
            lambda conn: denials.record(conn, caller, scope["method"], subject, reason)
        )
        # Usually a denial is written before its response is sent; a locked database does not delay the response.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(written)), _RECORD_SECONDS)

    async def _run(self, task: Callable[[], T]) -> T:
        """Run a task in the middleware's own threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, task)


def _cookie(headers: Headers) -> str | None:
    """Return the session cookie; None if it is absent or invalid."""
    header = headers.get("cookie")
    if not header:
        return None
    try:
        cookie = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return None
    return cookie.value if cookie is not None else None


def _credential(authorization: str) -> tuple[str | None, str]:
    """Return login (Basic only) and token of an ``Authorization`` header."""
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
