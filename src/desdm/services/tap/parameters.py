"""Parameters of a TAP request (TAP 1.1, section 2.7): language, query, format, rows, uploads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from desdm.errors import UsageError
from desdm.query.engines.model import Upload
from desdm.query.formats import Format, choose
from desdm.query.formats.upload import read_upload
from desdm.services.limits import Limits
from desdm.services.tap.endpoints import QUERY

__all__ = ["QueryParams", "parse_query_params", "read_uploads"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_PARTS = 20


@dataclass(frozen=True, slots=True)
class QueryParams:
    """Parameters of one query.

    Attributes
    ----------
    maxrec
        Largest number of rows; 0: only the description of the columns.
    uploads
        Name after ``TAP_UPLOAD.`` → URI.
    """

    query: str
    format: Format
    mime: str
    maxrec: int
    uploads: Mapping[str, str]


def parse_query_params(pairs: Iterable[tuple[str, str]], limits: Limits) -> QueryParams:
    """Parse the parameters of a TAP query; MAXREC is bounded by the caller's limits.

    Parameters
    ----------
    pairs
        (name in capitals, value) of the request.
    limits
        Limits of the caller.

    Raises
    ------
    UsageError
        A parameter is missing, repeated or invalid.
    """
    values = QUERY.read(pairs)
    requested = values.text("RESPONSEFORMAT") or values.text("FORMAT")
    form = choose(requested)
    # A media type that the client requests literally becomes the media type of the response.
    plain = requested.strip().lower()
    mime = plain if "/" in plain and plain in form.aliases and form.name != plain else form.mime
    most = values.whole("MAXREC")
    return QueryParams(
        values.text("QUERY"),
        form,
        mime,
        limits.rows_default if most is None else min(most, limits.rows),
        _parse_uploads(values.texts("UPLOAD")),
    )


def _parse_uploads(values: list[str]) -> dict[str, str]:
    """Parse UPLOAD into names and URIs."""
    tables: dict[str, str] = {}
    for part in (p.strip() for value in values for p in value.split(";")):
        if not part:
            continue
        name, comma, uri = part.partition(",")
        if not comma or not uri.strip():
            raise UsageError(
                f"UPLOAD={part[:60]}: a name, a comma and a URI are wanted, for instance mine,param:t"
            )
        if not _NAME.fullmatch(name.strip()):
            raise UsageError(
                f"UPLOAD: {name[:40]!r} cannot be a table's name; letters, digits and _, a letter first"
            )
        if name.strip().lower() in (other.lower() for other in tables):
            raise UsageError(f"UPLOAD: {name.strip()} names two tables; give each table a name of its own")
        tables[name.strip()] = uri.strip()
    if len(tables) > _PARTS:
        raise UsageError(f"UPLOAD: {len(tables)} tables; {_PARTS} at most")
    return tables


def read_uploads(
    uris: Mapping[str, str],
    open_part: Callable[[str], BinaryIO],
    open_result: Callable[[str], BinaryIO],
    limits: Limits,
) -> dict[str, Upload]:
    """Read the uploaded tables of a query.

    Parameters
    ----------
    uris
        Name → URI.
    open_part
        Opens a part of the request by its name (``param:<name>``).
    open_result
        Opens a result of this service by its URL; other servers are never contacted.
    limits
        Limits of the caller on bytes and rows.

    Returns
    -------
    dict
        Tables by name.

    Raises
    ------
    UsageError
        An upload is missing or unreadable.
    """
    tables = {}
    for name, uri in uris.items():
        scheme, _, rest = uri.partition(":")
        with open_part(rest) if scheme.lower() == "param" else open_result(uri) as data:
            tables[name] = read_upload(
                name, data, None, max_bytes=limits.request_bytes, max_rows=limits.upload_rows
            )
    return tables
