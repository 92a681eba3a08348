"""The page that selects files: a form, the matching files, and the same as commands."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from desdm.errors import AccessDenied, NotFoundError, UsageError
from desdm.release.model import Release, ReleaseFile
from desdm.services.context import Services, caller_of
from desdm.services.endpoint import routes_of
from desdm.services.filepick.endpoints import CONDITIONS
from desdm.services.filepick.index import Indexes
from desdm.services.filepick.pick import choice_of, select_files
from desdm.services.forms import parse_parameters
from desdm.services.responses import base_url, run_blocking
from desdm.web.endpoints import PICK
from desdm.web.pages.visible import VisibleRelease, visible_releases
from desdm.web.render import page

__all__ = ["routes"]

_MOST_ROWS = 500


def routes(services: Services) -> list[BaseRoute]:
    """Route of the page."""
    indexes = Indexes(services)

    async def pick(request: Request) -> Response:
        params = await parse_parameters(request, 0)
        fields = params.texts(PICK.parameters, 200)
        # The page has fields for some conditions only.
        conditions = [(key, value) for key, value in params.pairs if key in PICK.parameters.by_key]

        def make() -> Response:
            caller = caller_of(request)
            releases = visible_releases(services, caller)
            files: list[tuple[Release, ReleaseFile]] = []
            trouble = ""
            try:
                params.read(PICK.parameters)
                files = select_files(indexes, caller, choice_of(CONDITIONS.read(conditions))).files
            except (NotFoundError, AccessDenied):
                # A release that does not exist, or may not be seen, is answered as everywhere else.
                raise
            except UsageError as err:
                trouble = str(err)
            return page(
                request,
                "pick.html",
                200 if not trouble else 400,
                fields=fields,
                releases=[s.release.name for s in releases],
                bands=_bands(releases),
                filetypes=sorted({f.filetype for s in releases for f in s.files}),
                files=files[:_MOST_ROWS],
                total=len(files),
                size=sum(file.filesize for _, file in files),
                query="".join(f"{urlencode({k: v})}&" for k, v in fields.items() if v),
                trouble=trouble,
                base=base_url(request),
            )

        return await run_blocking(services, make)

    return routes_of([(PICK, pick)])


def _bands(releases: list[VisibleRelease]) -> list[str]:
    """Return the bands of some releases."""
    return list(dict.fromkeys(band for s in releases for band in s.bands))
