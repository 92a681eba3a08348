"""The page for programs: addresses, how to log in, examples; and the OpenAPI document."""

from __future__ import annotations

from itertools import groupby

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from desdm.services.answers import base_url, work
from desdm.services.context import Services, caller_of
from desdm.web.openapi import OPERATIONS, document
from desdm.web.pages.examples import examples
from desdm.web.pages.seen import seen
from desdm.web.render import page

__all__ = ["routes"]


def routes(services: Services) -> list[BaseRoute]:
    """Routes of the page and the document."""

    async def show(request: Request) -> Response:
        def make() -> Response:
            listed = examples([t for s in seen(services, caller_of(request)) for t in s.tables])
            shelves = [(shelf, list(ops)) for shelf, ops in groupby(OPERATIONS, lambda op: op.shelf)]
            query = listed[0][1].replace("\n", " ") if listed else "SELECT table_name FROM tap_schema.tables"
            return page(request, "api.html", base=base_url(request), shelves=shelves, query=query)

        return await work(services, make)

    async def openapi(request: Request) -> Response:
        return JSONResponse(document(base_url(request)))

    return [Route("/api", show), Route("/api/openapi.json", openapi)]
