"""Constant regions on the sphere: HEALPix cells that cover them, and their bounding great circles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from desdm.sky import spherical

__all__ = [
    "area",
    "box_corners",
    "centre",
    "centroid",
    "circle_ranges",
    "inside",
    "pieces",
    "polygon_ranges",
    "polygons_intersect",
    "position",
    "separation",
    "vector",
    "vertices",
]

Vector = npt.NDArray[np.float64]
#: Largest number of ranges of cells in a condition; more cost more than they save.
_MOST = 24


def vector(ra: float, dec: float) -> Vector:
    """Return the unit vector of a position in degrees."""
    a, d = math.radians(ra), math.radians(dec)
    return np.array([math.cos(d) * math.cos(a), math.cos(d) * math.sin(a), math.sin(d)])


def vertices(numbers: Sequence[float]) -> list[Vector]:
    """Return the unit vectors of corners (ra, dec, ra, dec, … in degrees) without repeated ones."""
    corners: list[Vector] = []
    for ra, dec in zip(numbers[::2], numbers[1::2], strict=True):
        corner = vector(ra, dec)
        if not corners or np.linalg.norm(corner - corners[-1]) > 1e-13:
            corners.append(corner)
    if len(corners) > 1 and np.linalg.norm(corners[0] - corners[-1]) < 1e-13:
        corners.pop()
    return corners


def box_corners(ra: float, dec: float, width: float, height: float) -> list[float]:
    """Return the corners of a box (STC 1.33, 4.5.1.5): great circles at right angles to the arms through its centre.

    Parameters
    ----------
    ra, dec, width, height
        Centre and full sizes in degrees; sizes below 180.
    """
    x, y = math.tan(math.radians(width / 2)), math.tan(math.radians(height / 2))
    c = vector(ra, dec)
    east = np.array([-math.sin(math.radians(ra)), math.cos(math.radians(ra)), 0.0])
    north = np.cross(c, east)
    corners: list[float] = []
    for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        corners += position(c + sx * x * east + sy * y * north)
    return corners


def position(v: Vector) -> tuple[float, float]:
    """Return right ascension and declination of a direction, degrees."""
    return math.degrees(math.atan2(v[1], v[0])) % 360.0, math.degrees(
        math.atan2(v[2], math.hypot(v[0], v[1]))
    )


def centre(corners: Sequence[Vector]) -> Vector:
    """Return the mean direction of corners."""
    mean = np.mean(corners, axis=0)
    return np.asarray(mean / np.linalg.norm(mean))


def _plane(corners: Sequence[Vector]) -> list[tuple[float, float]]:
    """Project corners to the gnomonic plane at their centre, where great circles are straight; ValueError beyond it."""
    c = np.mean(corners, axis=0)
    if np.linalg.norm(c) < 1e-9:
        raise ValueError("its corners do not lie within a hemisphere")
    c = c / np.linalg.norm(c)
    if min(float(v @ c) for v in corners) < 1e-6:
        raise ValueError("its corners do not lie within a hemisphere")
    e1 = np.cross([0.0, 0.0, 1.0] if abs(c[2]) < 0.9 else [1.0, 0.0, 0.0], c)
    e1 /= np.linalg.norm(e1)
    e2 = np.cross(c, e1)
    return [(float(v @ e1 / (v @ c)), float(v @ e2 / (v @ c))) for v in corners]


def _cross(o: tuple[float, float], a: tuple[float, float], b: tuple[float, float]) -> float:
    """Return twice the signed area of a triangle in the plane."""
    return (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0])


def pieces(corners: Sequence[Vector]) -> list[list[Vector]]:
    """Divide a polygon into convex pieces: itself if it is convex, else triangles (ear clipping).

    Returns
    -------
    list
        The inward normals of the sides of each piece: a direction is inside if all products are >= 0.

    Raises
    ------
    ValueError
        The polygon has no area, intersects itself, or does not fit into a hemisphere.
    """
    if len(corners) < 3:
        raise ValueError("a polygon needs three corners that differ")
    flat = _plane(corners)
    closed_polygon = [*flat, flat[0]]
    signed = sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(closed_polygon)) / 2
    if abs(signed) < 1e-24:
        raise ValueError("it has no area")
    if _crosses(flat):
        raise ValueError("its sides cross each other")
    order = list(range(len(corners))) if signed > 0 else list(reversed(range(len(corners))))
    turns = [
        _cross(flat[order[i - 1]], flat[order[i]], flat[order[(i + 1) % len(order)]])
        for i in range(len(order))
    ]
    if min(turns) >= -1e-18:
        return [_sides([corners[i] for i in order])]
    return [_sides([corners[i] for i in triangle]) for triangle in _ears(order, flat)]


def _crosses(flat: list[tuple[float, float]]) -> bool:
    """Tell whether two sides of a plane polygon cross."""
    n = len(flat)
    for i in range(n):
        for j in range(i + 2, n - (i == 0)):
            a, b, c, d = flat[i], flat[(i + 1) % n], flat[j], flat[(j + 1) % n]
            if _cross(a, b, c) * _cross(a, b, d) < 0 and _cross(c, d, a) * _cross(c, d, b) < 0:
                return True
    return False


def _ears(order: list[int], flat: list[tuple[float, float]]) -> list[tuple[int, int, int]]:
    """Divide a plane polygon into triangles by ear clipping."""
    left, triangles = list(order), []
    while len(left) > 3:
        for i in range(len(left)):
            a, b, c = left[i - 1], left[i], left[(i + 1) % len(left)]
            if _cross(flat[a], flat[b], flat[c]) <= 0:
                continue
            others = (flat[k] for k in left if k not in (a, b, c))
            if not any(_within(p, flat[a], flat[b], flat[c]) for p in others):
                triangles.append((a, b, c))
                left.pop(i)
                break
        else:
            break
    triangles.append((left[0], left[1], left[2]))
    return triangles


def _within(p: tuple[float, float], *corners: tuple[float, float]) -> bool:
    """Tell whether a point lies in a triangle whose corners turn left."""
    a, b, c = corners
    return _cross(a, b, p) >= 0 and _cross(b, c, p) >= 0 and _cross(c, a, p) >= 0


def _sides(corners: list[Vector]) -> list[Vector]:
    """Return the inward unit normals of a convex polygon's sides."""
    normals = [np.cross(a, b) for a, b in pairwise([*corners, corners[0]])]
    return [n / np.linalg.norm(n) for n in normals]


