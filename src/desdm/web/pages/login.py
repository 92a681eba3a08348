"""Login and logout of browsers."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urlsplit

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from desdm.accounts import denials, sessions
from desdm.errors import AccessDenied, LimitExceeded
from desdm.services.answers import work
from desdm.services.context import Services, caller_of
from desdm.web.auth import COOKIE
from desdm.web.rates import Rates
from desdm.web.render import page

__all__ = ["checked_form", "routes", "small_form"]

_FORM_BYTES = 20_000

#: Failed attempts to log in, a second and at once, for one login; an address, behind which many sit, has more.
_TRIES, _ADDRESS = (0.1, 10.0), 4.0


def routes(services: Services) -> list[BaseRoute]:
    """Routes of login and logout."""
    rates = Rates(*_TRIES)

    async def show(request: Request) -> Response:
        return page(request, "login.html", message="", next=_inside(request.query_params.get("next", "/")))

    async def login(request: Request) -> Response:
        _same_site(request)
        form = await small_form(request)
        name, password = str(form.get("login", "")).strip()[:64], str(form.get("password", ""))[:1024]
        caller = caller_of(request)
        target = _inside(str(form.get("next", "/")))

        def begin() -> str:
            return sessions.begin(services.database, name, password, request.headers.get("user-agent", ""))

        def denied(reason: str) -> None:
            with services.database.write() as conn:
                denials.record(conn, caller, "login", name, reason)

        try:
            rates.check(f"address {caller.address}", _ADDRESS)
            rates.check(f"login {name}")
            secret = await work(services, begin)
        except AccessDenied as err:
            with suppress(LimitExceeded):
                rates.take(f"address {caller.address}", share=_ADDRESS)
                rates.take(f"login {name}")
            # The page's own answer: the guard keeps what it denies, so this one is told apart by its status.
            await work(services, lambda: denied("login and password do not belong together"))
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

        def end() -> None:
            with services.database.write() as conn:
                sessions.end(conn, secret)

        await work(services, end)
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
    said = request.headers.get("content-length", "")
    if not said.isascii() or not said.isdigit() or len(said) > 9 or int(said) > _FORM_BYTES:
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
