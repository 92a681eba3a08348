"""The pages; this is their table of contents: one file a page, with ``routes(services)``."""

from __future__ import annotations

from importlib import import_module

from starlette.routing import BaseRoute

from desdm.services.context import Services

__all__ = ["PAGES", "page_routes"]

#: A new page is a file ``pages/<name>.py``, and its name here.
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
)


def page_routes(services: Services) -> list[BaseRoute]:
    """Routes of all pages, and of the static files that they use."""
    found: list[BaseRoute] = []
    for name in PAGES:
        found += import_module(f"desdm.web.pages.{name}").routes(services)
    return found
