"""The air mass of an exposure: which values can be, and which go with a distance from the zenith."""

from __future__ import annotations

import math
from collections.abc import Callable

__all__ = ["LEAST", "MOST", "airmass_at", "airmass_of", "differ", "disagrees"]

#: What a plane-parallel air mass at the zenith may be rounded to, and more than what is at the horizon: 38 (Kasten &
#: Young 1989, Applied Optics 28, 4735). Sentinels for "not measured" (-1, 0, 99) lie outside.
LEAST, MOST = 0.99, 39.0
#: The sky turns by this many degrees a second; keywords may be of the begin, middle or end of an exposure.
_TURN = 15.0 / 3600.0
#: Degrees, and share of the air mass, by which two keywords of one pointing may differ.
_SLACK, _SHARE = 2.0, 0.03


def airmass_of(get: Callable[[str], object]) -> float | None:
    """Return AIRMASS by the values of a header; None if it is absent, no number, or not possible."""
    value = get("AIRMASS")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if LEAST <= value <= MOST else None


def airmass_at(zenith_distance: float) -> float:
    """Air mass at an apparent distance from the zenith, 0 to 90 degrees (Pickering 2002, DIO 12, 1, 20)."""
    height = 90.0 - zenith_distance
    return 1.0 / math.sin(math.radians(height + 244.0 / (165.0 + 47.0 * height**1.1)))


def differ(one: float, other: float) -> bool:
    """Whether two air masses cannot be of one exposure: a camera may write those of its CCDs, or of begin and end."""
    heights = [math.degrees(math.acos(1.0 / max(1.0, value))) for value in (one, other)]
    return abs(heights[0] - heights[1]) > _SLACK and abs(one - other) > _SHARE * min(one, other)


def disagrees(airmass: float, zenith_distance: float, exptime: float) -> bool:
    """Whether an air mass cannot be that of a pointing.

    Parameters
    ----------
    airmass
        As a header has it.
    zenith_distance
        Degrees, of the same header.
    exptime
        Seconds; either value may be of any moment of the exposure.
    """
    slack = _SLACK + max(0.0, exptime) * _TURN
    low, high = (min(90.0, max(0.0, zenith_distance + s)) for s in (-slack, slack))
    return not airmass_at(low) * (1 - _SHARE) <= airmass <= airmass_at(high) * (1 + _SHARE)
