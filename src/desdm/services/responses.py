"""HTTP responses that the data services share: XML documents; blocking work in the thread pool."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from desdm.services.context import Services
from desdm.services.threads import PAGE

__all__ = [
    "base_url",
    "run_blocking",
    "xml_document",
    "xml_response",
]

T = TypeVar("T")


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
