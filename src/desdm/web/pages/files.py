"""Static files: style sheet, scripts and icon of the pages, and Aladin Lite as the set-up brought it."""

from __future__ import annotations

import sys
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from desdm.errors import NotFoundError
from desdm.services.context import Services
from desdm.web.render import STATIC

__all__ = ["ALADIN", "routes"]

#: Where ``scripts/aladin.sh`` puts Aladin Lite.
ALADIN = Path(sys.prefix) / "share" / "desdm" / "aladin"

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def routes(services: Services) -> list[BaseRoute]:
    """Routes below ``/static``."""
    del services
    known = {f"/static/{path.name}": path for path in STATIC.iterdir() if path.suffix in _TYPES}
    known |= {f"/static/aladin/{name}": ALADIN / name for name in ("aladin.js", "COPYING")}

    async def send(request: Request) -> Response:
        path = known.get(request.url.path)
        # Asked for each time: the set-up may bring Aladin Lite while we serve.
        if path is None or not path.is_file():
            raise NotFoundError(f"there is nothing at {request.url.path}")
        # The address holds a mark of the content, so that a browser never needs to ask again.
        headers = {
            "Cache-Control": "public, max-age=31536000, immutable" if request.url.query else "no-cache"
        }
        packed = path.with_suffix(path.suffix + ".gz")
        if "gzip" in request.headers.get("accept-encoding", "") and packed.is_file():
            headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
            return FileResponse(packed, headers=headers, media_type=_TYPES.get(path.suffix, "text/plain"))
        return FileResponse(path, headers=headers, media_type=_TYPES.get(path.suffix, "text/plain"))

    return [Route("/static/{name:path}", send)]
