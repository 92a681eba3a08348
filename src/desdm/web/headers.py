"""Headers of every response: content security policy, and access from other sites (CORS)."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from desdm.services import SERVICES

__all__ = ["MAP_POLICY", "OPEN", "POLICY", "Headers"]

#: First parts of the paths of the data services, and the feed: programs and pages of other sites may read what is public
#: there.
OPEN = (*dict.fromkeys(f"/{service.path.split('/')[1]}" for service in SERVICES), "/feed.xml")

_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

#: Our pages: scripts, styles, pictures and requests of this server only; nothing inline.
POLICY = f"{_NOTHING}; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'"

#: The map page. Aladin Lite compiles its WebAssembly, kept as a data URL in its script; it has one style sheet,
#: which the pinned version writes into the page (its sha-256 below) and style attributes on its widgets; it decodes
#: HiPS tiles in a worker that it makes from a blob. No more than that is opened, and still nothing of other sites.
MAP_POLICY = (
    f"{_NOTHING}; script-src 'self' 'wasm-unsafe-eval'; style-src-attr 'unsafe-inline'; "
    "style-src-elem 'self' 'sha256-cEnY4wnnUdAaYodEHQq0zu+362EwEHHSAlawP4BBKmw='; "
    "img-src 'self' data: blob:; connect-src 'self' data: blob:; worker-src blob:"
)

#: What services send (folders, files of a release, results): looked at in a browser it runs nothing, loads no more
#: than pictures and its own style, and has no part in this site's session.
_DATA_POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; sandbox allow-forms allow-downloads allow-popups allow-top-navigation-by-user-activation"
)

_EXPOSED = (
    "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, Location, Repr-Digest, "
    "Retry-After, WWW-Authenticate, X-Maxrec, X-Query-Status"
)
_PREFLIGHT = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, POST, DELETE, PUT, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Range, If-Range, If-None-Match, Accept",
    "Access-Control-Max-Age": "86400",
}


class Headers:
    """Adds the headers, and answers CORS preflight requests."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        open_to_all = within(path, OPEN)
        if open_to_all and scope["method"] == "OPTIONS":
            await Response(status_code=204, headers=_PREFLIGHT)(scope, receive, send)
            return

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Server"] = "desdm"
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "same-origin"
                if open_to_all:
                    headers["Access-Control-Allow-Origin"] = "*"
                    headers["Access-Control-Expose-Headers"] = _EXPOSED
                else:
                    headers["Cross-Origin-Resource-Policy"] = "same-origin"
                    headers["Cross-Origin-Opener-Policy"] = "same-origin"
                # A page that stands alone has style and script in itself, and a policy that names them.
                own = headers.get("desdm-policy")
                headers["Content-Security-Policy"] = own or _policy(path, headers.get("desdm-page") == "1")
                del headers["desdm-page"], headers["desdm-policy"]
            await send(message)

        await self.app(scope, receive, add)


def within(path: str, prefixes: tuple[str, ...]) -> bool:
    """Whether a path equals one of the prefixes or is below it."""
    return any(path == prefix or path.startswith(prefix + "/") for prefix in prefixes)


def _policy(path: str, ours: bool) -> str:
    """Return the content security policy of a path."""
    if path in ("/map", "/survey"):
        return MAP_POLICY
    # A service's own page (browsing of files) comes from our templates; a file of a release does not.
    return POLICY if ours or not within(path, OPEN) else _DATA_POLICY
