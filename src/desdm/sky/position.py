"""A position as people type it: degrees, or hours and degrees with minutes and seconds."""

from __future__ import annotations

import math
import re

from desdm.errors import UsageError

__all__ = ["read_position"]

_WANTED = "a position is two numbers in degrees (30.1 -5.2) or 02:00:24 -05:12:00, ICRS"
_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?"
_LAST = r"\d+(?:\.\d*)?"
#: One coordinate. Only its last part may have a fraction.
_COORDINATE = rf"""
    (?P<sign{{n}}>[+-]?)\s*(?:
        (?P<plain{{n}}>{_NUMBER})
      | (?P<colons{{n}}>\d+\s*:\s*{_LAST}|\d+\s*:\s*\d+\s*:\s*{_LAST}):?
      | (?P<units{{n}}>{_LAST}\s*[hd°]|\d+\s*[hd°]\s*{_LAST}\s*[m'′]?|\d+\s*[hd°]\s*\d+\s*[m'′]?\s+{_LAST}\s*[s"″]?
          |\d+\s*[hd°]\s*\d+\s*[m'′]\s*{_LAST}\s*[s"″]?)
    )"""
_POSITION = re.compile(
    rf"\s*{_COORDINATE.format(n=1)}(?:\s*,\s*|\s+|(?=[+-])){_COORDINATE.format(n=2)}\s*",
    re.VERBOSE | re.IGNORECASE,
)
_BLANKS = re.compile(
    rf"\s*([+-]?)(\d+)[\s,]+(\d+)[\s,]+({_LAST})[\s,]+([+-]?)(\d+)[\s,]+(\d+)[\s,]+({_LAST})\s*"
)
_PARTS = re.compile(r"[\d.]+")


def read_position(text: str) -> tuple[float, float]:
    """Right ascension and declination, ICRS degrees, of ``30.1 -5.2``, ``30.1,-5.2``, ``02:00:24 -05:12:00``,
    ``2h0m24s -5d12m0s``, ``30d6m0s -5d12m0s`` or ``02 00 24 -05 12 00``.

    A right ascension with colons or blanks is in hours, one with units in that of its first part.

    Raises
    ------
    UsageError
        It is not a position.
    """
    plain = text.replace("\u2212", "-").replace("''", '"')
    blanks = _BLANKS.fullmatch(plain)
    if blanks:
        ra = 15.0 * _joined(blanks[1], [blanks[2], blanks[3], blanks[4]], text)
        dec = _joined(blanks[5], [blanks[6], blanks[7], blanks[8]], text)
    else:
        match = _POSITION.fullmatch(plain)
        if match is None or "h" in (match["units2"] or "").lower():
            raise UsageError(f"{text[:60]!r}: {_WANTED}")
        ra, dec = (_coordinate(match, n, text) for n in (1, 2))
        if match["colons1"] or "h" in (match["units1"] or "").lower():
            ra *= 15.0
    if not -90 <= dec <= 90 or not 0 <= ra <= 360:
        raise UsageError(
            f"{text[:60]!r}: right ascension is between 0 and 360, declination between -90 and 90"
        )
    return ra % 360, dec


def _coordinate(match: re.Match[str], n: int, text: str) -> float:
    """Return a coordinate in its own unit."""
    if match[f"plain{n}"]:
        return _joined(match[f"sign{n}"], [match[f"plain{n}"]], text)
    return _joined(match[f"sign{n}"], _PARTS.findall(match[f"colons{n}"] or match[f"units{n}"]), text)


def _joined(sign: str, parts: list[str], text: str) -> float:
    """Return the value of a whole with its minutes and seconds."""
    values = [float(part) for part in parts]
    if max(values[1:], default=0.0) >= 60 or not all(map(math.isfinite, values)):
        raise UsageError(f"{text[:60]!r}: {_WANTED}")
    value = sum(part / 60.0**i for i, part in enumerate(values))
    return -value if sign == "-" else value
