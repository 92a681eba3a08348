"""Availability and capabilities below the path of any service."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from desdm.errors import DesdmError
from desdm.services.answers import base_url, guarded, work, xml_document, xml_response
from desdm.services.context import Services

__all__ = ["capability", "vosi_routes"]

_PACKAGE = "desdm.services.vosi"

#: Makes the inside of the capabilities document for a base URL: elements ``<capability>``.
Capability = Callable[[Request], str]


def capability(
    standard: str,
    url: str,
    *,
    use: str = "full",
    version: str = "",
    package: str = _PACKAGE,
    template: str = "capability.xml",
    **values: Any,
) -> str:
    """One ``<capability>`` of a service that takes parameters at a URL (VODataService ``vs:ParamHTTP``)."""
    return xml_document(
        package, template, standard=standard, url=url, use=use, version=version, **values
    ).decode()


def vosi_routes(prefix: str, services: Services, own: Capability) -> list[BaseRoute]:
    """Routes ``<prefix>/availability`` and ``<prefix>/capabilities`` of a service.

    Parameters
    ----------
    own
        The service's own capabilities, as XML (see `capability`).
    """

    async def availability(request: Request) -> Response:
        note = await work(services, lambda: _trouble(services))
        return xml_response(_PACKAGE, "availability.xml", available=not note, note=note, now=_now())

    async def capabilities(request: Request) -> Response:
        here = base_url(request) + prefix
        return Response(
            xml_document(_PACKAGE, "capabilities.xml", here=here, own=own(request)), media_type="text/xml"
        )

    return [
        Route(f"{prefix}/availability", guarded(availability), methods=["GET"]),
        Route(f"{prefix}/capabilities", guarded(capabilities), methods=["GET"]),
    ]


def _trouble(services: Services) -> str:
    """What keeps the service from its work; empty: nothing."""
    for name, trouble in services.supervisor.troubles().items():
        if name.startswith("uws-"):
            return f"asynchronous jobs: {name} {trouble}"
    try:
        with services.database.read():
            pass
        if services.engine.ping():
            return ""
    except DesdmError:
        pass
    return "the database does not answer"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
