"""Error responses of all paths: those of the data services in their forms, a page for browsers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from desdm.errors import DesdmError
from desdm.services import error_responses
from desdm.services.error_responses import ErrorForm, error_form, error_headers, public_message, status_of
from desdm.web.render import page

__all__ = ["error_response", "plain_text", "status_response"]


def error_response(scope: Scope, err: DesdmError, *, basic: bool = False) -> Response:
    """Return the response to a request that failed, in the form of its path.

    Parameters
    ----------
    scope
        ASGI scope of the request.
    err
        The error.
    basic
        Whether a 401 offers HTTP Basic too.

    Returns
    -------
    Response
        The response, not to be stored in caches.
    """
    return status_response(scope, status_of(err), public_message(err), error_headers(err, basic=basic))


def status_response(scope: Scope, status: int, message: str, headers: Mapping[str, str]) -> Response:
    """Return a response with an HTTP status of 400 or more, in the form of its path.

    Parameters
    ----------
    scope
        ASGI scope of the request.
    status
        HTTP status.
    message
        Public message.
    headers
        Headers of the response.

    Returns
    -------
    Response
        The response.
    """
    path = scope["path"]
    form = error_form(path)
    if form is None and "text/html" in Headers(scope=scope).get("accept", ""):
        template = "login.html" if status == 401 else "error.html"
        response = page(Request(scope), template, status, message=message, next=path)
        response.headers.update(headers)
        return response
    return error_responses.status_response(status, message, form or ErrorForm.JSON, headers)


def plain_text(body: bytes) -> str:
    """Return the message of an error's body without markup: the recorded reason of a denial."""
    if body.startswith(b"{"):
        try:
            return str(json.loads(body)["detail"])
        except (ValueError, KeyError):
            pass  # JSON of another kind is recorded as it is
    text = re.sub(r"<[^>]*>", " ", body[:4000].decode("utf-8", "replace"))
    return " ".join(text.split())
