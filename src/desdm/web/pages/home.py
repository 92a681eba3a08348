"""The first page: releases, doors, announcements."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from desdm.services.answers import work
from desdm.services.context import Services, caller_of
from desdm.web.pages.news import news
from desdm.web.pages.seen import seen
from desdm.web.render import page

__all__ = ["routes"]


def routes(services: Services) -> list[BaseRoute]:
    """Route of the page."""

    async def home(request: Request) -> Response:
        def make() -> Response:
            releases = seen(services, caller_of(request))
            told = news(services, {s.release.name for s in releases}, 8)
            return page(request, "home.html", releases=releases, news=told)

        return await work(services, make)

    return [Route("/", home)]
