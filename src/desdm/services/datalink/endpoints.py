"""Parameters and endpoints of DataLink 1.0."""

from __future__ import annotations

from desdm.services.endpoint import VOTABLE, Endpoint
from desdm.services.parameters import Kind, Parameter, ParameterSet
from desdm.services.vosi.endpoints import vosi_endpoints

__all__ = ["ENDPOINTS", "IDENTIFIERS", "LINKS", "PREFIX", "SHORT", "VOSI"]

PREFIX = "/datalink"

IDENTIFIERS = ParameterSet(
    (
        Parameter(
            "ID",
            Kind.TEXT,
            "identifier of an image, as ObsCore's obs_publisher_did: ivo://desdm/RELEASE?PATH",
            many=True,
        ),
        Parameter("MAXREC", Kind.WHOLE, "links at most", example="5"),
        Parameter("RESPONSEFORMAT", Kind.TEXT, "votable: links have no other format", example="votable"),
    )
)
SHORT = Endpoint(
    ("GET", "POST"), "/datalink", "The same as /datalink/links.", IDENTIFIERS, VOTABLE, principal=False
)
LINKS = Endpoint(
    ("GET", "POST"),
    "/datalink/links",
    "What belongs to an image: file, picture, cutouts, documents (DataLink 1.0).",
    IDENTIFIERS,
    VOTABLE,
)
VOSI = vosi_endpoints(PREFIX)
ENDPOINTS = (SHORT, LINKS, *VOSI)
