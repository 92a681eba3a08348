"""The paths of cone search: ``/scs/<release>.<table>?RA=…&DEC=…&SR=…``."""

from __future__ import annotations

import math
from contextlib import ExitStack
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from desdm.accounts.model import Action, Caller
from desdm.errors import AccessDenied, NotFoundError, UsageError
from desdm.query.adql.translate import translate
from desdm.query.catalogue import Catalogue, Entry
from desdm.query.dialect import dialect_of
from desdm.query.engines.model import Cancel
from desdm.query.formats import Format, TableStream, choose, stream
from desdm.services.answers import base_url, guarded, work
from desdm.services.catalogue import catalogue_for
from desdm.services.context import Services, caller_of
from desdm.services.limits import limits_of
from desdm.services.parameters import Given, given
from desdm.services.streaming import Stream, let_go, watched
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
        asked = await given(request, limits_of(caller.role).request_bytes)
        form = choose(asked.value("RESPONSEFORMAT") or "votable/td")
        held, cancel = ExitStack(), Cancel()
        make = partial(_rows, services, caller, request.path_params["table"], asked, form, held, cancel)
        try:
            pieces = await watched(request.receive, cancel, work(services, make))
        except BaseException:
            cancel()
            await let_go(held)
            raise
        mime = "application/x-votable+xml" if form.name == "votable/td" else form.mime
        return Stream(services, pieces, held, cancel, mime)

    def own(request: Request) -> str:
        here = f"{base_url(request)}/scs/{request.path_params['table']}"
        return capability(_STANDARD, f"{here}?", use="base", version="1.03")

    return [
        Route(_PREFIX, guarded(search), methods=["GET", "POST"]),
        *vosi_routes(_PREFIX, services, own),
    ]


def _rows(
    services: Services, caller: Caller, name: str, asked: Given, form: Format, held: ExitStack, cancel: Cancel
) -> TableStream:
    catalogue = catalogue_for(services, caller)
    entry = _entry(catalogue, name)
    limits = limits_of(caller.role)
    most = asked.number("MAXREC")
    most = limits.rows_default if most is None else min(most, limits.rows)
    query = translate(_query(entry, asked), catalogue, dialect_of(services.engine), maxrec=most)
    batches = held.enter_context(
        services.engine.execute(query, owner=caller.login, seconds=limits.seconds, cancel=cancel)
    )
    title = f"Cone search in {entry.schema}.{entry.name}"
    return stream(form, query.columns, batches, maxrec=most, title=title).begin()


def _entry(catalogue: Catalogue, name: str) -> Entry:
    schema, dot, table = name.rpartition(".")
    entry = catalogue.entry(schema if dot else None, table)
    if entry is None:
        raise NotFoundError(f"no table {name[:80]!r}; /tap/tables lists them")
    if entry.ra is None or entry.dec is None:
        raise UsageError(f"table {name} has no positions; query it by TAP")
    return entry


def _query(entry: Entry, asked: Given) -> str:
    ra, dec = _number(asked, "RA", 0.0, 360.0), _number(asked, "DEC", -90.0, 90.0)
    radius = _number(asked, "SR", 0.0, 180.0)
    verb = asked.value("VERB", "2")
    if verb not in ("1", "2", "3"):
        raise UsageError(f"VERB={verb[:20]}: 1, 2 or 3 is wanted")
    first = {entry.ra, entry.dec} | {c.name for c in entry.columns if c.ucd.endswith("meta.main")}
    look = first | {c.name for c in entry.columns if c.principal}
    wanted = {"1": first, "2": look if look - first else None}.get(verb)
    names = [c.name for c in entry.columns if wanted is None or c.name in wanted]
    shown = ", ".join(f't."{n}"' for n in names)
    place = f't."{entry.ra}", t."{entry.dec}"'
    cone = f"1 = CONTAINS(POINT({place}), CIRCLE({ra!r}, {dec!r}, {radius!r}))"
    # ADQL of ours, from names of the catalogue and numbers: it is translated as any query.
    return f'SELECT {shown} FROM "{entry.schema}"."{entry.name}" AS t WHERE {cone}'  # noqa: S608


def _number(asked: Given, name: str, low: float, high: float) -> float:
    text = asked.value(name)
    try:
        value = float(text)
    except ValueError as err:
        raise UsageError(f"{name}={text[:40]}: a number in degrees is wanted") from err
    if math.isnan(value) or not low <= value <= high:
        raise UsageError(f"{name}={text[:40]}: it is not within {low:g} and {high:g} degrees")
    return value
