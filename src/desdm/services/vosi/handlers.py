"""Availability and capabilities below the path of any service."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from desdm.errors import DesdmError
from desdm.services.context import Services
from desdm.services.endpoint import Endpoint, routes_of
from desdm.services.responses import base_url, run_blocking, xml_document, xml_response

__all__ = ["capability", "vosi_routes"]

_PACKAGE = "desdm.services.vosi"

#: Returns the content of the capabilities document for a request: elements ``<capability>``.
Capability = Callable[[Request], str]


def capability(
    standard: str,
    url: str,
    *,
    use: str = "full",
    version: str = "",
    package: str = _PACKAGE,
    template: str = "capability.xml",
    **values: object,
) -> str:
    """Return one ``<capability>`` of a service that takes parameters at a URL (VODataService ``vs:ParamHTTP``).

    Parameters
    ----------
    standard
        Identifier of the standard.
    url
        URL of the interface.
    use
        ``full``: the URL accepts every request; ``base``: parameters are appended.
    version
        Version of the standard.
    package, template
        Template of the element.
    values
        Further values of the template.

    Returns
    -------
    str
        The XML element.
    """
    return xml_document(
        package, template, standard=standard, url=url, use=use, version=version, **values
    ).decode()


def vosi_routes(declared: tuple[Endpoint, Endpoint], services: Services, own: Capability) -> list[BaseRoute]:
    """Return the routes of availability and capabilities of a service.

    Parameters
    ----------
    declared
        The two endpoints, as of `vosi_endpoints`.
    services
        Shared state of the services.
    own
        The service's own capabilities, as XML (see `capability`).
    """

    async def availability(request: Request) -> Response:
        note = await run_blocking(services, lambda: _trouble(services))
        return xml_response(_PACKAGE, "availability.xml", available=not note, note=note, now=_now())

    async def capabilities(request: Request) -> Response:
        url = base_url(request) + declared[0].path.removesuffix("/availability")
        return Response(
            xml_document(_PACKAGE, "capabilities.xml", here=url, own=own(request)), media_type="text/xml"
        )

    return routes_of(zip(declared, (availability, capabilities), strict=True))


def _trouble(services: Services) -> str:
    """Return the reason why the service is not available; empty if it is."""
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
    """Return the current time as ISO 8601 text."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
