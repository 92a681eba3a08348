"""HTTP endpoints of SIA 2.0: the query and the VOSI documents."""

from __future__ import annotations

from itertools import islice

import pyarrow as pa
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from desdm.accounts.model import Caller
from desdm.query.formats import choose, stream
from desdm.services.access import access_of
from desdm.services.context import Services, caller_of
from desdm.services.endpoint import routes_of
from desdm.services.forms import parse_parameters
from desdm.services.limits import limits_of
from desdm.services.obscore.columns import COLUMNS, UTYPES
from desdm.services.obscore.rows import obscore_rows, with_base_url
from desdm.services.parameters import Values
from desdm.services.responses import base_url, run_blocking
from desdm.services.sia.conditions import conditions
from desdm.services.sia.endpoints import IMAGES, PREFIX, QUERY, SEARCH, VOSI
from desdm.services.vosi.handlers import capability, vosi_routes

__all__ = ["routes"]

_STANDARD = "ivo://ivoa.net/std/SIA#query-2.0"


def routes(services: Services) -> list[BaseRoute]:
    """Routes of SIA."""

    async def query(request: Request) -> Response:
        caller = caller_of(request)
        limits = limits_of(caller.role)
        params = await parse_parameters(request, limits.request_bytes, field_bytes=limits.parameter_bytes)
        await params.close()
        values, base = params.read(IMAGES), base_url(request)
        return await run_blocking(services, lambda: _respond(services, caller, values, base))

    def capabilities(request: Request) -> str:
        url = base_url(request) + PREFIX
        return capability(_STANDARD, f"{url}/query", use="base", version="2.0")

    handlers = [(SEARCH, query), (QUERY, query)]
    return [*routes_of(handlers), *vosi_routes(VOSI, services, capabilities)]


def _respond(services: Services, caller: Caller, values: Values, base: str) -> Response:
    """Return the table of the images that match."""
    form = choose(values.text("RESPONSEFORMAT"))
    limits = limits_of(caller.role)
    most = values.whole("MAXREC")
    most = min(limits.rows if most is None else most, limits.rows)
    tests = conditions(values)
    access = access_of(services, caller)
    files = [file for release in access.whole_releases() for file in access.files(release)]
    table = obscore_rows(files)
    # One image more than MAXREC, so that the writer can report the overflow.
    passing = (n for n, row in enumerate(table.to_pylist()) if all(test(row) for test in tests))
    numbers = list(islice(passing, most + 1))
    matches = table.take(pa.array(numbers, pa.int64()))
    names = matches.column_names
    index = names.index("access_url")
    urls = pa.array([with_base_url(url, base) for url in matches["access_url"].to_pylist()], pa.string())
    matches = matches.set_column(index, "access_url", urls)
    infos = (("standardID", _STANDARD, ""), ("SERVICE_PROTOCOL", "2.0", "SIA"))
    pieces = stream(
        form, COLUMNS, matches.to_batches(), maxrec=most, infos=infos, utypes=UTYPES, title="Images"
    )
    body = b"".join(pieces)
    mime = "application/x-votable+xml" if form.name == "votable/td" else form.mime
    return Response(body, headers=pieces.headers, media_type=mime)
