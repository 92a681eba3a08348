"""The tables of TAP as VOSI tells of them (VOSI 1.1, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from desdm.errors import NotFoundError
from desdm.query.catalogue import Catalogue
from desdm.release.model import ReleaseColumn
from desdm.services.answers import guarded, work, xml_response
from desdm.services.catalogue import catalogue_for
from desdm.services.context import Services, caller_of
from desdm.services.parameters import given
from desdm.services.tap_schema.columns import KEYS
from desdm.services.tap_schema.describe import SCHEMA_TEXTS, described_tables

__all__ = ["Shown", "tables_route"]

_PACKAGE = "desdm.services.vosi"
_DETAIL = ("min", "max")


@dataclass(frozen=True, slots=True)
class Shown:
    """A table as the document shows it."""

    schema: str
    name: str
    text: str
    utype: str | None
    columns: tuple[ReleaseColumn, ...]
    utypes: dict[str, str]
    std: bool


def tables_route(prefix: str, services: Services, refresh: Callable[[], None]) -> list[BaseRoute]:
    """Routes of the tables (VOSI 1.1, section 3.2): all of them, or one by its name.

    Parameters
    ----------
    refresh
        Brings the engine's own tables up to date.
    """

    async def tables(request: Request) -> Response:
        caller = caller_of(request)
        asked = await given(request, 0)
        detail = asked.value("DETAIL", "max").lower()
        if detail not in _DETAIL:
            detail = "max"
        wanted = request.path_params.get("table", "")

        def look() -> tuple[list[str], list[Shown], dict[str, str]]:
            refresh()
            catalogue = catalogue_for(services, caller)
            titles = {r.name: r.title or r.text for r in services.published.current().releases} | SCHEMA_TEXTS
            return catalogue.schemas(), _shown(services, catalogue), titles

        schemas, shown, titles = await work(services, look)
        if not wanted:
            return xml_response(
                _PACKAGE,
                "tables.xml",
                schemas=schemas,
                tables=shown,
                titles=titles,
                full=detail == "max",
                keys=KEYS,
            )
        one = [t for t in shown if f"{t.schema}.{t.name}".lower() == wanted.lower()]
        if not one:
            raise NotFoundError(f"no table {wanted[:80]!r}; {prefix}/tables lists them")
        return xml_response(_PACKAGE, "table.xml", table=one[0], full=True, keys=KEYS)

    return [
        Route(f"{prefix}/tables", guarded(tables), methods=["GET"]),
        Route(f"{prefix}/tables/{{table}}", guarded(tables), methods=["GET"]),
    ]


def _shown(services: Services, catalogue: Catalogue) -> list[Shown]:
    told = {(t.schema, t.name): t for t in described_tables(services.published.current())}
    found = []
    for entry in catalogue.entries():
        known = told.get((entry.schema, entry.name))
        found.append(
            Shown(
                entry.schema, entry.name, known.text if known else "", known.utype if known else None, entry.columns,
                known.utypes if known else {}, bool(known and known.std),
            )
        )  # fmt: skip
    return found
