"""Requests to one server: its token, its errors as ours, its answers into files that are whole or not there."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests

from desdm.errors import (
    AccessDenied,
    ConflictError,
    DesdmError,
    FatalError,
    LimitExceeded,
    NotFoundError,
    TransientError,
    UsageError,
    storage_error,
)

__all__ = ["Connection", "TruncatedWarning", "error_of"]

_PIECE = 1 << 20
_KINDS = {413: "size", 429: "rate"}


class TruncatedWarning(UserWarning):
    """An answer has fewer rows than there are: it was cut at a limit."""


class Connection:
    """One server and who asks.

    Parameters
    ----------
    url
        Address of the service, for instance ``http://127.0.0.1:8080``, or ``127.0.0.1:8080``.
    token
        Token of an account; default ``$DESDM_TOKEN``, else anybody.
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
    def open(self, method: str, path: str, **more: Any) -> Iterator[requests.Response]:
        """An answer whose bytes have not been read yet.

        Raises
        ------
        DesdmError
            What the server says is wrong, by its status; `TransientError` when it does not answer or breaks off.
        """
        address = path if path.startswith(("http://", "https://")) else self.url + path
        try:
            with self.session.request(method, address, stream=True, timeout=self.timeout, **more) as response:
                if response.status_code >= 400:
                    raise error_of(response)
                yield response
        except (requests.ConnectionError, requests.Timeout) as err:
            raise TransientError(
                f"{self.url} does not answer; is it running (desdm serve), is the address right?"
            ) from err
        except requests.exceptions.ChunkedEncodingError as err:
            raise TransientError(f"the answer of {self.url} broke off; nothing of it was kept") from err
        except requests.RequestException as err:
            raise UsageError(f"{address}: {err}") from err

    def content(self, method: str, path: str, **more: Any) -> bytes:
        """The whole of a small answer."""
        with self.open(method, path, **more) as response:
            return response.content

    def document(self, method: str, path: str, **more: Any) -> Any:
        """A JSON answer, read."""
        held = self.content(method, path, **more)
        try:
            return json.loads(held) if held else None
        except ValueError as err:
            raise FatalError(f"{self.url}{path} answered with something that is no JSON") from err

    def into(self, path: Path, method: str, address: str, **more: Any) -> Mapping[str, str]:
        """Write an answer to a file; the headers of the answer.

        It is written beside ``path`` and takes its name when the last byte has come, so that no part is ever taken
        for the whole. An answer without content (204) is `NotFoundError`.
        """
        with self.open(method, address, **more) as response:
            if response.status_code == 204:
                raise NotFoundError("there is nothing at that place: it lies outside what the service holds")
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
    """Our error for an answer of 4xx or 5xx, with the server's own words."""
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
    held = next(response.iter_content(100_000), b"").decode("utf-8", "replace")
    kind = response.headers.get("Content-Type", "")
    if "json" in kind:
        try:
            found = json.loads(held)
        except ValueError:
            found = {}
        for key in ("error", "message", "detail"):
            if isinstance(found, dict) and key in found:
                found = found[key]
        if isinstance(found, str):
            return found
    if "votable" in kind or "xml" in kind:
        said = re.search(
            r'<INFO[^>]*name="QUERY_STATUS"[^>]*value="ERROR"[^>]*>(.*?)</INFO>', held, re.DOTALL
        )
        if said:
            from html import unescape

            return unescape(said[1]).strip()
    plain = held.removeprefix("error: ").strip()
    if "html" in kind or not plain:
        return f"{response.url} answered {response.status_code} {response.reason}"
    return plain[:2000]
