"""Stencils of a cutout on the sky: CIRCLE, POLYGON and RANGE (SODA 1.0 section 3.3), and boxes of so many arcmin."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from desdm.errors import UsageError
from desdm.numbers import decimal_number
from desdm.sky import spherical
from desdm.sky.spherical import unit

__all__ = ["Around", "Circle", "Polygon", "Range", "Stencil", "angles", "frame", "stencils_of"]

Floats = npt.NDArray[np.float64]
_STEPS = 720  # points of a circle's outline: between them it bulges by 1e-5 of its radius


class Stencil(Protocol):
    """A region of the sky, ICRS, degrees."""

    @property
    def text(self) -> str:
        """The region in the syntax of SODA's POS."""

    def outline(self) -> tuple[Floats, Floats]:
        """Points of its edge (RA, Dec), close to one another."""

    def edge_within(self, toward: Floats, reach: float) -> Floats:
        """Points (n, 3) of the part of its edge within ``reach`` (radians) of a direction; maybe none."""

    def contains(self, points: Floats) -> npt.NDArray[np.bool_]:
        """Whether points, unit vectors (…, 3), lie in it."""

    def centre(self) -> tuple[float, float]:
        """A point of it (RA, Dec)."""

    def meets(self, corners: Floats) -> bool:
        """Whether it has a point in common with a polygon of great circles: unit vectors (n, 3) of its corners."""

    def distance(self, point: Floats) -> float:
        """Angle (radians) from a direction, a unit vector, to it; 0 inside."""


def angles(v: Floats) -> tuple[Floats, Floats]:
    """RA within [0, 360) and Dec, degrees, of vectors (…, 3)."""
    return np.degrees(np.arctan2(v[..., 1], v[..., 0])) % 360.0, np.degrees(
        np.arctan2(v[..., 2], np.hypot(v[..., 0], v[..., 1]))
    )


def frame(ra: float, dec: float) -> tuple[Floats, Floats, Floats]:
    """Unit vectors towards a point, and there to the east and to the north."""
    a, d = math.radians(ra), math.radians(dec)
    toward = np.array([math.cos(d) * math.cos(a), math.cos(d) * math.sin(a), math.sin(d)])
    east = np.array([-math.sin(a), math.cos(a), 0.0])
    return toward, east, np.cross(toward, east)


def _half_width(height: float, swing: float) -> float | None:
    """Half the width of the angles t where ``swing`` cos(t) is at least ``height``; None: there are none."""
    if height > swing:
        return None
    return math.pi if height <= -swing else math.acos(height / swing)


@dataclass(frozen=True, slots=True)
class Circle:
    """Positions within ``radius`` of a point, edge included."""

    ra: float
    dec: float
    radius: float

    @property
    def text(self) -> str:
        """Return the shape as DALI writes it."""
        return f"CIRCLE {self.ra:.10g} {self.dec:.10g} {self.radius:.10g}"

    def centre(self) -> tuple[float, float]:
        """Return a point of the shape (RA, Dec)."""
        return self.ra, self.dec

    def outline(self) -> tuple[Floats, Floats]:
        """Return points of the edge (RA, Dec), close to one another."""
        toward, east, north = frame(self.ra, self.dec)
        turn = np.linspace(0.0, 2.0 * np.pi, _STEPS, endpoint=False)[:, None]
        r = math.radians(self.radius)
        return angles(math.cos(r) * toward + math.sin(r) * (np.cos(turn) * north + np.sin(turn) * east))

    def edge_within(self, toward: Floats, reach: float) -> Floats:
        """Return points (n, 3) of the edge within ``reach`` (radians) of a direction."""
        own, east, north = frame(self.ra, self.dec)
        r = math.radians(self.radius)
        a, b = float(toward @ east), float(toward @ north)
        # Height of the edge's point at the turn t over the plane: cos r (own . toward) + sin r |a, b| cos(t - first).
        middle, swing = math.cos(r) * float(own @ toward), math.sin(r) * math.hypot(a, b)
        half = _half_width(math.cos(reach) - middle, swing)
        if half is None:
            return np.empty((0, 3))
        turn = math.atan2(a, b) + np.linspace(-half, half, _STEPS, endpoint=half < math.pi)[:, None]
        edge = math.cos(r) * own + math.sin(r) * (np.cos(turn) * north + np.sin(turn) * east)
        return np.asarray(edge)

    def contains(self, points: Floats) -> npt.NDArray[np.bool_]:
        """Tell which points, unit vectors (…, 3), the shape contains."""
        # Chords and not cosines, which lose the small angles.
        away = points - frame(self.ra, self.dec)[0]
        chord = 2.0 * math.sin(math.radians(min(self.radius, 180.0)) / 2.0)
        return np.asarray((away * away).sum(axis=-1) <= chord * chord)

    def meets(self, corners: Floats) -> bool:
        """Tell whether the shape intersects a polygon of great circles."""
        toward = unit(self.ra, self.dec)
        return spherical.polygon_distance(toward, corners) <= math.radians(self.radius) + spherical.SLACK

    def distance(self, point: Floats) -> float:
        """Return the angle (radians) from a direction to the shape; 0 inside."""
        away = float(spherical.angles_to(point, unit(self.ra, self.dec)))
        return max(0.0, away - math.radians(self.radius))


