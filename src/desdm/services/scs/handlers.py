"""HTTP endpoints of cone search: ``/scs/<release>.<table>?RA=…&DEC=…&SR=…``."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from desdm.accounts.model import Caller
from desdm.errors import NotFoundError, UsageError
from desdm.query.adql.translate import translate
from desdm.query.catalogue import Catalogue, Entry
from desdm.query.dialect import dialect_of
from desdm.query.engines.model import Cancel
from desdm.query.formats import Format, TableStream, choose, stream
from desdm.services.access import catalogue_for
from desdm.services.context import Services, caller_of
from desdm.services.endpoint import routes_of
from desdm.services.forms import parse_parameters
from desdm.services.limits import limits_of
from desdm.services.parameters import Values
from desdm.services.responses import base_url, run_blocking
from desdm.services.scs.endpoints import CONE, SEARCH, VOSI
from desdm.services.streaming import Stream, cancel_on_disconnect, close_resources
from desdm.services.vosi.handlers import capability, vosi_routes

__all__ = ["routes"]

_STANDARD = "ivo://ivoa.net/std/ConeSearch"


def routes(services: Services) -> list[BaseRoute]:
    """Routes of cone search."""

    async def search(request: Request) -> Response:
        caller = caller_of(request)
        limits = limits_of(caller.role)
        params = await parse_parameters(request, limits.request_bytes, field_bytes=limits.parameter_bytes)
        await params.close()
        values = params.read(CONE)
        form = choose(values.text("RESPONSEFORMAT"))
        resources, cancel = ExitStack(), Cancel()
        begin = partial(
            _rows, services, caller, request.path_params["table"], values, form, resources, cancel
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

    return [*routes_of([(SEARCH, search)]), *vosi_routes(VOSI, services, capabilities)]


def _rows(
    services: Services,
    caller: Caller,
    name: str,
    values: Values,
    form: Format,
    resources: ExitStack,
    cancel: Cancel,
) -> TableStream:
    """Run a cone search and compute its first rows."""
    catalogue = catalogue_for(services, caller)
    entry = _find_table(catalogue, name)
    limits = limits_of(caller.role)
    most = values.whole("MAXREC")
    most = limits.rows_default if most is None else min(most, limits.rows)
    query = translate(_adql(entry, values), catalogue, dialect_of(services.engine), maxrec=most)
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


def _adql(entry: Entry, values: Values) -> str:
    """Compose the ADQL of a cone search; VERB selects the columns."""
    ra, dec, radius = (values.required_real(key) for key in ("RA", "DEC", "SR"))
    first = {entry.ra, entry.dec} | {c.name for c in entry.columns if c.ucd.endswith("meta.main")}
    principal = first | {c.name for c in entry.columns if c.principal}
    columns = {"1": first, "2": principal if principal - first else None}.get(values.text("VERB"))
    names = [c.name for c in entry.columns if columns is None or c.name in columns]
    selected = ", ".join(f't."{n}"' for n in names)
    position = f't."{entry.ra}", t."{entry.dec}"'
    cone = f"1 = CONTAINS(POINT({position}), CIRCLE({ra!r}, {dec!r}, {radius!r}))"
    # Composed of names of the catalogue and numbers, and translated like any query.
    return f'SELECT {selected} FROM "{entry.schema}"."{entry.name}" AS t WHERE {cone}'  # noqa: S608
