"""Regions in text columns (STC-S) compared with regions of the query, in SQL."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from desdm.errors import QueryError
from desdm.query.adql.parse.tokens import Place
from desdm.query.adql.sql import sphere
from desdm.query.adql.sql.fragments import Fragment, double
from desdm.query.engines.writing import Dialect

__all__ = [
    "circle_within",
    "covered_by_circle",
    "covered_by_polygon",
    "from_text",
    "meets_corner",
    "meets_place",
    "meets_polygon",
    "of_column",
]

Corners = list[sphere.Vector]
Pieces = Sequence[Sequence[sphere.Vector]]
#: A number of STC-S, after a blank: the 5 of FK5 is not one.
_NUMBER = r"\s([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)"
#: A shape, its frame, its numbers.
_WORDS = re.compile(
    r"\s*([A-Za-z]+)\s+((?:[A-Za-z][A-Za-z0-9]*\s+)*)((?:[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*)+)"
)
_SHAPES = {"POSITION": "POINT", "POINT": "POINT", "CIRCLE": "CIRCLE", "BOX": "BOX", "POLYGON": "POLYGON"}
_OWN, _NEXT = ("x", "y", "z"), ("x2", "y2", "z2")
_REST = 1e-14


def of_column(value: Fragment, text: str) -> Fragment:
    """Return the geometry of a column: the numbers of a POINT or CIRCLE, or a region as text (SQL type ``text``)."""
    if value.kind in ("point", "circle"):
        size = 2 if value.kind == "point" else 3
        parts = tuple(Fragment(f"{value.sql}[{i}]", "double", value.at) for i in range(1, size + 1))
        return Fragment(value.sql, value.kind, value.at, value.meta, parts=parts)
    if value.kind == "polygon":
        sql = f"('POLYGON ' || array_to_string(CAST({value.sql} AS {text}[]), ' '))"
        return Fragment(sql, "region", value.at, value.meta)
    return value


def from_text(arguments: Sequence[Fragment], at: Place) -> tuple[str, list[Fragment]]:
    """Parse the STC-S of REGION('…'); return the shape and its arguments."""
    text = arguments[0].constant if len(arguments) == 1 else None
    words = _WORDS.fullmatch(text) if isinstance(text, str) else None
    shape = _SHAPES.get(words[1].upper()) if words else None
    if words is None or shape is None:
        raise QueryError(
            "REGION takes text like 'CIRCLE ICRS 30 -5 0.1' (POSITION, CIRCLE, BOX or POLYGON)", *at
        )
    frame = Fragment("", "char", at, constant=words[2] or "")
    return shape, [
        frame,
        *(Fragment(double(v), "double", at, constant=v) for v in map(float, words[3].split())),
    ]


def meets_place(region: Fragment, place: Sequence[Fragment], radius: Fragment | None = None) -> str:
    """Write the test that a position, or a circle about it, intersects a region.

    Parameters
    ----------
    region
        Column with a region as text (STC-S).
    place
        Longitude and latitude, degrees.
    radius
        Radius of the circle, degrees; None for the position alone.
    """
    lon, lat = (f"CAST({c.sql} AS float8)" for c in place)
    size = double(0.0) if radius is None else f"CAST({radius.sql} AS float8)"
    return f"desdm_meets({region.sql}, {lon}, {lat}, {size})"


def meets_corner(region: Fragment, corner: sphere.Vector) -> str:
    """Write the test that a constant direction lies in a region."""
    return meets_place(region, _known(corner, region))


def meets_polygon(region: Fragment, corners: Corners, pieces: Pieces, dialect: Dialect) -> str:
    """Write the test that a constant polygon touches a region: a corner of one in the other, or sides that cross.

    Parameters
    ----------
    region
        Column with a region as text (STC-S).
    corners
        Unit vectors of the polygon's corners.
    pieces
        Inward normals of the sides of its convex pieces.
    dialect
        Dialect of the engine's SQL.
    """
    own = [meets_corner(region, c) for c in corners]
    sides = list(pairwise([*corners, corners[0]]))
    crossed = [_cross(a, b) for a, b in sides]
    polygon = (
        f"{' OR '.join(own)} OR {_some_corner(region, dialect, f'{_within(pieces)} OR {_any(crossed)}')}"
    )
    near = [_near(a, b) for a, b in sides]
    return _either(region, dialect, f"{_within(pieces)} OR {_any(near)}", polygon)


def _unit_vector(place: Sequence[Fragment]) -> tuple[str, str, str]:
    """Write the unit vector of a longitude and latitude in degrees."""
    a, d = (f"radians({c.sql})" for c in place)
    return f"(cos({d}) * cos({a}))", f"(cos({d}) * sin({a}))", f"sin({d})"


def covered_by_circle(
    region: Fragment, centre: Sequence[Fragment], radius: Fragment, dialect: Dialect
) -> str:
    """Write the test that a region lies in a circle; a circle of more than 90 degrees is not tested by the corners.

    Parameters
    ----------
    region
        Column with a region as text (STC-S).
    centre
        Longitude and latitude of the circle's centre, degrees.
    radius
        Radius, degrees.
    dialect
        Dialect of the engine's SQL.
    """
    middle = _unit_vector(centre)
    apart = f"degrees(acos(least(1, greatest(-1, {_product(_OWN, middle)}))))"
    reach = f"CAST({radius.sql} AS float8) + 1e-9"
    outside = _some_corner(region, dialect, f"{apart} > {reach}")
    return _either(region, dialect, f"{apart} + r <= {reach}", f"{radius.sql} <= 90 AND NOT {outside}")


def covered_by_polygon(region: Fragment, corners: Corners, pieces: Pieces, dialect: Dialect) -> str:
    """Write the test that a region lies in a constant polygon.

    Parameters
    ----------
    region
        Column with a region as text (STC-S).
    corners
        Unit vectors of the polygon's corners.
    pieces
        Inward normals of the sides of its convex pieces.
    dialect
        Dialect of the engine's SQL.
    """
    sides = list(pairwise([*corners, corners[0]]))
    outside = _some_corner(region, dialect, f"NOT ({_within(pieces)})")
    crossed = _some_corner(region, dialect, _any([_cross(a, b) for a, b in sides]))
    near = _any([_near(a, b, -1e-12) for a, b in sides])
    return _either(
        region, dialect, f"({_within(pieces)}) AND NOT ({near})", f"NOT {outside} AND NOT {crossed}"
    )


def circle_within(region: Fragment, centre: Sequence[Fragment], radius: Fragment, dialect: Dialect) -> str:
    """Write the test that a circle lies in a region: its centre does, and no side is nearer than its radius.

    Parameters
    ----------
    region
        Column with a region as text (STC-S).
    centre
        Longitude and latitude of the circle's centre, degrees.
    radius
        Radius, degrees.
    dialect
        Dialect of the engine's SQL.
    """
    p = _unit_vector(centre)
    size = f"CAST({radius.sql} AS float8)"
    normal = _vector_product(_OWN, _NEXT)
    length = f"sqrt({' + '.join(f'power({n}, 2)' for n in normal)})"
    # With the centre inside, the great circles of the sides of a convex polygon are its nearest border.
    near = f"abs({_product(normal, p)}) < sin(radians({size})) * {length} - {_REST!r}"
    inside = meets_place(region, centre)
    apart = f"degrees(acos(least(1, greatest(-1, {_product(_OWN, p)}))))"
    return _either(
        region,
        dialect,
        f"{apart} + {size} <= r + 1e-9",
        f"{inside} AND NOT {_some_corner(region, dialect, near)}",
    )


def _either(region: Fragment, dialect: Dialect, circle: str, polygon: str) -> str:
    """Write the test for a circle (x, y, z, r) or that for a polygon, by the text; NULL for other text."""
    head = f"left(upper({region.sql}), 6)"
    test = f"(SELECT {circle} FROM {_circle(region, dialect)} AS c)"
    return f"(CASE {head} WHEN 'CIRCLE' THEN {test} WHEN 'POLYGO' THEN ({polygon}) END)"


def _some_corner(region: Fragment, dialect: Dialect, test: str) -> str:
    """Write the test that some corner or side of a polygon passes ``test``."""
    return f"EXISTS (SELECT 1 FROM {_sides(region, dialect)} AS c WHERE {test})"


def _numbers(region: Fragment, dialect: Dialect) -> str:
    """Write the numbers in the text of a region, as an array."""
    if dialect == "duckdb":
        return f"CAST(regexp_extract_all({region.sql}, '{_NUMBER}', 1) AS DOUBLE[])"
    return f"CAST(ARRAY(SELECT m[1] FROM regexp_matches({region.sql}, '{_NUMBER}', 'g') AS m) AS float8[])"


def _direction(lon: str, lat: str, names: Sequence[str]) -> str:
    """Write the unit vector of a position as three columns."""
    a, d = f"radians({lon})", f"radians({lat})"
    x, y, z = names
    return f"cos({d}) * cos({a}) AS {x}, cos({d}) * sin({a}) AS {y}, sin({d}) AS {z}"


def _circle(region: Fragment, dialect: Dialect) -> str:
    """Write the one row of a circle: its centre's direction and its radius (degrees)."""
    whole = f"(SELECT {_numbers(region, dialect)} AS v) AS n"
    return f"(SELECT {_direction('v[1]', 'v[2]', _OWN)}, v[3] AS r FROM {whole})"


