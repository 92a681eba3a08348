"""Requests to one server: token, translation of errors, downloads that are whole or absent."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypedDict, Unpack

import requests

from desdm.errors import (
    AccessDenied,
    ConflictError,
    DesdmError,
    FatalError,
    LimitExceeded,
    LimitKind,
    NotFoundError,
    TransientError,
    UsageError,
    storage_error,
)

__all__ = ["Connection", "RequestOptions", "TruncatedWarning", "error_of"]

_PIECE = 1 << 20
_KINDS = {413: LimitKind.SIZE, 429: LimitKind.RATE}


class TruncatedWarning(UserWarning):
    """An answer has fewer rows than there are: it was cut at a limit."""


class RequestOptions(TypedDict, total=False):
    """Options of a request, as of `requests.request`."""

    params: Mapping[str, str] | Sequence[tuple[str, str]]
    data: bytes | Mapping[str, str] | Sequence[tuple[str, str]]
    files: Mapping[str, tuple[str, bytes, str]]
    headers: Mapping[str, str]


class Connection:
    """One server, and the account that uses it.

    Parameters
    ----------
    url
        Address of the service, for instance ``http://127.0.0.1:8080``, or ``127.0.0.1:8080``.
    token
        Token of an account; default ``$DESDM_TOKEN``, else anonymous.
    timeout
        Seconds to wait for a connection, and for the next bytes.
    """

    def __init__(
        self, url: str, token: str | None = None, timeout: tuple[float, float] = (10.0, 600.0)
    ) -> None:
        # An address without scheme is one of a server beside us, as browsers take it.
        self.url = (url if "://" in url else f"http://{url}").rstrip("/")
        self.timeout = timeout
        self.session = requests.Session()
        token = token or os.environ.get("DESDM_TOKEN")
        if token:
            # Only to this server: requests keeps it off redirects to other hosts.
            self.session.headers["Authorization"] = f"Bearer {token}"

    @contextmanager
    def open(self, method: str, path: str, **more: Unpack[RequestOptions]) -> Iterator[requests.Response]:
        """Open an answer without reading its body.

        Parameters
        ----------
        method, path
            HTTP method, and path at the server or full address.
        more
            Options of the request.

        Yields
        ------
        requests.Response
            The answer.

        Raises
        ------
        DesdmError
            Error of the server, by its status; `TransientError` when it does not answer or breaks off.
        """
        address = path if path.startswith(("http://", "https://")) else self.url + path
        try:
            with self.session.request(method, address, stream=True, timeout=self.timeout, **more) as response:
                if response.status_code >= 400:
                    raise error_of(response)
                yield response
        except UnicodeEncodeError as err:
            raise UsageError(
                f"the request has bytes that are not text in this locale ({sys.getfilesystemencoding()}): "
                f"{err.object[err.start : err.end]!a}; set LC_ALL=C.UTF-8"
            ) from err
        except (requests.ConnectionError, requests.Timeout) as err:
            raise TransientError(
                f"{self.url} does not answer; is it running (desdm serve), is the address right?"
            ) from err
        except requests.exceptions.ChunkedEncodingError as err:
            raise TransientError(f"the answer of {self.url} broke off; nothing was written") from err
        except requests.RequestException as err:
            raise UsageError(f"{address}: {err}") from err

    def content(self, method: str, path: str, **more: Unpack[RequestOptions]) -> bytes:
        """Read the whole body of a small answer.

        Parameters
        ----------
        method, path, more
            As of `open`.

        Returns
        -------
        bytes
            The body.
        """
        with self.open(method, path, **more) as response:
            return response.content

    def document(self, method: str, path: str, **more: Unpack[RequestOptions]) -> Any:
        """Read a JSON answer.

        Parameters
        ----------
        method, path, more
            As of `open`.

        Returns
        -------
        JSON value
            The document; None for an empty body.

        Raises
        ------
        FatalError
            The body is not JSON.
        """
        body = self.content(method, path, **more)
        try:
            return json.loads(body) if body else None
        except ValueError as err:
            raise FatalError(f"{self.url}{path} gave an answer that is not JSON") from err

    def into(
        self, path: Path, method: str, address: str, **more: Unpack[RequestOptions]
    ) -> Mapping[str, str]:
        """Write an answer to a file.

        A temporary file beside ``path`` is renamed after the last byte, so that an incomplete file never has
        its name. An answer without content (204) is `NotFoundError`.

        Parameters
        ----------
        path
            Output file.
        method, address, more
            As of `open`.

        Returns
        -------
        mapping of str to str
            Headers of the answer.
        """
        with self.open(method, address, **more) as response:
            if response.status_code == 204:
                raise NotFoundError("there is nothing at that place: it lies outside the data of the service")
            beside = path.with_name(f".{path.name}.{os.getpid()}.part")
            try:
                with beside.open("wb") as file:
                    for piece in response.iter_content(_PIECE):
                        file.write(piece)
                beside.replace(path)
            except requests.RequestException:
                raise
            except OSError as err:
                raise storage_error(err, path) from err
            finally:
                with suppress(OSError):
                    beside.unlink(missing_ok=True)
            return response.headers


def error_of(response: requests.Response) -> DesdmError:
    """Return the error for an answer of 4xx or 5xx, with the message of the server."""
    text, status = _message(response), response.status_code
    if status in (401, 403):
        return AccessDenied(text, known=status == 403)
    if status == 404:
        return NotFoundError(text)
    if status == 409:
        return ConflictError(text)
    if status in _KINDS:
        after = response.headers.get("Retry-After", "")
        return LimitExceeded(text, _KINDS[status], int(after) if after.isdigit() else None)
    if status < 500:
        return UsageError(text)
    return TransientError(text) if status in (502, 503, 504) else FatalError(text)


def _message(response: requests.Response) -> str:
    """Return the message of an error in JSON, VOTable or text."""
    body = next(response.iter_content(100_000), b"").decode("utf-8", "replace")
    media_type = response.headers.get("Content-Type", "")
    if "json" in media_type:
        try:
            value = json.loads(body)
        except ValueError:
            value = {}
        for key in ("error", "message", "detail"):
            if isinstance(value, dict) and key in value:
                value = value[key]
        if isinstance(value, str):
            return value
    if "votable" in media_type or "xml" in media_type:
        status_text = re.search(
            r'<INFO[^>]*name="QUERY_STATUS"[^>]*value="ERROR"[^>]*>(.*?)</INFO>', body, re.DOTALL
        )
        if status_text:
            from html import unescape

            return unescape(status_text[1]).strip()
    plain = body.removeprefix("error: ").strip()
    if "html" in media_type or not plain:
        return f"{response.url} answered {response.status_code} {response.reason}"
    return plain[:2000]
