"""HiPS over HTTP: ``/hips/<release>/<name>/…``; a tile that is not there is a plain 404, as viewers expect."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from desdm.accounts.model import Caller
from desdm.services.answers import work
from desdm.services.context import Services, caller_of

__all__ = ["routes"]

_PATH = re.compile(
    r"(properties|Moc\.fits|Norder3/Allsky\.png|Norder(\d{1,2})/Dir(\d{1,18})/Npix(\d{1,19})\.png)\Z",
    re.ASCII,
)
_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}\Z", re.ASCII)
_MIMES = {".png": "image/png", ".fits": "application/fits"}


def routes(services: Services) -> list[BaseRoute]:
    """Routes of ``/hips``."""

    async def tile(request: Request) -> Response:
        caller = caller_of(request)
        wanted = request.path_params
        found = await work(
            services, lambda: _find(services, caller, wanted["release"], wanted["name"], wanted["path"])
        )
        if found is None:
            # Browsers need not ask again for what a published release does not have.
            return PlainTextResponse("no such tile", 404, {"Cache-Control": "max-age=3600"})
        mime = _MIMES.get(found.suffix, "text/plain; charset=utf-8")
        return FileResponse(found, media_type=mime, headers={"Cache-Control": "max-age=86400"})

    return [Route("/hips/{release}/{name}/{path:path}", tile, methods=["GET"])]


def _find(services: Services, caller: Caller, release: str, name: str, path: str) -> Path | None:
    holdings = services.published.current()
    record = holdings.release(release)
    if record is None or not holdings.visible(caller, record):
        return None
    if not (_NAME.match(name) and _PATH.match(path)):
        return None
    found = services.root(record.name) / "hips" / name / path
    return found if found.is_file() else None
