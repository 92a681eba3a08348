"""The capabilities of TAP (TAPRegExt 1.0): languages with their functions, formats, uploads, limits."""

from __future__ import annotations

from starlette.requests import Request

from desdm.query.adql.sql import statistics
from desdm.query.adql.sql.userfunctions import SIGNATURES
from desdm.query.formats import FORMATS
from desdm.services.context import Services, caller_of
from desdm.services.limits import limits_of
from desdm.services.responses import base_url, xml_document
from desdm.services.tap_schema.describe import OBSCORE_MODEL, PLAN_MODEL

__all__ = ["tap_capabilities"]

_GEOMETRY = (
    "AREA",
    "BOX",
    "CENTROID",
    "CIRCLE",
    "CONTAINS",
    "COORD1",
    "COORD2",
    "COORDSYS",
    "DISTANCE",
    "INTERSECTS",
    "POINT",
    "POLYGON",
)

#: ADQL 2.1's optional features: kind → supported features.
_OPTIONAL = {
    "features-adql-string": ("LOWER", "UPPER", "ILIKE"),
    "features-adql-common-table": ("WITH",),
    "features-adql-sets": ("UNION", "EXCEPT", "INTERSECT"),
    "features-adql-type": ("CAST",),
    "features-adql-unit": ("IN_UNIT",),
    "features-adql-offset": ("OFFSET",),
}


def tap_capabilities(services: Services, prefix: str, request: Request) -> str:
    """Return the capabilities of TAP with the limits of the caller.

    Parameters
    ----------
    services
        Not used; part of the common signature.
    prefix
        Path of the service.
    request
        Request, which names server and caller.

    Returns
    -------
    str
        XML elements ``<capability>``.
    """
    del services
    url = base_url(request) + prefix
    return xml_document(
        "desdm.services.tap",
        "capabilities.xml",
        here=url,
        formats=FORMATS,
        geometry=_GEOMETRY,
        optional=_OPTIONAL,
        functions=[*SIGNATURES.values(), *statistics.SIGNATURES.values()],
        limits=limits_of(caller_of(request).role),
        obscore=OBSCORE_MODEL,
        obsplan=PLAN_MODEL,
    ).decode()
