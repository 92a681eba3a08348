"""Regions as text (STC-S: ``POLYGON ICRS …``, ``CIRCLE ICRS …``): whether a circle touches them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from desdm.numbers import decimal_number

__all__ = ["Region", "read"]

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Region:
    """A convex polygon (``corners``), or a circle about its only corner of ``radius`` radians."""

    corners: Vector
    radius: float = 0.0

    def meets(self, ra: float, dec: float, radius: float) -> bool:
        """Tell whether a circle touches the region.

        Parameters
        ----------
        ra, dec, radius
            Centre and radius, degrees.
        """
        p, reach = _unit(ra, dec), math.radians(radius) + self.radius + 1e-14
        if np.min(_angle(self.corners, p)) <= reach:
            return True
        if len(self.corners) == 1:
            return False
        begins, ends = self.corners, np.roll(self.corners, -1, axis=0)
        normals = np.cross(begins, ends)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        heights = normals @ p
        if p @ np.mean(begins, axis=0) > 0 and ((heights >= -1e-14).all() or (heights <= 1e-14).all()):
            return True
        beside = (np.cross(normals, begins) @ p >= 0) & (np.cross(ends, normals) @ p >= 0)
        return bool((beside & (np.abs(np.arcsin(np.clip(heights, -1, 1))) <= reach)).any())


def _unit(ra: float, dec: float) -> Vector:
    """Return the unit vector of a position in degrees."""
    a, d = math.radians(ra), math.radians(dec)
    return np.array([math.cos(d) * math.cos(a), math.cos(d) * math.sin(a), math.sin(d)])


def _angle(corners: Vector, p: Vector) -> Vector:
    """Return the angles (radians) between corners and a direction."""
    apart = np.linalg.norm(corners - p, axis=1)
    return np.asarray(2 * np.arcsin(np.clip(apart / 2, 0, 1)))


def read(text: str) -> Region | None:
    """A region from its text; None if it is none that is known."""
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
        return Region(np.array([_unit(numbers[0], numbers[1])]), math.radians(numbers[2]))
    if words[0].upper() == "POLYGON" and len(numbers) >= 6 and len(numbers) % 2 == 0:
        return Region(np.array([_unit(a, d) for a, d in zip(numbers[::2], numbers[1::2], strict=True)]))
    return None
