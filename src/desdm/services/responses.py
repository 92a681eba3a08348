"""HTTP responses that the data services share: errors as VOTable, XML documents; blocking work in the thread pool."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import cache, wraps
from typing import TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from desdm.errors import (
    DatabaseUnavailable,
    DesdmError,
    LimitExceeded,
    OwnTablesUnavailable,
    StorageFull,
    TransientError,
    UsageError,
)
from desdm.services.context import Services
from desdm.services.status import status_of
from desdm.services.threads import PAGE

__all__ = [
    "Handler",
    "base_url",
    "public_message",
    "run_blocking",
    "votable_error_response",
    "votable_errors",
    "xml_document",
    "xml_response",
]

_LOG = logging.getLogger(__name__)
T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]


def public_message(err: DesdmError) -> str:
    """Return the public message of an error: usage errors verbatim, other errors without internal details."""
    if isinstance(err, UsageError):
        return str(err)
    _LOG.error("%s: %s", type(err).__name__, err)
    if isinstance(err, OwnTablesUnavailable):
        return str(err)
    if isinstance(err, DatabaseUnavailable):
        return "the database does not answer now; try again later"
    if isinstance(err, StorageFull):
        return "the server has no room for the answer now; try again later"
    if isinstance(err, TransientError):
        return "the service cannot answer now; try again later"
    return "the service failed; report it with the time and the request"


def votable_error_response(err: DesdmError) -> Response:
    """Return an error as a VOTable with QUERY_STATUS ERROR and its HTTP status (DALI 1.1, section 4.2)."""
    from desdm.query.formats.votable import error_document

    status = status_of(err)
    headers = {}
    if isinstance(err, LimitExceeded) and err.retry_after is not None:
        headers["Retry-After"] = str(err.retry_after)
    elif status == 503:
        headers["Retry-After"] = "30"
    elif status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(
        error_document(public_message(err)), status, headers, media_type="application/x-votable+xml"
    )


def votable_errors(handler: Handler) -> Handler:
    """Wrap a handler so that its errors become VOTables."""

    @wraps(handler)
    async def respond(request: Request) -> Response:
        try:
            return await handler(request)
        except DesdmError as err:
            return votable_error_response(err)

    return respond


async def run_blocking(services: Services, task: Callable[[], T]) -> T:
    """Run a blocking task in the thread pool, within the caller's share of its threads."""
    return await (services.page_threads if PAGE.get() else services.threads).run(task)


def base_url(request: Request) -> str:
    """Return the URL at which the client reached this server, without a trailing slash."""
    return str(request.base_url).rstrip("/")


@cache
def _environment(package: str) -> Environment:
    """Return the template environment of a package."""
    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def xml_document(package: str, template: str, **values: object) -> bytes:
    """Render ``templates/<template>`` of a package as bytes; every value is escaped."""
    return _environment(package).get_template(template).render(**values).encode()


def xml_response(package: str, template: str, **values: object) -> Response:
    """Return `xml_document` as a response."""
    return Response(xml_document(package, template, **values), media_type="text/xml")
