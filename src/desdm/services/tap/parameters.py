"""Parameters of a TAP request (TAP 1.1, section 2.7): language, query, format, rows, uploads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from desdm.errors import UsageError
from desdm.query.formats import Format, choose
from desdm.services.limits import Limits
from desdm.services.tap.endpoints import QUERY

__all__ = ["QueryParams", "parse_query_params"]

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
    literal = "/" in plain and plain in form.aliases and plain != form.mime.lower()
    mime = plain if literal else form.mime
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
