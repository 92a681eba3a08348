"""Answers that all data services give alike: errors as VOTable, XML documents, work in the pool."""

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
    StorageFull,
    TransientError,
    UsageError,
)
from desdm.services.context import Services
from desdm.services.faults import status_of
from desdm.services.threads import PAGE

__all__ = ["base_url", "error_response", "guarded", "told", "work", "xml_document", "xml_response"]

_LOG = logging.getLogger(__name__)
T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]


def told(err: DesdmError) -> str:
    """What an error says to those outside: what they can mend in full, what they cannot without our insides."""
    if isinstance(err, UsageError):
        return str(err)
    _LOG.error("%s: %s", type(err).__name__, err)
    if isinstance(err, DatabaseUnavailable):
        return "the database does not answer now; try again later"
    if isinstance(err, StorageFull):
        return "the server has no room for the answer now; try again later"
    if isinstance(err, TransientError):
        return "the service cannot answer now; try again later"
    return "the service failed; report it with the time and the request"


def error_response(err: DesdmError) -> Response:
    """An error as DALI 1.1 says it (section 4.2): a VOTable with QUERY_STATUS ERROR, and a status that says whose it is."""
    from desdm.query.formats.votable import error_document

    status = status_of(err)
    headers = {}
    if isinstance(err, LimitExceeded) and err.retry_after is not None:
        headers["Retry-After"] = str(err.retry_after)
    elif status == 503:
        headers["Retry-After"] = "30"
    elif status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(error_document(told(err)), status, headers, media_type="application/x-votable+xml")


def guarded(handler: Handler) -> Handler:
    """A handler whose errors become VOTables."""

    @wraps(handler)
    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except DesdmError as err:
            return error_response(err)

    return answer


async def work(services: Services, task: Callable[[], T]) -> T:
    """Do blocking work in the pool, within the caller's share of its threads."""
    return await (services.page_threads if PAGE.get() else services.threads).run(task)


def base_url(request: Request) -> str:
    """Address at which the client reached this server, without a slash at its end."""
    return str(request.base_url).rstrip("/")


@cache
def _environment(package: str) -> Environment:
    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def xml_document(package: str, template: str, **values: object) -> bytes:
    """A document from ``templates/<template>`` of a package; every value is escaped."""
    return _environment(package).get_template(template).render(**values).encode()


def xml_response(package: str, template: str, **values: object) -> Response:
    """`xml_document` as an answer."""
    return Response(xml_document(package, template, **values), media_type="text/xml")
