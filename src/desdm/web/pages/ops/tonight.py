"""The page tonight."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from desdm.services.context import Services
from desdm.services.responses import run_blocking
from desdm.web.desk import desk_routes
from desdm.web.opsendpoints import OPS
from desdm.web.render import page

__all__ = ["routes"]


def routes(services: Services) -> list[BaseRoute]:
    """Route of the page."""

    async def show(request: Request) -> Response:
        return await run_blocking(services, lambda: page(request, "ops/tonight.html"))

    return desk_routes([(OPS, show)])
