"""The tables of TAP as a VOSI document (VOSI 1.1, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from desdm.errors import NotFoundError
from desdm.query.catalogue import Catalogue
from desdm.release.model import ReleaseColumn
from desdm.services.access import catalogue_for
from desdm.services.context import Services, caller_of
from desdm.services.endpoint import Endpoint, routes_of
from desdm.services.forms import parse_parameters
from desdm.services.responses import run_blocking, xml_response
from desdm.services.tap_schema.columns import KEYS
from desdm.services.tap_schema.describe import SCHEMA_TEXTS, table_descriptions
from desdm.services.vosi.endpoints import DETAIL

__all__ = ["TableEntry", "tables_routes"]

_PACKAGE = "desdm.services.vosi"


@dataclass(frozen=True, slots=True)
class TableEntry:
    """A table in the document."""

    schema: str
    name: str
    text: str
    utype: str | None
    columns: tuple[ReleaseColumn, ...]
    utypes: dict[str, str]
    std: bool


def tables_routes(
    declared: tuple[Endpoint, Endpoint], services: Services, refresh: Callable[[], None]
) -> list[BaseRoute]:
    """Return the routes of the tables (VOSI 1.1, section 3.2): all of them, or one by its name.

    Parameters
    ----------
    declared
        The two endpoints, as of `tables_endpoints`.
    services
        Shared state of the services.
    refresh
        Brings the engine's own tables up to date.

    Returns
    -------
    list of BaseRoute
        The routes.
    """

    async def document(request: Request) -> Response:
        caller = caller_of(request)
        detail = (await parse_parameters(request, 0)).read(DETAIL).text("DETAIL")
        name = request.path_params.get("table", "")

        def load() -> tuple[list[str], list[TableEntry], dict[str, str]]:
            refresh()
            catalogue = catalogue_for(services, caller)
            titles = {r.name: r.title or r.text for r in services.published.current().releases} | SCHEMA_TEXTS
            return catalogue.schemas(), _table_entries(services, catalogue), titles

        schemas, tables, titles = await run_blocking(services, load)
        if not name:
            return xml_response(
                _PACKAGE,
                "tables.xml",
                schemas=schemas,
                tables=tables,
                titles=titles,
                full=detail == "max",
                keys=KEYS,
            )
        matches = [t for t in tables if f"{t.schema}.{t.name}".lower() == name.lower()]
        if not matches:
            raise NotFoundError(f"no table {name[:80]!r}; {declared[0].path} lists them")
        return xml_response(_PACKAGE, "table.xml", table=matches[0], full=True, keys=KEYS)

    return routes_of((endpoint, document) for endpoint in declared)


def _table_entries(services: Services, catalogue: Catalogue) -> list[TableEntry]:
    """Return the visible tables with their descriptions."""
    descriptions = {(t.schema, t.name): t for t in table_descriptions(services.published.current())}
    entries = []
    for entry in catalogue.entries():
        described = descriptions.get((entry.schema, entry.name))
        entries.append(
            TableEntry(
                entry.schema,
                entry.name,
                described.text if described else "",
                described.utype if described else None,
                entry.columns,
                described.utypes if described else {},
                bool(described and described.std),
            )
        )
    return entries
