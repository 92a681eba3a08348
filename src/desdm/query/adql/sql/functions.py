"""Functions of ADQL on numbers, text and timestamps, in the SQL of each engine (REC-ADQL-2.1, 2.3, 4.3-4.6)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from desdm.errors import QueryError
from desdm.numbers import DECIMAL, NOT_FINITE
from desdm.query.adql.parse.tokens import Place
from desdm.query.adql.sql.fragments import INTEGERS, NUMBERS, Fragment, double
from desdm.query.engines.writing import SQL_TYPES, Dialect
from desdm.release.model import ReleaseColumn
from desdm.timestamps import timestamp_text

__all__ = ["FUNCTIONS", "Function", "cast", "function_sql"]


@dataclass(frozen=True, slots=True)
class Function:
    """One function of ADQL.

    Attributes
    ----------
    signature
        Signature for messages and the capabilities.
    min_arguments, max_arguments
        Smallest and largest number of arguments.
    argument_kinds
        Kind of each argument: ``double``, ``number``, ``char`` or ``time``.
    result_kind
        Kind of the result; ``=``: that of its first argument.
    duckdb, postgresql
        SQL with ``{0}``, ``{1}`` … for the arguments.
    unit
        Unit of the result; ``=``: that of its first argument.
    text
        Description of the result.
    """

    signature: str
    min_arguments: int
    max_arguments: int
    argument_kinds: tuple[str, ...]
    result_kind: str
    duckdb: str
    postgresql: str
    unit: str = ""
    text: str = ""


def _math(name: str, sql: str, unit: str = "", postgresql: str | None = None, text: str = "") -> Function:
    """Return a function of one double."""
    return Function(
        f"{name}(x DOUBLE) -> DOUBLE", 1, 1, ("double",), "double", sql, postgresql or sql, unit, text
    )


def _finite_or_error(sql: str, message: str) -> str:
    """Write an expression that raises ``message`` where a finite argument gives no finite result, as PostgreSQL does."""
    return f"(CASE WHEN isfinite({sql}) IS FALSE AND isfinite({{0}}) THEN error('{message}') ELSE {sql} END)"


#: exp(-x) of a larger x is less than 2^-1075, which rounds to 0. PostgreSQL raises an error for it; DuckDB returns 0.
_EXP_UNDERFLOW = 745.1332191019412
_PG_EXP = f"(CASE WHEN {{0}} < -{_EXP_UNDERFLOW} THEN 0 ELSE exp({{0}}) END)"
_PG_POWER = (
    f"(CASE WHEN {{1}} / 1000 * ln(abs(NULLIF({{0}}, 0))) < -{_EXP_UNDERFLOW / 1000} "
    "THEN 0 ELSE power({0}, {1}) END)"
)
_DUCKDB_POWER = (
    "(CASE WHEN isfinite(power({0}, {1})) IS FALSE AND isfinite({0}) AND isfinite({1}) "
    "THEN error(CASE WHEN isnan(power({0}, {1})) OR {0} = 0 THEN 'power' ELSE 'overflow' END) ELSE power({0}, {1}) END)"
)


_TEXT = ("char",)
#: Collation for UPPER and LOWER in PostgreSQL: the columns have that of their bytes, which converts ASCII only.
_UNICODE_COLLATION = '{0} COLLATE "und-x-icu"'
FUNCTIONS: dict[str, Function] = {
    "ABS": Function("ABS(x) -> x", 1, 1, ("number",), "=", "abs({0})", "abs({0})", "="),
    "CEILING": _math("CEILING", "ceil({0})", "="),
    "FLOOR": _math("FLOOR", "floor({0})", "="),
    "DEGREES": _math("DEGREES", _finite_or_error("degrees({0})", "overflow"), "deg", postgresql="degrees({0})"),
    "RADIANS": _math("RADIANS", "radians({0})", "rad"),
    "EXP": _math("EXP", _finite_or_error("exp({0})", "overflow"), postgresql=_PG_EXP),
    "LOG": _math("LOG", "ln({0})"),
    "LOG10": _math("LOG10", "log10({0})", postgresql="log({0})"),
    "SQRT": _math("SQRT", "sqrt({0})"),
    "ACOS": _math("ACOS", "acos({0})", "rad"),
    "ASIN": _math("ASIN", "asin({0})", "rad"),
    "ATAN": _math("ATAN", "atan({0})", "rad"),
    "COS": _math("COS", "cos({0})"),
    "SIN": _math("SIN", "sin({0})"),
    "TAN": _math("TAN", "tan({0})"),
    "COT": _math("COT", "cot({0})", postgresql="(1 / tan({0}))"),
    "ATAN2": Function("ATAN2(y DOUBLE, x DOUBLE) -> DOUBLE", 2, 2, ("double", "double"), "double",
                      "atan2({0}, {1})", "atan2({0}, {1})", "rad"),
    "POWER": Function("POWER(x DOUBLE, y DOUBLE) -> DOUBLE", 2, 2, ("double", "double"), "double",
                      _DUCKDB_POWER, _PG_POWER),
    "PI": Function("PI() -> DOUBLE", 0, 0, (), "double", "pi()", "pi()"),
    "RAND": Function("RAND([seed]) -> DOUBLE", 0, 1, ("number",), "double", "random()", "random()"),
    "UPPER": Function("UPPER(s VARCHAR) -> VARCHAR", 1, 1, _TEXT, "char", "upper({0})",
                      f"(upper({_UNICODE_COLLATION}) COLLATE \"C\")"),
    "LOWER": Function("LOWER(s VARCHAR) -> VARCHAR", 1, 1, _TEXT, "char", "lower({0})",
                      f"(lower({_UNICODE_COLLATION}) COLLATE \"C\")"),
    "TIMESTAMP": Function("TIMESTAMP(s VARCHAR) -> TIMESTAMP", 1, 1, ("time",), "timestamp",
                          "{0}", "{0}"),
}  # fmt: skip


def function_sql(name: str, arguments: Sequence[Fragment], at: Place, dialect: Dialect) -> Fragment:
    """Write a call of a function in the engine's SQL.

    Parameters
    ----------
    name
        Name in capitals: a key of `FUNCTIONS`, or MOD, ROUND or TRUNCATE.
    arguments
        Arguments of the call.
    at
        Line and column of the call, for errors.
    dialect
        Dialect of the engine's SQL.

    Raises
    ------
    QueryError
        The number or the kinds of the arguments are wrong.
    """
    if name in _SPECIAL:
        return _SPECIAL[name](name, arguments, at, dialect)
    function = FUNCTIONS[name]
    require_argument_count(
        name, function.signature, arguments, function.min_arguments, function.max_arguments, at
    )
    values = [
        _argument(name, wanted, a) for wanted, a in zip(function.argument_kinds, arguments, strict=False)
    ]
    kind = (
        (values[0].kind if values[0].kind != "null" else "double")
        if function.result_kind == "="
        else function.result_kind
    )
    template = function.duckdb if dialect == "duckdb" else function.postgresql
    sql = template.format(*(g.sql for g in values))
    unit = values[0].meta.unit if function.unit == "=" and values and values[0].meta else function.unit
    unicode = (
        kind == "char"
        and bool(values)
        and values[0].meta is not None
        and values[0].meta.datatype == "unicodeChar"
    )
    meta = ReleaseColumn("", "unicodeChar" if unicode else kind, unit="" if unit == "=" else unit)
    if name == "PI":
        return Fragment(sql, kind, at, meta, constant=math.pi)
    return Fragment(sql, kind, at, meta)


def require_argument_count(
    name: str, signature: str, arguments: Sequence[Fragment], least: int, most: int, at: Place
) -> None:
    """Raise unless a call has an allowed number of arguments.

    Parameters
    ----------
    name, signature
        Name and signature of the function, for the message.
    arguments
        Arguments of the call.
    least, most
        Smallest and largest number of arguments.
    at
        Line and column of the call, for errors.

    Raises
    ------
    QueryError
        There are fewer or more.
    """
    if not least <= len(arguments) <= most:
        raise QueryError(f"{name} has {len(arguments)} arguments; its signature is {signature}", *at)


def _argument(name: str, wanted: str, argument: Fragment) -> Fragment:
    """Return an argument converted to a kind; raise if it cannot be."""
    if wanted in ("double", "number"):
        if argument.kind not in (*NUMBERS, "null"):
            raise QueryError(f"{name} takes a number here", *argument.at)
        return as_double(argument) if wanted == "double" else argument
    if wanted == "char" and argument.kind not in ("char", "null"):
        raise QueryError(f"{name} takes text here", *argument.at)
    if wanted == "time":
        if argument.kind not in ("char", "null", "timestamp"):
            raise QueryError(f"{name} takes text like '2026-11-22T03:04:05'", *argument.at)
        return as_timestamp(argument)
    return argument


def as_timestamp(value: Fragment) -> Fragment:
    """Convert a text or NULL to a timestamp; a literal is checked before the query runs."""
    if value.kind == "timestamp":
        return value
    if value.kind == "null":
        return Fragment("CAST(NULL AS timestamp)", "timestamp", value.at)
    if not isinstance(value.constant, str):
        return Fragment(f"desdm_timestamp({value.sql})", "timestamp", value.at)
    try:
        time = timestamp_text(value.constant)
    except ValueError as err:
        raise QueryError(str(err), *value.at) from None
    return Fragment(f"CAST('{time}' AS timestamp)", "timestamp", value.at)


def as_double(value: Fragment) -> Fragment:
    """Convert a number to a double."""
    if value.kind == "double":
        return value
    if value.number is not None:
        return Fragment(double(value.number), "double", value.at, value.meta, value.number)
    return Fragment(
        f"CAST({value.sql} AS float8)", "double", value.at, value.meta,
        unchecked=value.unchecked, operands=value.operands,
    )  # fmt: skip


def checked_sum_sql(sql: str, x: str) -> str:
    """Write a sum or mean over ``x`` in DuckDB that raises an error if the sum of finite numbers overflows."""
    infinite = f"count(*) FILTER (WHERE isinf({x}))"
    return f"(CASE WHEN isfinite({sql}) IS FALSE AND {infinite} = 0 THEN error('overflow') ELSE {sql} END)"


def _mod(name: str, arguments: Sequence[Fragment], at: Place, dialect: Dialect) -> Fragment:
    """Write MOD."""
    require_argument_count(name, "MOD(x, y) -> x", arguments, 2, 2, at)
    x, y = (_argument(name, "number", a) for a in arguments)
    if x.kind in INTEGERS and y.kind in INTEGERS:
        # DuckDB divides first, and the smallest integer divided by -1 overflows; the remainder for -1 is 0 as for 1.
        divisor = f"(CASE WHEN {y.sql} = -1 THEN 1 ELSE {y.sql} END)"
        sql = f"({x.sql} % {divisor})" if dialect == "duckdb" else f"mod({x.sql}, {y.sql})"
        return Fragment(sql, max(x.kind, y.kind, key=NUMBERS.index), at)
    x, y = as_double(x), as_double(y)
    # The exact remainder, as fmod of C has it (ISO/IEC 9899, F.10.7.1).
    sql = without_nan(f"({x.sql} % {y.sql})") if dialect == "duckdb" else f"desdm_mod({x.sql}, {y.sql})"
    return Fragment(sql, "double", at)


def _round(name: str, arguments: Sequence[Fragment], at: Place, dialect: Dialect) -> Fragment:
    """Write ROUND and TRUNCATE."""
    require_argument_count(name, f"{name}(x DOUBLE, [n INTEGER]) -> DOUBLE", arguments, 1, 2, at)
    x = as_double(_argument(name, "number", arguments[0]))
    places = arguments[1].number if len(arguments) == 2 else 0.0
    if (
        places is None
        or not places.is_integer()
        or abs(places) > 18
        or (len(arguments) == 2 and arguments[1].kind not in INTEGERS)
    ):
        raise QueryError(
            f"{name}: the number of decimal places must be a whole number from -18 to 18", *arguments[1].at
        )
    if places == 0 and name == "TRUNCATE":
        sql = f"trunc({x.sql})"
    elif places == 0 and dialect == "duckdb":
        sql = f"round({x.sql})"
    else:
        # The unit of rounding is numerator / denominator; both are exact doubles, which 0.01 is not.
        denominator, numerator = double(10.0 ** max(places, 0)), double(10.0 ** max(-places, 0))
        sql = f"desdm_{name.lower()}({x.sql}, {denominator}, {numerator})"
    return Fragment(sql, "double", at, arguments[0].meta)


_SPECIAL: dict[str, Callable[[str, Sequence[Fragment], Place, Dialect], Fragment]] = {
    "MOD": _mod,
    "ROUND": _round,
    "TRUNCATE": _round,
}

_TARGETS = {
    "SMALLINT": "short", "INTEGER": "int", "INT": "int", "BIGINT": "long", "REAL": "float", "DOUBLE": "double",
    "CHAR": "char", "VARCHAR": "char", "TIMESTAMP": "timestamp",
}  # fmt: skip


def cast(
    value: Fragment, target: str, length: int | None, dialect: Dialect, types: dict[str, str]
) -> Fragment:
    """Write CAST to a number, text or timestamp; CHAR(n) and VARCHAR(n) truncate longer text.

    Parameters
    ----------
    value
        Value to convert.
    target
        Type in capitals, as in ADQL.
    length
        Length of CHAR(n) and VARCHAR(n), or None.
    dialect
        Dialect of the engine's SQL.
    types
        SQL types of the engine by kind.

    Raises
    ------
    QueryError
        A value of this kind cannot be converted to the type.
    """
    kind = _TARGETS.get(target)
    if kind is None:
        raise QueryError(f"CAST to {target} is not possible here; use the function {target}", *value.at)
    if value.kind in ("array", "condition", "region") or (
        value.kind == "timestamp" and kind not in ("char", "timestamp")
    ):
        raise QueryError(f"this value cannot be cast to {target}", *value.at)
    if kind == "timestamp" and value.kind not in ("char", "timestamp", "null"):
        raise QueryError("only text can be cast to TIMESTAMP", *value.at)
    sql = value.sql
    if kind == "timestamp":
        sql = as_timestamp(value).sql
    elif kind == "char":
        sql = as_text(value, dialect)
    elif kind in NUMBERS and value.kind == "char":
        sql = _number_from_text_sql(value, kind, types[kind], dialect)
    elif kind in INTEGERS and value.kind in ("float", "double"):
        # Round half to even, as PostgreSQL does with doubles, so that both engines give one answer.
        whole = f"round_even({sql}, 0)" if dialect == "duckdb" else f"round({sql})"
        sql = f"CAST({whole} AS {types[kind]})"
    else:
        plain = sql
        sql = f"CAST({sql} AS {types[kind]})"
        if kind == "float" and value.kind == "double" and dialect == "postgresql":
            # As in DuckDB, numbers below half the smallest positive float become 0.
            sql = f"(CASE WHEN abs({plain}) < {_HALF_SMALLEST_FLOAT} THEN 0 ELSE {sql} END)"
    if length is not None:
        sql = f"left({sql}, {length})"
    known = value.number if kind in NUMBERS and value.number is not None and kind == "double" else None
    return Fragment(sql, kind, value.at, value.meta if kind == value.kind or kind in NUMBERS else None, known)


#: Half the smallest positive number of IEEE 754's binary32: 2^-150.
_HALF_SMALLEST_FLOAT = 2.0**-150
#: The same for binary32 and binary64 in decimal digits: 2^-1075 cannot be represented in binary64.
_HALF_OF_EXP_UNDERFLOW = {"float": "7.0064923216240854e-46", "double": "2.4703282292062328e-324"}
_DECIMAL, _NOT_FINITE = re.compile(DECIMAL), re.compile(NOT_FINITE)


def _number_from_text_sql(value: Fragment, kind: str, type_: str, dialect: Dialect) -> str:
    """Write the cast of a text to a number: words for infinity are accepted, digits beyond the range are an error."""
    text = value.sql
    if isinstance(value.constant, str):
        digits = value.constant.strip(" \t\r\n")
        if not _DECIMAL.fullmatch(digits) and not (kind not in INTEGERS and _NOT_FINITE.fullmatch(digits)):
            raise QueryError(
                f"{digits[:40]!r} is not a number: write digits, sign, point and exponent", *value.at
            )
    if kind in INTEGERS:
        # '1.5' is rounded, halves away from zero.
        return f"CAST(desdm_whole({text}) AS {type_})"
    if dialect == "postgresql":
        return without_nan(f"CAST(desdm_floating({text}, {_HALF_OF_EXP_UNDERFLOW[kind]}) AS {type_})")
    sql = f"CAST(desdm_floating({text}) AS {type_})"
    return without_nan(
        f"(CASE WHEN isinf({sql}) AND {text} NOT ILIKE '%inf%' THEN error('overflow') ELSE {sql} END)"
    )


def as_text(value: Fragment, dialect: Dialect) -> str:
    """Write a value as text; floating-point numbers get a point or an exponent."""
    if value.kind == "char":
        return value.sql
    if value.kind == "timestamp":
        return timestamp_text_sql(value.sql, dialect)
    sql = f"CAST({value.sql} AS {SQL_TYPES[dialect]['char']})"
    if dialect == "postgresql" and value.kind in ("float", "double"):
        return f"regexp_replace({sql}, '^(-?[0-9]+)$', '\\1.0')"
    return sql


def without_nan(sql: str) -> str:
    """Write a floating-point value with NULL for NaN, which both engines would sort as the largest number."""
    return f"NULLIF({sql}, 'NaN')"


def case_insensitive(sql: str) -> str:
    """Write a text of PostgreSQL with the collation for comparisons that ignore case."""
    return f"({_UNICODE_COLLATION.format(sql)})"


def timestamp_text_sql(sql: str, dialect: Dialect) -> str:
    """Write a timestamp as text in the form of DALI: 2026-11-22T03:04:05.678."""
    if dialect == "duckdb":
        return f"strftime({sql}, '%Y-%m-%dT%H:%M:%S.%g')"
    return f"to_char({sql}, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS')"