@dataclass(frozen=True, slots=True)
class Polygon:
    """A polygon of great circles, smaller than a hemisphere; corners in any order, not necessarily convex."""

    corners: tuple[tuple[float, float], ...]

    @property
    def text(self) -> str:
        """Return the shape as DALI writes it."""
        return "POLYGON " + " ".join(f"{v:.10g}" for corner in self.corners for v in corner)

    def centre(self) -> tuple[float, float]:
        """Return a point of the shape (RA, Dec)."""
        mean = unit(*np.array(self.corners, float).T).sum(axis=0)
        ra, dec = angles(mean)
        return float(ra), float(dec)

    def outline(self) -> tuple[Floats, Floats]:
        """Return points of the edge (RA, Dec), close to one another."""
        corners = unit(*np.array(self.corners, float).T)
        share = np.linspace(0.0, 1.0, 32, endpoint=False)[:, None]
        edges = [
            a * (1 - share) + b * share for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)
        ]
        return angles(np.concatenate(edges))

    def edge_within(self, toward: Floats, reach: float) -> Floats:
        """Return points (n, 3) of the edge within ``reach`` (radians) of a direction."""
        corners = unit(*np.array(self.corners, float).T)
        arcs = [np.empty((0, 3))]
        for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            forward = b - (a @ b) * a
            norm = float(np.linalg.norm(forward))
            if norm == 0.0:
                continue
            forward, length = forward / norm, math.atan2(norm, float(a @ b))
            x, y = float(toward @ a), float(toward @ forward)
            half = _half_width(math.cos(reach), math.hypot(x, y))
            if half is None:
                continue
            middle = math.atan2(y, x)
            for around in (middle - 2 * math.pi, middle, middle + 2 * math.pi):
                first, last = max(0.0, around - half), min(length, around + half)
                if first <= last:
                    t = np.linspace(first, last, 33)[:, None]
                    arcs.append(a * np.cos(t) + forward * np.sin(t))
        return np.concatenate(arcs)

    def contains(self, points: Floats) -> npt.NDArray[np.bool_]:
        """Tell which points, unit vectors (…, 3), the shape contains."""
        # Great circles are straight lines in a gnomonic projection.
        toward, east, north = frame(*self.centre())

        def flat(points: Floats) -> tuple[Floats, Floats, Floats]:
            depth = points @ toward
            safe = np.where(depth > 1e-6, depth, 1.0)
            return points @ east / safe, points @ north / safe, depth

        cx, cy, _ = flat(unit(*np.array(self.corners, float).T))
        x, y, depth = flat(points)
        inside = np.zeros(x.shape, bool)
        for i in range(len(cx)):
            x1, y1, x2, y2 = cx[i - 1], cy[i - 1], cx[i], cy[i]
            if y1 != y2:
                crosses = ((y1 > y) != (y2 > y)) & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
                inside ^= crosses
        return np.asarray(inside & (depth > 1e-6))

    def meets(self, corners: Floats) -> bool:
        """Tell whether the shape intersects a polygon of great circles."""
        return spherical.polygons_meet(unit(*np.array(self.corners, float).T), corners)

    def distance(self, point: Floats) -> float:
        """Return the angle (radians) from a direction to the shape; 0 inside."""
        return spherical.polygon_distance(point, unit(*np.array(self.corners, float).T))


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of RA and Dec, both ends included; ``ra1`` > ``ra2`` goes across RA 0."""

    ra1: float
    ra2: float
    dec1: float
    dec2: float

    @property
    def text(self) -> str:
        """Return the shape as DALI writes it."""
        return f"RANGE {self.ra1:.10g} {self.ra2:.10g} {self.dec1:.10g} {self.dec2:.10g}"

    @property
    def span(self) -> float:
        """Degrees of right ascension."""
        return min(self.ra2 - self.ra1, 360.0) if self.ra2 >= self.ra1 else (self.ra2 - self.ra1) % 360.0

    def centre(self) -> tuple[float, float]:
        """Return a point of the shape (RA, Dec)."""
        return (self.ra1 + self.span / 2.0) % 360.0, (self.dec1 + self.dec2) / 2.0

    def outline(self) -> tuple[Floats, Floats]:
        """Return points of the edge (RA, Dec), close to one another."""
        ra = (self.ra1 + np.linspace(0.0, self.span, _STEPS)) % 360.0
        dec = np.linspace(self.dec1, self.dec2, 256)
        return (
            np.concatenate([ra, ra, np.full(256, ra[0]), np.full(256, ra[-1])]),
            np.concatenate([np.full(_STEPS, self.dec1), np.full(_STEPS, self.dec2), dec, dec]),
        )

    def edge_within(self, toward: Floats, reach: float) -> Floats:
        """Return points (n, 3) of the edge within ``reach`` (radians) of a direction."""
        (ra,), (dec,) = angles(toward[None])
        size = math.degrees(reach)
        low, high = max(self.dec1, float(dec) - size), min(self.dec2, float(dec) + size)
        if low > high:
            return np.empty((0, 3))
        up = np.linspace(low, high, 256)
        lines = [unit(np.full(256, west), up) for west in (self.ra1, self.ra1 + self.span)]
        # Right ascensions that the cap around the direction has: all, where it holds a pole.
        wide = abs(float(dec)) + size >= 90.0
        aside = (
            180.0 if wide else math.degrees(math.asin(math.sin(reach) / math.cos(math.radians(float(dec)))))
        )
        offset = (float(ra) - self.ra1) % 360.0
        for middle in (offset - 360.0, offset, offset + 360.0):
            first, last = max(0.0, middle - aside), min(self.span, middle + aside)
            if first <= last:
                along = self.ra1 + np.linspace(first, last, 16 * _STEPS if wide else _STEPS)
                lines += [
                    unit(along, np.full(along.size, d)) for d in (self.dec1, self.dec2) if low <= d <= high
                ]
        return np.concatenate(lines)

    def contains(self, points: Floats) -> npt.NDArray[np.bool_]:
        """Tell which points, unit vectors (…, 3), the shape contains."""
        ra, dec = angles(points)
        east = ((ra - self.ra1) % 360.0 <= self.span) | (self.span >= 360.0)
        return np.asarray(east & (dec >= self.dec1) & (dec <= self.dec2))

    @property
    def _bounds(self) -> spherical.Bounds:
        """The range as bounds of the spherical geometry."""
        return spherical.Bounds(self.ra1, self.span, self.dec1, self.dec2)

    def meets(self, corners: Floats) -> bool:
        """Tell whether the shape intersects a polygon of great circles."""
        return self._bounds.meets(corners)

    def distance(self, point: Floats) -> float:
        """Return the angle (radians) from a direction to the shape; 0 inside."""
        return self._bounds.distance(point)


@dataclass(frozen=True, slots=True)
class Around:
    """A box of pixels around a point, ``width`` by ``height`` arcmin along the image's own axes."""

    ra: float
    dec: float
    width: float
    height: float

    @property
    def text(self) -> str:
        """Return the shape as DALI writes it."""
        return f"BOX {self.ra:.10g} {self.dec:.10g} {self.width:.6g} {self.height:.6g} arcmin"


