"""What the pages of operations and quality assessment share: login before them, checked forms, and the way back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from desdm.accounts.model import Action
from desdm.errors import NotFoundError
from desdm.services.context import caller_of
from desdm.services.endpoint import Endpoint, Handler, routes_of

__all__ = ["desk_routes"]

_SAFE = ("GET", "HEAD")


def desk_routes(
    handlers: Iterable[tuple[Endpoint, Handler]], *, or_action: Action | None = None
) -> list[BaseRoute]:
    """Return the routes of pages for people with an office.

    A browser without a login is sent to the page to log in; who may not do the endpoint's action is refused.

    Parameters
    ----------
    handlers
        Endpoints, each with an action, and their handlers.
    or_action
        Another action that is enough to reach the handlers, which then decide what such a caller may see.
    """
    checked = []
    for endpoint, handler in handlers:
        assert endpoint.action is not None, endpoint.path
        checked.append((replace(endpoint, action=None), _with_login(handler, endpoint.action, or_action)))
    return routes_of(checked)


def _with_login(handler: Handler, action: Action, or_action: Action | None) -> Handler:
    """Return a handler that sends a browser to log in first, and refuses who may not do one of the actions."""

    async def check(request: Request) -> Response:
        caller = caller_of(request)
        if not caller.known and request.method in _SAFE and "sec-fetch-mode" in request.headers:
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"/login?next={quote(request.url.path + query, safe='')}", 303)
        if or_action is None or not caller.may(or_action):
            caller.require(action)
        if any("\0" in str(value) for value in request.path_params.values()):
            raise NotFoundError("there is nothing at this address")
        return await handler(request)

    return check
