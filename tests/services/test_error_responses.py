"""One translation of errors: the same status and headers in each form, and one form at each path."""

from __future__ import annotations

import io
import json

import pytest
import requests
from astropy.io import votable

from desdm.errors import (
    AccessDenied,
    ConflictError,
    CorruptFile,
    CorruptReleaseFile,
    DatabaseUnavailable,
    DesdmError,
    LimitExceeded,
    NotFoundError,
    UsageError,
)
from desdm.services import SERVICES
from desdm.services.error_responses import ERROR_FORMS, ErrorForm, error_form, error_response
from tests.support.server import Served

KINDS: list[tuple[DesdmError, int, str, dict[str, str]]] = [
    (UsageError("RA=x: wrong"), 400, "RA=x: wrong", {}),
    (NotFoundError("no table x"), 404, "no table x", {}),
    (ConflictError("it exists"), 409, "it exists", {}),
    (AccessDenied("log in", known=False), 401, "log in", {"www-authenticate": 'Bearer realm="desdm"'}),
    (AccessDenied("no right"), 403, "no right", {}),
    (LimitExceeded("slowly", "rate", retry_after=7), 429, "slowly", {"retry-after": "7"}),
    (LimitExceeded("too large", "size"), 413, "too large", {}),
    (
        DatabaseUnavailable("/srv/secret.sqlite is locked"),
        503,
        "the database does not answer",
        {"retry-after": "10"},
    ),
    (CorruptFile("/srv/secret.fits differs"), 500, "the service failed", {}),
    (CorruptReleaseFile("R1/a.fits differs"), 500, "R1/a.fits differs", {}),
]
SODA_LABELS = {
    400: "UsageError",
    401: "AuthenticationError",
    403: "AuthorizationError",
    503: "ServiceUnavailable",
    500: "Error",
}


def message_of(form: ErrorForm, status: int, body: bytes) -> str:
    """The message of a body, read as its form demands."""
    match form:
        case ErrorForm.VOTABLE:
            # DALI 1.1, section 4.2; SCS 1.03, section 2.3 has the INFO Error.
            infos = {i.name: i for i in votable.parse(io.BytesIO(body)).resources[0].infos}
            assert (
                infos["QUERY_STATUS"].value == "ERROR"
                and infos["Error"].value == infos["QUERY_STATUS"].content
            )
            return str(infos["Error"].value)
        case ErrorForm.SODA:
            label, _, text = body.decode().partition(": ")
            assert label == SODA_LABELS.get(status, "UsageError")
            return text
        case ErrorForm.TEXT:
            return body.decode().removeprefix("error: ").removesuffix("\n")
        case ErrorForm.JSON | ErrorForm.JSON_TEXT:
            document = json.loads(body)
            # RFC 9457, section 3.1.
            assert document["status"] == status and document["type"] == "about:blank" and document["title"]
            error = document["error"]
            assert document["detail"] == (error if form is ErrorForm.JSON_TEXT else error["message"])
            return str(document["detail"])


@pytest.mark.parametrize("form", ErrorForm)
@pytest.mark.parametrize(("err", "status", "message", "headers"), KINDS)
def test_an_error_has_one_status_one_message_and_its_headers_in_each_form(
    form: ErrorForm, err: DesdmError, status: int, message: str, headers: dict[str, str]
) -> None:
    answer = error_response(err, form)
    assert answer.status_code == status
    text = message_of(form, status, bytes(answer.body))
    assert text.startswith(message) and "secret" not in text
    special = {k: v for k, v in answer.headers.items() if k in ("www-authenticate", "retry-after")}
    assert special == headers and answer.headers["cache-control"] == "no-store"


def test_every_service_has_a_form_and_the_longest_path_decides() -> None:
    assert all(error_form(service.path.removesuffix("/…")) for service in SERVICES)
    assert error_form("/soda/sync") is ErrorForm.SODA and error_form("/soda/async/x") is ErrorForm.VOTABLE
    assert error_form("/api/cutouts/async/1/phase") is ErrorForm.VOTABLE
    assert error_form("/api/cutouts") is ErrorForm.JSON
    assert error_form("/tapestry") is None and error_form("/") is None


@pytest.mark.parametrize("path", ERROR_FORMS)
def test_a_wrong_token_is_answered_in_the_form_of_the_path(on_duckdb: Served, path: str) -> None:
    answer = requests.get(on_duckdb + path, headers={"Authorization": "Bearer nobody"}, timeout=30)
    assert answer.status_code == 401 and "Bearer" in answer.headers["WWW-Authenticate"]
    assert "not known" in message_of(ERROR_FORMS[path], 401, answer.content)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/tap/sync?LANG=ADQL", 400),
        ("GET", "/tap/async/nosuch", 404),
        ("GET", "/scs/T1.objects?RA=x&DEC=0&SR=1", 400),
        ("GET", "/sia/query?COLOUR=red", 400),
        ("GET", "/datalink/links?RESPONSEFORMAT=png", 400),
        ("GET", "/soda/sync", 400),
        ("GET", "/files?colour=red", 400),
        ("GET", "/files/NONE/manifest.json", 404),
        ("GET", "/footprint?ra=1", 400),
        ("GET", "/api/cutouts?colour=red", 400),
        ("GET", "/api/cutouts/async/nosuch", 404),
        ("GET", "/api/releases/NONE", 404),
        ("GET", "/api/releases/NONE/files", 404),
        ("GET", "/api/mydb", 401),
        ("PUT", "/api/mydb/mine", 401),
        ("GET", "/tap/nowhere", 404),
        ("GET", "/api/nowhere", 404),
    ],
)
def test_a_handler_s_error_is_answered_in_the_form_of_the_path(
    on_duckdb: Served, method: str, path: str, status: int
) -> None:
    form = error_form(path.partition("?")[0])
    assert form is not None
    answer = requests.request(method, on_duckdb + path, timeout=30)
    assert answer.status_code == status
    assert message_of(form, status, answer.content)
    assert answer.headers["Cache-Control"] == "no-store"
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)


def test_a_browser_is_not_offered_a_password_window(on_duckdb: Served) -> None:
    program = requests.get(f"{on_duckdb}/api/mydb", timeout=30)
    browser = requests.get(f"{on_duckdb}/api/mydb", headers={"Sec-Fetch-Mode": "cors"}, timeout=30)
    assert "Basic" in program.headers["WWW-Authenticate"]
    assert browser.headers["WWW-Authenticate"] == 'Bearer realm="desdm"'
