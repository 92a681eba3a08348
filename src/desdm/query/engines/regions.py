"""Regions as text (STC-S: ``POLYGON ICRS …``, ``CIRCLE ICRS …``) and their intersection with circles."""

from __future__ import annotations

import math
from dataclasses import dataclass

from desdm.numbers import decimal_number
from desdm.sky.spherical import Vectors, angles_to, polygon_distance, unit

__all__ = ["Region", "read"]

#: Rounding of the angles that are compared, radians.
_ROUNDING = 1e-14


@dataclass(frozen=True, slots=True)
class Region:
    """A convex polygon (``corners``), or a circle about its only corner of ``radius`` radians."""

    corners: Vectors
    radius: float = 0.0

    def meets(self, ra: float, dec: float, radius: float) -> bool:
        """Tell whether a circle intersects the region.

        Parameters
        ----------
        ra, dec, radius
            Centre and radius, degrees.
        """
        point, reach = unit(ra, dec), math.radians(radius) + self.radius + _ROUNDING
        apart = angles_to(point, self.corners)
        if apart.min() <= reach:
            return True
        if len(self.corners) == 1:
            return False
        # Most regions of a table are far away: a polygon lies within the cap about one of its corners.
        cap = float(angles_to(self.corners[0], self.corners).max())
        if cap < math.pi / 2 and apart[0] > reach + cap:
            return False
        return polygon_distance(point, self.corners) <= reach


def read(text: str) -> Region | None:
    """Parse a region; return None for other text."""
    words = text.split()
    numbers = []
    for word in words[1:]:
        try:
            numbers.append(decimal_number(word))
        except ValueError:
            if numbers:
                return None
    if not words:
        return None
    if words[0].upper() == "CIRCLE" and len(numbers) == 3:
        return Region(unit(numbers[:1], numbers[1:2]), math.radians(numbers[2]))
    if words[0].upper() == "POLYGON" and len(numbers) >= 6 and len(numbers) % 2 == 0:
        return Region(unit(numbers[::2], numbers[1::2]))
    return None
