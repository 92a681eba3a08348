"""What a TAP request asks for (TAP 1.1, section 2.7): language, query, format, rows, uploads."""

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

__all__ = ["Asked", "asked", "uploads"]

_LANGUAGE = re.compile(r"ADQL(-2\.[01])?", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_PARTS = 20
Values = Callable[[str], list[str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A query as asked for.

    Attributes
    ----------
    maxrec
        Rows that go out at most; 0: only the description of the columns.
    uploads
        Name after ``TAP_UPLOAD.`` → URI.
    """

    query: str
    format: Format
    mime: str
    maxrec: int
    uploads: Mapping[str, str]


def asked(values: Values, limits: Limits) -> Asked:
    """Read the parameters of a TAP query.

    Parameters
    ----------
    values
        All values of a parameter, by its name in capitals.

    Raises
    ------
    UsageError
        A parameter is missing, given twice or not understood.
    """
    request = _one(values, "REQUEST", "doQuery")
    if request.lower() != "doquery":
        raise UsageError(f"REQUEST={request[:40]}: doQuery is all there is; the rest has paths of its own")
    language = _one(values, "LANG", "ADQL")
    if not _LANGUAGE.fullmatch(language):
        raise UsageError(f"LANG={language[:40]}: ADQL is wanted (ADQL-2.0, ADQL-2.1)")
    query = _one(values, "QUERY", "")
    if not query.strip():
        raise UsageError(
            "QUERY is missing: an ADQL query, for instance SELECT TOP 5 * FROM tap_schema.tables"
        )
    requested = _one(values, "RESPONSEFORMAT", "") or _one(values, "FORMAT", "")
    form = choose(requested)
    # A media type that was asked for literally is what the answer is called.
    plain = requested.strip().lower()
    mime = plain if "/" in plain and plain in form.aliases and form.name != plain else form.mime
    return Asked(query, form, mime, _maxrec(_one(values, "MAXREC", ""), limits), _pairs(values("UPLOAD")))


def _one(values: Values, name: str, default: str) -> str:
    found = list(dict.fromkeys(values(name)))
    if len(found) > 1:
        raise UsageError(f"{name} is given {len(found)} times; give it once")
    return found[0] if found else default


def _maxrec(text: str, limits: Limits) -> int:
    if not text.strip():
        return limits.rows_default
    if not re.fullmatch(r"\s*\d{1,18}\s*", text, re.ASCII):
        raise UsageError(f"MAXREC={text[:40]}: a whole number that is not negative is wanted")
    return min(int(text), limits.rows)


def _pairs(values: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
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
        if name.strip().lower() in (known.lower() for known in found):
            raise UsageError(f"UPLOAD: {name.strip()} is given twice; give each table a name of its own")
        found[name.strip()] = uri.strip()
    if len(found) > _PARTS:
        raise UsageError(f"UPLOAD: {len(found)} tables; {_PARTS} at most")
    return found


def uploads(
    wanted: Mapping[str, str],
    opened: Callable[[str], BinaryIO],
    result: Callable[[str], BinaryIO],
    limits: Limits,
) -> dict[str, Upload]:
    """Read the tables that come with a query.

    Parameters
    ----------
    wanted
        Name → URI.
    opened
        Opens the part of the request with a name (``param:<name>``).
    result
        Opens a result of this very service by its URL; other servers are not asked on anybody's behalf.
    """
    found = {}
    for name, uri in wanted.items():
        scheme, _, rest = uri.partition(":")
        with opened(rest) if scheme.lower() == "param" else result(uri) as data:
            found[name] = read_upload(
                name, data, None, max_bytes=limits.request_bytes, max_rows=limits.upload_rows
            )
    return found
