"""``/health``: state of the server as its background loops reported it; responds without waiting."""

from __future__ import annotations

import shutil

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from desdm.errors import DesdmError
from desdm.services.context import Services
from desdm.services.endpoint import routes_of
from desdm.web.endpoints import HEALTH

__all__ = ["health_routes", "probe"]


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

    return routes_of([(HEALTH, health)])


def probe(services: Services) -> None:
    """Check databases, engine and disk, for ``/health``."""
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
    # Without their names: some may be hidden from those who ask.
    failed = len(services.published.failed())
    note("releases", f"{failed} published releases cannot be served; see the log" if failed else "")
    free = shutil.disk_usage(services.config.home).free
    note("disk", "is nearly full" if free < services.config.keep_free_mb * 1e6 else "")
