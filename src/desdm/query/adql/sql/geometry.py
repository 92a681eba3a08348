"""Geometry of ADQL in SQL: ranges on ``hpix29`` first, then an exact test (REC-ADQL-2.1, 4.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from desdm.errors import QueryError
from desdm.query.adql.parse.tokens import Place
from desdm.query.adql.sql import directions, regions, sphere
from desdm.query.adql.sql.fragments import Fragment, constant, double, numbers
from desdm.query.engines.writing import Dialect

__all__ = ["Geometry"]

_FRAMES = ("", "ICRS", "J2000", "FK5", "UNKNOWN", "UNKNOWNFRAME")


class Geometry:
    """Writer of constructors, predicates and measures of geometry.

    Parameters
    ----------
    cells
        Returns SQL of the ``hpix29`` column for the coordinates of a point, or None.
    """

    def __init__(self, cells: Callable[[Fragment, Fragment], str | None], dialect: Dialect) -> None:
        self._cells, self._dialect = cells, dialect
        #: pairs of positions in columns compared with a constant distance, for joins
        self.pairs: list[tuple[tuple[Fragment, Fragment], tuple[Fragment, Fragment], float]] = []

    # Constructors

    def without_frame(self, name: str, arguments: Sequence[Fragment], at: Place) -> list[Fragment]:
        """Return the arguments without the coordinate system, which must be ICRS.

        Parameters
        ----------
        name
            Function, for the message.
        arguments
            Arguments; the first may be a text with the coordinate system.
        at
            Line and column of the call, for errors.

        Raises
        ------
        QueryError
            It is another coordinate system.
        """
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
        """Return a POINT, CIRCLE, BOX or POLYGON.

        Parameters
        ----------
        name
            One of the four, in capitals.
        arguments
            Coordinates and sizes in degrees, or POINTs where ADQL 2.1 allows them.
        at
            Line and column of the call, for errors.

        Raises
        ------
        QueryError
            Number, kinds or values of the arguments are wrong.
        """
        values = self.without_frame(name, arguments, at)
        if name == "POLYGON" and values and values[0].kind == "point" and len(values) >= 3:
            if any(g.kind != "point" for g in values):
                raise QueryError("POLYGON takes points or numbers, not both", *at)
            values = [c for g in values for c in g.parts]
        elif name in ("CIRCLE", "BOX") and values and values[0].kind == "point":
            values = [*values[0].parts, *values[1:]]
        wanted = {"POINT": 2, "CIRCLE": 3, "BOX": 4}.get(name)
        if len(values) != wanted if wanted else (len(values) < 6 or len(values) % 2):
            raise QueryError(_USAGE[name], *at)
        for value in values:
            if value.kind not in ("short", "int", "long", "float", "double", "null"):
                raise QueryError(f"{name}: {_USAGE[name]}", *value.at)
        self._check(name, values)
        if name == "CIRCLE" and values[2].number is None and values[2].kind != "null":
            values[2] = _radius(values[2])
        return Fragment("", name.lower(), at, parts=tuple(values))

    def _check(self, name: str, values: Sequence[Fragment]) -> None:
        """Raise if constant coordinates or sizes are out of range."""
        coordinates = values if name in ("POINT", "POLYGON") else values[:2]
        for value in coordinates[1::2]:
            if value.number is not None and not -90 <= value.number <= 90:
                raise QueryError("a declination must be between -90 and 90 degrees", *value.at)
        for value in coordinates[::2]:
            if value.number is not None and not -360 <= value.number <= 720:
                raise QueryError("a right ascension must be between 0 and 360 degrees", *value.at)
        for value in values[2:] if name in ("CIRCLE", "BOX") else ():
            if value.number is not None and value.number < 0:
                raise QueryError(f"the size of a {name} cannot be negative", *value.at)
            if name == "BOX" and value.number is not None and not 0 < value.number < 180:
                raise QueryError("the sides of a BOX must be between 0 and 180 degrees", *value.at)

    # Measures

    def distance(self, arguments: Sequence[Fragment], at: Place) -> Fragment:
        """Write DISTANCE in degrees (Vincenty's formula, accurate at every angle)."""
        (a1, d1), (a2, d2) = self.two_points(arguments, at)
        known = numbers((a1, d1, a2, d2))
        if known is not None:
            return constant(sphere.separation(*known), at)
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
        """Return the two positions of DISTANCE: two points, or four coordinates."""
        if len(arguments) == 2 and all(a.kind == "point" for a in arguments):
            (a, b), (c, d) = arguments[0].parts, arguments[1].parts
            return (a, b), (c, d)
        if len(arguments) == 4 and all(
            a.kind in ("short", "int", "long", "float", "double", "null") for a in arguments
        ):
            for value in arguments[1::2]:
                if value.number is not None and not -90 <= value.number <= 90:
                    raise QueryError("a declination must be between -90 and 90 degrees", *value.at)
            return (arguments[0], arguments[1]), (arguments[2], arguments[3])
        raise QueryError("DISTANCE takes two points, or ra1, dec1, ra2, dec2", *at)

    # Predicates

    def contains(self, inner: Fragment, outer: Fragment, at: Place) -> str:
        """Write the condition that one shape is contained in another.

        Parameters
        ----------
        inner, outer
            Shapes, or regions in columns.
        at
            Line and column of the call, for errors.

        Raises
        ------
        QueryError
            The test is not available for these shapes.
        """
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
        raise QueryError(f"CONTAINS is not available for a {inner.kind} in a {outer.kind}", *at)

    def intersects(self, one: Fragment, other: Fragment, at: Place) -> str:
        """Write the condition that two regions intersect.

        Parameters
        ----------
        one, other
            Shapes, or regions in columns.
        at
            Line and column of the call, for errors.

        Raises
        ------
        QueryError
            The test is not available for these shapes.
        """
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
        """Write INTERSECTS of a shape and a region in a column."""
        if one.kind in ("point", "circle"):
            return regions.meets_place(region, one.parts[:2], one.parts[2] if one.kind == "circle" else None)
        corners = self._corners(one, "INTERSECTS with a region of a column", at)
        return regions.meets_polygon(region, corners, _pieces(corners, one.at), self._dialect)

    def _contains_region(self, inner: Fragment, outer: Fragment, at: Place) -> str:
        """Write CONTAINS where one side is a region in a column."""
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
        """Return the corners of a polygon or box of numbers."""
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
        """Write the condition that two positions are at most a radius apart.

        Parameters
        ----------
        a, b
            Longitude and latitude of the positions, degrees.
        radius
            Largest distance, degrees; a constant or a value of each row.
        at
            Line and column, for errors.
        strict
            Whether the distance must be less than the radius.
        """
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
        return f"({ranges}{band}{directions.within(a, b, limit, strict)})"

    def _ranges(self, point: tuple[Fragment, Fragment], ranges: list[tuple[int, int]]) -> str:
        """Write the condition on ``hpix29``, with AND behind it; empty if the table has no such column."""
        cell = self._cells(point[0], point[1])
        if cell is None or not ranges:
            return ""
        pieces = " OR ".join(f"{cell} BETWEEN {low} AND {high}" for low, high in ranges)
        hull = f"{cell} BETWEEN {ranges[0][0]} AND {ranges[-1][1]}"
        return f"{hull} AND ({pieces}) AND " if len(ranges) > 1 else f"{hull} AND "

    def _point_in(self, point: Fragment, region: Fragment, at: Place) -> str:
        """Write the test that a point lies in a shape."""
        lon, lat = point.parts
        if region.kind == "point":
            return self.near((lon, lat), (region.parts[0], region.parts[1]), constant(0.0, at), at)
        if region.kind == "circle":
            return self.near((lon, lat), (region.parts[0], region.parts[1]), region.parts[2], at)
        known = numbers(region.parts)
        if region.kind == "box" and known is None:
            return directions.in_box(point, region)
        if region.kind == "polygon" and known is None:
            return directions.in_corners(point, region)
        if region.kind in ("polygon", "box") and known is not None:
            corners = sphere.vertices(sphere.box_corners(*known) if region.kind == "box" else known)
            try:
                convex_pieces = sphere.pieces(corners)
            except ValueError as err:
                raise QueryError(f"{region.kind.upper()}: {err}", *region.at) from err
            ranges = self._ranges((lon, lat), sphere.polygon_ranges(corners))
            tests = " OR ".join(f"({directions.in_piece(point, piece)})" for piece in convex_pieces)
            return f"({ranges}({tests}))"
        raise QueryError(f"a region is expected here, not {region.kind}", *at)

    def _corners_in(self, inner: Fragment, outer: Fragment, at: Place) -> str:
        """Write the test that all corners of a shape lie in another."""
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
                raise QueryError("CONTAINS of a POLYGON in another needs a convex outer one", *at)
        return "(" + " AND ".join(self._point_in(p, outer, at) for p in parts) + ")"

    def _circle_meets(self, circle: Fragment, region: Fragment, at: Place) -> str:
        """Write INTERSECTS of a circle and a polygon or box."""
        known = numbers(region.parts)
        if known is None:
            raise QueryError("INTERSECTS of a CIRCLE needs a POLYGON or BOX of numbers", *at)
        point = Fragment("", "point", at, parts=circle.parts[:2])
        return "(" + " OR ".join([self._point_in(point, region, at), *self._near_sides(circle, region)]) + ")"

    def _near_sides(self, circle: Fragment, region: Fragment, rest: float = 1e-14) -> list[str]:
        """Write for each side of a polygon the test that it intersects a circle."""
        shape = self._corners(region, "a CIRCLE", region.at)
        point = Fragment("", "point", circle.at, parts=circle.parts[:2])
        return [
            directions.near_side(point, a, b, circle.parts[2], rest)
            for a, b in zip(shape, [*shape[1:], shape[0]], strict=True)
        ]

    def _polygons_meet(self, one: Fragment, other: Fragment, at: Place) -> str:
        """Return the result of INTERSECTS of two constant polygons or boxes as a condition."""
        first, second = numbers(one.parts), numbers(other.parts)
        if first is None or second is None or {one.kind, other.kind} - {"polygon", "box"}:
            raise QueryError("INTERSECTS of two POLYGONs needs their corners as numbers", *at)
        a = sphere.vertices(sphere.box_corners(*first) if one.kind == "box" else first)
        b = sphere.vertices(sphere.box_corners(*second) if other.kind == "box" else second)
        meets = sphere.polygons_intersect(_pieces(a, at), a, _pieces(b, at), b)
        return "(1 = 1)" if meets else "(1 = 0)"


def _radius(value: Fragment) -> Fragment:
    """Limit a radius that is not constant to 180 degrees; NULL if it is negative or NaN."""
    sql = f"(CASE WHEN {value.sql} BETWEEN 0 AND 180 THEN {value.sql} WHEN {value.sql} BETWEEN 180 AND 1e300 THEN 180 END)"
    return Fragment(sql, "double", value.at)


_USAGE = {
    "POINT": "POINT takes ra and dec in degrees",
    "CIRCLE": "CIRCLE takes a centre (ra, dec, or a POINT) and a radius, in degrees",
    "BOX": "BOX takes a centre (ra, dec, or a POINT), width and height, in degrees",
    "POLYGON": "POLYGON takes three or more corners, as ra, dec, … in degrees or as POINTs",
}


def _pieces(corners: list[sphere.Vector], at: Place) -> list[list[sphere.Vector]]:
    """Return the convex pieces of a polygon; raise with its place if it is not valid."""
    try:
        return sphere.pieces(corners)
    except ValueError as err:
        raise QueryError(f"POLYGON: {err}", *at) from err
