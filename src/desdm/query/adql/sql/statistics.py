"""Aggregates beside those of ADQL: standard deviation, variance and median."""

from __future__ import annotations

from desdm.errors import QueryError
from desdm.query.adql.parse.aggregates import SIGNATURES
from desdm.query.adql.parse.tokens import Place
from desdm.query.adql.sql.fragments import NUMBERS, Fragment
from desdm.query.adql.sql.functions import as_double, without_nan
from desdm.query.engines.writing import Dialect
from desdm.release.model import ReleaseColumn

__all__ = ["SIGNATURES", "aggregate"]

_SQL = {"STDDEV": "stddev_samp", "VARIANCE": "var_samp"}


def aggregate(name: str, value: Fragment, distinct: bool, at: Place, dialect: Dialect) -> Fragment:
    """Write one of these aggregates in the engine's SQL.

    Parameters
    ----------
    name
        One of `SIGNATURES`.
    value
        Argument.
    distinct
        Whether equal values count once.
    at
        Line and column, for errors.
    dialect
        Dialect of the engine's SQL.
    """
    if value.kind not in (*NUMBERS, "null"):
        raise QueryError(f"{name} takes numbers", *at)
    x = as_double(value).sql
    unit = value.meta.unit if value.meta else ""
    if name == "MEDIAN":
        if distinct:
            raise QueryError("MEDIAN takes no DISTINCT", *at)
        sql = f"median({x})" if dialect == "duckdb" else f"percentile_cont(0.5) WITHIN GROUP (ORDER BY {x})"
        return Fragment(
            without_nan(sql), "double", at, ReleaseColumn("", "double", unit=unit, ucd="stat.median")
        )
    word = "DISTINCT " if distinct else ""
    sql = f"{_SQL.get(name, name.lower())}({word}{x})"
    if dialect == "duckdb":
        # For infinities DuckDB raises an error and PostgreSQL returns NaN; both give NULL here.
        infinite = f"count(*) FILTER (WHERE isinf({x})) > 0"
        sql = f"{sql} FILTER (WHERE isfinite({x}))"
        sql = f"(CASE WHEN {infinite} THEN NULL WHEN isfinite({sql}) IS FALSE THEN error('overflow') ELSE {sql} END)"
    if name.startswith("VAR"):
        squared = f"{unit}**2" if unit.isalpha() else ""
        meta = ReleaseColumn("", "double", unit=squared, ucd="stat.variance")
    else:
        meta = ReleaseColumn("", "double", unit=unit, ucd="stat.stdev")
    return Fragment(without_nan(sql), "double", at, meta)
