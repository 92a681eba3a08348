"""How the door says no: as VOTable to VO clients, as JSON to programs, as a page to browsers."""

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
    """The answer to a request that the door does not let through.

    Parameters
    ----------
    session
        Whether the request came with a browser's session: then the browser must not open its own window for a
        password, which the challenge of HTTP Basic would make it do.
    """
    path, status = scope["path"], status_of(err)
    if within(path, _VO):
        answer = votable_error_response(err)
    elif within(path, _PROGRAMS) or "text/html" not in Headers(scope=scope).get("accept", ""):
        answer = JSONResponse({"error": {"status": status, "message": public_message(err)}}, status)
    else:
        template = "login.html" if status == 401 else "error.html"
        answer = page(Request(scope), template, status, message=public_message(err), next=path)
    if status == 401:
        challenge = 'Bearer realm="desdm"'
        answer.headers["WWW-Authenticate"] = challenge if session else f'{challenge}, Basic realm="desdm"'
    if isinstance(err, LimitExceeded) and err.retry_after is not None:
        answer.headers["Retry-After"] = str(err.retry_after)
    elif status == 503:
        answer.headers["Retry-After"] = "30"
    answer.headers["Cache-Control"] = "no-store"
    return answer


def plain_text(body: bytes) -> str:
    """The words of an answer's beginning, without its marks: the reason that is kept of a denial."""
    text = re.sub(r"<[^>]*>", " ", body[:4000].decode("utf-8", "replace"))
    return " ".join(text.split())
