"""``/health``: whether the server works, from what its loops found out; it waits for nothing."""

from __future__ import annotations

import shutil
import stat

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from desdm.errors import DesdmError
from desdm.services.context import Services

__all__ = ["health_routes", "open_modes", "probe"]


def health_routes(services: Services) -> list[BaseRoute]:
    """Route of the endpoint."""

    async def health(_: Request) -> Response:
        troubles = services.supervisor.troubles()
        document = {
            "status": "degraded" if troubles else "ok",
            "troubles": troubles,
            "dropped_entries": services.journal.dropped,
        }
        return JSONResponse(document, 503 if troubles else 200, {"Cache-Control": "no-store"})

    return [Route("/health", health, methods=["GET"])]


def probe(services: Services) -> None:
    """Find out whether databases, engine and disk answer; what does not is told by ``/health``."""
    note = services.supervisor.note
    for name, database in (("operations database", services.database), ("service database", services.state)):
        try:
            with database.read():
                note(name, "")
        except DesdmError:
            note(name, "does not answer")
    try:
        note("query engine", "" if services.engine.ping() else "does not answer")
    except DesdmError:
        note("query engine", "does not answer")
    free = shutil.disk_usage(services.config.home).free
    note("disk", "is nearly full" if free < services.config.keep_free_mb * 1e6 else "")


def open_modes(services: Services) -> list[str]:
    """What of the service's state others can read or write: the message for each, with what to do."""
    found = []
    paths = [services.results]
    if services.state.dialect == "sqlite" and services.state.url.database:
        paths.append(services.config.home / services.state.url.database)
    for path in paths:
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            found.append(f"{path} is open to others; run: chmod go= {path}")
    return found
