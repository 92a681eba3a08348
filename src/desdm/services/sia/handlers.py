"""The paths of SIA 2.0: the query and what the service says of itself."""

from __future__ import annotations

from itertools import islice

import pyarrow as pa
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from desdm.accounts.model import Action, Caller
from desdm.errors import AccessDenied
from desdm.query.formats import choose, stream
from desdm.services.access import access_of
from desdm.services.answers import base_url, guarded, work
from desdm.services.context import Services, caller_of
from desdm.services.limits import limits_of
from desdm.services.obscore.columns import COLUMNS, UTYPES
from desdm.services.obscore.rows import obscore_rows, placed
from desdm.services.parameters import Given, given
from desdm.services.sia.conditions import NAMES, conditions
from desdm.services.vosi.handlers import capability, vosi_routes

__all__ = ["routes"]

_PREFIX = "/sia"
_STANDARD = "ivo://ivoa.net/std/SIA#query-2.0"


def routes(services: Services) -> list[BaseRoute]:
    """Routes of SIA."""

    async def query(request: Request) -> Response:
        caller = caller_of(request)
        if not caller.may(Action.READ):
            raise AccessDenied("queries are not among what this token allows", caller.known)
        asked = await given(request, limits_of(caller.role).request_bytes)
        base = base_url(request)
        return await work(services, lambda: _answer(services, caller, asked, base))

    def own(request: Request) -> str:
        here = base_url(request) + _PREFIX
        return capability(_STANDARD, f"{here}/query", use="base", version="2.0")

    handler = guarded(query)
    return [
        Route(_PREFIX, handler, methods=["GET", "POST"]),
        Route(f"{_PREFIX}/query", handler, methods=["GET", "POST"]),
        *vosi_routes(_PREFIX, services, own),
    ]


def _answer(services: Services, caller: Caller, asked: Given, base: str) -> Response:
    asked.only(NAMES)
    form = choose(asked.value("RESPONSEFORMAT") or "votable/td")
    limits = limits_of(caller.role)
    most = asked.number("MAXREC")
    most = min(limits.rows if most is None else most, limits.rows)
    tests = conditions(asked)
    access = access_of(services, caller)
    files = [file for release in access.whole_releases() for file in access.files(release)]
    table = obscore_rows(files)
    # One image more than may go out: by it the writer of the answer knows that there are more.
    passed = (n for n, row in enumerate(table.to_pylist()) if all(test(row) for test in tests))
    kept = list(islice(passed, most + 1))
    found = table.take(pa.array(kept, pa.int64()))
    names = found.column_names
    where = names.index("access_url")
    urls = pa.array([placed(url, base) for url in found["access_url"].to_pylist()], pa.string())
    found = found.set_column(where, "access_url", urls)
    infos = (("standardID", _STANDARD, ""), ("SERVICE_PROTOCOL", "2.0", "SIA"))
    pieces = stream(
        form, COLUMNS, found.to_batches(), maxrec=most, infos=infos, utypes=UTYPES, title="Images"
    )
    body = b"".join(pieces)
    mime = "application/x-votable+xml" if form.name == "votable/td" else form.mime
    return Response(body, headers=pieces.headers, media_type=mime)
