"""The page tonight, and the report on a night."""

from __future__ import annotations

from datetime import datetime

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from desdm.archive.model import Scope
from desdm.operations.desk.store import newest_event
from desdm.operations.desk.tonight import Tonight, gather_tonight
from desdm.operations.nightreport import Cadences, gather_night, render_night
from desdm.operations.report.pageparts import page_policy
from desdm.operations.surveytable.current import current_table, known_table
from desdm.schema.operationstates import SubjectKind
from desdm.schema.subjects import parse_subject
from desdm.services.context import Services
from desdm.services.responses import run_blocking
from desdm.web.desk import desk_routes
from desdm.web.npm import UPLOT
from desdm.web.opsendpoints import NIGHT, OPS
from desdm.web.pages.deskforms import filters
from desdm.web.pages.ops.nightplots import night_data, night_plots
from desdm.web.render import page

__all__ = ["routes"]

#: Exposures of the night that the page lists; the report lists all.
_MOST = 40


def routes(services: Services) -> list[BaseRoute]:
    """Routes of the page and of the report."""
    scope = Scope(services.config.project, services.config.campaign)
    cadences = Cadences()

    async def show(request: Request) -> Response:
        nite = checked_nite(filters(request, OPS).text("NITE"))

        def make() -> Response:
            known = known_table(services.database, scope, services.pool.submit)
            fields = known.table.fields if known else ()
            with services.database.read() as conn:
                newest = newest_event(conn)
                tonight = gather_tonight(conn, nite, scope, lambda n: cadences.of(fields, n))
            return _page(request, tonight, known.as_of if known else None, newest)

        return await run_blocking(services, make)

    async def report(request: Request) -> Response:
        nite = checked_nite(request.path_params["nite"])

        def make() -> Response:
            fields = current_table(services.database, scope).table.fields
            with services.database.read() as conn:
                gathered = gather_night(conn, nite, scope, lambda n: cadences.of(fields, n))
            headers = {"Cache-Control": "no-store", "desdm-policy": page_policy()}
            return HTMLResponse(render_night(gathered), headers=headers)

        return await run_blocking(services, make)

    return desk_routes([(OPS, show), (NIGHT, report)])


def checked_nite(nite: str) -> str:
    """Return a night as it stands in records; empty for none; `UsageError` for what is no night."""
    nite = nite.strip().replace("-", "")
    return parse_subject(nite, SubjectKind.NITE).name if nite else ""


def _page(request: Request, tonight: Tonight, cadence_as_of: datetime | None, newest_number: int) -> Response:
    """Render the page."""
    exposures = tonight.report.exposures if tonight.report else ()
    plots = night_plots(exposures)
    # The newest first: that is what an operator looks for.
    newest = tuple(reversed(exposures))[:_MOST]
    return page(
        request,
        "ops/tonight.html",
        newest=newest_number,
        t=tonight,
        r=tonight.report,
        plots=plots,
        data=night_data(exposures) if plots else "",
        uplot=UPLOT.is_installed(),
        shown=newest,
        total=len(exposures),
        cadence_as_of=cadence_as_of,
    )
