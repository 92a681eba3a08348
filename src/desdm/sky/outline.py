"""Corners, centre and pixel scale of an image from its WCS keywords: TAN, TPV and TAN with scamp's PV, in plain Python.

A header is read for every deposited file, and five points do not pay for a general WCS library. The formulae are
those of Calabretta & Greisen 2002 (A&A 395, 1077; sections 2 and 5.1.3) and of the registered TPV convention.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from desdm.pixels.cards import Header
from desdm.sky.projection import celestial_axes, complaint, has_wcs, is_polynomial, linear

__all__ = ["Outline", "box", "outline", "union"]

# Powers of (x, y, r) of the terms 0…39 of the TPV polynomial, in the convention's order.
_TERMS: list[tuple[int, int, int]] = []
for _order in range(8):
    _TERMS += [(_order - k, k, 0) for k in range(_order + 1)]
    if _order % 2:
        _TERMS.append((0, 0, _order))


@dataclass(frozen=True, slots=True)
class Outline:
    """What an image covers, degrees (ICRS or FK5 as its header says), and its pixel scale, arcsec.

    When ``crossra0`` the image lies across RA 0 and covers [racmin, 360) and [0, racmax].
    """

    ra_cent: float
    dec_cent: float
    racmin: float
    racmax: float
    deccmin: float
    deccmax: float
    crossra0: bool
    pixscale: float | None


class _WCS:
    """The celestial WCS of a header, reduced to what an outline needs."""

    def __init__(self, header: Header) -> None:
        number = header.number
        self.known = has_wcs(header) and not complaint(header)
        if not self.known:
            return
        lon, lat = celestial_axes(header)
        values = [number(k) for k in (f"CRVAL{lon}", f"CRVAL{lat}", "CRPIX1", "CRPIX2")]
        matrix = linear(header)
        if any(v is None for v in values) or matrix is None:
            self.known = False
            return
        self.ra0, self.dec0, self.x0, self.y0 = (float(v or 0.0) for v in values)
        self.matrix = matrix
        self.pv = [_polynomial(header, lon), _polynomial(header, lat)] if is_polynomial(header) else [[], []]
        lonpole = number("LONPOLE")
        if lonpole is None:
            # Section 2.5: the default is 0 where the reference point is the pole itself.
            lonpole = 0.0 if self.dec0 >= 90.0 else 180.0
        self.turn = math.radians(lonpole - 180.0)

    def sky(self, px: float, py: float) -> tuple[float, float]:
        """Right ascension and declination (degrees) of a FITS pixel position."""
        dx, dy = px - self.x0, py - self.y0
        a, b, c, d = self.matrix
        x, y = a * dx + b * dy, c * dx + d * dy
        if self.pv[0] or self.pv[1]:
            x, y = _evaluate(self.pv[0], x, y), _evaluate(self.pv[1], y, x)
        if self.turn:
            x, y = (
                x * math.cos(self.turn) + y * math.sin(self.turn),
                y * math.cos(self.turn) - x * math.sin(self.turn),
            )
        x, y, dec0 = math.radians(x), math.radians(y), math.radians(self.dec0)
        below = math.cos(dec0) - y * math.sin(dec0)
        ra = self.ra0 + math.degrees(math.atan2(x, below))
        dec = math.degrees(math.atan2(math.sin(dec0) + y * math.cos(dec0), math.hypot(x, below)))
        return ra % 360.0, dec


def _polynomial(header: Header, axis: int) -> list[tuple[float, int, int, int]]:
    """Return the PV terms of an axis as (coefficient, power of x, of y, of r)."""
    stem = f"PV{axis}_"
    terms = {int(key[len(stem) :]): header.number(key) or 0.0 for key in header.numbered(stem)}
    terms = {i: v for i, v in terms.items() if i < len(_TERMS)}
    if not terms:
        return []
    terms.setdefault(1, 1.0)
    return [(value, *_TERMS[i]) for i, value in terms.items() if value]


def _evaluate(terms: Sequence[tuple[float, int, int, int]], x: float, y: float) -> float:
    """Evaluate a TPV polynomial at (x, y), degrees; without terms it is x."""
    if not terms:
        return x
    r = math.hypot(x, y)
    return sum([v * x**i * y**j * r**k for v, i, j, k in terms])


def outline(header: Header, shape: tuple[int, ...]) -> Outline | None:
    """The sky covered by an image of ``shape`` (rows, columns), to the outer edges of its pixels.

    Returns
    -------
    Outline or None
        None if the header has no celestial WCS, or one that is not supported (`projection.complaint`).
    """
    if len(shape) < 2 or not all(shape[-2:]):
        return None
    wcs = _WCS(header)
    if not wcs.known:
        return None
    ny, nx = shape[-2:]
    xc, yc = (nx + 1) / 2, (ny + 1) / 2
    edges = [(0.5, 0.5), (nx + 0.5, 0.5), (nx + 0.5, ny + 0.5), (0.5, ny + 0.5)]
    corners = [wcs.sky(x, y) for x, y in edges]
    centre = wcs.sky(xc, yc)
    racmin, racmax, deccmin, deccmax, cross = box(corners)
    if not all(map(math.isfinite, (racmin, racmax, deccmin, deccmax, *centre))):
        return None
    one, two = _apart(centre, wcs.sky(xc + 1, yc)), _apart(centre, wcs.sky(xc, yc + 1))
    return Outline(*centre, racmin, racmax, deccmin, deccmax, cross, math.sqrt(one * two) * 3600.0)


def union(parts: Sequence[Outline]) -> Outline | None:
    """What several images of one exposure cover together: the box around their boxes; None: there is none.

    Right ascensions are unrolled about the first part, so that a field across RA 0 is as any other; parts must
    lie within half the sky of each other.
    """
    if not parts:
        return None
    first = parts[0].ra_cent

    def unrolled(ra: float) -> float:
        return (ra - first + 180.0) % 360.0 - 180.0

    west, east = min(unrolled(p.racmin) for p in parts), max(unrolled(p.racmax) for p in parts)
    south, north = min(p.deccmin for p in parts), max(p.deccmax for p in parts)
    if any(p.racmax - p.racmin >= 360.0 for p in parts):
        return Outline(first, (south + north) / 2, 0.0, 360.0, south, north, False, parts[0].pixscale)
    racmin, racmax = (first + west) % 360.0, (first + east) % 360.0
    return Outline(
        (first + (west + east) / 2) % 360.0,
        (south + north) / 2,
        racmin,
        racmax,
        south,
        north,
        racmin > racmax,
        parts[0].pixscale,
    )


def box(corners: Sequence[tuple[float, float]]) -> tuple[float, float, float, float, bool]:
    """(racmin, racmax, deccmin, deccmax, crossra0) around a ring of positions (RA, Dec; degrees).

    A ring that goes round a pole covers every right ascension, up to that pole.
    """
    turns, here, least, most = 0.0, 0.0, 0.0, 0.0
    for (ra, _), (following, _) in zip(corners, [*corners[1:], corners[0]], strict=True):
        step = (following - ra + 180.0) % 360.0 - 180.0
        turns += step
        here += step
        least, most = min(least, here), max(most, here)
    decs = [dec for _, dec in corners]
    low, high = min(decs), max(decs)
    if abs(turns) > 180.0 or most - least >= 360.0:
        north = sum(decs) > 0
        return 0.0, 360.0, (low if north else -90.0), (90.0 if north else high), False
    first = corners[0][0]
    racmin, racmax = (first + least) % 360.0, (first + most) % 360.0
    return racmin, racmax, low, high, racmin > racmax


def _apart(one: tuple[float, float], two: tuple[float, float]) -> float:
    """Distance of two near positions, degrees."""
    dra = (two[0] - one[0] + 180.0) % 360.0 - 180.0
    return math.hypot(dra * math.cos(math.radians(one[1])), two[1] - one[1])
