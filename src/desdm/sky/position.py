"""A position as people type it: degrees, or hours and degrees with minutes and seconds."""

from __future__ import annotations

import math
import re

from desdm.errors import UsageError

__all__ = ["read_position"]

_WANTED = "a position is two numbers in degrees (30.1 -5.2) or 02:00:24 -05:12:00, ICRS"
_HOURS = re.compile(r"[hms]|[d°'\"′″]", re.IGNORECASE)


def read_position(text: str) -> tuple[float, float]:
    """Right ascension and declination, ICRS degrees, of ``30.1 -5.2``, ``30.1,-5.2``, ``02:00:24 -05:12:00``,
    ``2h0m24s -5d12m0s`` or ``02 00 24 -05 12 00``.

    Raises
    ------
    UsageError
        It is not a position.
    """
    words = _HOURS.sub(":", text).replace(",", " ").replace("\u2212", "-").split()
    words = [re.sub(r":+", ":", word).strip(":") for word in words]
    if len(words) == 6:
        words = [":".join(words[:3]), ":".join(words[3:])]
    if len(words) != 2:
        raise UsageError(f"{text[:60]!r}: {_WANTED}")
    hours = ":" in words[0]
    ra, dec = (_number(word, text) for word in words)
    ra *= 15.0 if hours else 1.0
    if not -90 <= dec <= 90 or not 0 <= ra <= 360:
        raise UsageError(
            f"{text[:60]!r}: right ascension is between 0 and 360, declination between -90 and 90"
        )
    return ra % 360, dec


def _number(word: str, text: str) -> float:
    """Parse one coordinate: a number, or up to three parts with colons."""
    try:
        parts = [float(part) for part in word.lstrip("+-").split(":")]
    except ValueError:
        parts = []
    if (
        not 1 <= len(parts) <= 3
        or not all(math.isfinite(p) and p >= 0 for p in parts)
        or max(parts[1:], default=0) >= 60
    ):
        raise UsageError(f"{text[:60]!r}: {_WANTED}")
    value = sum(part / 60.0**i for i, part in enumerate(parts))
    return -value if word.startswith("-") else value
