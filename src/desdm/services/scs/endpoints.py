"""Parameters and endpoints of cone search (Simple Cone Search 1.03)."""

from __future__ import annotations

from desdm.accounts.model import Action
from desdm.services.endpoint import TABLES, Endpoint
from desdm.services.parameters import Kind, Parameter, ParameterSet
from desdm.services.vosi.endpoints import vosi_endpoints

__all__ = ["CONE", "ENDPOINTS", "PREFIX", "SEARCH", "VOSI"]

PREFIX = "/scs/{table}"

CONE = ParameterSet(
    (
        Parameter(
            "RA", Kind.REAL, "right ascension, ICRS", "deg", required=True, least=0, most=360, example="30"
        ),
        Parameter(
            "DEC", Kind.REAL, "declination, ICRS", "deg", required=True, least=-90, most=90, example="-5"
        ),
        Parameter("SR", Kind.REAL, "search radius", "deg", required=True, least=0, most=180, example="0.1"),
        Parameter(
            "VERB",
            Kind.TEXT,
            "1: identifier and position, 2: the principal columns, 3: all columns",
            default="2",
            choices=("1", "2", "3"),
            example="3",
        ),
        Parameter("MAXREC", Kind.WHOLE, "rows at most", example="5"),
        Parameter("RESPONSEFORMAT", Kind.TEXT, "a format of TAP", default="votable/td", example="csv"),
    )
)
SEARCH = Endpoint(
    ("GET", "POST"),
    PREFIX,
    "Rows of a table around a position (Simple Cone Search 1.03).",
    CONE,
    TABLES,
    action=Action.READ,
)
VOSI = vosi_endpoints(PREFIX)
ENDPOINTS = (SEARCH, *VOSI)
