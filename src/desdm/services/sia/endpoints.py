"""Parameters and endpoints of SIA 2.0."""

from __future__ import annotations

from desdm.accounts.model import Action
from desdm.services.endpoint import TABLES, Endpoint
from desdm.services.parameters import Kind, Parameter, ParameterSet
from desdm.services.vosi.endpoints import vosi_endpoints

__all__ = ["ENDPOINTS", "IMAGES", "PREFIX", "QUERY", "SEARCH", "VOSI"]

PREFIX = "/sia"


def _interval(name: str, text: str, unit: str, example: str) -> Parameter:
    """Return a parameter whose values are one number or two, with -Inf and +Inf."""
    return Parameter(name, Kind.TEXT, f"{text}: one number or two", unit, many=True, example=example)


def _text(name: str, text: str, example: str) -> Parameter:
    """Return a parameter whose values are compared with a column of ObsCore, in any case."""
    return Parameter(name, Kind.TEXT, text, many=True, example=example)


#: SIA 2.0, section 2.1; values of one parameter are alternatives.
IMAGES = ParameterSet(
    (
        Parameter(
            "POS",
            Kind.TEXT,
            "CIRCLE ra dec radius, RANGE ra1 ra2 dec1 dec2 or POLYGON ra1 dec1 …, ICRS",
            "deg",
            many=True,
            example="CIRCLE 30 -5 1",
        ),
        _interval("BAND", "wavelength", "m", "5e-7 1e-6"),
        _interval("TIME", "time of observation, MJD", "d", "56000 70000"),
        _interval("FOV", "field of view", "deg", "0 10"),
        _interval("SPATRES", "spatial resolution", "arcsec", "0 10"),
        _interval("SPECRP", "spectral resolving power", "", "0 10"),
        _interval("EXPTIME", "exposure time", "s", "0 1e6"),
        _interval("TIMERES", "time resolution", "s", "0 1e9"),
        _text("ID", "publisher identifier of the image", "ivo://desdm/R1?images/a.fits.fz"),
        _text("COLLECTION", "release", "DR1"),
        _text("FACILITY", "telescope", "CTIO"),
        _text("INSTRUMENT", "camera", "DECam"),
        _text("DPTYPE", "type of the data product", "image"),
        _text("CALIB", "calibration level", "3"),
        _text("TARGET", "tile", "DES0200-0500"),
        _text("FORMAT", "media type of the image", "application/fits"),
        _text("POL", "polarisation: no image measures it, and none is returned", "I"),
        Parameter("MAXREC", Kind.WHOLE, "images at most", example="5"),
        Parameter("RESPONSEFORMAT", Kind.TEXT, "a format of TAP", default="votable/td", example="csv"),
        Parameter(
            "RUNID", Kind.TEXT, "a name of the caller's; it changes nothing", many=True, example="mine"
        ),
        Parameter("REQUEST", Kind.TEXT, "of SIA 1.0; it changes nothing", many=True, example="query"),
        Parameter("VERSION", Kind.TEXT, "it changes nothing", many=True, example="2.0"),
        Parameter("VERB", Kind.TEXT, "it changes nothing", many=True, example="2"),
        Parameter("UPLOAD", Kind.TEXT, "it changes nothing", many=True, example="none"),
    ),
    strict=True,
)
SEARCH = Endpoint(
    ("GET", "POST"), "/sia", "The same as /sia/query.", IMAGES, TABLES, principal=False, action=Action.READ
)
QUERY = Endpoint(
    ("GET", "POST"),
    "/sia/query",
    "Images by position, band, time and more (SIA 2.0).",
    IMAGES,
    TABLES,
    action=Action.READ,
)
VOSI = vosi_endpoints(PREFIX)
ENDPOINTS = (SEARCH, QUERY, *VOSI)
