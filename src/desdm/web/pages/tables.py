"""The page of a table: its columns with text, unit and UCD, and its first rows."""

from __future__ import annotations

from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from desdm.accounts.model import Caller
from desdm.errors import DesdmError, NotFoundError
from desdm.query.adql.translate import translate
from desdm.query.dialect import dialect_of
from desdm.release.model import ReleaseColumn, ReleaseTable
from desdm.services.access import catalogue_for
from desdm.services.context import Services, caller_of
from desdm.services.endpoint import routes_of
from desdm.services.error_responses import public_message
from desdm.services.responses import run_blocking
from desdm.web.endpoints import TABLE
from desdm.web.pages.examples import example
from desdm.web.pages.visible import visible_release
from desdm.web.render import page

__all__ = ["routes"]

_NUMBERS = ("short", "int", "long", "float", "double")
_FIRST, _WIDEST = 20, 60
#: (release, table) → exact ranges of its large integers.
_EXACT: dict[tuple[str, str], dict[str, tuple[int, int]]] = {}
_MOST_TABLES = 1000


class Rows(NamedTuple):
    """Rows as text, for a page."""

    columns: tuple[ReleaseColumn, ...]
    cells: list[list[str | None]]


def routes(services: Services) -> list[BaseRoute]:
    """Route of the page."""

    async def table(request: Request) -> Response:
        def make() -> Response:
            caller = caller_of(request)
            name, _, table_name = request.path_params["table"].partition(".")
            tables = visible_release(services, caller, name).tables
            match = next((t for t in tables if t.name.lower() == table_name.lower()), None)
            if match is None:
                raise NotFoundError(f"there is no table {name[:40]}.{table_name[:60]} that you may query")
            rows, trouble = _first(services, caller, match)
            ranges = _ranges(services, caller, match)
            return page(
                request,
                "table.html",
                table=match,
                rows=rows,
                ranges=ranges,
                trouble=trouble,
                numbers=_NUMBERS,
                guessed=sum(c.inferred for c in match.columns),
                example=example(match),
            )

        return await run_blocking(services, make)

    return routes_of([(TABLE, table)])


def _first(services: Services, caller: Caller, table: ReleaseTable) -> tuple[Rows | None, str]:
    """Query the first rows; None and the error message if that fails."""
    text = f"SELECT TOP {_FIRST} * FROM {table.release}.{table.name}"  # noqa: S608 - names of the catalogue, parsed as ADQL
    try:
        engine = services.engine
        query = translate(text, catalogue_for(services, caller), dialect_of(engine))
        with engine.execute(query, seconds=5) as batches:
            rows = [list(row.values()) for batch in batches for row in batch.to_pylist()]
    except DesdmError as err:
        # The page shows the columns also while the engine is not available.
        return None, public_message(err)
    kinds = [column.datatype for column in query.columns]
    cells = [[_cell(v, kind) for v, kind in zip(row, kinds, strict=True)] for row in rows]
    return (Rows(query.columns, cells) if rows else None), ""


def _ranges(services: Services, caller: Caller, table: ReleaseTable) -> dict[str, tuple[str, str]]:
    """Return the least and greatest value of each column as text; integers of any size exactly."""
    exact: dict[str, tuple[int, int]] = {}
    # The record has 64-bit floats, exact for integers up to 2**53; larger ones are queried from the table.
    large = [c for c in table.columns if c.datatype == "long" and _beyond(c)]
    if large:
        exact = _exact_ranges(services, caller, table, large)
    ranges = {}
    for c in table.columns:
        if c.minimum is None or c.maximum is None:
            ranges[c.name] = ("", "")
        elif c.name in exact:
            ranges[c.name] = (str(exact[c.name][0]), str(exact[c.name][1]))
        else:
            form = ".0f" if c.datatype in ("short", "int", "long") and not _beyond(c) else ".6g"
            ranges[c.name] = (f"{c.minimum:{form}}", f"{c.maximum:{form}}")
    return ranges


def _beyond(column: ReleaseColumn) -> bool:
    """Whether a column has integers that a 64-bit float cannot represent."""
    limits = (column.minimum or 0.0, column.maximum or 0.0)
    return max(abs(limit) for limit in limits) > 2**53


def _exact_ranges(
    services: Services, caller: Caller, table: ReleaseTable, columns: list[ReleaseColumn]
) -> dict[str, tuple[int, int]]:
    """Query the least and greatest value of integer columns; empty while the engine is not available."""
    # A published table never changes: each is queried once in a server's life.
    key = (table.release, table.name)
    cached = _EXACT.get(key)
    if cached is not None:
        return cached
    aggregates = ", ".join(
        f'MIN("{c.name}") AS lo{n}, MAX("{c.name}") AS hi{n}' for n, c in enumerate(columns)
    )
    text = f"SELECT {aggregates} FROM {table.release}.{table.name}"  # noqa: S608 - names of the catalogue, parsed as ADQL
    try:
        query = translate(text, catalogue_for(services, caller), dialect_of(services.engine))
        with services.engine.execute(query, seconds=5) as batches:
            (row,) = [list(row.values()) for batch in batches for row in batch.to_pylist()]
    except DesdmError:
        return {}
    ranges = {
        c.name: (int(row[2 * n]), int(row[2 * n + 1]))
        for n, c in enumerate(columns)
        if row[2 * n] is not None
    }
    if len(_EXACT) < _MOST_TABLES:
        _EXACT[key] = ranges
    return ranges


def _cell(value: object, datatype: str) -> str | None:
    """Return a value as text; None for null."""
    if value is None:
        return None
    if isinstance(value, float):
        # As many digits as the type represents.
        return "NaN" if value != value else f"{value:.6g}" if datatype == "float" else f"{value:.10g}"
    return str(value)[:_WIDEST]
