"""Static files: style sheet, scripts and icon of the pages, and Aladin Lite and uPlot if they are installed."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute

from desdm.errors import NotFoundError
from desdm.services.context import Services
from desdm.services.endpoint import routes_of
from desdm.web import endpoints
from desdm.web.aladin import ALADIN
from desdm.web.bundles import BUNDLES, STATIC, bundle
from desdm.web.npm import UPLOT

__all__ = ["routes"]

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def routes(services: Services) -> list[BaseRoute]:
    """Routes below ``/static``."""
    del services
    paths = {f"/static/{path.name}": path for path in STATIC.iterdir() if path.suffix in _TYPES}
    paths |= {f"/static/aladin/{name}": ALADIN / name for name in ("aladin.js", "COPYING")}
    paths["/static/uplot/LICENSE"] = UPLOT.target / "LICENSE"

    async def send(request: Request) -> Response:
        path = paths.get(request.url.path)
        zipped = "gzip" in request.headers.get("accept-encoding", "")
        # The address has a hash of the content, so that a browser may cache the file for ever.
        headers = {
            "Cache-Control": "public, max-age=31536000, immutable" if request.url.query else "no-cache"
        }
        if (name := request.url.path.removeprefix("/static/")) in BUNDLES:
            script = bundle(name)
            headers["Vary"] = "Accept-Encoding"
            if zipped:
                headers["Content-Encoding"] = "gzip"
            return Response(script.compressed if zipped else script.content, 200, headers, _TYPES[".js"])
        # Checked each time: the set-up may install Aladin Lite while the server runs.
        if path is None or not path.is_file():
            raise NotFoundError(f"there is nothing at {request.url.path}")
        compressed = path.with_suffix(path.suffix + ".gz")
        if zipped and compressed.is_file():
            headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
            return FileResponse(compressed, headers=headers, media_type=_TYPES.get(path.suffix, "text/plain"))
        return FileResponse(path, headers=headers, media_type=_TYPES.get(path.suffix, "text/plain"))

    return routes_of([(endpoints.STATIC, send)])
