"""Endpoints of the pages and of the server itself."""

from __future__ import annotations

from desdm.services.endpoint import Endpoint

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


def _page(path: str, text: str, media_types: tuple[str, ...] = _HTML, account: bool = False) -> Endpoint:
    """Return an endpoint that shows a page or a document."""
    return Endpoint(("GET",), path, text, media_types=media_types, needs_account=account, principal=False)


def _form(path: str, text: str, status: int = 303, account: bool = True) -> Endpoint:
    """Return an endpoint for a form of a page."""
    return Endpoint(
        ("POST",), path, text, media_types=_HTML, status=status, needs_account=account, principal=False
    )


HOME = _page("/", "First page: what is published.")
RELEASES = _page("/releases", "Page of all releases.")
RELEASE = _page("/releases/{release}", "Page of one release.")
TABLE = _page("/tables/{table}", "Page of one table.")
QUERY = _page("/query", "Page for queries.")
CUTOUT = _page("/cutout", "Page for cutouts.")
MAP = _page("/map", "Map of the sky.")
MAP_TILE = _page(
    "/map/hips/{release}/{path:path}",
    "Tile for the map of the sky, transparent where there is none.",
    ("image/png", "text/plain", "application/fits"),
)
PICK = _page("/pick", "Page to choose files.")
LOGIN = _page("/login", "Page to log in.")
LOGIN_FORM = _form("/login", "Log in with the form of the page.", account=False)
LOGOUT = _form("/logout", "Log out.")
ACCOUNT = _page("/account", "Page of one's own account.", account=True)
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
