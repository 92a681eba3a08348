"""Timestamps in texts from outside, as DALI 1.1 (section 3.3.3) writes them, and with an offset from UTC."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

__all__ = ["FORM", "PATTERN", "XTYPES", "parse_timestamp", "timestamp_text"]

#: Values of xtype that stand for a timestamp: of DALI 1.1, and of TAP 1.0 before it.
XTYPES = ("timestamp", "adql:TIMESTAMP")

#: What a message says that a timestamp is.
FORM = "YYYY-MM-DD or YYYY-MM-DDThh:mm:ss.sss, in UTC or with an offset such as +02:00"

#: Date, time and offset from UTC; Python and PostgreSQL read it alike.
PATTERN = (
    "((?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01]))"
    "(?:[T ]((?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.][0-9]+)?)?)"
    "(?:Z|([+-](?:0[0-9]|1[0-5])(?::?[0-5][0-9])?))?)?"
)
_TIMESTAMP = re.compile(PATTERN)
#: Characters of a time of day down to the microsecond, which is as fine as the engines store it.
_MICROSECONDS = len("hh:mm:ss.ssssss")


def parse_timestamp(text: str) -> datetime:
    """Return the time of a text in UTC, without zone; digits below a microsecond are dropped.

    DALI has no other zone than UTC, but files that other programs write have numeric offsets, which say which time is
    meant; the names of zones, the order of day and month, and words such as ``now`` do not, or not everywhere.

    Raises
    ------
    ValueError
        The text is not a timestamp of this form, or there is no such day.
    """
    match = _TIMESTAMP.fullmatch(text.strip(" \t\r\n"))
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a timestamp: write {FORM}")
    day, time, offset = match.groups()
    try:
        value = datetime.fromisoformat(f"{day}T{(time or '00:00')[:_MICROSECONDS]}")
        return value - _shift(offset) if offset else value
    except (ValueError, OverflowError) as err:
        raise ValueError(f"{text[:40]!r} is not a timestamp: there is no such time") from err


def timestamp_text(text: str) -> str:
    """Return a timestamp in UTC as the engines read it, ``2026-11-22T03:04:05.678``; `ValueError` if it is not one."""
    return parse_timestamp(text).isoformat()


def _shift(offset: str) -> timedelta:
    """Return how far the clocks of an offset are ahead of UTC."""
    digits = offset[1:].replace(":", "").ljust(4, "0")
    ahead = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return -ahead if offset[0] == "-" else ahead
