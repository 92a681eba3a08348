"""Parameters and endpoints of cutouts: SODA 1.0, and tables of coordinates or objects."""

from __future__ import annotations

from desdm.services.endpoint import TABLES, Alternative, Endpoint
from desdm.services.parameters import Kind, Parameter, ParameterSet
from desdm.services.uws.endpoints import uws_endpoints
from desdm.services.vosi.endpoints import vosi_endpoints

__all__ = [
    "BATCH",
    "BATCH_JOBS",
    "ENDPOINTS",
    "FILTERS",
    "JOBS",
    "LARGEST",
    "MANY",
    "ONE",
    "PLACED",
    "PREFIX",
    "ROW",
    "SODA",
    "STENCILS",
    "SYNC",
    "VOSI",
]

PREFIX = "/soda"
STENCILS = ("CIRCLE", "POLYGON", "POS")
#: Filters of SODA 1.0, sections 3.3.4 to 3.3.6, that these images cannot obey: they are refused.
FILTERS = ("BAND", "TIME", "POL")

_PICTURE = (
    Parameter("BANDS", Kind.TEXT, "bands of a picture, one or three, for instance gri", example="g"),
    Parameter("Q", Kind.REAL, "softening of a picture", default="8", least=0, most=1e6, example="8"),
    Parameter(
        "STRETCH",
        Kind.REAL,
        "width of the linear part of a picture; 0: 12 times the noise of the sky",
        "image unit",
        default="0",
        least=0,
        example="0",
    ),
    Parameter(
        "MINIMUM", Kind.REAL, "value that is black in a picture", "image unit", default="0", example="0"
    ),
)
_OUTSIDE = Parameter(
    "OUTSIDE",
    Kind.TEXT,
    "pixels outside the region: flag in the mask, blank, or keep",
    default="flag",
    choices=("flag", "blank", "keep"),
    example="keep",
)
#: Largest side of a cutout, arcmin.
LARGEST = 60.0


def _side(name: str, text: str) -> Parameter:
    """Return a parameter that is a size of a cutout."""
    return Parameter(name, Kind.REAL, text, "arcmin", least=0, most=LARGEST, exclusive=True, example="0.5")


_RUNID = Parameter("RUNID", Kind.TEXT, "a name of the caller's; it changes nothing", example="mine")

#: SODA 1.0, sections 3.2 and 3.3: each combination of ID and region is a cutout.
SODA = ParameterSet(
    (
        Parameter(
            "ID",
            Kind.TEXT,
            "it names the image, as ObsCore's obs_publisher_did and DataLink do",
            many=True,
            required=True,
        ),
        Parameter("CIRCLE", Kind.TEXT, "ra dec radius, ICRS", "deg", many=True),
        Parameter("POLYGON", Kind.TEXT, "ra1 dec1 ra2 dec2 ra3 dec3 …, ICRS", "deg", many=True),
        Parameter("POS", Kind.TEXT, "CIRCLE …, RANGE ra1 ra2 dec1 dec2 or POLYGON …, ICRS", "deg", many=True),
        Parameter("RESPONSEFORMAT", Kind.TEXT, "fits, png, tar or zip, or a media type", example="fits"),
        Parameter("FORMAT", Kind.TEXT, "the same", example="fits"),
        _OUTSIDE,
        *_PICTURE,
        *(Parameter(name, Kind.TEXT, "refused: choose the image by ID", many=True) for name in FILTERS),
    )
)

#: The position of one cutout.
ROW = ParameterSet(
    (
        Parameter("ra", Kind.REAL, "right ascension, ICRS", "deg", least=0, most=360, example="30"),
        Parameter("dec", Kind.REAL, "declination, ICRS", "deg", least=-90, most=90, example="-5"),
        Parameter("id", Kind.TEXT, "identifier of an object, instead of a position"),
        Parameter("name", Kind.TEXT, "name of the file", example="mine"),
    ),
    strict=True,
)
#: What holds for rows without values of their own.
BATCH = ParameterSet(
    (
        Parameter("RELEASE", Kind.TEXT, "release; the newest"),
        Parameter("TABLE", Kind.TEXT, "table in which objects are looked up"),
        _side("SIZE", "width and height"),
        _side("XSIZE", "width"),
        _side("YSIZE", "height"),
        Parameter("FORMAT", Kind.TEXT, "fits, png, tar or zip", default="tar", example="tar"),
        Parameter("PNG", Kind.FLAG, "whether there are pictures", example="1"),
        Parameter("FITS", Kind.FLAG, "whether there are FITS files", example="1"),
        _OUTSIDE,
        *_PICTURE,
        _RUNID,
    ),
    strict=True,
)
#: Parameters of /api/cutouts: of one cutout, and of a table with what its rows have in common.
PLACED = ROW + BATCH
_ARCHIVES = ("application/x-tar", "application/zip")
ONE = Endpoint(
    ("GET",),
    "/api/cutouts",
    "Cutout of a position or object in all bands.",
    PLACED,
    ("application/fits", "image/png", *_ARCHIVES),
    alternatives=(
        Alternative(
            404,
            "The position is outside the footprint (application/json), or something named does not exist",
            ("application/json", "application/problem+json"),
        ),
    ),
)
MANY = Endpoint(
    ("POST",),
    "/api/cutouts",
    "Cutouts of the rows of a table: ra and dec, or id.",
    PLACED,
    _ARCHIVES,
    body=TABLES,
)
BATCH_JOBS = uws_endpoints("/api/cutouts/async", "cutouts of the rows of the part table", PLACED)
SYNC = Endpoint(
    ("GET", "POST"),
    "/soda/sync",
    "Cut a region out of an image (SODA 1.0); FITS with image, mask and weight, or PNG.",
    SODA,
    ("application/fits", "image/png", *_ARCHIVES),
    alternatives=(
        Alternative(204, "The region is outside the image"),
        Alternative(303, "Without a region: the address of the whole file"),
    ),
)
JOBS = uws_endpoints("/soda/async", "cutouts of several images and regions", SODA)
VOSI = vosi_endpoints(PREFIX)
ENDPOINTS = (SYNC, ONE, MANY, *JOBS, *BATCH_JOBS, *VOSI)
