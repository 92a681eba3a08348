"""Parameters and endpoints of the footprint."""

from __future__ import annotations

from desdm.services.endpoint import TABLES, Endpoint
from desdm.services.parameters import Kind, Parameter, ParameterSet

__all__ = ["AREA", "CELLS", "ENDPOINTS", "FILE", "MOC", "PLACE", "POINT", "REGION", "ROWS", "TABLE"]

_BAND = Parameter("band", Kind.TEXT, "bands, repeated or with commas; all", many=True, example="g")
_FORMAT = Parameter("RESPONSEFORMAT", Kind.TEXT, "json, or a format of TAP", example="json")
_SHORT = Parameter("FORMAT", Kind.TEXT, "the same", example="json")

_REGION = Parameter(
    "POS",
    Kind.TEXT,
    "a region: CIRCLE ra dec radius, RANGE ra1 ra2 dec1 dec2 or POLYGON ra1 dec1 …, ICRS",
    "deg",
    example="CIRCLE 30 -5 0.1",
)
_RELEASE = Parameter("release", Kind.TEXT, "release; the newest")
_OUTPUT = (_RELEASE, _BAND, _FORMAT, _SHORT)

#: Parameters of a region.
AREA = ParameterSet((_REGION, *_OUTPUT), strict=True)
#: Parameters of a position.
PLACE = ParameterSet(
    (
        Parameter("ra", Kind.REAL, "right ascension, ICRS", "deg", least=0, most=360, example="30"),
        Parameter("dec", Kind.REAL, "declination, ICRS", "deg", least=-90, most=90, example="-5"),
        _REGION,
        *_OUTPUT,
    ),
    strict=True,
)
#: Parameters of a table that is sent, or of a position in a form.
ROWS = PLACE + ParameterSet(
    (
        Parameter("ra_column", Kind.TEXT, "column of right ascension in the table", example="ra"),
        Parameter("dec_column", Kind.TEXT, "column of declination in the table", example="dec"),
        Parameter("tiles", Kind.FLAG, "whether the rows get the names of their tiles", example="1"),
    ),
    strict=True,
)
CELLS = ParameterSet(
    (
        _BAND,
        Parameter("depth", Kind.REAL, "least depth", "mag", example="20"),
        Parameter("nexp", Kind.REAL, "least number of exposures", least=0, example="1"),
        Parameter("fraction", Kind.REAL, "least good fraction of a cell", least=0, most=1, example="0.5"),
        Parameter("RESPONSEFORMAT", Kind.TEXT, "json, fits or ascii", example="json"),
        _SHORT,
    ),
    strict=True,
)
POINT = Endpoint(
    ("GET",),
    "/footprint",
    "Whether a position is inside, how deep, in how many exposures, on which tiles and files.",
    PLACE,
    ("application/json", *TABLES),
)
TABLE = Endpoint(
    ("POST",),
    "/footprint",
    "The same for a table of positions: its rows with values.",
    ROWS,
    TABLES,
    body=TABLES,
)
REGION = Endpoint(
    ("GET", "POST"),
    "/footprint/region",
    "Area and depth of a region, and the files in it.",
    AREA,
    ("application/json", *TABLES),
)
MOC = Endpoint(
    ("GET",),
    "/footprint/{release}/moc",
    "Cells that pass cuts in all of the bands, as MOC.",
    CELLS,
    ("application/json", "application/fits", "text/plain"),
)
FILE = Endpoint(
    ("GET",),
    "/footprint/{release}/{name}",
    "MOC of a band (BAND.moc.fits, .moc.json), or outlines of the tiles (tiles.stcs, .reg, .json).",
    media_types=("*/*",),
)
ENDPOINTS = (POINT, TABLE, REGION, MOC, FILE)
