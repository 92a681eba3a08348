"""Parameters and files of a request as DALI defines them: case-insensitive names, repeated values, uploaded files."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from typing import BinaryIO, cast
from urllib.parse import unquote_plus

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message
from typing_extensions import override

from desdm.errors import LimitExceeded, LimitKind, UsageError
from desdm.services.parameters import ParameterSet, Values

__all__ = ["RequestParams", "is_form", "parse_parameters", "read_body"]

_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
#: Bytes of one field, and by default of all fields, of a form of parts.
_FIELD, _FIELDS = 10_000_000, 2_000_000
#: Bytes of a body that are kept in memory.
_MEMORY = 8_000_000


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

    def read(self, declared: ParameterSet) -> Values:
        """Parse the declared parameters; `UsageError` as of `ParameterSet.read`."""
        return declared.read(self.pairs)

    def texts(self, declared: ParameterSet, longest: int) -> dict[str, str]:
        """Return the texts of declared parameters as they were sent, to fill a form again even if they are wrong.

        Parameters
        ----------
        declared
            The parameters.
        longest
            Characters of a text that are kept.

        Returns
        -------
        dict
            Name as it is declared → first text, without surrounding blanks; the default for an absent or blank one.
        """
        first = {name: value.strip()[:longest] for name, value in reversed(self.pairs)}
        return {p.name: first.get(p.name.upper(), "") or p.default for p in declared}

    async def close(self) -> None:
        """Close the uploaded files."""
        for part in self.files.values():
            await part.close()


def is_form(content_type: str) -> bool:
    """Whether a body of this media type is a form, which `parse_parameters` reads."""
    return content_type.split(";")[0].strip().lower() in _FORMS


async def parse_parameters(
    request: Request, max_bytes: int, *, field_bytes: int = _FIELDS, plain: str = ""
) -> RequestParams:
    """Read the parameters of a request from its query string and from the form of a POST or PUT.

    Parameters
    ----------
    request
        The request; its body is read.
    max_bytes
        Largest size of the body.
    field_bytes
        Largest size of all fields of a form of parts; files are bounded by ``max_bytes`` alone.
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
        if _is_multipart(request.headers.get("content-type", "")):
            form = await _parse_multipart(Request(request.scope, bounded), field_bytes)
        else:
            form = await Request(request.scope, bounded).form(max_files=100, max_fields=10_000)
    except HTTPException as err:
        raise UsageError(f"the form cannot be read: {err.detail}") from err
    except MultiPartException as err:
        raise UsageError(f"the form cannot be read: {err.message}") from err
    except ClientDisconnect as err:
        raise UsageError("the client disconnected before the form was complete") from err
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            params.files[name] = value
        else:
            params.pairs.append((name.upper(), value))
    return params


def _is_multipart(content_type: str) -> bool:
    """Whether a body of this media type is a form of parts, some of which may be files."""
    return content_type.split(";")[0].strip().lower() == "multipart/form-data"


class _FieldBound(MultiPartParser):
    """A parser that bounds the bytes of all parts without file name: they are kept in memory, files are not.

    Attributes
    ----------
    limit
        The bound in bytes.
    field_bytes
        Bytes of the fields so far.
    exceeded
        Whether the bound was exceeded.
    """

    limit = _FIELDS
    field_bytes = 0
    exceeded = False

    @override
    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._current_part.file is None:
            self.field_bytes += end - start
            if self.field_bytes > self.limit:
                self.exceeded = True
                raise MultiPartException("its fields are too large")
        super().on_part_data(data, start, end)


async def _parse_multipart(request: Request, most: int) -> FormData:
    """Parse a form of parts whose fields have at most so many bytes in all; `LimitExceeded` beyond."""
    parser = _FieldBound(
        request.headers, request.stream(), max_files=100, max_fields=10_000, max_part_size=_FIELD
    )
    parser.limit = most
    try:
        return await parser.parse()
    except MultiPartException as err:
        if parser.exceeded:
            raise LimitExceeded(
                f"the parameters have more than {most / 1e6:g} MB; send a table as a file of the form (with a file name)",
                LimitKind.SIZE,
            ) from err
        raise


async def read_body(request: Request, max_bytes: int) -> BinaryIO:
    """Read a body that is a table; the caller closes it.

    Raises
    ------
    LimitExceeded
        The body is larger than ``max_bytes``.
    UsageError
        The client disconnected.
    """
    body = tempfile.SpooledTemporaryFile(_MEMORY)  # noqa: SIM115 - on disk if it is large
    size = 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > max_bytes:
                raise _too_large(max_bytes)
            body.write(piece)
    except ClientDisconnect as err:
        body.close()
        raise UsageError("the client disconnected before the table was complete") from err
    except BaseException:
        body.close()
        raise
    body.seek(0)
    # typeshed knows a spooled file as IO[bytes] only.
    return cast(BinaryIO, body)


def _too_large(max_bytes: int) -> LimitExceeded:
    """Return the error for a body that is larger than the role's limit."""
    return LimitExceeded(
        f"the request is larger than {max_bytes // 1_000_000} MB; send less, or log in for a larger limit",
        LimitKind.SIZE,
    )
