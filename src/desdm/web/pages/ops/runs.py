"""The page of runs: nights by pipeline, and the runs themselves, newest first."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from desdm.framework.watch.store import RunRow
from desdm.framework.watch.store import runs as run_rows
from desdm.operations.desk import store
from desdm.operations.desk.products import night_products
from desdm.operations.desk.store import RunFilter
from desdm.schema.states import AttemptState
from desdm.services.context import Services
from desdm.services.parameters import Values
from desdm.services.responses import run_blocking
from desdm.web.desk import desk_routes
from desdm.web.opsendpoints import RUNS
from desdm.web.pages.deskforms import filters, query_of
from desdm.web.pages.ops.tonight import checked_nite
from desdm.web.render import page

__all__ = ["routes"]

_NIGHTS, _ROWS = 14, 100


def routes(services: Services) -> list[BaseRoute]:
    """Route of the page."""

    async def show(request: Request) -> Response:
        values = filters(request, RUNS)
        return await run_blocking(services, lambda: _page(services, request, values))

    return desk_routes([(RUNS, show)])


def _page(services: Services, request: Request, values: Values) -> Response:
    """Render the page."""
    names = ("pipeline", "state", "campaign", "unit")
    wanted = {name: values.text(name.upper()).strip() for name in names}
    wanted["nite"] = checked_nite(values.text("NITE"))
    before, until = values.whole("BEFORE"), checked_nite(values.text("UNTIL"))
    with services.database.read() as conn:
        newest = store.newest_event(conn)
        nites = [wanted["nite"]] if wanted["nite"] else store.last_nites(conn, _NIGHTS + 1, until)
        # The list alone, where one looks for a unit or goes back in it.
        shown = [] if wanted["unit"] or before else nites[:_NIGHTS]
        grid = night_products(
            conn,
            shown,
            services.config.campaign,
            campaign=wanted["campaign"],
            pipeline=wanted["pipeline"],
            state=wanted["state"],
        )
        numbers = store.run_numbers(conn, _filter(wanted, before), _ROWS + 1)
        rows = [row for row in run_rows(conn, {}, _ROWS, numbers[:_ROWS]) if _fits(row, wanted["state"])]
        campaigns = store.campaigns(conn)
    query = {name: value for name, value in wanted.items() if value}
    return page(
        request,
        "ops/runs.html",
        newest=newest,
        grid=grid,
        production=services.config.campaign,
        pipelines=sorted({name for night in grid for name in night.pipelines}),
        rows=rows,
        f=wanted,
        campaigns=campaigns,
        states=tuple(AttemptState),
        older=query_of({**query, "before": numbers[_ROWS - 1]}) if len(numbers) > _ROWS else "",
        first=query_of(query) if before else "",
        older_nights=query_of({**query, "until": nites[_NIGHTS]}) if len(nites) > _NIGHTS else "",
        newest_nights=query_of(query) if until else "",
    )


def _filter(wanted: dict[str, str], before: int | None) -> RunFilter:
    """Return the filter of the list; the row of a run whose submitter is gone says that it runs."""
    states: tuple[AttemptState, ...] = (AttemptState(wanted["state"]),) if wanted["state"] else ()
    if states == (AttemptState.INTERRUPTED,):
        states = (AttemptState.INTERRUPTED, AttemptState.RUNNING)
    return RunFilter(wanted["pipeline"], wanted["campaign"], wanted["unit"], wanted["nite"], states, before)


def _fits(row: RunRow, state: str) -> bool:
    """Whether a run is in a state now."""
    return state in ("", row.state)
