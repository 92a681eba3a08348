"""How values stand in SQL within a query, and how they go out: geometry as numbers, times as DALI writes them."""

from __future__ import annotations

from desdm.errors import QueryError
from desdm.query.adql import functions
from desdm.query.adql.fragments import GEOMETRIES, NUMBERS, Fragment, constant, numbers
from desdm.query.adql.sphere import box_corners
from desdm.query.engines.writing import SQL_TYPES, Dialect

__all__ = ["plain", "shown"]


def plain(fragment: Fragment, dialect: Dialect) -> str:
    """SQL of a value within a query: geometry as an array."""
    if fragment.kind in GEOMETRIES and fragment.parts:
        parts = fragment.parts
        if fragment.kind == "box":
            known = numbers(parts)
            if known is None:
                raise QueryError("a BOX goes out only if it is made of numbers", *fragment.at)
            parts = tuple(constant(c, fragment.at) for c in box_corners(*known))
        inner = ", ".join(functions.as_double(p).sql for p in parts)
        return f"[{inner}]" if dialect == "duckdb" else f"ARRAY[{inner}]"
    if fragment.kind == "null":
        return f"CAST(NULL AS {SQL_TYPES[dialect]['null']})"
    return fragment.sql


def shown(fragment: Fragment, dialect: Dialect) -> str:
    """SQL of a value as it goes out: of the type that its column says."""
    sql = plain(fragment, dialect)
    if fragment.kind == "timestamp":
        return functions.iso(sql, dialect)
    if fragment.column is None and fragment.kind in (*NUMBERS, "boolean"):
        return f"CAST({sql} AS {SQL_TYPES[dialect][fragment.kind]})"
    return sql