def _numbers(name: str, words: Sequence[str], infinite: bool = False) -> list[float]:
    """Parse numbers; `UsageError` names the parameter and the word."""
    values = []
    for word in words:
        try:
            value = decimal_number(word)
        except ValueError:
            raise UsageError(f"{name}: {word[:40]!r} is not a number") from None
        if math.isnan(value) or (math.isinf(value) and not infinite):
            raise UsageError(f"{name}: {word[:40]!r} is not a finite number")
        values.append(value)
    return values


def _dec(name: str, value: float) -> float:
    """Return a declination if it is within -90 and 90; `UsageError` otherwise."""
    if not -90.0 <= value <= 90.0:
        raise UsageError(f"{name}: declination {value:g} is not within -90 and 90")
    return value


def _circle(name: str, words: Sequence[str]) -> Circle:
    """Parse a circle."""
    values = _numbers(name, words)
    if len(values) != 3:
        raise UsageError(
            f"{name}: a circle is RA, Dec and radius (degrees), {len(values)} numbers were given"
        )
    if not 0.0 <= values[2] <= 180.0:
        raise UsageError(f"{name}: radius {values[2]:g} is not within 0 and 180 degrees")
    return Circle(values[0] % 360.0, _dec(name, values[1]), values[2])


def _polygon(name: str, words: Sequence[str]) -> Polygon:
    """Parse a polygon that is smaller than a hemisphere."""
    values = _numbers(name, words)
    if len(values) < 6 or len(values) % 2:
        raise UsageError(
            f"{name}: a polygon is at least three pairs RA Dec, {len(values)} numbers were given"
        )
    corners = tuple((a % 360.0, _dec(name, d)) for a, d in zip(values[::2], values[1::2], strict=True))
    polygon = Polygon(corners)
    points = unit(*np.array(corners, float).T)
    middle = points.sum(axis=0)
    length = float(np.linalg.norm(middle))
    if length < 1e-9 or float((points @ middle).min()) / length < 0.02:
        raise UsageError(f"{name}: the polygon is not smaller than a hemisphere; cut it in two")
    return polygon


