"""Conditional requests: status of the preconditions, and validity of ranges (RFC 9110, section 13)."""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from starlette.datastructures import Headers

__all__ = ["precondition_status", "ranges_count"]


def precondition_status(headers: Headers, etag: str, modified: datetime) -> Literal[200, 304, 412]:
    """Return the status that the preconditions lead to, in the order of RFC 9110, 13.2.2.

    Parameters
    ----------
    headers
        Headers of the request, which is GET or HEAD.
    etag
        Strong validator of the file, in quotes.
    modified
        Time of its last change, UTC, whole seconds.
    """
    match, unmodified = headers.get("if-match"), _date(headers.get("if-unmodified-since"))
    if match is not None:
        if not _matches(etag, match, weak=False):
            return 412
    elif unmodified is not None and modified > unmodified:
        return 412
    none, since = headers.get("if-none-match"), _date(headers.get("if-modified-since"))
    if none is not None:
        return 304 if _matches(etag, none, weak=True) else 200
    return 304 if since is not None and modified <= since else 200


def ranges_count(headers: Headers, etag: str, modified: datetime) -> bool:
    """Whether ``Range`` applies: without ``If-Range``, or if that matches this version of the file (RFC 9110, 13.1.5).

    Parameters
    ----------
    headers
        Headers of the request.
    etag
        Strong validator of the file, in quotes.
    modified
        Time of its last change, UTC, whole seconds.

    Returns
    -------
    bool
        False: the whole file is sent.
    """
    if_range = headers.get("if-range")
    if if_range is None:
        return True
    if_range = if_range.strip()
    if '"' in if_range:
        return if_range == etag  # a weak validator begins with W/ and never matches
    return _date(if_range) == modified


def _matches(etag: str, header: str, *, weak: bool) -> bool:
    """Whether a header with validators contains one."""
    tags = [tag.strip() for tag in header.split(",")]
    if weak:
        tags = [tag.removeprefix("W/") for tag in tags]
    return "*" in tags or etag in tags


def _date(value: str | None) -> datetime | None:
    """Parse an HTTP date; None if it is absent or invalid."""
    if value is None:
        return None
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None  # an invalid date is ignored (RFC 9110, 13.1.3)
    return date if date.tzinfo is not None else None
