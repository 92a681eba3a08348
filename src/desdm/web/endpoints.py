"""Endpoints of the pages and of the server itself."""

from __future__ import annotations

from dataclasses import replace

from desdm.accounts.model import Action
from desdm.services.endpoint import Alternative, Endpoint
from desdm.services.filepick.endpoints import CONDITIONS
from desdm.services.parameters import Kind, Parameter, ParameterSet
from desdm.web.endpointkinds import form_endpoint, page_endpoint
from desdm.web.opsendpoints import OPS_ENDPOINTS
from desdm.web.qaendpoints import QA_ENDPOINTS

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
HOME = page_endpoint("/", "First page: what is published.")
RELEASES = Endpoint(
    ("GET",), "/releases", "Redirects to the first page.", media_types=(), status=301, principal=False
)
RELEASE = page_endpoint("/releases/{release}", "Page of one release.", action=Action.READ)
TABLE = page_endpoint("/tables/{table}", "Page of one table.", action=Action.READ)
QUERY = page_endpoint("/query", "Page for queries.", parameters=QUERY_FORM, action=Action.READ)
CUTOUT = page_endpoint("/cutout", "Page for cutouts.", parameters=CUTOUT_FORM, action=Action.READ)
MAP = page_endpoint("/map", "Map of the sky.", parameters=MAP_FORM, action=Action.READ)
MAP_TILE = page_endpoint(
    "/map/hips/{release}/{path:path}",
    "Tile for the map of the sky, transparent where there is none.",
    ("image/png", "text/plain", "application/fits"),
    action=Action.READ,
)
PICK = page_endpoint("/pick", "Page to choose files.", parameters=PICK_FORM, action=Action.READ)
LOGIN = page_endpoint("/login", "Page to log in.", parameters=LOGIN_TARGET)
LOGIN_FORM = form_endpoint("/login", "Log in with the form of the page.", account=False)
LOGOUT = form_endpoint("/logout", "Log out.")
ACCOUNT = replace(
    page_endpoint("/account", "Page of one's own account.", account=True),
    alternatives=(Alternative(303, "Without a login: the address of the page to log in"),),
)
TOKEN = form_endpoint("/account/token", "Make a token, which the page shows once.", 200)
REVOKE = form_endpoint("/account/revoke", "Revoke a token.")
API = page_endpoint("/api", "Page for programs.")
OPENAPI = page_endpoint("/api/openapi.json", "This document (OpenAPI 3.1).", ("application/json",))
FEED = page_endpoint("/feed.xml", "News of releases (Atom).", ("application/atom+xml",))
STATIC = page_endpoint("/static/{name:path}", "Script, style or picture of the pages.", ("*/*",))
HEALTH = page_endpoint("/health", "State of the server; 503 if it is degraded.", ("application/json",))
ENDPOINTS = (
    HOME, RELEASES, RELEASE, TABLE, QUERY, CUTOUT, MAP, MAP_TILE, PICK, LOGIN, LOGIN_FORM, LOGOUT, ACCOUNT, TOKEN, REVOKE,
    API, OPENAPI, FEED, STATIC, HEALTH, *OPS_ENDPOINTS, *QA_ENDPOINTS,
)  # fmt: skip