def _range(name: str, words: Sequence[str]) -> Range:
    """Parse a range; infinite bounds mean the whole circle or the poles."""
    values = _numbers(name, words, infinite=True)
    if len(values) != 4:
        raise UsageError(f"{name}: RANGE is RA1 RA2 Dec1 Dec2 (degrees), {len(values)} numbers were given")
    ra1, ra2, dec1, dec2 = values
    ra1, ra2 = (0.0 if math.isinf(ra1) else ra1), (360.0 if math.isinf(ra2) else ra2)
    dec1, dec2 = max(dec1, -90.0), min(dec2, 90.0)
    if dec1 > dec2:
        raise UsageError(f"{name}: RANGE gives the lesser declination first")
    return Range(ra1, ra2, dec1, dec2)


_SHAPES: dict[str, Callable[[str, Sequence[str]], Stencil]] = {
    "CIRCLE": _circle,
    "POLYGON": _polygon,
    "RANGE": _range,
}


def stencils_of(parameters: Mapping[str, Iterable[str]]) -> list[Stencil]:
    """Parse the stencils of SODA parameters: CIRCLE, POLYGON, POS, each any number of times.

    Parameters
    ----------
    parameters
        Values by name in capitals.

    Raises
    ------
    UsageError
        One of them cannot be parsed; the message names parameter and value.
    """
    stencils: list[Stencil] = [
        _circle("CIRCLE", v.replace(",", " ").split()) for v in parameters.get("CIRCLE", ())
    ]
    stencils += [_polygon("POLYGON", v.replace(",", " ").split()) for v in parameters.get("POLYGON", ())]
    for value in parameters.get("POS", ()):
        words = value.replace(",", " ").split()
        shape = _SHAPES.get(words[0].upper()) if words else None
        if shape is None:
            raise UsageError(f"POS {value[:60]!r}: begin with CIRCLE, POLYGON or RANGE")
        stencils.append(shape("POS", words[1:]))
    return stencils
