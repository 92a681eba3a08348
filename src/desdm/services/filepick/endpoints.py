"""Parameters and endpoints of the lists of files, folders and releases."""

from __future__ import annotations

from desdm.accounts.model import Action
from desdm.services.endpoint import Endpoint
from desdm.services.parameters import Kind, Parameter, ParameterSet

__all__ = [
    "CONDITIONS",
    "ENDPOINTS",
    "FILES",
    "FOLDER",
    "OF_RELEASE",
    "RELEASE",
    "RELEASES",
    "RELEASE_FILES",
    "SLASH",
    "TOP",
    "WITHOUT_SLASH",
]


def _names(name: str, text: str, example: str = "") -> Parameter:
    """Return a parameter of alternative names."""
    return Parameter(name, Kind.TEXT, f"{text}, repeated or with commas", many=True, example=example)


#: Any other name is refused, so that a misspelt one cannot mean "all".
CONDITIONS = ParameterSet(
    (
        _names("RELEASE", "releases"),
        _names("TILENAME", "tiles", "DES0200-0500"),
        _names("BAND", "bands", "g"),
        _names("FILETYPE", "types of files", "coadd"),
        Parameter("PATH", Kind.TEXT, "beginning of the path in the release", example="images/"),
        Parameter(
            "POS", Kind.TEXT, "ra,dec or ra,dec,radius that a file touches, ICRS", "deg", example="30,-5,1"
        ),
        Parameter("FORMAT", Kind.TEXT, "json, html, txt, or a format of TAP", example="json"),
        Parameter("LIMIT", Kind.WHOLE, "files at most", example="5"),
        Parameter("OFFSET", Kind.WHOLE, "files to leave off before", example="0"),
    ),
    strict=True,
)
OF_RELEASE = CONDITIONS.without("RELEASE")
_LISTS = ("application/json", "text/csv", "application/x-votable+xml", "text/plain", "text/html")
FILES = Endpoint(
    ("GET",),
    "/files",
    "Files by release, tile, band, type and position.",
    CONDITIONS,
    _LISTS,
    action=Action.READ,
)
SLASH = Endpoint(
    ("GET",), "/files/", "The same as /files.", CONDITIONS, _LISTS, principal=False, action=Action.READ
)
WITHOUT_SLASH = Endpoint(
    ("GET",), "/files/{release}", "Redirects to the folder.", media_types=(), status=308, principal=False
)
TOP = Endpoint(
    ("GET",), "/files/{release}/", "Files and folders of a release, as a page.", media_types=("text/html",)
)
FOLDER = Endpoint(
    ("GET",),
    "/files/{release}/{folder:path}/",
    "Files and folders of a folder, as a page.",
    media_types=("text/html",),
    principal=False,
)
RELEASES = Endpoint(("GET",), "/api/releases", "The releases.", action=Action.READ)
RELEASE = Endpoint(("GET",), "/api/releases/{release}", "One release.")
RELEASE_FILES = Endpoint(("GET",), "/api/releases/{release}/files", "Its files.", OF_RELEASE, _LISTS)
ENDPOINTS = (FILES, SLASH, WITHOUT_SLASH, TOP, FOLDER, RELEASES, RELEASE, RELEASE_FILES)
