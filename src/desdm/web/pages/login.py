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
from starlette.routing import BaseRoute

from desdm.accounts import denials, sessions
from desdm.errors import AccessDenied, LimitExceeded, LimitKind
from desdm.services.context import Services, caller_of
from desdm.services.endpoint import routes_of
from desdm.services.forms import parse_parameters
from desdm.services.responses import run_blocking
from desdm.services.threads import Threads
from desdm.web.auth import COOKIE
from desdm.web.endpoints import LOGIN, LOGIN_FORM, LOGOUT
from desdm.web.rates import Rates
from desdm.web.render import page

__all__ = ["checked_form", "routes", "small_form"]

_FORM_BYTES, _FORM_FIELDS = 20_000, 50

#: Sustained rate and burst of failed logins of one login; an address, behind which many clients may be, has more.
_TRY_RATE, _ADDRESS_SHARE = (0.1, 10.0), 4.0


#: Largest number of logins that are hashed or wait for it.
_MOST_WAITING = 24


class LoginQueue:
    """Bounds the number of simultaneous logins; raises `LimitExceeded` beyond it."""

    def __init__(self, most: int) -> None:
        self._most, self._count = most, 0

    def __enter__(self) -> None:
        if self._count >= self._most:
            raise LimitExceeded("many people log in now; try again in 5 s", LimitKind.RATE, retry_after=5)
        self._count += 1

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._count -= 1


def routes(services: Services) -> list[BaseRoute]:
    """Routes of login and logout."""
    rates = Rates(*_TRY_RATE)
    # Hashing takes 64 MB and all of a processor: two at once, and few may wait. Pages and queries use other threads.
    hashing = ThreadPoolExecutor(2, thread_name_prefix="desdm-login")
    logins = Threads(hashing, share=1, queued=8)
    queue = LoginQueue(_MOST_WAITING)

    async def show(request: Request) -> Response:
        values = (await parse_parameters(request, 0)).read(LOGIN.parameters)
        return page(request, "login.html", message="", next=_local_path(values.text("NEXT")))

    async def login(request: Request) -> Response:
        _same_site(request)
        form = await small_form(request)
        name, password = str(form.get("login", "")).strip()[:64], str(form.get("password", ""))[:1024]
        caller = caller_of(request)
        target = _local_path(str(form.get("next", "/")))

        def begin() -> str:
            return sessions.begin(
                services.database, services.state, name, password, request.headers.get("user-agent", "")
            )

        address = caller.address
        keys = ((f"address {address}", _ADDRESS_SHARE), (f"login {name} from {address}", 1.0))
        try:
            # An attempt is charged before the hash, so that the limit holds for simultaneous ones, and refunded on success.
            # The key of the login contains the address, so that a stranger cannot lock a person out.
            for key, share in keys:
                rates.take(key, share=share)
            with queue:
                secret = await logins.run(begin)
            for key, share in keys:
                rates.refund(key, share=share)
        except AccessDenied as err:
            # The middleware records responses 401 and 403; this page responds 400 and records the denial itself.
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
        response = RedirectResponse(target, 303)
        response.set_cookie(
            COOKIE,
            secret,
            max_age=int(sessions.LASTS.total_seconds()),
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return response

    async def logout(request: Request) -> Response:
        secret = await checked_form(request)

        await run_blocking(services, lambda: sessions.end(services.state, secret))
        response = RedirectResponse("/", 303)
        response.delete_cookie(COOKIE)
        return response

    return routes_of([(LOGIN, show), (LOGIN_FORM, login), (LOGOUT, logout)])


async def checked_form(request: Request, fields: int = _FORM_FIELDS) -> str:
    """Check the token of a form and return the secret of its session.

    Parameters
    ----------
    request
        The request.
    fields
        Largest number of its fields.

    Raises
    ------
    AccessDenied
        There is no session, or the form comes from another site.
    """
    _same_site(request)
    secret = request.scope.get("desdm.session")
    if not isinstance(secret, str):
        raise AccessDenied("log in first", known=False)
    sessions.check_form(secret, str((await small_form(request, fields)).get("csrf", "")))
    return secret


async def small_form(request: Request, fields: int = _FORM_FIELDS) -> FormData:
    """Return the fields of a form of our pages; a larger body is not read.

    Raises
    ------
    LimitExceeded
        The form is too large, or has no Content-Length.
    """
    length = request.headers.get("content-length", "")
    if not length.isascii() or not length.isdigit() or len(length) > 9 or int(length) > _FORM_BYTES:
        raise LimitExceeded(f"a form of these pages has at most {_FORM_BYTES} bytes and needs Content-Length")
    return await request.form(max_files=0, max_fields=fields)


def _same_site(request: Request) -> None:
    """Raise `AccessDenied` if another site sent the form."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise AccessDenied("another site sent this form; load the page here and send it from here")


def _local_path(target: str) -> str:
    """Return a path of this server; any other target becomes the home page."""
    return (
        target
        if target.startswith("/") and not target.startswith(("//", "/\\")) and "\n" not in target
        else "/"
    )
