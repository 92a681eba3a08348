"""Error responses: the one translation of an error into status, headers and body, in the form of its path."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from desdm.errors import (
    AccessDenied,
    ConflictError,
    CorruptReleaseFile,
    DatabaseUnavailable,
    DesdmError,
    LimitExceeded,
    LimitKind,
    NotFoundError,
    OwnTablesUnavailable,
    StorageFull,
    TransientError,
    UsageError,
)

__all__ = [
    "ERROR_FORMS",
    "ErrorForm",
    "error_form",
    "error_headers",
    "error_response",
    "handle_error",
    "json_error",
    "media_type",
    "public_message",
    "status_of",
    "status_response",
]

_LOG = logging.getLogger(__name__)
_LIMITS = {LimitKind.TIME: 400, LimitKind.SIZE: 413, LimitKind.RATE: 429, LimitKind.QUOTA: 403}
#: Seconds after which a request that met a transient error may be sent again.
_RETRY_SECONDS = 10


class ErrorForm(StrEnum):
    """Form of an error's body."""

    #: VOTable with QUERY_STATUS ERROR (DALI 1.1, section 4.2).
    VOTABLE = "votable"
    #: Text that begins with the kind of the error (SODA 1.0, section 5.2).
    SODA = "soda"
    #: One line of text.
    TEXT = "text"
    #: Problem details (RFC 9457), with ``error`` as object of status and message.
    JSON = "json"
    #: Problem details (RFC 9457), with ``error`` as text.
    JSON_TEXT = "json-text"


#: Path → form of the errors at it and below it; the longest path decides. Elsewhere pages answer HTML or JSON.
ERROR_FORMS: Mapping[str, ErrorForm] = {
    "/tap": ErrorForm.VOTABLE,
    "/scs": ErrorForm.VOTABLE,
    "/sia": ErrorForm.VOTABLE,
    "/datalink": ErrorForm.VOTABLE,
    "/soda": ErrorForm.VOTABLE,
    "/soda/sync": ErrorForm.SODA,
    "/hips": ErrorForm.TEXT,
    "/files": ErrorForm.TEXT,
    "/footprint": ErrorForm.JSON,
    "/api": ErrorForm.JSON,
    "/api/mydb": ErrorForm.JSON_TEXT,
    "/api/cutouts/async": ErrorForm.VOTABLE,
}
_MEDIA_TYPES = {
    ErrorForm.VOTABLE: "application/x-votable+xml",
    ErrorForm.SODA: "text/plain",
    ErrorForm.TEXT: "text/plain",
    ErrorForm.JSON: "application/problem+json",
    ErrorForm.JSON_TEXT: "application/problem+json",
}


def error_form(path: str) -> ErrorForm | None:
    """Return the form of the errors of a path; None for a page."""
    while path:
        if path in ERROR_FORMS:
            return ERROR_FORMS[path]
        path = path.rpartition("/")[0]
    return None


def media_type(form: ErrorForm) -> str:
    """Return the media type of errors of a form."""
    return _MEDIA_TYPES[form]


def status_of(err: DesdmError) -> int:
    """Return the HTTP status of an error: 4xx correct the request, 503 try again, 500 report it."""
    if isinstance(err, AccessDenied):
        return 403 if err.known else 401
    if isinstance(err, LimitExceeded):
        return _LIMITS[err.kind]
    if isinstance(err, NotFoundError):
        return 404
    if isinstance(err, ConflictError):
        return 409
    if isinstance(err, UsageError):
        return 400
    return 503 if isinstance(err, TransientError) else 500


def public_message(err: DesdmError) -> str:
    """Return the public message of an error: usage errors verbatim, other errors without internal details."""
    if isinstance(err, (UsageError, CorruptReleaseFile)):
        return str(err)
    _LOG.error("%s: %s", type(err).__name__, err)
    if isinstance(err, OwnTablesUnavailable):
        return str(err)
    if isinstance(err, DatabaseUnavailable):
        return "the database does not answer now; try again later"
    if isinstance(err, StorageFull):
        return "the server has no room for the answer now; try again later"
    if isinstance(err, TransientError):
        return "the service cannot answer now; try again later"
    return "the service failed; report it with the time and the request"


def error_headers(err: DesdmError, *, basic: bool = False) -> dict[str, str]:
    """Return the headers of an error's response: when to try again, how to log in; caches do not store it.

    Parameters
    ----------
    err
        The error.
    basic
        Whether a 401 offers HTTP Basic too. A browser then opens a password window of its own.
    """
    status, headers = status_of(err), {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="desdm"' + (', Basic realm="desdm"' if basic else "")
    if isinstance(err, LimitExceeded) and err.retry_after is not None:
        headers["Retry-After"] = str(err.retry_after)
    elif status == 503:
        headers["Retry-After"] = str(_RETRY_SECONDS)
    return headers


def error_response(err: DesdmError, form: ErrorForm, *, basic: bool = False) -> Response:
    """Return the response to a request that failed.

    Parameters
    ----------
    err
        The error.
    form
        Form of the body.
    basic
        Whether a 401 offers HTTP Basic too.

    Returns
    -------
    Response
        The response.
    """
    status, message = status_of(err), public_message(err)
    return status_response(status, message, form, error_headers(err, basic=basic))


def status_response(status: int, message: str, form: ErrorForm, headers: Mapping[str, str]) -> Response:
    """Return a response with an HTTP status of 400 or more.

    Parameters
    ----------
    status
        HTTP status.
    message
        Public message.
    form
        Form of the body.
    headers
        Headers of the response.

    Returns
    -------
    Response
        The response.
    """
    return Response(_body(form, status, message), status, headers, media_type(form))


async def handle_error(request: Request, err: Exception) -> Response:
    """Respond to an error of a data service; the exception handler of applications without pages."""
    assert isinstance(err, DesdmError)
    return error_response(err, error_form(request.url.path) or ErrorForm.JSON)


def _body(form: ErrorForm, status: int, message: str) -> bytes | str:
    """Return the body of an error."""
    match form:
        case ErrorForm.VOTABLE:
            from desdm.query.formats.votable import error_document

            return error_document(message)
        case ErrorForm.SODA:
            return f"{_soda_label(status)}: {message}"
        case ErrorForm.TEXT:
            return f"error: {message}\n"
        case ErrorForm.JSON | ErrorForm.JSON_TEXT:
            return json_error(status, message, short=form is ErrorForm.JSON_TEXT)


def json_error(status: int, message: str, *, short: bool = False) -> bytes:
    """Return problem details (RFC 9457) as JSON.

    Parameters
    ----------
    status
        HTTP status.
    message
        Public message.
    short
        Whether the member ``error``, which is older than the standard members, is the message alone.

    Returns
    -------
    bytes
        The document.
    """
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
        "error": message if short else {"status": status, "message": message},
    }
    return json.dumps(document, ensure_ascii=False).encode()


def _soda_label(status: int) -> str:
    """Return the label of an error in SODA 1.0, section 5.2."""
    labels = {401: "AuthenticationError", 403: "AuthorizationError", 503: "ServiceUnavailable"}
    return labels.get(status) or ("UsageError" if status < 500 else "Error")
