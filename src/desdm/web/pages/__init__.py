"""The pages: one module for each, with ``routes(services)``."""

from __future__ import annotations

from importlib import import_module

from starlette.routing import BaseRoute

from desdm.services.context import Services

__all__ = ["PAGES", "page_routes"]

#: A new page is a file ``pages/<name>.py`` (a dot for a folder), and its name here.
PAGES = (
    "home",
    "releases",
    "tables",
    "query",
    "cutout",
    "map",
    "pick",
    "login",
    "account",
    "api",
    "feed",
    "files",
    "ops.tonight",
    "ops.arrival",
    "ops.queue",
    "ops.runs",
    "ops.run",
    "ops.log",
    "ops.stream",
    "qa.desk",
    "qa.problems",
    "qa.dispatch",
    "survey",
)


def page_routes(services: Services) -> list[BaseRoute]:
    """Return the routes of all pages, and of the static files that they use."""
    routes: list[BaseRoute] = []
    for name in PAGES:
        routes += import_module(f"desdm.web.pages.{name}").routes(services)
    return routes
