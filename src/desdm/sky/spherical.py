"""Whether regions of the sphere have a point in common, by exact geometry: polygons of great circles, circles, and ranges.

Two connected regions meet where their borders cross, or where one holds a point of the other: no border is sampled, so
that no region is too thin. All directions are unit vectors (last axis 3), all angles radians unless a name says ``deg``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "SLACK",
    "Bounds",
    "Vectors",
    "angles_to",
    "arcs_cross",
    "arcs_distance",
    "polygon_contains",
    "polygon_distance",
    "polygons_meet",
    "unit",
]

Vectors = npt.NDArray[np.float64]
#: Rounding of positions: 1 mas. What touches within it meets.
SLACK = math.radians(1e-3 / 3600)
#: Rounding of products of unit vectors.
_ROUNDING = 1e-15


def unit(ra: npt.ArrayLike, dec: npt.ArrayLike) -> Vectors:
    """Unit vectors, last axis 3, of positions in degrees."""
    a, d = np.radians(np.asarray(ra, float)), np.radians(np.asarray(dec, float))
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)


def angles_to(point: Vectors, others: Vectors) -> npt.NDArray[np.float64]:
    """Angles from a point to others; by the chord, which is right for the smallest angles, too."""
    chord = np.linalg.norm(others - point, axis=-1)
    angle: npt.NDArray[np.float64] = 2 * np.arcsin(np.clip(chord / 2, 0, 1))
    return angle


def arcs_distance(point: Vectors, begins: Vectors, ends: Vectors) -> float:
    """Angle from a point to the nearest of arcs of great circles, each shorter than half a circle.

    Parameters
    ----------
    point
        Direction, shape (3,).
    begins, ends
        Where each arc begins and ends, shape (n, 3).
    """
    normals = np.cross(begins, ends)
    lengths = np.linalg.norm(normals, axis=1)
    sides = lengths > 0
    normals = normals[sides] / lengths[sides, None]
    # The foot of the perpendicular lies on the arc where the point is beside it, not before or behind.
    beside = (np.cross(normals, begins[sides]) @ point >= 0) & (np.cross(ends[sides], normals) @ point >= 0)
    feet = np.arcsin(np.clip(np.abs(normals @ point), 0, 1))[beside]
    return float(np.concatenate([angles_to(point, begins), angles_to(point, ends), feet]).min())


def polygon_contains(point: Vectors, corners: Vectors) -> bool:
    """Whether a direction lies in a polygon that is smaller than half the sphere; corners (n, 3) in either order."""
    # The bearings of the corners, seen from the point, go once round exactly when it is inside. From a polygon's
    # antipode they do too.
    if point @ corners.sum(axis=0) <= 0:
        return False
    first = corners - np.outer(corners @ point, point)
    second = np.roll(first, -1, axis=0)
    turned = np.arctan2(np.cross(first, second) @ point, np.einsum("ij,ij->i", first, second))
    return bool(abs(turned.sum()) > np.pi)


def polygon_distance(point: Vectors, corners: Vectors) -> float:
    """Angle from a point to a spherical polygon; 0 inside.

    Parameters
    ----------
    point
        Unit vector, shape (3,).
    corners
        Unit vectors in either order round the polygon, shape (n, 3); sides are great circles, and it is
        smaller than half the sphere.
    """
    if polygon_contains(point, corners):
        return 0.0
    return arcs_distance(point, corners, np.roll(corners, -1, axis=0))


def _cap(corners: Vectors) -> tuple[Vectors, float]:
    """Centre and angular radius of a cap that holds a polygon smaller than half the sphere."""
    centre = corners.sum(axis=0)
    centre /= math.sqrt(float(centre @ centre))
    chord = math.sqrt(float(((corners - centre) ** 2).sum(axis=1).max()))
    return centre, 2 * math.asin(min(1.0, chord / 2))


def polygons_meet(one: Vectors, other: Vectors) -> bool:
    """Whether two polygons of great circles, each smaller than half the sphere, have a point in common.

    Parameters
    ----------
    one, other
        Corners in either order round each polygon, shapes (n, 3) and (m, 3); dents are allowed.
    """
    (p, r), (q, t) = _cap(one), _cap(other)
    if float(angles_to(p, q)) > r + t + SLACK:
        return False
    if polygon_distance(one[0], other) <= SLACK or polygon_distance(other[0], one) <= SLACK:
        return True
    return arcs_cross(one, np.roll(one, -1, axis=0), other, np.roll(other, -1, axis=0))


def arcs_cross(begins: Vectors, ends: Vectors, others: Vectors, other_ends: Vectors) -> bool:
    """Whether any arc of one set crosses, or touches, any of another; each arc is shorter than half a circle.

    Parameters
    ----------
    begins, ends
        Arcs of the one set, shape (n, 3).
    others, other_ends
        Arcs of the other set, shape (m, 3).
    """
    n, m = np.cross(begins, ends), np.cross(others, other_ends)
    p, q = n @ others.T, n @ other_ends.T  # (n, m): heights of the others' ends over each arc
    r, s = begins @ m.T, ends @ m.T
    opposite = (p * q <= 0) & (r * s <= 0)
    # Two great circles cross at two places: the one on the other arc must lie on this arc's half.
    i, j = np.nonzero(opposite & (np.abs(p) + np.abs(q) > _ROUNDING))
    place = others[j] * np.abs(q[i, j])[:, None] + other_ends[j] * np.abs(p[i, j])[:, None]
    if (np.einsum("ij,ij->i", place, begins[i] + ends[i]) > 0).any():
        return True
    # Ends that touch an arc within the rounding of positions, arcs on one circle among them.
    return any(arcs_distance(e, others, other_ends) <= SLACK for e in begins) or any(
        arcs_distance(e, begins, ends) <= SLACK for e in others
    )


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of right ascension and declination: sides are meridians and parallels, which are no great circles.

    Attributes
    ----------
    ra_deg, span_deg
        Western bound, and degrees from it to the east, 0 to 360.
    dec1_deg, dec2_deg
        Southern and northern bound.
    """

    ra_deg: float
    span_deg: float
    dec1_deg: float
    dec2_deg: float

    def contains(self, points: Vectors) -> npt.NDArray[np.bool_]:
        """Whether directions (…, 3) lie in it, or within 1 mas of its border."""
        ra = np.degrees(np.arctan2(points[..., 1], points[..., 0]))
        across = np.hypot(points[..., 0], points[..., 1])
        dec, slack = np.degrees(np.arctan2(points[..., 2], across)), math.degrees(SLACK)
        aside = slack / np.maximum(across, SLACK)
        east = (ra - self.ra_deg + aside) % 360.0 <= self.span_deg + 2 * aside
        pole = across <= SLACK
        return np.asarray(
            (east | pole | (self.span_deg >= 360.0))
            & (dec >= self.dec1_deg - slack)
            & (dec <= self.dec2_deg + slack)
        )

    def meets(self, corners: Vectors) -> bool:
        """Whether it has a point in common with a polygon smaller than half the sphere; corners (n, 3)."""
        centre, radius = _cap(corners)
        if self._least_distance(centre) > radius + 2 * SLACK:
            return False
        if self.contains(corners).any():
            return True
        own = unit([self.ra_deg, self.ra_deg + self.span_deg] * 2, [self.dec1_deg] * 2 + [self.dec2_deg] * 2)
        if any(polygon_distance(place, corners) <= SLACK for place in own):
            return True
        ends = np.roll(corners, -1, axis=0)
        return any(self._parallel_crosses(a, b) for a, b in zip(corners, ends, strict=True)) or (
            self.span_deg < 360.0 and arcs_cross(corners, ends, *self._meridians())
        )

    def distance(self, point: Vectors) -> float:
        """Angle from a direction to it; 0 inside."""
        if self.contains(point).all():
            return 0.0
        ra = math.degrees(math.atan2(point[1], point[0]))
        dec = math.atan2(point[2], math.hypot(point[0], point[1]))
        distances = [arcs_distance(point, *self._meridians())]
        if (ra - self.ra_deg) % 360.0 <= self.span_deg:
            # The nearest point of a parallel lies on the same meridian.
            distances += [abs(dec - math.radians(d)) for d in (self.dec1_deg, self.dec2_deg)]
        return min(distances)

    def _least_distance(self, point: Vectors) -> float:
        """Angle that a direction is at least away: from the parallels' zone, and from the meridians' lune."""
        x, y, z = point.tolist()
        across = math.hypot(x, y)
        dec = math.atan2(z, across)
        zone = max(math.radians(self.dec1_deg) - dec, dec - math.radians(self.dec2_deg), 0.0)
        east = (math.degrees(math.atan2(y, x)) - self.ra_deg) % 360.0
        if east <= self.span_deg:
            return zone
        # Beyond a quarter turn the nearest point of a meridian is its pole.
        aside = min(east - self.span_deg, 360.0 - east, 90.0)
        return max(zone, math.asin(min(1.0, across * math.sin(math.radians(aside)))))

    def _meridians(self) -> tuple[Vectors, Vectors]:
        """The two sides along meridians, each in two halves: none is as long as half a circle."""
        middle = (self.dec1_deg + self.dec2_deg) / 2
        ras = [self.ra_deg] * 2 + [self.ra_deg + self.span_deg] * 2
        return unit(ras, [self.dec1_deg, middle] * 2), unit(ras, [middle, self.dec2_deg] * 2)

    def _parallel_crosses(self, a: Vectors, b: Vectors) -> bool:
        """Whether an arc of a great circle crosses the side along either parallel."""
        forward = b - (a @ b) * a
        norm = float(np.linalg.norm(forward))
        if norm == 0.0:
            return False
        forward, length = forward / norm, math.atan2(norm, float(a @ b))
        # Height along the arc is R cos(t - phase).
        top, phase = math.hypot(a[2], forward[2]), math.atan2(forward[2], a[2])
        for dec in (self.dec1_deg, self.dec2_deg):
            height = math.sin(math.radians(dec))
            if abs(height) > top + SLACK or top == 0.0:
                continue
            away = math.acos(max(-1.0, min(1.0, height / top)))
            for t in (phase + away, phase - away):
                turned = (t + SLACK) % (2 * math.pi) - SLACK
                if turned <= length + SLACK and self.contains(
                    a * math.cos(turned) + forward * math.sin(turned)
                ):
                    return True
        return False