def inside(normals: Sequence[Vector], v: Vector) -> bool:
    """Tell whether a direction lies in a convex piece."""
    return all(float(n @ v) >= -1e-14 for n in normals)


def area(corners: Sequence[Vector]) -> float:
    """Return the area of a simple polygon within a hemisphere, square degrees (sum of signed triangles)."""
    _plane(corners)
    c, total = centre(corners), 0.0
    for a, b in pairwise([*corners, corners[0]]):
        # Van Oosterom & Strackee 1983: the solid angle of a triangle from its three directions.
        top = float(np.dot(c, np.cross(a, b)))
        total += 2 * math.atan2(top, 1 + float(c @ a) + float(a @ b) + float(b @ c))
    return abs(total) * math.degrees(1.0) ** 2


def _order(size: float) -> int:
    """Return the order whose cells are an eighth of ``size`` (degrees), within the orders of hpgeom."""
    return max(3, min(24, math.ceil(math.log2(58.6 / max(size, 1e-6))) + 2))


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Merge ranges (first, last) across the smallest gaps until there are at most `_MOST`."""
    while len(ranges) > _MOST:
        gaps = sorted(b[0] - a[1] for a, b in pairwise(ranges))
        limit = gaps[len(ranges) - _MOST - 1]
        merged = [ranges[0]]
        for low, high in ranges[1:]:
            if low - merged[-1][1] <= limit:
                merged[-1] = (merged[-1][0], high)
            else:
                merged.append((low, high))
        ranges = merged
    return ranges


def circle_ranges(ra: float, dec: float, radius: float) -> list[tuple[int, int]]:
    """Return ranges of ``hpix29`` that cover a circle.

    Parameters
    ----------
    ra, dec, radius
        Centre and radius, degrees.

    Returns
    -------
    list
        First and last cell of each range; empty for the whole sky.
    """
    import hpgeom

    if radius >= 60:
        return []
    # Slightly more than the radius, so that a circle of radius 0 contains its centre.
    size = radius + 1e-6
    order = _order(2 * size)
    ranges = hpgeom.query_circle(
        2**order, ra % 360.0, dec, size, inclusive=True, nest=True, return_pixel_ranges=True
    )
    shift = 2 * (29 - order)
    return _merged([(int(a) << shift, (int(b) << shift) - 1) for a, b in ranges])


def polygon_ranges(corners: Sequence[Vector]) -> list[tuple[int, int]]:
    """Return ranges of ``hpix29`` that cover the cap around a polygon's corners."""
    c = centre(corners)
    reach = max(math.acos(max(-1.0, min(1.0, float(c @ v)))) for v in corners)
    ra, dec = position(c)
    return circle_ranges(ra, dec, math.degrees(reach))


def polygons_intersect(
    first: list[list[Vector]],
    a: list[Vector],
    second: list[list[Vector]],
    b: list[Vector],
) -> bool:
    """Tell whether two polygons intersect: a corner of one lies in the other, or sides cross.

    Parameters
    ----------
    first, second
        Inward normals of the sides of the convex pieces of each polygon.
    a, b
        Unit vectors of the corners of each.
    """
    if any(inside(p, v) for p in second for v in a) or any(inside(p, v) for p in first for v in b):
        return True
    one, other = np.array(a), np.array(b)
    return spherical.arcs_cross(one, np.roll(one, -1, axis=0), other, np.roll(other, -1, axis=0))


def centroid(corners: list[Vector]) -> Vector:
    """Return the direction of a polygon's centre of mass (Brock 1975: half the sum of angle times normal)."""
    pieces(corners)
    total = np.zeros(3)
    for a, b in zip(corners, [*corners[1:], corners[0]], strict=True):
        n = np.cross(a, b)
        length = float(np.linalg.norm(n))
        total += n / length * math.atan2(length, float(a @ b))
    if total @ centre(corners) < 0:
        total = -total
    return np.asarray(total / np.linalg.norm(total))


def separation(a1: float, d1: float, a2: float, d2: float) -> float:
    """Return the angular distance of two positions, degrees.

    Parameters
    ----------
    a1, d1, a2, d2
        Right ascension and declination of both, degrees.
    """
    u, v = vector(a1, d1), vector(a2, d2)
    return math.degrees(math.atan2(float(np.linalg.norm(np.cross(u, v))), float(u @ v)))
