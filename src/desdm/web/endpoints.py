"""Endpoints of the pages and of the server itself."""

from __future__ import annotations

from dataclasses import replace

from desdm.accounts.model import Action
from desdm.services.endpoint import Alternative, Endpoint
from desdm.services.filepick.endpoints import CONDITIONS
from desdm.services.parameters import NO_PARAMETERS, Kind, Parameter, ParameterSet

__all__ = [
    "ACCOUNT",
    "API",
    "CUTOUT",
    "ENDPOINTS",
    "FEED",
    "HEALTH",
    "HOME",
    "LOGIN",
    "LOGIN_FORM",
    "LOGOUT",
    "MAP",
    "MAP_TILE",
    "OPENAPI",
    "PICK",
    "QUERY",
    "RELEASE",
    "RELEASES",
    "REVOKE",
    "STATIC",
    "TABLE",
    "TOKEN",
]

_HTML = ("text/html",)


def _page(
    path: str,
    text: str,
    media_types: tuple[str, ...] = _HTML,
    account: bool = False,
    parameters: ParameterSet = NO_PARAMETERS,
    action: Action | None = None,
) -> Endpoint:
    """Return an endpoint that shows a page or a document."""
    return Endpoint(
        ("GET",),
        path,
        text,
        parameters,
        media_types=media_types,
        needs_account=account,
        principal=False,
        action=action,
    )


def _form(path: str, text: str, status: int = 303, account: bool = True) -> Endpoint:
    """Return an endpoint for a form of a page."""
    return Endpoint(
        ("POST",), path, text, media_types=_HTML, status=status, needs_account=account, principal=False
    )


_RELEASE = Parameter("release", Kind.TEXT, "name of the release; empty: the first", example="D1")
_POS = Parameter(
    "pos", Kind.TEXT, "position: degrees, or hours and degrees, ICRS", "deg", example="30.1 -5.2"
)
#: Of a cutout: those of the form of the page.
CUTOUT_FORM = ParameterSet(
    (
        _POS,
        Parameter(
            "size", Kind.REAL, "side of the cutout", "arcmin", default="1", least=0.001, most=30, example="1"
        ),
        _RELEASE,
        Parameter(
            "q", Kind.REAL, "softening of the stretch of colours", default="8", least=0, most=1e6, example="8"
        ),
    )
)
#: Conditions on files that the page has fields for; the others of /files change nothing here.
PICK_FORM = ParameterSet(
    tuple(
        replace(p, name=p.name.lower())
        for p in CONDITIONS
        if p.name not in ("PATH", "FORMAT", "LIMIT", "OFFSET")
    )
)
QUERY_FORM = ParameterSet(
    (Parameter("query", Kind.TEXT, "the query that the form begins with", example="SELECT 1 AS one"),)
)
MAP_FORM = ParameterSet((_RELEASE, _POS))
LOGIN_TARGET = ParameterSet(
    (Parameter("next", Kind.TEXT, "path of the page that follows", default="/", example="/query"),)
)
HOME = _page("/", "First page: what is published.")
RELEASES = Endpoint(
    ("GET",), "/releases", "Redirects to the first page.", media_types=(), status=301, principal=False
)
RELEASE = _page("/releases/{release}", "Page of one release.", action=Action.READ)
TABLE = _page("/tables/{table}", "Page of one table.", action=Action.READ)
QUERY = _page("/query", "Page for queries.", parameters=QUERY_FORM, action=Action.READ)
CUTOUT = _page("/cutout", "Page for cutouts.", parameters=CUTOUT_FORM, action=Action.READ)
MAP = _page("/map", "Map of the sky.", parameters=MAP_FORM, action=Action.READ)
MAP_TILE = _page(
    "/map/hips/{release}/{path:path}",
    "Tile for the map of the sky, transparent where there is none.",
    ("image/png", "text/plain", "application/fits"),
    action=Action.READ,
)
PICK = _page("/pick", "Page to choose files.", parameters=PICK_FORM, action=Action.READ)
LOGIN = _page("/login", "Page to log in.", parameters=LOGIN_TARGET)
LOGIN_FORM = _form("/login", "Log in with the form of the page.", account=False)
LOGOUT = _form("/logout", "Log out.")
ACCOUNT = replace(
    _page("/account", "Page of one's own account.", account=True),
    alternatives=(Alternative(303, "Without a login: the address of the page to log in"),),
)
TOKEN = _form("/account/token", "Make a token, which the page shows once.", 200)
REVOKE = _form("/account/revoke", "Revoke a token.")
API = _page("/api", "Page for programs.")
OPENAPI = _page("/api/openapi.json", "This document (OpenAPI 3.1).", ("application/json",))
FEED = _page("/feed.xml", "News of releases (Atom).", ("application/atom+xml",))
STATIC = _page("/static/{name:path}", "Script, style or picture of the pages.", ("*/*",))
HEALTH = _page("/health", "State of the server; 503 if it is degraded.", ("application/json",))
ENDPOINTS = (
    HOME, RELEASES, RELEASE, TABLE, QUERY, CUTOUT, MAP, MAP_TILE, PICK, LOGIN, LOGIN_FORM, LOGOUT, ACCOUNT, TOKEN, REVOKE,
    API, OPENAPI, FEED, STATIC, HEALTH,
)  # fmt: skip
