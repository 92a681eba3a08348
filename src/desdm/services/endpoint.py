"""Declaration of HTTP endpoints: routes, the OpenAPI document and the documents of the services follow from it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from desdm.accounts.model import Action
from desdm.services.context import caller_of
from desdm.services.parameters import NO_PARAMETERS, ParameterSet

__all__ = ["PATH_TEXTS", "TABLES", "VOTABLE", "Alternative", "Endpoint", "Handler", "routes_of"]

Handler = Callable[[Request], Awaitable[Response]]

#: Media types of tables, as they are sent and accepted.
TABLES = (
    "application/x-votable+xml",
    "text/csv",
    "text/tab-separated-values",
    "application/fits",
    "application/vnd.apache.parquet",
)
VOTABLE = ("application/x-votable+xml",)

#: Variable part of a path → what it is.
PATH_TEXTS: Mapping[str, str] = {
    "release": "Release",
    "table": "Table: RELEASE.TABLE, below /api/mydb the name alone",
    "job": "Identifier of a job",
    "result": "Identifier of a result",
    "path": "Path of a file in the release",
    "folder": "Path of a folder in the release",
    "name": "Name of a file or of a picture survey (HiPS)",
    "nite": "Night, YYYYMMDD",
    "run": "Run",
    "number": "Number of an entry, a problem or a dispatch",
    "subject": "Name of an exposure, CCD, tile, run or file",
}
_VARIABLE = re.compile(r"\{(\w+)(?::\w+)?\}")


@dataclass(frozen=True, slots=True)
class Alternative:
    """A status beside that of success, with what it means and the media types of its body (empty: no body)."""

    status: int
    text: str
    media_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method, or several with the same meaning, at one path.

    Attributes
    ----------
    methods
        HTTP methods; GET includes HEAD.
    path
        Path with its variable parts, as a route has it.
    text
        What it does, in one sentence.
    parameters
        Its parameters: in the address, and in the form of a POST or PUT.
    media_types
        Media types of the response; empty: no body.
    status
        Status of the response to a request that succeeds.
    alternatives
        Other statuses with a meaning of their own.
    body
        Media types of a body that is not a form of the parameters.
    needs_account
        Whether only callers who are logged in may use it.
    principal
        Whether the page for programs lists it.
    action
        Action that the caller's role and token must allow, checked before the request is read; None: the handler checks.
    """

    methods: tuple[str, ...]
    path: str
    text: str
    parameters: ParameterSet = NO_PARAMETERS
    media_types: tuple[str, ...] = ("application/json",)
    status: int = 200
    alternatives: tuple[Alternative, ...] = ()
    body: tuple[str, ...] = ()
    needs_account: bool = False
    principal: bool = True
    action: Action | None = None

    @property
    def template(self) -> str:
        """Path as OpenAPI writes it."""
        return _VARIABLE.sub(r"{\1}", self.path)

    @property
    def variables(self) -> list[str]:
        """Names of the variable parts of the path."""
        return _VARIABLE.findall(self.path)


def routes_of(handlers: Iterable[tuple[Endpoint, Handler]]) -> list[BaseRoute]:
    """Return one route for each path, so that the response 405 lists all methods of the path.

    Parameters
    ----------
    handlers
        Endpoints with their handlers; the order of the paths is that of the routes.
    """
    by_path: dict[str, dict[str, Handler]] = {}
    for endpoint, handler in handlers:
        allowed = handler if endpoint.action is None else _with_check(handler, endpoint.action)
        by_path.setdefault(endpoint.path, {}).update(dict.fromkeys(endpoint.methods, allowed))
    return [_route(path, by_method) for path, by_method in by_path.items()]


def _with_check(handler: Handler, action: Action) -> Handler:
    """Return a handler that raises `AccessDenied` if the caller may not do an action."""

    async def check(request: Request) -> Response:
        caller_of(request).require(action)
        return await handler(request)

    return check


def _route(path: str, handlers: Mapping[str, Handler]) -> Route:
    """Return the route of a path."""
    methods, distinct = list(handlers), list(dict.fromkeys(handlers.values()))
    if len(distinct) == 1:
        return Route(path, distinct[0], methods=methods)

    async def dispatch(request: Request) -> Response:
        return await handlers["GET" if request.method == "HEAD" else request.method](request)

    return Route(path, dispatch, methods=methods)
