"""Request parameters as DALI defines them: case-insensitive names, repeated values, uploaded files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import unquote_plus

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from desdm.errors import LimitExceeded, UsageError
from desdm.numbers import decimal_number

__all__ = ["RequestParams", "is_form", "parse_parameters", "parse_real", "parse_time"]

_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_FIELD = 10_000_000


def parse_real(name: str, text: str, least: float = -math.inf, most: float = math.inf) -> float:
    """Parse a finite number within bounds.

    Parameters
    ----------
    name
        Parameter name, for the error message.
    text
        Value as the client sent it.
    least, most
        Smallest and largest accepted value.

    Returns
    -------
    float
        The number.

    Raises
    ------
    UsageError
        The text is not a number, not finite (nan, inf, 1e400), or out of bounds.
    """
    try:
        value = decimal_number(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{name}={text[:40]}: a number is wanted (finite)")
    if not least <= value <= most:
        raise UsageError(f"{name}={text[:40]}: a number from {least:g} to {most:g} is wanted")
    return value


def parse_time(name: str, text: str) -> datetime:
    """Parse an ISO 8601 time; return it in UTC, without zone.

    Raises
    ------
    UsageError
        The text is not an ISO 8601 time, or its year is not between 1900 and 9000.
    """
    try:
        when = datetime.fromisoformat(text.strip())
        when = when.astimezone(UTC).replace(tzinfo=None) if when.tzinfo else when
    except (ValueError, OverflowError) as err:
        raise UsageError(f"{name}={text[:40]}: a time like 2026-01-31T12:00:00Z is wanted") from err
    if not 1900 <= when.year <= 9000:
        raise UsageError(f"{name}={text[:40]}: a year between 1900 and 9000 is wanted")
    return when


@dataclass(slots=True)
class RequestParams:
    """Parameters and uploaded files of a request.

    Attributes
    ----------
    pairs
        (name in capitals, value) in the order of the request, of query string and form.
    files
        Uploaded parts by their case-sensitive name (``param:<name>``).
    """

    pairs: list[tuple[str, str]] = field(default_factory=list)
    files: dict[str, UploadFile] = field(default_factory=dict)

    def values(self, name: str) -> list[str]:
        """Return all values of a parameter."""
        return [value for key, value in self.pairs if key == name]

    def value(self, name: str, default: str = "") -> str:
        """Return the value of a parameter; `UsageError` if it has two different values."""
        distinct = list(dict.fromkeys(self.values(name)))
        if len(distinct) > 1:
            raise UsageError(f"{name} has {len(distinct)} different values; give it once")
        return distinct[0] if distinct else default

    def number(self, name: str) -> int | None:
        """Return a non-negative whole number; None if the parameter is absent."""
        text = self.value(name).strip()
        if not text:
            return None
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise UsageError(f"{name}={text[:40]}: a whole number that is not negative is wanted")
        return int(text)

    async def close(self) -> None:
        """Close the uploaded files."""
        for part in self.files.values():
            await part.close()

    def only(self, names: Sequence[str]) -> None:
        """Raise `UsageError` for a parameter that is not among ``names``."""
        for name, _ in self.pairs:
            if name not in names:
                raise UsageError(f"unknown parameter {name[:40]}; known: {', '.join(names)}")


def is_form(content_type: str) -> bool:
    """Whether a body of this media type is a form, which `parse_parameters` reads."""
    return content_type.split(";")[0].strip().lower() in _FORMS


async def parse_parameters(request: Request, max_bytes: int, plain: str = "") -> RequestParams:
    """Read the parameters of a request from its query string and from the form of a POST or PUT.

    Parameters
    ----------
    request
        The request; its body is read.
    max_bytes
        Largest size of the body.
    plain
        Name of the parameter whose value is the body of a PUT that is not a form; empty: such a body is not read.

    Raises
    ------
    LimitExceeded
        The body is larger than ``max_bytes``; raised before reading if Content-Length is larger.
    UsageError
        The form is invalid, or the client disconnected.
    """
    params = RequestParams([(name.upper(), value) for name, value in request.query_params.multi_items()])
    form_sent = is_form(request.headers.get("content-type", ""))
    if request.method not in ("POST", "PUT") or not (form_sent or (plain and request.method == "PUT")):
        return params
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and (len(length) > 18 or int(length) > max_bytes):
        raise _too_large(max_bytes)
    size = 0

    async def bounded() -> Message:
        nonlocal size
        message = await request.receive()
        size += len(message.get("body", b""))
        if size > max_bytes:
            raise _too_large(max_bytes)
        return message

    if not form_sent:
        try:
            text = (await Request(request.scope, bounded).body()).decode("utf-8", "replace").strip()
        except ClientDisconnect as err:
            raise UsageError("the client disconnected before the request was complete") from err
        # Programs send the bare value, or the form without its media type.
        first, sign, rest = text.partition("=")
        text = unquote_plus(rest) if sign and first.strip().upper() == plain else text
        if text:
            params.pairs.append((plain, text))
        return params
    try:
        form = await Request(request.scope, bounded).form(
            max_files=100, max_fields=10_000, max_part_size=_FIELD
        )
    except HTTPException as err:
        raise UsageError(f"the form cannot be read: {err.detail}") from err
    except ClientDisconnect as err:
        raise UsageError("the client disconnected before the form was complete") from err
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            params.files[name] = value
        else:
            params.pairs.append((name.upper(), value))
    return params


def _too_large(max_bytes: int) -> LimitExceeded:
    """Return the error for a body that is larger than the role's limit."""
    return LimitExceeded(
        f"the request is larger than {max_bytes // 1_000_000} MB; send less, or log in for a larger limit",
        "size",
    )
