"""Joins of two tables by position: by cells of HEALPix in DuckDB, by Q3C in PostgreSQL."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from desdm.query.adql.sql.fragments import Column, Fragment, double
from desdm.query.adql.sql.functions import as_double
from desdm.query.adql.sql.scope import Source

if TYPE_CHECKING:
    from desdm.query.adql.sql.expressions import Expressions

__all__ = ["Tables", "join", "order_for"]

Point = tuple[Fragment, Fragment]
#: Largest distance (degrees) of a join by cells; beyond it all pairs of rows are compared.
_WIDEST = 7.0


@dataclass(slots=True)
class Tables:
    """FROM in SQL: its text, tables by name, columns without qualifier."""

    sql: str
    sources: list[Source]
    columns: list[Column]
    #: of a single table: its SQL without alias, its alias, its number of rows (0: not known)
    body: str = ""
    alias: str = ""
    rows: int = 0
    #: conditions that restrict a match by position to neighbouring cells
    extra: str = ""
    #: whether each row occurs once for each neighbouring cell
    spread: bool = False


def order_for(distance: float) -> int:
    """Return the highest order at which a circle of ``distance`` about a point stays within its cell and the neighbours.

    The narrowest part of a neighbour is more than half the root of a cell's area.
    """
    return max(1, min(24, math.floor(math.log2(58.6323 * 0.5 / max(distance, 1e-9)))))


def join(
    expressions: Expressions, left: Tables, right: Tables, a: Point, b: Point, distance: float, kind: str
) -> tuple[Tables, Tables, str]:
    """Join two tables where ``a`` of the left and ``b`` of the right are at most ``distance`` degrees apart.

    Parameters
    ----------
    expressions
        Writer of the query's expressions.
    left, right
        Tables on both sides of the join.
    a, b
        Longitude and latitude in columns of the left and of the right, degrees.
    distance
        Largest distance, degrees.
    kind
        INNER, LEFT, RIGHT or FULL.

    Returns
    -------
    left, right, extra
        The tables for FROM, and SQL to add to the condition; the exact test stays in it.
    """
    if distance > _WIDEST or kind == "FULL":
        return left, right, ""
    if expressions.dialect == "postgresql":
        return left, right, _by_q3c(expressions, left, right, a, b, distance)
    order = order_for(distance)
    near = kind == "RIGHT" or (kind == "INNER" and _smaller(left, right))
    if not _can_be_spread(left if near else right):
        # In an inner join the other side can be spread as well.
        if kind != "INNER" or not _can_be_spread(right if near else left):
            return left, right, ""
        near = not near
    spread, point = (left, a) if near else (right, b)
    base, other = (right, b) if near else (left, a)
    cell, shift = _cell(expressions, point), 2 * (29 - order)
    few = ""
    if kind != "INNER" and base.alias and not base.body.startswith("("):
        # All rows of the other side are kept, often a small upload: rows without a neighbour in it are not spread.
        around = f"unnest(desdm_around({_cell(expressions, other)}, {order}))"
        few = f" WHERE ({cell} >> {shift}) IN (SELECT {around} FROM {base.body} AS {base.alias})"
    sql = (
        f"(SELECT {spread.alias}.*, unnest(desdm_around({cell}, {order})) AS desdm_cell "
        f"FROM {spread.body} AS {spread.alias}{few}) AS {spread.alias}"
    )
    extra = f" AND ({_cell(expressions, other)} >> {shift}) = {spread.alias}.desdm_cell"
    spread = replace(spread, sql=sql, spread=True)
    return (spread, right, extra) if near else (left, spread, extra)


def _can_be_spread(tables: Tables) -> bool:
    """Tell whether a table can be spread over cells: a single one that is not spread yet."""
    return bool(tables.alias) and not tables.spread


def _smaller(left: Tables, right: Tables) -> bool:
    """Tell whether the left table has fewer rows; uploads, with unknown numbers, are small."""
    return left.rows < right.rows


def _cell(expressions: Expressions, point: Point) -> str:
    """Return SQL of ``hpix29`` of a position: its column, or computed."""
    own = expressions.cell(*point)
    return own or f"desdm_hpix29({as_double(point[0]).sql}, {as_double(point[1]).sql})"


def _by_q3c(
    expressions: Expressions, left: Tables, right: Tables, a: Point, b: Point, distance: float
) -> str:
    """Return the condition that uses the Q3C index of the larger side, or an empty text if that has none."""
    indexed, probe = (a, b) if right.rows < left.rows else (b, a)
    if expressions.cell(*indexed) is None:
        return ""
    reach = double(distance * (1 + 1e-9) + 1e-9)
    return f" AND desdm_join({probe[0].sql}, {probe[1].sql}, {indexed[0].sql}, {indexed[1].sql}, {reach})"
