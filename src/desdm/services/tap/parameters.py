"""Parameters of a TAP request (TAP 1.1, section 2.7): language, query, format, rows, uploads."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from desdm.errors import UsageError
from desdm.query.engines.model import Upload
from desdm.query.formats import Format, choose
from desdm.query.formats.upload import read_upload
from desdm.services.limits import Limits

__all__ = ["QueryParams", "parse_query_params", "read_uploads"]

_LANGUAGE = re.compile(r"ADQL(-2\.[01])?", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_PARTS = 20
Values = Callable[[str], list[str]]


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


def parse_query_params(values: Values, limits: Limits) -> QueryParams:
    """Parse the parameters of a TAP query.

    Parameters
    ----------
    values
        All values of a parameter, by its name in capitals.

    Raises
    ------
    UsageError
        A parameter is missing, repeated or invalid.
    """
    request = _single_value(values, "REQUEST", "doQuery")
    if request.lower() != "doquery":
        raise UsageError(f"REQUEST={request[:40]}: doQuery is all there is; the rest has paths of its own")
    language = _single_value(values, "LANG", "ADQL")
    if not _LANGUAGE.fullmatch(language):
        raise UsageError(f"LANG={language[:40]}: ADQL is wanted (ADQL-2.0, ADQL-2.1)")
    query = _single_value(values, "QUERY", "")
    if not query.strip():
        raise UsageError(
            "QUERY is missing: an ADQL query, for instance SELECT TOP 5 * FROM tap_schema.tables"
        )
    requested = _single_value(values, "RESPONSEFORMAT", "") or _single_value(values, "FORMAT", "")
    form = choose(requested)
    # A media type that the client requests literally becomes the media type of the response.
    plain = requested.strip().lower()
    mime = plain if "/" in plain and plain in form.aliases and form.name != plain else form.mime
    return QueryParams(
        query,
        form,
        mime,
        _parse_maxrec(_single_value(values, "MAXREC", ""), limits),
        _parse_uploads(values("UPLOAD")),
    )


def _single_value(values: Values, name: str, default: str) -> str:
    """Return the value of a parameter; `UsageError` if there are two different ones."""
    distinct = list(dict.fromkeys(values(name)))
    if len(distinct) > 1:
        raise UsageError(f"{name} has {len(distinct)} different values; give it once")
    return distinct[0] if distinct else default


def _parse_maxrec(text: str, limits: Limits) -> int:
    """Parse MAXREC, bounded by the caller's limits."""
    if not text.strip():
        return limits.rows_default
    if not re.fullmatch(r"\s*\d{1,18}\s*", text, re.ASCII):
        raise UsageError(f"MAXREC={text[:40]}: a whole number that is not negative is wanted")
    return min(int(text), limits.rows)


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
