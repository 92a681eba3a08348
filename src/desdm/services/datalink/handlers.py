"""HTTP endpoints of DataLink: links of identifiers, and the VOSI documents."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from desdm.accounts.model import Caller
from desdm.errors import LimitExceeded, LimitKind, UsageError
from desdm.query.formats.votable import small_table
from desdm.services.access import access_of
from desdm.services.context import Services, caller_of
from desdm.services.datalink.endpoints import IDENTIFIERS, LINKS, PREFIX, SHORT, VOSI
from desdm.services.datalink.links import COLUMNS, SERVICES, links_of
from desdm.services.endpoint import routes_of
from desdm.services.forms import parse_parameters
from desdm.services.limits import limits_of
from desdm.services.obscore.rows import DATALINK, file_of
from desdm.services.parameters import Values
from desdm.services.responses import base_url, run_blocking, xml_document
from desdm.services.vosi.handlers import capability, vosi_routes

__all__ = ["routes"]

_STANDARD = "ivo://ivoa.net/std/DataLink#links-1.0"
_MOST = 1000
_SODA = {
    "soda-sync": ("ivo://ivoa.net/std/SODA#sync-1.0", "/soda/sync"),
    "soda-async": ("ivo://ivoa.net/std/SODA#async-1.0", "/soda/async"),
}
_FORMATS = ("", "votable", "votable/td", "text/xml", "application/x-votable+xml", DATALINK)


def routes(services: Services) -> list[BaseRoute]:
    """Routes of DataLink."""

    async def links(request: Request) -> Response:
        caller = caller_of(request)
        limits = limits_of(caller.role)
        params = await parse_parameters(request, limits.request_bytes, field_bytes=limits.parameter_bytes)
        await params.close()
        values, base = params.read(IDENTIFIERS), base_url(request)
        document = await run_blocking(services, lambda: _document(services, caller, values, base))
        return Response(document, media_type=DATALINK)

    def capabilities(request: Request) -> str:
        return capability(_STANDARD, f"{base_url(request)}{PREFIX}/links", use="base", version="1.0")

    handlers = [(SHORT, links), (LINKS, links)]
    return [*routes_of(handlers), *vosi_routes(VOSI, services, capabilities)]


def _document(services: Services, caller: Caller, values: Values, base: str) -> bytes:
    """Return the VOTable with the links of the requested identifiers."""
    form = values.text("RESPONSEFORMAT").replace(" ", "").lower()
    if form not in _FORMATS:
        raise UsageError(f"RESPONSEFORMAT={form[:60]}: links are a VOTable ({DATALINK})")
    dids = list(dict.fromkeys(did.strip() for did in values.texts("ID") if did.strip()))
    if len(dids) > _MOST:
        raise LimitExceeded(f"{len(dids)} identifiers; {_MOST} at most in one request", LimitKind.SIZE)
    access = access_of(services, caller)
    access.require_read()
    rows = [row for did in dids for row in links_of(access, did, base)]
    used = {row[2] for row in rows if row[2]}
    single = file_of(access.holdings, dids[0]) if len(dids) == 1 and used else None
    region = (single.s_region or "").split() if single else []
    polygon = " ".join(region[1:]).removeprefix("ICRS ") if region and region[0].upper() == "POLYGON" else ""
    circle = (
        ""
        if single is None or single.radius is None
        else f"{single.ra_cent} {single.dec_cent} {single.radius}"
    )
    descriptors = [
        (key, _SODA[key][0], base + _SODA[key][1], SERVICES[key]) for key in SERVICES if key in used
    ]
    extra = xml_document(
        "desdm.services.datalink", "services.xml", services=descriptors, circle=circle, polygon=polygon
    ).decode()
    infos = (("standardID", _STANDARD, ""),)
    most = values.whole("MAXREC")
    overflow = most is not None and len(rows) > most
    return small_table(COLUMNS, rows[:most], infos, extra=extra, overflow=overflow)
