"""HiPS over HTTP: ``/hips/<release>/<name>/…``; a missing tile is a plain 404, as viewers expect."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute

from desdm.services.access import access_of
from desdm.services.context import Services, caller_of
from desdm.services.endpoint import routes_of
from desdm.services.hips.endpoints import TILE
from desdm.services.hips.pictures import Pictures

__all__ = ["cache_control", "routes"]


def routes(services: Services) -> list[BaseRoute]:
    """Routes of ``/hips``."""
    pictures = Pictures(services)

    async def tile(request: Request) -> Response:
        parts = request.path_params
        access = access_of(services, caller_of(request))
        access.require_read()
        release = access.find(parts["release"])
        file = None if release is None else pictures.find(access, release, f"{parts['name']}/{parts['path']}")
        if release is None or file is None:
            access.refuse(parts["release"])
            # The same response for a missing tile, a missing release and a hidden release.
            return PlainTextResponse("no such tile", 404, {"Cache-Control": "private, max-age=3600"})
        headers = {"Cache-Control": cache_control(release.proprietary)}
        return Response(await pictures.read(file), headers=headers, media_type=file.mime)

    return routes_of([(TILE, tile)])


def cache_control(proprietary: bool) -> str:
    """Return ``Cache-Control`` of a picture: published files never change; proprietary ones stay out of shared caches."""
    return "private, no-cache" if proprietary else "public, max-age=86400"
