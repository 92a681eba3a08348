"""Tests of directions on the sky in SQL: angular distances, and sides of great circles."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from desdm.query.adql.sql import sphere
from desdm.query.adql.sql.fragments import Fragment, double

__all__ = ["haversine", "in_box", "in_corners", "in_piece", "near_side", "within"]

#: Tolerance for rounding: (1e-15 rad)², far below the uncertainty of catalogues.
_ROUNDING = 1e-30


def within(a: tuple[Fragment, Fragment], b: tuple[Fragment, Fragment], limit: float, strict: bool) -> str:
    """Write the haversine test against a constant limit; beyond 90 degrees by the antipode, where it is accurate.

    Parameters
    ----------
    a, b
        Longitude and latitude of two positions, degrees.
    limit
        Largest distance, degrees.
    strict
        Whether the distance must be less than the limit.

    Returns
    -------
    str
        Condition in SQL.
    """
    if limit >= 180:
        return f"({a[0].sql} + {a[1].sql} + {b[0].sql} + {b[1].sql} IS NOT NULL)"
    if limit > 90:
        far = (
            Fragment(f"({b[0].sql} + 180)", "double", b[0].at),
            Fragment(f"(-({b[1].sql}))", "double", b[1].at),
        )
        bound = math.sin(math.radians(180 - limit) / 2) ** 2
        return f"(NOT {haversine(a, far)} {'<=' if strict else '<'} {double(bound)})"
    bound = math.sin(math.radians(limit) / 2) ** 2
    if strict:
        return f"({haversine(a, b)} < {double(bound)})"
    return f"({haversine(a, b)} <= {double(bound * (1 + 1e-15) + _ROUNDING)})"


def haversine(a: tuple[Fragment, Fragment], b: tuple[Fragment, Fragment]) -> str:
    """Write the haversine of the distance of two positions: sin² of half the angle."""
    first = f"power(sin(radians({a[1].sql} - {b[1].sql}) / 2), 2)"
    fixed = b[1].number
    cosine = f"cos(radians({b[1].sql}))" if fixed is None else double(math.cos(math.radians(fixed)))
    return f"({first} + cos(radians({a[1].sql})) * {cosine} * power(sin(radians({a[0].sql} - {b[0].sql}) / 2), 2))"


def _product(point: Fragment, normal: sphere.Vector) -> str:
    """Write the scalar product of a point's direction with a constant one."""
    lon, lat = (f"radians({c.sql})" for c in point.parts)
    x, y, z = (double(float(n)) for n in normal)
    return f"(cos({lat}) * ({x} * cos({lon}) + {y} * sin({lon})) + {z} * sin({lat}))"


def in_piece(point: Fragment, normals: Sequence[sphere.Vector]) -> str:
    """Write the test that a point lies in a convex piece, of which the inward normals are given."""
    return " AND ".join(f"{_product(point, n)} >= -1e-14" for n in normals)


def _direction(lon: Fragment, lat: Fragment) -> tuple[str, str, str]:
    """Return SQL of the unit vector (x, y, z) of a position."""
    a, d = f"radians({lon.sql})", f"radians({lat.sql})"
    return f"(cos({d}) * cos({a}))", f"(cos({d}) * sin({a}))", f"sin({d})"


def in_box(point: Fragment, box: Fragment) -> str:
    """Write the test that a point lies in a box whose centre is not constant, in the tangent plane at its centre."""
    (a, d), (a0, d0, w, h) = point.parts, box.parts
    lat, lat0 = f"radians({d.sql})", f"radians({d0.sql})"
    delta = f"radians({a.sql} - {a0.sql})"
    x = f"(sin({lat}) * sin({lat0}) + cos({lat}) * cos({lat0}) * cos({delta}))"
    y = f"(cos({lat}) * sin({delta}))"
    z = f"(sin({lat}) * cos({lat0}) - cos({lat}) * sin({lat0}) * cos({delta}))"
    return (
        f"({x} > 0 AND abs({y}) <= {x} * tan(radians({w.sql}) / 2) + 1e-14 "
        f"AND abs({z}) <= {x} * tan(radians({h.sql}) / 2) + 1e-14)"
    )


def in_corners(point: Fragment, polygon: Fragment) -> str:
    """Write the test that a point lies in a convex polygon whose corners are not constant, in either orientation."""
    corners = [_direction(a, d) for a, d in zip(polygon.parts[::2], polygon.parts[1::2], strict=True)]
    px, py, pz = _direction(*point.parts)
    sides = []
    for (ax, ay, az), (bx, by, bz) in zip(corners, [*corners[1:], corners[0]], strict=True):
        x, y, z = f"{ay} * {bz} - {az} * {by}", f"{az} * {bx} - {ax} * {bz}", f"{ax} * {by} - {ay} * {bx}"
        sides.append(f"({px} * ({x}) + {py} * ({y}) + {pz} * ({z}))")
    front = " + ".join(f"{px} * {x} + {py} * {y} + {pz} * {z}" for x, y, z in corners)
    left = " AND ".join(f"{s} >= -1e-14" for s in sides)
    right = " AND ".join(f"{s} <= 1e-14" for s in sides)
    return f"({front} > 0 AND (({left}) OR ({right})))"


def near_side(point: Fragment, a: sphere.Vector, b: sphere.Vector, radius: Fragment, rest: float) -> str:
    """Write the test that a point lies near an arc from a to b: beside it, or near one of its ends.

    Parameters
    ----------
    point
        A POINT, whose coordinates may be columns.
    a, b
        Unit vectors of the ends of the arc.
    radius
        Largest distance, degrees.
    rest
        Tolerance on products of unit vectors.

    Returns
    -------
    str
        Condition in SQL.
    """
    normal = np.cross(a, b)
    normal /= np.linalg.norm(normal)
    begin, end = np.cross(normal, a), np.cross(b, normal)
    reach = f"sin(radians({radius.sql}))"
    beside = (
        f"(abs({_product(point, normal)}) <= {reach} + {rest!r} AND {_product(point, begin)} >= 0 "
        f"AND {_product(point, end)} >= 0)"
    )
    corner = sphere.position(a)
    ends = (
        Fragment(double(corner[0]), "double", point.at, constant=corner[0]),
        Fragment(double(corner[1]), "double", point.at, constant=corner[1]),
    )
    lon, lat = point.parts
    return f"({beside} OR {haversine((lon, lat), ends)} <= power(sin(radians({radius.sql}) / 2), 2) + {rest * 1e-16!r})"
