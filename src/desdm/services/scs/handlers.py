"""HTTP endpoints of cone search: ``/scs/<release>.<table>?RA=…&DEC=…&SR=…``."""

from __future__ import annotations

import math
from contextlib import ExitStack
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from desdm.accounts.model import Action, Caller
from desdm.errors import AccessDenied, NotFoundError, UsageError
from desdm.numbers import decimal_number
from desdm.query.adql.translate import translate
from desdm.query.catalogue import Catalogue, Entry
from desdm.query.dialect import dialect_of
from desdm.query.engines.model import Cancel
from desdm.query.formats import Format, TableStream, choose, stream
from desdm.services.catalogue import catalogue_for
from desdm.services.context import Services, caller_of
from desdm.services.limits import limits_of
from desdm.services.parameters import RequestParams, parse_parameters
from desdm.services.responses import base_url, run_blocking
from desdm.services.streaming import Stream, cancel_on_disconnect, close_resources
from desdm.services.vosi.handlers import capability, vosi_routes

__all__ = ["routes"]

_PREFIX = "/scs/{table}"
_STANDARD = "ivo://ivoa.net/std/ConeSearch"


def routes(services: Services) -> list[BaseRoute]:
    """Routes of cone search."""

    async def search(request: Request) -> Response:
        caller = caller_of(request)
        if not caller.may(Action.READ):
            raise AccessDenied("queries are not among what this token allows", caller.known)
        params = await parse_parameters(request, limits_of(caller.role).request_bytes)
        form = choose(params.value("RESPONSEFORMAT") or "votable/td")
        resources, cancel = ExitStack(), Cancel()
        begin = partial(
            _rows, services, caller, request.path_params["table"], params, form, resources, cancel
        )
        try:
            rows = await cancel_on_disconnect(request.receive, cancel, run_blocking(services, begin))
        except BaseException:
            cancel()
            await close_resources(resources)
            raise
        mime = "application/x-votable+xml" if form.name == "votable/td" else form.mime
        return Stream(services, rows, resources, cancel, mime)

    def capabilities(request: Request) -> str:
        url = f"{base_url(request)}/scs/{request.path_params['table']}"
        return capability(_STANDARD, f"{url}?", use="base", version="1.03")

    return [
        Route(_PREFIX, search, methods=["GET", "POST"]),
        *vosi_routes(_PREFIX, services, capabilities),
    ]


def _rows(
    services: Services,
    caller: Caller,
    name: str,
    params: RequestParams,
    form: Format,
    resources: ExitStack,
    cancel: Cancel,
) -> TableStream:
    """Run a cone search and compute its first rows."""
    catalogue = catalogue_for(services, caller)
    entry = _find_table(catalogue, name)
    limits = limits_of(caller.role)
    most = params.number("MAXREC")
    most = limits.rows_default if most is None else min(most, limits.rows)
    query = translate(_adql(entry, params), catalogue, dialect_of(services.engine), maxrec=most)
    batches = resources.enter_context(
        services.engine.execute(query, owner=caller.login, seconds=limits.seconds, cancel=cancel)
    )
    title = f"Cone search in {entry.schema}.{entry.name}"
    return stream(form, query.columns, batches, maxrec=most, title=title).begin()


def _find_table(catalogue: Catalogue, name: str) -> Entry:
    """Find the table, which must have positions."""
    schema, dot, table = name.rpartition(".")
    entry = catalogue.entry(schema if dot else None, table)
    if entry is None:
        raise NotFoundError(f"no table {name[:80]!r}; /tap/tables lists them")
    if entry.ra is None or entry.dec is None:
        raise UsageError(f"table {name} has no positions; query it by TAP")
    return entry


def _adql(entry: Entry, params: RequestParams) -> str:
    """Compose the ADQL of a cone search; VERB selects the columns."""
    ra, dec = _degrees(params, "RA", 0.0, 360.0), _degrees(params, "DEC", -90.0, 90.0)
    radius = _degrees(params, "SR", 0.0, 180.0)
    verb = params.value("VERB", "2")
    if verb not in ("1", "2", "3"):
        raise UsageError(f"VERB={verb[:20]}: 1, 2 or 3 is wanted")
    first = {entry.ra, entry.dec} | {c.name for c in entry.columns if c.ucd.endswith("meta.main")}
    principal = first | {c.name for c in entry.columns if c.principal}
    columns = {"1": first, "2": principal if principal - first else None}.get(verb)
    names = [c.name for c in entry.columns if columns is None or c.name in columns]
    selected = ", ".join(f't."{n}"' for n in names)
    position = f't."{entry.ra}", t."{entry.dec}"'
    cone = f"1 = CONTAINS(POINT({position}), CIRCLE({ra!r}, {dec!r}, {radius!r}))"
    # Composed of names of the catalogue and numbers, and translated like any query.
    return f'SELECT {selected} FROM "{entry.schema}"."{entry.name}" AS t WHERE {cone}'  # noqa: S608


def _degrees(params: RequestParams, name: str, low: float, high: float) -> float:
    """Parse a parameter in degrees within bounds."""
    text = params.value(name)
    try:
        value = decimal_number(text)
    except ValueError as err:
        raise UsageError(f"{name}={text[:40]}: a number in degrees is wanted") from err
    if math.isnan(value) or not low <= value <= high:
        raise UsageError(f"{name}={text[:40]}: it is not within {low:g} and {high:g} degrees")
    return value
