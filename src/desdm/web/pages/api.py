"""The page for programs: addresses, how to log in, examples; and the OpenAPI document."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from desdm.services import Section
from desdm.services.context import Services, caller_of
from desdm.services.endpoint import Endpoint, routes_of
from desdm.services.responses import base_url, run_blocking
from desdm.web.endpoints import API, OPENAPI
from desdm.web.openapi import all_endpoints, document
from desdm.web.pages.examples import examples
from desdm.web.pages.visible import visible_releases
from desdm.web.render import page

__all__ = ["routes"]


def routes(services: Services) -> list[BaseRoute]:
    """Routes of the page and the document."""

    async def show(request: Request) -> Response:
        def make() -> Response:
            queries = examples([t for s in visible_releases(services, caller_of(request)) for t in s.tables])
            sections: dict[Section, list[Endpoint]] = {}
            for section, endpoint in all_endpoints():
                if endpoint.principal:
                    sections.setdefault(section, []).append(endpoint)
            query = (
                queries[0][1].replace("\n", " ") if queries else "SELECT table_name FROM tap_schema.tables"
            )
            return page(request, "api.html", base=base_url(request), sections=sections.items(), query=query)

        return await run_blocking(services, make)

    async def openapi(request: Request) -> Response:
        return JSONResponse(document(base_url(request)))

    return routes_of([(API, show), (OPENAPI, openapi)])
