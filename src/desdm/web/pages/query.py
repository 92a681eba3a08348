"""The query page: ADQL with examples and tables beside it; rows at once, files, or jobs."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from desdm.services.access import catalogue_for
from desdm.services.context import Services, caller_of
from desdm.services.endpoint import routes_of
from desdm.services.forms import parse_parameters
from desdm.services.responses import run_blocking
from desdm.services.tap_schema.describe import TapSchema
from desdm.web.endpoints import QUERY
from desdm.web.pages.examples import examples
from desdm.web.pages.visible import visible_releases
from desdm.web.render import page

__all__ = ["routes"]

#: Largest number of rows that the page displays.
_MOST_ROWS = 500


def routes(services: Services) -> list[BaseRoute]:
    """Route of the page."""
    schema = TapSchema(services)

    async def query(request: Request) -> Response:
        sent = (await parse_parameters(request, 0)).read(QUERY.parameters).text("QUERY")

        def make() -> Response:
            caller = caller_of(request)
            releases = visible_releases(services, caller)
            queries = examples([t for s in releases for t in s.tables])
            schema.refresh()
            entries = catalogue_for(services, caller).entries()
            # In the order of use: own tables, releases, and last the service's own tables.
            entries.sort(
                key=lambda e: (e.schema.lower() in ("tap_schema", "ivoa"), e.schema.lower() != "mydb")
            )
            text = sent or (queries[0][1] if queries else "")
            return page(
                request, "query.html", query=text, examples=queries, tables=entries, max_rows=_MOST_ROWS
            )

        return await run_blocking(services, make)

    return routes_of([(QUERY, query)])
