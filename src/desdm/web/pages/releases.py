"""The page of a release: tables, files, documents, footprint, how to fetch it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from desdm.release.known import PROBLEMS, read_problems
from desdm.services.context import Services, caller_of
from desdm.services.endpoint import routes_of
from desdm.services.responses import base_url, run_blocking
from desdm.web.endpoints import RELEASE, RELEASES
from desdm.web.pages.news import news
from desdm.web.pages.skymap import sky_svg
from desdm.web.pages.visible import visible_release, visible_releases
from desdm.web.render import page

__all__ = ["routes"]

_DOCUMENTS = ("document", "manifest")
#: Documents that people read, in this order; the others are for programs.
_READABLE = {"docs/notes.html": "Release notes", "docs/data.html": "The data: tables, columns, images"}


def routes(services: Services) -> list[BaseRoute]:
    """Routes of the page; ``/releases`` is the first page."""

    async def release(request: Request) -> Response:
        def make() -> Response:
            caller = caller_of(request)
            view = visible_release(services, caller, request.path_params["release"])
            corrections = [
                s.release.name
                for s in visible_releases(services, caller)
                if s.release.erratum_of == view.release.name
            ]
            return page(
                request,
                "release.html",
                it=view,
                corrected_by=corrections[0] if corrections else None,
                read=[
                    (title, path)
                    for path, title in _READABLE.items()
                    if any(f.path == path for f in view.files)
                ],
                documents=[f for f in view.files if f.filetype in _DOCUMENTS and f.path not in _READABLE],
                sky=sky_svg(view.files, view.release.name),
                problems=read_problems(services.root(view.release.name))
                if any(f.path == PROBLEMS for f in view.files)
                else (),
                news=news(services, {view.release.name}),
                base=base_url(request),
            )

        return await run_blocking(services, make)

    async def all_releases(_: Request) -> Response:
        return RedirectResponse("/", 301)

    return routes_of([(RELEASES, all_releases), (RELEASE, release)])
