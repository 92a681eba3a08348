"""Login and logout of browsers."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from urllib.parse import urlsplit

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from desdm.accounts import denials, sessions
from desdm.errors import AccessDenied, LimitExceeded
from desdm.services.context import Services, caller_of
from desdm.services.responses import run_blocking
from desdm.services.threads import Threads
from desdm.web.auth import COOKIE
from desdm.web.rates import Rates
from desdm.web.render import page

__all__ = ["checked_form", "routes", "small_form"]

_FORM_BYTES = 20_000

#: Failed attempts to log in, a second and at once, for one login; an address, behind which many sit, has more.
_TRIES, _ADDRESS = (0.1, 10.0), 4.0


#: Logins of all callers that are hashed or wait for it.
_WAITING = 24


class Waiting:
    """Bounds how many logins are under way; more are told to come again."""

    def __init__(self, most: int) -> None:
        self._most, self._count = most, 0

    def __enter__(self) -> None:
        if self._count >= self._most:
            raise LimitExceeded("many people log in now; try again in 5 s", "rate", retry_after=5)
        self._count += 1

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._count -= 1


def routes(services: Services) -> list[BaseRoute]:
    """Routes of login and logout."""
    rates = Rates(*_TRIES)
    # Hashing takes 64 MB and all of a processor: two at once, and few may wait. No page and no query shares these threads.
    hashing = ThreadPoolExecutor(2, thread_name_prefix="desdm-login")
    logins = Threads(hashing, share=1, queued=8)
    waiting = Waiting(_WAITING)

    async def show(request: Request) -> Response:
        return page(request, "login.html", message="", next=_inside(request.query_params.get("next", "/")))

    async def login(request: Request) -> Response:
        _same_site(request)
        form = await small_form(request)
        name, password = str(form.get("login", "")).strip()[:64], str(form.get("password", ""))[:1024]
        caller = caller_of(request)
        target = _inside(str(form.get("next", "/")))

        def begin() -> str:
            return sessions.begin(
                services.database, services.state, name, password, request.headers.get("user-agent", "")
            )

        address = caller.address
        keys = ((f"address {address}", _ADDRESS), (f"login {name} from {address}", 1.0))
        try:
            # A try is charged before the hash, so that no more run at once than are allowed; the right one is given back.
            # The key of the login holds the address: a stranger cannot lock a person out.
            for key, share in keys:
                rates.take(key, share=share)
            with waiting:
                secret = await logins.run(begin)
            for key, share in keys:
                rates.give(key, share=share)
        except AccessDenied as err:
            # The page's own answer: the guard keeps what it denies, so this one is told apart by its status.
            reason = str(err)
            written = services.journal.put(lambda conn: denials.record(conn, caller, "login", name, reason))
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(written)), 0.25)
            return page(request, "login.html", 400, message=f"{err}.", next=target)
        except LimitExceeded as err:
            wait = str(err.retry_after or 10)
            answer = page(
                request, "login.html", 429, message=f"Too many attempts; wait {wait} s.", next=target
            )
            answer.headers["Retry-After"] = wait
            return answer
        done = RedirectResponse(target, 303)
        done.set_cookie(
            COOKIE,
            secret,
            max_age=int(sessions.LASTS.total_seconds()),
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return done

    async def logout(request: Request) -> Response:
        secret = await checked_form(request)

        await run_blocking(services, lambda: sessions.end(services.state, secret))
        done = RedirectResponse("/", 303)
        done.delete_cookie(COOKIE)
        return done

    return [
        Route("/login", show, methods=["GET"]),
        Route("/login", login, methods=["POST"]),
        Route("/logout", logout, methods=["POST"]),
    ]


async def checked_form(request: Request) -> str:
    """The session's secret, once the form's token was found to belong to it.

    Raises
    ------
    AccessDenied
        Nobody is logged in, or another site made the browser send the form.
    """
    _same_site(request)
    secret = request.scope.get("desdm.session")
    if not isinstance(secret, str):
        raise AccessDenied("log in first", known=False)
    sessions.check_form(secret, str((await small_form(request)).get("csrf", "")))
    return secret


async def small_form(request: Request) -> FormData:
    """The fields of a form of ours, which are few and short; what is larger is not read.

    Raises
    ------
    LimitExceeded
        It is larger than any form here, or does not say how large it is.
    """
    length = request.headers.get("content-length", "")
    if not length.isascii() or not length.isdigit() or len(length) > 9 or int(length) > _FORM_BYTES:
        raise LimitExceeded(f"a form of these pages has at most {_FORM_BYTES} bytes, and says how many")
    return await request.form(max_files=0, max_fields=50)


def _same_site(request: Request) -> None:
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise AccessDenied("another site sent this form; load the page here and send it from here")


def _inside(target: str) -> str:
    """A path of this server; anything else, as another site's address, becomes the first page."""
    return (
        target
        if target.startswith("/") and not target.startswith(("//", "/\\")) and "\n" not in target
        else "/"
    )