def _sides(region: Fragment, dialect: Dialect) -> str:
    """Write the rows of a polygon: each corner and the next one as directions."""
    number = (
        "unnest(range(0, len(v) // 2))"
        if dialect == "duckdb"
        else "generate_series(0, cardinality(v) / 2 - 1)"
    )
    size = "len(v)" if dialect == "duckdb" else "cardinality(v)"
    rows = f"(SELECT v, {size} AS n, {number} AS i FROM (SELECT {_numbers(region, dialect)} AS v) AS n) AS k"
    own = _direction("v[2 * i + 1]", "v[2 * i + 2]", _OWN)
    after = _direction("v[mod(2 * i + 2, n) + 1]", "v[mod(2 * i + 3, n) + 1]", _NEXT)
    return f"(SELECT {own}, {after} FROM {rows})"


def _product(one: Sequence[str], other: Sequence[str] | sphere.Vector) -> str:
    """Write the scalar product of two directions."""
    values = other if not isinstance(other, np.ndarray) else [double(float(n)) for n in other]
    return "(" + " + ".join(f"{a} * {b}" for a, b in zip(one, values, strict=True)) + ")"


def _vector_product(p: Sequence[str], q: Sequence[str]) -> tuple[str, str, str]:
    """Write the vector product of two directions."""
    (a, b, c), (d, e, f) = p, q
    return f"({b} * {f} - {c} * {e})", f"({c} * {d} - {a} * {f})", f"({a} * {e} - {b} * {d})"


