"""The page for programs: addresses, how to log in, examples; and the OpenAPI document."""

from __future__ import annotations

from itertools import groupby

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from desdm.services.context import Services, caller_of
from desdm.services.responses import base_url, run_blocking
from desdm.web.openapi import OPERATIONS, document
from desdm.web.pages.examples import examples
from desdm.web.pages.visible import visible_releases
from desdm.web.render import page

__all__ = ["routes"]


def routes(services: Services) -> list[BaseRoute]:
    """Routes of the page and the document."""

    async def show(request: Request) -> Response:
        def make() -> Response:
            queries = examples([t for s in visible_releases(services, caller_of(request)) for t in s.tables])
            sections = [(section, list(ops)) for section, ops in groupby(OPERATIONS, lambda op: op.section)]
            query = (
                queries[0][1].replace("\n", " ") if queries else "SELECT table_name FROM tap_schema.tables"
            )
            return page(request, "api.html", base=base_url(request), sections=sections, query=query)

        return await run_blocking(services, make)

    async def openapi(request: Request) -> Response:
        return JSONResponse(document(base_url(request)))

    return [Route("/api", show), Route("/api/openapi.json", openapi)]
