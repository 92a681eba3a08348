"""SQL of intermediate values and of values in the answer: geometry as arrays, timestamps as text."""

from __future__ import annotations

from desdm.errors import QueryError
from desdm.query.adql.sql import functions
from desdm.query.adql.sql.fragments import GEOMETRIES, NUMBERS, Fragment, constant, numbers
from desdm.query.adql.sql.sphere import box_corners
from desdm.query.engines.writing import SQL_TYPES, Dialect

__all__ = ["intermediate_sql", "output_sql"]


def intermediate_sql(fragment: Fragment, dialect: Dialect) -> str:
    """Write a value for use in an outer query: geometry as an array."""
    if fragment.kind in GEOMETRIES and fragment.parts:
        parts = fragment.parts
        if fragment.kind == "box":
            known = numbers(parts)
            if known is None:
                raise QueryError(
                    "a BOX can be selected only if its centre and sizes are numbers", *fragment.at
                )
            parts = tuple(constant(c, fragment.at) for c in box_corners(*known))
        inner = ", ".join(functions.as_double(p).sql for p in parts)
        return f"[{inner}]" if dialect == "duckdb" else f"ARRAY[{inner}]"
    if fragment.kind == "null":
        return f"CAST(NULL AS {SQL_TYPES[dialect]['null']})"
    return fragment.sql


def output_sql(fragment: Fragment, dialect: Dialect) -> str:
    """Write a value for the answer, in the type of its column."""
    sql = intermediate_sql(fragment, dialect)
    if fragment.kind == "timestamp":
        return functions.timestamp_text_sql(sql, dialect)
    if fragment.column is None and fragment.kind in (*NUMBERS, "boolean"):
        return f"CAST({sql} AS {SQL_TYPES[dialect][fragment.kind]})"
    return sql
