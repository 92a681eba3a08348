"""The page of a table: its columns with text, unit and UCD, and its first rows."""

from __future__ import annotations

from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from desdm.accounts.model import Caller
from desdm.errors import DesdmError, NotFoundError
from desdm.release.model import ReleaseColumn, ReleaseTable
from desdm.services.adql.translate import translate
from desdm.services.answers import told, work
from desdm.services.catalogue import catalogue_for
from desdm.services.context import Services, caller_of
from desdm.web.pages.examples import example
from desdm.web.pages.seen import seen_release
from desdm.web.render import page

__all__ = ["routes"]

_NUMBERS = ("short", "int", "long", "float", "double")
_FIRST, _WIDEST = 20, 60


class Rows(NamedTuple):
    """Rows as a page shows them."""

    columns: tuple[ReleaseColumn, ...]
    cells: list[list[str | None]]


def routes(services: Services) -> list[BaseRoute]:
    """Route of the page."""

    async def table(request: Request) -> Response:
        def make() -> Response:
            caller = caller_of(request)
            name, _, wanted = request.path_params["table"].partition(".")
            tables = seen_release(services, caller, name).tables
            found = next((t for t in tables if t.name.lower() == wanted.lower()), None)
            if found is None:
                raise NotFoundError(f"no table {name[:40]}.{wanted[:60]} here, or none for you")
            rows, trouble = _first(services, caller, found)
            return page(
                request,
                "table.html",
                table=found,
                rows=rows,
                trouble=trouble,
                numbers=_NUMBERS,
                guessed=sum(c.inferred for c in found.columns),
                example=example(found),
            )

        return await work(services, make)

    return [Route("/tables/{table}", table)]


def _first(services: Services, caller: Caller, table: ReleaseTable) -> tuple[Rows | None, str]:
    text = f"SELECT TOP {_FIRST} * FROM {table.release}.{table.name}"  # noqa: S608 - names of ours, walked as ADQL
    try:
        engine = services.engine
        query = translate(text, catalogue_for(services, caller), engine.dialect)  # type: ignore[arg-type]
        with engine.execute(query, seconds=5) as batches:
            rows = [list(row.values()) for batch in batches for row in batch.to_pylist()]
    except DesdmError as err:
        # The columns are worth the page also while the engine is away.
        return None, told(err)
    kinds = [column.datatype for column in query.columns]
    cells = [[_cell(v, kind) for v, kind in zip(row, kinds, strict=True)] for row in rows]
    return (Rows(query.columns, cells) if rows else None), ""


def _cell(value: Any, datatype: str) -> str | None:
    if value is None:
        return None
    if isinstance(value, float):
        # As many digits as the type holds, and no more.
        return "NaN" if value != value else f"{value:.6g}" if datatype == "float" else f"{value:.10g}"
    return str(value)[:_WIDEST]
