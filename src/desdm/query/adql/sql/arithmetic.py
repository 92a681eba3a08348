"""Binary operators in an engine's SQL: ``+ - * /``, ``||`` and bitwise ones, with the unit of the result."""

from __future__ import annotations

from dataclasses import replace

from desdm.errors import QueryError
from desdm.query.adql.parse.tokens import Place
from desdm.query.adql.sql import functions
from desdm.query.adql.sql.fragments import GEOMETRIES, INTEGERS, NUMBERS, Fragment, constant
from desdm.query.engines.writing import Dialect
from desdm.release.model import ReleaseColumn

__all__ = ["checked", "operate"]

#: Adding a number up to this size to a finite double never overflows.
_NEVER_OVERFLOWS = 1e291


def operate(operator: str, left: Fragment, right: Fragment, at: Place, dialect: Dialect) -> Fragment:
    """Write a binary operator; constants are computed here.

    Parameters
    ----------
    operator
        ``+``, ``-``, ``*``, ``/``, ``||``, or a bitwise one.
    left, right
        Operands, possibly without their check for overflow (`Fragment.unchecked`).
    at
        Line and column of the operator, for errors.
    dialect
        Dialect of the engine's SQL.

    Raises
    ------
    QueryError
        The operator does not take values of these kinds.
    """
    if operator == "||":
        for side in (left, right):
            if side.kind in (*GEOMETRIES, "array"):
                raise QueryError("|| concatenates texts", *side.at)
        texts = [functions.as_text(side, dialect) for side in (left, right)]
        unicode = any(side.meta is not None and side.meta.datatype == "unicodeChar" for side in (left, right))
        meta = ReleaseColumn("", "unicodeChar") if unicode else None
        return Fragment(f"({texts[0]} || {texts[1]})", "char", left.at, meta)
    for side in (left, right):
        if side.kind not in (*NUMBERS, "null"):
            raise QueryError(f"{operator} takes numbers, not {side.kind}", *side.at)
    if operator in "&|^":
        return _bitwise(operator, left, right, at, dialect)
    kinds = [s.kind if s.kind != "null" else "int" for s in (left, right)]
    kind = max(kinds, key=NUMBERS.index)
    if "float" in kinds and kinds[0] != kinds[1]:
        kind = "double"
    if kind == "double":
        left, right = functions.as_double(left), functions.as_double(right)
    meta = _result_metadata(operator, left, right)
    known = _constant_result(operator, left, right, kind)
    if known is not None:
        return constant(known, left.at) if kind == "double" else _integer_constant(known, left.at)
    sign = "//" if operator == "/" and kind in INTEGERS and dialect == "duckdb" else operator
    if kind not in ("float", "double"):
        return Fragment(f"({left.sql} {sign} {right.sql})", kind, left.at, meta)
    if dialect == "postgresql":
        sql = f"({left.sql} {sign} {right.sql})"
        never_nan = _never_nan(operator, left.number, right.number)
        return Fragment(sql if never_nan else functions.without_nan(sql), kind, left.at, meta)
    if operator == "/":
        # A denominator that overflowed would give zero, so that the overflow went unnoticed.
        right = checked(right)
    sql = f"({left.sql} {sign} {right.sql})"
    if (
        not (left.unchecked or right.unchecked)
        and kind == "double"
        and _cannot_overflow(operator, left.number, right.number)
    ):
        return Fragment(sql, kind, left.at, meta)
    operands = (*_operands(left), *_operands(right))
    return Fragment(sql, kind, left.at, meta, unchecked=True, operands=tuple(dict.fromkeys(operands)))


def _cannot_overflow(operator: str, left: float | None, right: float | None) -> bool:
    """Tell whether an operator with a known number gives a finite double for a finite one, and no NaN for infinity."""
    x, y = (None if n is None else abs(n) for n in (left, right))
    if operator in "+-":
        return any(n is not None and n <= _NEVER_OVERFLOWS for n in (x, y))
    if operator == "*":
        return any(n is not None and 0 < n <= 1 for n in (x, y))
    return y is not None and y >= 1


def _never_nan(operator: str, left: float | None, right: float | None) -> bool:
    """Tell whether a known operand excludes Inf - Inf, 0 * Inf and Inf / Inf (IEEE 754-2019, 7.2)."""
    known = [n for n in (left, right) if n is not None]
    return bool(known) and not (operator == "*" and 0 in known)


def _operands(value: Fragment) -> tuple[str, ...]:
    """Return SQL of the operands of an arithmetic value, without constants."""
    if value.unchecked:
        return value.operands
    return () if value.number is not None else (value.sql,)


def checked(value: Fragment) -> Fragment:
    """Add the check for overflow to arithmetic in DuckDB, which PostgreSQL makes itself.

    ``Inf - Inf``, ``0 * Inf`` and ``Inf / Inf`` give NULL. DuckDB evaluates a repeated expression once.
    """
    if not value.unchecked:
        return value
    finite = " AND ".join(f"isfinite({sql})" for sql in value.operands) or "true"
    sql = (
        f"(CASE WHEN isfinite({value.sql}) THEN {value.sql} WHEN {finite} THEN error('overflow') "
        f"ELSE {functions.without_nan(value.sql)} END)"
    )
    return replace(value, sql=sql, unchecked=False, operands=())


def _bitwise(operator: str, left: Fragment, right: Fragment, at: Place, dialect: Dialect) -> Fragment:
    """Write a bitwise operation on whole numbers."""
    if any(s.kind not in (*INTEGERS, "null") for s in (left, right)):
        raise QueryError(f"{operator} takes whole numbers", *at)
    kind = max((s.kind for s in (left, right) if s.kind != "null"), key=NUMBERS.index, default="int")
    if operator == "^":
        sql = f"xor({left.sql}, {right.sql})" if dialect == "duckdb" else f"({left.sql} # {right.sql})"
    else:
        sql = f"({left.sql} {operator} {right.sql})"
    return Fragment(sql, kind, left.at)


def _result_metadata(operator: str, left: Fragment, right: Fragment) -> ReleaseColumn | None:
    """Return the unit of a sum or difference of values of one unit; None for other results."""
    a, b = left.meta, right.meta
    if operator in "+-" and a and b and a.unit == b.unit:
        return ReleaseColumn("", "double", unit=a.unit)
    if operator in "+-" and a and right.number is not None:
        return ReleaseColumn("", "double", unit=a.unit)
    return None


def _constant_result(operator: str, left: Fragment, right: Fragment, kind: str) -> float | None:
    """Compute arithmetic on constants, such as the radius 30./3600; None if it cannot be computed exactly."""
    x, y = left.number, right.number
    if x is None or y is None or (operator == "/" and y == 0) or max(abs(x), abs(y)) > 2**52:
        return None
    if operator == "/":
        return x / y if kind == "double" else float(int(x / y))
    result = x + y if operator == "+" else x - y if operator == "-" else x * y
    return result if kind == "double" or abs(result) < 2**31 else None


def _integer_constant(number: float, at: tuple[int, int]) -> Fragment:
    """Return a constant whole number."""
    return Fragment(f"({int(number)})", "int", at, constant=number)
