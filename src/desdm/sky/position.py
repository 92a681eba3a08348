"""A position as people type it: degrees, or hours and degrees with minutes and seconds."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from desdm.errors import UsageError

__all__ = ["read_position"]

_WANTED = "a position is two numbers in degrees (30.1 -5.2) or 02:00:24 -05:12:00, ICRS"
_MOST = 200
_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?"
#: Only the last part of a coordinate may have a fraction.
_LAST = r"\d+(?:\.\d*)?"
#: Blanks around the signs of units belong to them.
_UNIT = re.compile(r"\s*([hdms:°'\"′″])\s*", re.IGNORECASE)
#: Where the second coordinate begins: at a sign that is not that of an exponent.
_SIGN = re.compile(r"(?<=[^e,])(?=[+-])", re.IGNORECASE)
_PLAIN = re.compile(_NUMBER, re.IGNORECASE)
_COLONS = re.compile(rf"(\d+):(?:(\d+):)?({_LAST})")
_BLANKS = re.compile(rf"(\d+) (\d+) ({_LAST})")
_UNITS = re.compile(
    rf"({_LAST})[hd°]|(\d+)[hd°]({_LAST})[m'′]?|(\d+)[hd°](\d+)[m'′ ]({_LAST})[s\"″]?", re.IGNORECASE
)


class _Coordinate(NamedTuple):
    """One coordinate in its own unit: ``hours`` None where it is a plain number."""

    value: float
    hours: bool | None
    #: whether minutes and seconds follow blanks
    blanks: bool = False


def read_position(text: str) -> tuple[float, float]:
    """Right ascension and declination, ICRS degrees, of ``30.1 -5.2``, ``30.1,-5.2``, ``02:00:24 -05:12:00``,
    ``2h0m24s -5d12m0s``, ``30d6m0s -5d12m0s`` or ``02 00 24 -05 12 00``.

    A right ascension with colons or blanks is in hours, one with units in that of its first part.

    Raises
    ------
    UsageError
        It is not a position.
    """
    first, second = _halves(text)
    ra, dec = (_coordinate(half, text, hours=n == 0) for n, half in enumerate((first, second)))
    # 2 -5 10 20 may mean hours: both coordinates have minutes and seconds, or neither.
    if dec.hours or (dec.blanks and ra.hours is None):
        raise UsageError(f"{text[:60]!r}: {_WANTED}")
    alpha = ra.value * (15.0 if ra.hours else 1.0)
    if not -90 <= dec.value <= 90 or not 0 <= alpha <= 360:
        raise UsageError(
            f"{text[:60]!r}: right ascension is between 0 and 360, declination between -90 and 90"
        )
    return alpha % 360, dec.value


def _halves(text: str) -> tuple[str, str]:
    """Return the texts of the two coordinates, with single blanks."""
    plain = " ".join(text[: _MOST + 1].replace("\u2212", "-").replace("''", '"').replace(",", " ").split())
    parts = [part.strip() for part in _SIGN.split(plain)] if len(text) <= _MOST else []
    if len(parts) == 1:
        words = plain.split()
        half = len(words) // 2
        parts = [" ".join(words[:half]), " ".join(words[half:])] if len(words) in (2, 6) else []
    if len(parts) != 2:
        raise UsageError(f"{text[:60]!r}: {_WANTED}")
    return parts[0], parts[1]


def _coordinate(half: str, text: str, *, hours: bool) -> _Coordinate:
    """Return one coordinate; ``hours``: with colons or blanks it is in hours."""
    sign = -1.0 if half.startswith("-") else 1.0
    word = _UNIT.sub(r"\1", half.lstrip("+-").strip())
    if _PLAIN.fullmatch(word):
        return _Coordinate(sign * _joined([word], text), None)
    if match := _COLONS.fullmatch(word):
        return _Coordinate(sign * _joined([g for g in match.groups() if g], text), hours)
    if match := _BLANKS.fullmatch(word):
        return _Coordinate(sign * _joined(list(match.groups()), text), hours, blanks=True)
    if match := _UNITS.fullmatch(word):
        value = sign * _joined([g for g in match.groups() if g], text)
        return _Coordinate(value, "h" in word.lower())
    raise UsageError(f"{text[:60]!r}: {_WANTED}")


def _joined(parts: list[str], text: str) -> float:
    """Return the value of a whole with its minutes and seconds."""
    values = [float(part) for part in parts]
    if max(values[1:], default=0.0) >= 60 or not all(map(math.isfinite, values)):
        raise UsageError(f"{text[:60]!r}: {_WANTED}")
    return sum(part / 60.0**i for i, part in enumerate(values))
