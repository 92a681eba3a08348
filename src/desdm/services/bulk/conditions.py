"""Whether a conditional request gets the file, and whether its ranges count (RFC 9110, section 13)."""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from starlette.datastructures import Headers

__all__ = ["ranges_count", "verdict"]


def verdict(headers: Headers, etag: str, modified: datetime) -> Literal[200, 304, 412]:
    """Status that the preconditions lead to, in the order of RFC 9110, 13.2.2.

    Parameters
    ----------
    headers
        Of the request, which is GET or HEAD.
    etag
        Strong validator of the file, with its quotes.
    modified
        Its time of change, UTC, whole seconds.
    """
    match, unmodified = headers.get("if-match"), _date(headers.get("if-unmodified-since"))
    if match is not None:
        if not _listed(etag, match, weak=False):
            return 412
    elif unmodified is not None and modified > unmodified:
        return 412
    none, since = headers.get("if-none-match"), _date(headers.get("if-modified-since"))
    if none is not None:
        return 304 if _listed(etag, none, weak=True) else 200
    return 304 if since is not None and modified <= since else 200


def ranges_count(headers: Headers, etag: str, modified: datetime) -> bool:
    """Whether ``Range`` is heeded: without ``If-Range``, or when that names this very file (RFC 9110, 13.1.5)."""
    said = headers.get("if-range")
    if said is None:
        return True
    said = said.strip()
    if '"' in said:
        return said == etag  # a weak one begins with W/ and never counts
    return _date(said) == modified


def _listed(etag: str, header: str, *, weak: bool) -> bool:
    tags = [tag.strip() for tag in header.split(",")]
    if weak:
        tags = [tag.removeprefix("W/") for tag in tags]
    return "*" in tags or etag in tags


def _date(value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        found = parsedate_to_datetime(value)
    except ValueError:
        return None  # a date that cannot be read is as none (RFC 9110, 13.1.3)
    return found if found.tzinfo is not None else None
