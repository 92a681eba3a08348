"""Measures of regions: AREA and CENTROID (REC-ADQL-2.1, 4.2.8 and 4.2.10)."""

from __future__ import annotations

import math

from desdm.errors import QueryError
from desdm.query.adql.parse.tokens import Place
from desdm.query.adql.sql import sphere
from desdm.query.adql.sql.fragments import Fragment, constant, numbers

__all__ = ["area", "centroid"]


def area(region: Fragment, at: Place) -> Fragment:
    """Write AREA in square degrees."""
    known = numbers(region.parts)
    if region.kind == "point":
        return constant(0.0, at)
    if region.kind == "circle":
        radius = region.parts[2]
        sql = f"(2 * pi() * (1 - cos(radians({radius.sql}))) * power(180 / pi(), 2))"
        if radius.number is not None:
            return constant(
                2 * math.pi * (1 - math.cos(math.radians(min(radius.number, 180)))) * math.degrees(1) ** 2,
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


def centroid(region: Fragment, at: Place) -> Fragment:
    """Write CENTROID as a point."""
    if region.kind in ("point", "circle", "box"):
        return Fragment("", "point", at, parts=region.parts[:2])
    known = numbers(region.parts)
    if region.kind == "polygon" and known is not None:
        corners = sphere.vertices(known)
        try:
            position = sphere.position(sphere.centroid(corners))
        except ValueError as err:
            raise QueryError(f"CENTROID: {err}", *at) from err
        return Fragment("", "point", at, parts=(constant(position[0], at), constant(position[1], at)))
    raise QueryError("CENTROID takes a POINT, a CIRCLE, a BOX, or a POLYGON of numbers", *at)