def _any(tests: Sequence[str]) -> str:
    """Write a disjunction."""
    return "(" + " OR ".join(tests) + ")"


def _within(pieces: Pieces) -> str:
    """Write the test that the corner lies in one of the pieces."""
    return _any([" AND ".join(f"{_product(_OWN, n)} >= -{_REST!r}" for n in piece) for piece in pieces])


def _cross(a: sphere.Vector, b: sphere.Vector) -> str:
    """Write the test that the side to the next corner crosses the arc from a to b."""
    m, side = np.cross(a, b), _vector_product(_OWN, _NEXT)
    # Of the two places where the great circles cross, that on the side must lie on the arc's half.
    own, after = _product(_OWN, m), _product(_NEXT, m)
    place = [f"({p} * abs({after}) + {q} * abs({own}))" for p, q in zip(_OWN, _NEXT, strict=True)]
    return (
        f"({own} * {after} <= 0 AND {_product(side, a)} * {_product(side, b)} <= 0 "
        f"AND {_product(place, a + b)} > 0)"
    )


def _near(a: sphere.Vector, b: sphere.Vector, rest: float = _REST) -> str:
    """Write the test that the centre is within the radius r of the arc from a to b."""
    normal = np.cross(a, b)
    normal = normal / np.linalg.norm(normal)
    beside = f"{_product(_OWN, np.cross(normal, a))} >= 0 AND {_product(_OWN, np.cross(b, normal))} >= 0"
    arc = f"abs({_product(_OWN, normal)}) <= sin(radians(r)) + {rest!r}"
    return f"(({beside} AND {arc}) OR {_product(_OWN, a)} >= cos(radians(r)) - {rest!r})"


def _known(corner: sphere.Vector, at: Fragment) -> list[Fragment]:
    """Return the coordinates of a constant direction."""
    ra, dec = sphere.position(corner)
    return [Fragment(double(v), "double", at.at, constant=v) for v in (ra, dec)]
