"""Pictures of subjects: with or without the mask, small or large."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from desdm.errors import DesdmError, NotFoundError
from desdm.operations.qa.pictures import LARGE, SMALL, Pictures, picture_sources
from desdm.quality.qa.subjects import find_subject
from desdm.services.context import Services, caller_of
from desdm.services.endpoint import Endpoint, Handler
from desdm.web.pages.deskforms import filters
from desdm.web.pages.qa.parts import production, require_visible
from desdm.web.qaendpoints import PICTURE

__all__ = ["picture_handlers"]


def picture_handlers(services: Services, pictures: Pictures) -> list[tuple[Endpoint, Handler]]:
    """Return the endpoint of pictures with its handler.

    Parameters
    ----------
    services
        Shared state of the services.
    pictures
        The installation's pictures.
    """

    async def picture(request: Request) -> Response:
        values = filters(request, PICTURE)
        name, path = str(request.path_params["subject"]), request.url.path

        def make() -> Response:
            with services.database.read() as conn:
                try:
                    subject = find_subject(conn, name, production(services))
                    require_visible(conn, caller_of(request), subject, path)
                    sources = picture_sources(conn, subject, values.text("BAND").strip())
                except NotFoundError as err:
                    raise NotFoundError(f"there is nothing at {path}") from err
            size = LARGE if values.flag("LARGE") else SMALL
            try:
                made = pictures.make(sources, mask=values.flag("MASK"), size=size)
            except DesdmError as err:
                raise NotFoundError(f"{sources.text}: {err}") from err
            assert made is not None
            return Response(
                made.data, media_type=made.media_type, headers={"Cache-Control": "private, max-age=600"}
            )

        # Not among the threads of pages: drawing takes seconds.
        return await services.threads.run(make)

    return [(PICTURE, picture)]
