"""The home page: releases, links to the services, announcements."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from desdm.services.context import Services, caller_of
from desdm.services.endpoint import routes_of
from desdm.services.responses import run_blocking
from desdm.web.endpoints import HOME
from desdm.web.pages.news import news
from desdm.web.pages.visible import visible_releases
from desdm.web.render import page

__all__ = ["routes"]


def routes(services: Services) -> list[BaseRoute]:
    """Route of the page."""

    async def home(request: Request) -> Response:
        def make() -> Response:
            releases = visible_releases(services, caller_of(request))
            announcements = news(services, {s.release.name for s in releases}, 8)
            return page(request, "home.html", releases=releases, news=announcements)

        return await run_blocking(services, make)

    return routes_of([(HOME, home)])
