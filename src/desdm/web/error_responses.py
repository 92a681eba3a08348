"""Error responses: VOTable for VO clients, JSON for programs, a page for browsers."""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from desdm.errors import DesdmError, LimitExceeded
from desdm.services.responses import public_message, votable_error_response
from desdm.services.status import status_of
from desdm.web.headers import within
from desdm.web.render import page

__all__ = ["error_response", "plain_text"]

_VO = ("/tap", "/scs", "/sia", "/datalink", "/soda")
_PROGRAMS = ("/api", "/footprint", "/files", "/hips")


def error_response(scope: Scope, err: DesdmError, *, session: bool = False) -> Response:
    """Return the response to a request that failed, in the format of its path.

    Parameters
    ----------
    scope
        ASGI scope of the request.
    err
        The error.
    session
        Whether the request has a browser's session: without the challenge of HTTP Basic the browser does not open its own
        password window.

    Returns
    -------
    Response
        The response, not to be stored in caches.
    """
    path, status = scope["path"], status_of(err)
    if within(path, _VO):
        response = votable_error_response(err)
    elif within(path, _PROGRAMS) or "text/html" not in Headers(scope=scope).get("accept", ""):
        response = JSONResponse({"error": {"status": status, "message": public_message(err)}}, status)
    else:
        template = "login.html" if status == 401 else "error.html"
        response = page(Request(scope), template, status, message=public_message(err), next=path)
    if status == 401:
        challenge = 'Bearer realm="desdm"'
        response.headers["WWW-Authenticate"] = challenge if session else f'{challenge}, Basic realm="desdm"'
    if isinstance(err, LimitExceeded) and err.retry_after is not None:
        response.headers["Retry-After"] = str(err.retry_after)
    elif status == 503:
        response.headers["Retry-After"] = "30"
    response.headers["Cache-Control"] = "no-store"
    return response


def plain_text(body: bytes) -> str:
    """Return the first text of a response without markup: the recorded reason of a denial."""
    text = re.sub(r"<[^>]*>", " ", body[:4000].decode("utf-8", "replace"))
    return " ".join(text.split())
