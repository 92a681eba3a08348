"""Geometry of ADQL in SQL: ranges on ``hpix29`` first, then an exact test (REC-ADQL-2.1, 4.2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from desdm.errors import QueryError
from desdm.services.adql import regions, sphere
from desdm.services.adql.fragments import Fragment, double, numbers
from desdm.services.adql.tokens import Place
from desdm.services.engines.writing import Dialect

__all__ = ["Geometry", "constant"]

_FRAMES = ("", "ICRS", "J2000", "FK5", "UNKNOWN", "UNKNOWNFRAME")
#: What may be lost by rounding: 2e-15 rad squared, far below any catalogue's own.
_ROUNDING = 1e-30


def constant(value: float, at: Place) -> Fragment:
    """A known double."""
    if not math.isfinite(value):
        raise QueryError("this number is not finite", *at)
    return Fragment(double(value), "double", at, constant=float(value))


class Geometry:
    """Writes constructors, predicates and measures of geometry.

    Parameters
    ----------
    cells
        Gives for the coordinates of a point the SQL of its ``hpix29``, or None.
    """

    def __init__(self, cells: Callable[[Fragment, Fragment], str | None], dialect: Dialect) -> None:
        self._cells, self._dialect = cells, dialect
        #: pairs of positions in columns that were held against a known distance, for joins
        self.pairs: list[tuple[tuple[Fragment, Fragment], tuple[Fragment, Fragment], float]] = []

    # Constructors

    def without_frame(self, name: str, arguments: Sequence[Fragment], at: Place) -> list[Fragment]:
        """Arguments without the coordinate system, which must be ICRS."""
        if arguments and isinstance(arguments[0].constant, str):
            frame = arguments[0].constant.upper().split()
            if (frame[0] if frame else "") not in _FRAMES:
                raise QueryError(
                    f"{name}: the only coordinate system here is ICRS, not {arguments[0].constant[:30]!r}",
                    *at,
                )
            return list(arguments[1:])
        return list(arguments)

    def build(self, name: str, arguments: Sequence[Fragment], at: Place) -> Fragment:
        """POINT, CIRCLE, BOX or POLYGON."""
        given = self.without_frame(name, arguments, at)
        if name == "POLYGON" and given and given[0].kind == "point" and len(given) >= 3:
            if any(g.kind != "point" for g in given):
                raise QueryError("POLYGON takes points or numbers, not both", *at)
            given = [c for g in given for c in g.parts]
        elif name in ("CIRCLE", "BOX") and given and given[0].kind == "point":
            given = [*given[0].parts, *given[1:]]
        wanted = {"POINT": 2, "CIRCLE": 3, "BOX": 4}.get(name)
        if len(given) != wanted if wanted else (len(given) < 6 or len(given) % 2):
            raise QueryError(_USAGE[name], *at)
        for value in given:
            if value.kind not in ("short", "int", "long", "float", "double", "null"):
                raise QueryError(f"{name}: {_USAGE[name]}", *value.at)
        self._check(name, given)
        return Fragment("", name.lower(), at, parts=tuple(given))

    def _check(self, name: str, given: Sequence[Fragment]) -> None:
        coordinates = given if name in ("POINT", "POLYGON") else given[:2]
        for value in coordinates[1::2]:
            if value.number is not None and not -90 <= value.number <= 90:
                raise QueryError("a declination lies between -90 and 90 degrees", *value.at)
        for value in coordinates[::2]:
            if value.number is not None and not -360 <= value.number <= 720:
                raise QueryError("a right ascension lies between 0 and 360 degrees", *value.at)
        for value in given[2:] if name in ("CIRCLE", "BOX") else ():
            if value.number is not None and value.number < 0:
                raise QueryError(f"the size of a {name} cannot be negative", *value.at)
            if name == "BOX" and value.number is not None and not 0 < value.number < 180:
                raise QueryError("the sides of a BOX are between 0 and 180 degrees", *value.at)

    # Measures

    def distance(self, arguments: Sequence[Fragment], at: Place) -> Fragment:
        """DISTANCE of two points, or of four coordinates, in degrees (Vincenty's form, good at every angle)."""
        (a1, d1), (a2, d2) = self.two_points(arguments, at)
        known = numbers((a1, d1, a2, d2))
        if known is not None:
            return constant(_separation(*known), at)
        x1, y1, x2, y2 = (f"radians({c.sql})" for c in (a1, d1, a2, d2))
        delta = f"({x2} - {x1})"
        sql = (
            f"degrees(atan2(sqrt(power(cos({y2}) * sin{delta}, 2) + "
            f"power(cos({y1}) * sin({y2}) - sin({y1}) * cos({y2}) * cos{delta}, 2)), "
            f"sin({y1}) * sin({y2}) + cos({y1}) * cos({y2}) * cos{delta}))"
        )
        return Fragment(sql, "double", at)

    def two_points(
        self, arguments: Sequence[Fragment], at: Place
    ) -> tuple[tuple[Fragment, Fragment], tuple[Fragment, Fragment]]:
        """The two positions of a DISTANCE."""
        if len(arguments) == 2 and all(a.kind == "point" for a in arguments):
            (a, b), (c, d) = arguments[0].parts, arguments[1].parts
            return (a, b), (c, d)
        if len(arguments) == 4 and all(
            a.kind in ("short", "int", "long", "float", "double", "null") for a in arguments
        ):
            for value in arguments[1::2]:
                if value.number is not None and not -90 <= value.number <= 90:
                    raise QueryError("a declination lies between -90 and 90 degrees", *value.at)
            return (arguments[0], arguments[1]), (arguments[2], arguments[3])
        raise QueryError("DISTANCE takes two points, or ra1, dec1, ra2, dec2", *at)

    def area(self, region: Fragment, at: Place) -> Fragment:
        """AREA in square degrees."""
        known = numbers(region.parts)
        if region.kind == "point":
            return constant(0.0, at)
        if region.kind == "circle":
            radius = region.parts[2]
            sql = f"(2 * pi() * (1 - cos(radians({radius.sql}))) * power(180 / pi(), 2))"
            if radius.number is not None:
                return constant(
                    2
                    * math.pi
                    * (1 - math.cos(math.radians(min(radius.number, 180))))
                    * math.degrees(1) ** 2,
                    at,
                )
            return Fragment(sql, "double", at)
        if region.kind in ("polygon", "box") and known is not None:
            corners = sphere.vertices(sphere.box_corners(*known) if region.kind == "box" else known)
            try:
                sphere.pieces(corners)
                return constant(sphere.area(corners), at)
            except ValueError as err:
                raise QueryError(f"AREA: {err}", *at) from err
        raise QueryError("AREA takes a POINT, a CIRCLE, or a POLYGON or BOX of numbers", *at)

    def centroid(self, region: Fragment, at: Place) -> Fragment:
        """CENTROID: a point."""
        if region.kind in ("point", "circle", "box"):
            return Fragment("", "point", at, parts=region.parts[:2])
        known = numbers(region.parts)
        if region.kind == "polygon" and known is not None:
            corners = sphere.vertices(known)
            try:
                found = sphere.position(_centroid(corners))
            except ValueError as err:
                raise QueryError(f"CENTROID: {err}", *at) from err
            return Fragment("", "point", at, parts=(constant(found[0], at), constant(found[1], at)))
        raise QueryError("CENTROID takes a POINT, a CIRCLE, a BOX, or a POLYGON of numbers", *at)

    # Predicates

    def contains(self, inner: Fragment, outer: Fragment, at: Place) -> str:
        """Condition that ``inner`` lies wholly in ``outer``."""
        if "region" in (inner.kind, outer.kind):
            return self._contains_region(inner, outer, at)
        if inner.kind == "point":
            return self._point_in(inner, outer, at)
        if inner.kind == "circle" and outer.kind == "circle":
            a1, d1, r1 = inner.parts
            a2, d2, r2 = outer.parts
            apart = self.distance((a1, d1, a2, d2), at)
            return f"({apart.sql} + {r1.sql} <= {r2.sql} + 1e-13)"
        if inner.kind == "circle" and outer.kind in ("polygon", "box") and numbers(outer.parts) is not None:
            point = Fragment("", "point", at, parts=inner.parts[:2])
            near = self._near_sides(inner, outer, -1e-12)
            return f"({self._point_in(point, outer, at)} AND NOT ({' OR '.join(near)}))"
        if inner.kind in ("polygon", "box") and outer.kind in ("circle", "polygon", "box"):
            return self._corners_in(inner, outer, at)
        raise QueryError(f"CONTAINS cannot tell whether a {inner.kind} lies in a {outer.kind}", *at)

    def intersects(self, one: Fragment, other: Fragment, at: Place) -> str:
        """Condition that two regions touch."""
        if one.kind == "region":
            one, other = other, one
        if other.kind == "region":
            return self._meets_region(one, other, at)
        if one.kind == "point":
            return self._point_in(one, other, at)
        if other.kind == "point":
            return self._point_in(other, one, at)
        if one.kind == "circle" and other.kind == "circle":
            a1, d1, r1 = one.parts
            a2, d2, r2 = other.parts
            apart = self.distance((a1, d1, a2, d2), at)
            return f"({apart.sql} <= {r1.sql} + {r2.sql} + 1e-13)"
        if other.kind == "circle":
            one, other = other, one
        if one.kind == "circle" and other.kind in ("polygon", "box"):
            return self._circle_meets(one, other, at)
        return self._polygons_meet(one, other, at)

    def _meets_region(self, one: Fragment, region: Fragment, at: Place) -> str:
        if one.kind in ("point", "circle"):
            return regions.meets_place(region, one.parts[:2], one.parts[2] if one.kind == "circle" else None)
        corners = self._corners(one, "INTERSECTS with a region of a column", at)
        return regions.meets_polygon(region, corners, _pieces(corners, one.at), self._dialect)

    def _contains_region(self, inner: Fragment, outer: Fragment, at: Place) -> str:
        if outer.kind == "region":
            if inner.kind == "point":
                return regions.meets_place(outer, inner.parts)
            if inner.kind == "circle":
                return regions.circle_within(outer, inner.parts[:2], inner.parts[2], self._dialect)
            corners = self._corners(inner, "CONTAINS in a region of a column", at)
            return "(" + " AND ".join(regions.meets_corner(outer, c) for c in corners) + ")"
        if outer.kind == "circle":
            return regions.covered_by_circle(inner, outer.parts[:2], outer.parts[2], self._dialect)
        corners = self._corners(outer, "CONTAINS of a region of a column", at)
        return regions.covered_by_polygon(inner, corners, _pieces(corners, outer.at), self._dialect)

    def _corners(self, shape: Fragment, what: str, at: Place) -> list[sphere.Vector]:
        known = numbers(shape.parts)
        if shape.kind not in ("polygon", "box") or known is None:
            raise QueryError(f"{what} takes a POINT, a CIRCLE, or a POLYGON or BOX of numbers", *at)
        return sphere.vertices(sphere.box_corners(*known) if shape.kind == "box" else known)

    def near(
        self,
        a: tuple[Fragment, Fragment],
        b: tuple[Fragment, Fragment],
        radius: Fragment,
        at: Place,
        strict: bool = False,
    ) -> str:
        """Condition that two positions are at most (``strict``: less than) ``radius`` degrees apart."""
        if numbers(a) is not None and numbers(b) is None:
            a, b = b, a
        fixed, limit = numbers(b), radius.number
        if limit is not None and limit < 0:
            return "(1 = 0)" if strict or limit < 0 else "(1 = 1)"
        if limit is None:
            apart = self.distance((*a, *b), at)
            return f"({apart.sql} {'<' if strict else '<='} {radius.sql}{'' if strict else ' + 1e-13'})"
        if fixed is None:
            self.pairs.append((a, b, limit))
        ranges = self._ranges(a, sphere.circle_ranges(fixed[0], fixed[1], limit)) if fixed is not None else ""
        band = ""
        if fixed is not None and limit < 60:
            band = f"{a[1].sql} BETWEEN {double(fixed[1] - limit - 1e-9)} AND {double(fixed[1] + limit + 1e-9)} AND "
        return f"({ranges}{band}{_within(a, b, limit, strict)})"

    def _ranges(self, point: tuple[Fragment, Fragment], ranges: list[tuple[int, int]]) -> str:
        """``hpix29`` within one of the ranges, AND; empty where there is no such column."""
        cell = self._cells(point[0], point[1])
        if cell is None or not ranges:
            return ""
        pieces = " OR ".join(f"{cell} BETWEEN {low} AND {high}" for low, high in ranges)
        hull = f"{cell} BETWEEN {ranges[0][0]} AND {ranges[-1][1]}"
        return f"{hull} AND ({pieces}) AND " if len(ranges) > 1 else f"{hull} AND "

    def _point_in(self, point: Fragment, region: Fragment, at: Place) -> str:
        lon, lat = point.parts
        if region.kind == "point":
            return self.near((lon, lat), (region.parts[0], region.parts[1]), constant(0.0, at), at)
        if region.kind == "circle":
            return self.near((lon, lat), (region.parts[0], region.parts[1]), region.parts[2], at)
        known = numbers(region.parts)
        if region.kind == "box" and known is None:
            return _in_box(point, region)
        if region.kind == "polygon" and known is None:
            return _in_corners(point, region)
        if region.kind in ("polygon", "box") and known is not None:
            corners = sphere.vertices(sphere.box_corners(*known) if region.kind == "box" else known)
            try:
                found = sphere.pieces(corners)
            except ValueError as err:
                raise QueryError(f"{region.kind.upper()}: {err}", *region.at) from err
            ranges = self._ranges((lon, lat), sphere.polygon_ranges(corners))
            tests = " OR ".join(f"({_in_piece(point, piece)})" for piece in found)
            return f"({ranges}({tests}))"
        raise QueryError(f"a region is expected here, not {region.kind}", *at)

    def _corners_in(self, inner: Fragment, outer: Fragment, at: Place) -> str:
        known = numbers(inner.parts)
        if known is None:
            raise QueryError("CONTAINS of a POLYGON or BOX needs its corners as numbers", *at)
        corners = sphere.box_corners(*known) if inner.kind == "box" else known
        parts = [
            Fragment("", "point", at, parts=(constant(ra, at), constant(dec, at)))
            for ra, dec in zip(corners[::2], corners[1::2], strict=True)
        ]
        fixed = numbers(outer.parts)
        if outer.kind != "circle" and fixed is not None:
            shape = sphere.vertices(sphere.box_corners(*fixed) if outer.kind == "box" else fixed)
            if len(_pieces(shape, at)) > 1:
                raise QueryError("CONTAINS of a POLYGON in another needs an outer one without dents", *at)
        return "(" + " AND ".join(self._point_in(p, outer, at) for p in parts) + ")"

    def _circle_meets(self, circle: Fragment, region: Fragment, at: Place) -> str:
        known = numbers(region.parts)
        if known is None:
            raise QueryError("INTERSECTS of a CIRCLE needs a POLYGON or BOX of numbers", *at)
        point = Fragment("", "point", at, parts=circle.parts[:2])
        return "(" + " OR ".join([self._point_in(point, region, at), *self._near_sides(circle, region)]) + ")"

    def _near_sides(self, circle: Fragment, region: Fragment, rest: float = 1e-14) -> list[str]:
        shape = self._corners(region, "a CIRCLE", region.at)
        point = Fragment("", "point", circle.at, parts=circle.parts[:2])
        return [
            _near_side(point, a, b, circle.parts[2], rest)
            for a, b in zip(shape, [*shape[1:], shape[0]], strict=True)
        ]

    def _polygons_meet(self, one: Fragment, other: Fragment, at: Place) -> str:
        first, second = numbers(one.parts), numbers(other.parts)
        if first is None or second is None or {one.kind, other.kind} - {"polygon", "box"}:
            raise QueryError("INTERSECTS of two POLYGONs needs their corners as numbers", *at)
        a = sphere.vertices(sphere.box_corners(*first) if one.kind == "box" else first)
        b = sphere.vertices(sphere.box_corners(*second) if other.kind == "box" else second)
        meets = _touch(_pieces(a, at), a, _pieces(b, at), b)
        return "(1 = 1)" if meets else "(1 = 0)"


_USAGE = {
    "POINT": "POINT takes ra and dec in degrees",
    "CIRCLE": "CIRCLE takes a centre (ra, dec, or a POINT) and a radius, in degrees",
    "BOX": "BOX takes a centre (ra, dec, or a POINT), width and height, in degrees",
    "POLYGON": "POLYGON takes three or more corners, as ra, dec, … in degrees or as POINTs",
}


def _separation(a1: float, d1: float, a2: float, d2: float) -> float:
    u, v = sphere.vector(a1, d1), sphere.vector(a2, d2)
    import numpy as np

    return math.degrees(math.atan2(float(np.linalg.norm(np.cross(u, v))), float(u @ v)))


def _within(a: tuple[Fragment, Fragment], b: tuple[Fragment, Fragment], limit: float, strict: bool) -> str:
    """Haversine against a known limit; beyond 90 degrees by the far point, where rounding is small again."""
    if limit >= 180:
        return f"({a[0].sql} + {a[1].sql} + {b[0].sql} + {b[1].sql} IS NOT NULL)"
    if limit > 90:
        far = (
            Fragment(f"({b[0].sql} + 180)", "double", b[0].at),
            Fragment(f"(-({b[1].sql}))", "double", b[1].at),
        )
        bound = math.sin(math.radians(180 - limit) / 2) ** 2
        return f"(NOT {_haversine(a, far)} {'<=' if strict else '<'} {double(bound)})"
    bound = math.sin(math.radians(limit) / 2) ** 2
    if strict:
        return f"({_haversine(a, b)} < {double(bound)})"
    return f"({_haversine(a, b)} <= {double(bound * (1 + 1e-15) + _ROUNDING)})"


def _haversine(a: tuple[Fragment, Fragment], b: tuple[Fragment, Fragment]) -> str:
    first = f"power(sin(radians({a[1].sql} - {b[1].sql}) / 2), 2)"
    fixed = b[1].number
    cosine = f"cos(radians({b[1].sql}))" if fixed is None else double(math.cos(math.radians(fixed)))
    return f"({first} + cos(radians({a[1].sql})) * {cosine} * power(sin(radians({a[0].sql} - {b[0].sql}) / 2), 2))"


def _product(point: Fragment, normal: sphere.Vector) -> str:
    """Product of a point's direction with a known one."""
    lon, lat = (f"radians({c.sql})" for c in point.parts)
    x, y, z = (double(float(n)) for n in normal)
    return f"(cos({lat}) * ({x} * cos({lon}) + {y} * sin({lon})) + {z} * sin({lat}))"


def _in_piece(point: Fragment, normals: Sequence[sphere.Vector]) -> str:
    return " AND ".join(f"{_product(point, n)} >= -1e-14" for n in normals)


def _direction(lon: Fragment, lat: Fragment) -> tuple[str, str, str]:
    a, d = f"radians({lon.sql})", f"radians({lat.sql})"
    return f"(cos({d}) * cos({a}))", f"(cos({d}) * sin({a}))", f"sin({d})"


def _in_box(point: Fragment, box: Fragment) -> str:
    """Within a box about a position that rows give: in the plane that touches the sphere there."""
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


def _in_corners(point: Fragment, polygon: Fragment) -> str:
    """Within a polygon without dents whose corners rows give, in either sense of turning."""
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


def _near_side(point: Fragment, a: sphere.Vector, b: sphere.Vector, radius: Fragment, rest: float) -> str:
    """Whether a point lies within ``radius`` of the arc from a to b: beside it, or near one of its ends."""
    import numpy as np

    normal = np.cross(a, b)
    normal /= np.linalg.norm(normal)
    begin, end = np.cross(normal, a), np.cross(b, normal)
    reach = f"sin(radians({radius.sql}))"
    beside = (
        f"(abs({_product(point, normal)}) <= {reach} + {rest!r} AND {_product(point, begin)} >= 0 "
        f"AND {_product(point, end)} >= 0)"
    )
    corner = sphere.position(a)
    ends = (Fragment(double(corner[0]), "double", point.at, constant=corner[0]),
            Fragment(double(corner[1]), "double", point.at, constant=corner[1]))  # fmt: skip
    lon, lat = point.parts
    return f"({beside} OR {_haversine((lon, lat), ends)} <= power(sin(radians({radius.sql}) / 2), 2) + {rest * 1e-16!r})"


def _pieces(corners: list[sphere.Vector], at: Place) -> list[list[sphere.Vector]]:
    try:
        return sphere.pieces(corners)
    except ValueError as err:
        raise QueryError(f"POLYGON: {err}", *at) from err


def _touch(
    first: list[list[sphere.Vector]],
    a: list[sphere.Vector],
    second: list[list[sphere.Vector]],
    b: list[sphere.Vector],
) -> bool:
    """Whether two polygons share a direction: a corner of one in the other, or sides that cross."""
    import numpy as np

    if any(sphere.inside(p, v) for p in second for v in a) or any(
        sphere.inside(p, v) for p in first for v in b
    ):
        return True
    for a1, a2 in zip(a, [*a[1:], a[0]], strict=True):
        for b1, b2 in zip(b, [*b[1:], b[0]], strict=True):
            n, m = np.cross(a1, a2), np.cross(b1, b2)
            if (n @ b1) * (n @ b2) < 0 and (m @ a1) * (m @ a2) < 0 and (a1 + a2) @ (b1 + b2) > 0:
                return True
    return False


def _centroid(corners: list[sphere.Vector]) -> sphere.Vector:
    """Direction of the centre of mass of a polygon on the sphere (Brock 1975: half the sum of angle times normal)."""
    import numpy as np

    sphere.pieces(corners)
    total = np.zeros(3)
    for a, b in zip(corners, [*corners[1:], corners[0]], strict=True):
        n = np.cross(a, b)
        length = float(np.linalg.norm(n))
        total += n / length * math.atan2(length, float(a @ b))
    if total @ sphere.centre(corners) < 0:
        total = -total
    return np.asarray(total / np.linalg.norm(total))
