"""Operators between values: ``+ - * /``, ``||`` and those on bits, with the units that they carry on."""

from __future__ import annotations

from dataclasses import replace

from desdm.errors import QueryError
from desdm.query.adql.parse.tokens import Place
from desdm.query.adql.sql import functions
from desdm.query.adql.sql.fragments import GEOMETRIES, INTEGERS, NUMBERS, Fragment, constant
from desdm.query.engines.writing import Dialect
from desdm.release.model import ReleaseColumn

__all__ = ["closed", "operate"]

#: Beside a sum or difference with a finite number as small as this no finite double grows to infinity.
_BESIDE = 1e291


def operate(operator: str, left: Fragment, right: Fragment, at: Place, dialect: Dialect) -> Fragment:
    """Write one operator between two values; constants are computed at once.

    Parameters
    ----------
    operator
        ``+``, ``-``, ``*``, ``/``, ``||``, or a bitwise one.
    left, right
        Operands, possibly open for an overflow check that waits.
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
                raise QueryError("|| joins texts", *side.at)
        texts = [functions.as_text(side, dialect) for side in (left, right)]
        wide = any(side.meta is not None and side.meta.datatype == "unicodeChar" for side in (left, right))
        meta = ReleaseColumn("", "unicodeChar") if wide else None
        return Fragment(f"({texts[0]} || {texts[1]})", "char", left.at, meta)
    for side in (left, right):
        if side.kind not in (*NUMBERS, "null"):
            raise QueryError(f"{operator} takes numbers, not {side.kind}", *side.at)
    if operator in "&|^":
        return _bits(operator, left, right, at, dialect)
    kinds = [s.kind if s.kind != "null" else "int" for s in (left, right)]
    kind = max(kinds, key=NUMBERS.index)
    if "float" in kinds and kinds[0] != kinds[1]:
        kind = "double"
    if kind == "double":
        left, right = functions.as_double(left), functions.as_double(right)
    meta = _carried(operator, left, right)
    known = _folded(operator, left, right, kind)
    if known is not None:
        return constant(known, left.at) if kind == "double" else _whole(known, left.at)
    sign = "//" if operator == "/" and kind in INTEGERS and dialect == "duckdb" else operator
    if kind not in ("float", "double"):
        return Fragment(f"({left.sql} {sign} {right.sql})", kind, left.at, meta)
    if dialect == "postgresql":
        sql = f"({left.sql} {sign} {right.sql})"
        plain = _never_nan(operator, left.number, right.number)
        return Fragment(sql if plain else functions.without_nan(sql), kind, left.at, meta)
    if operator == "/":
        # Over a number that is infinite the result would be zero, and nobody would see it.
        right = closed(right)
    sql = f"({left.sql} {sign} {right.sql})"
    if not (left.open or right.open) and kind == "double" and _safe(operator, left.number, right.number):
        return Fragment(sql, kind, left.at, meta)
    operands = (*_operands(left), *_operands(right))
    return Fragment(sql, kind, left.at, meta, open=True, operands=tuple(dict.fromkeys(operands)))


def _safe(operator: str, left: float | None, right: float | None) -> bool:
    """Whether a finite double and a known number give a finite double, and an infinite one no NaN."""
    x, y = (None if n is None else abs(n) for n in (left, right))
    if operator in "+-":
        return any(n is not None and n <= _BESIDE for n in (x, y))
    if operator == "*":
        return any(n is not None and 0 < n <= 1 for n in (x, y))
    return y is not None and y >= 1


def _never_nan(operator: str, left: float | None, right: float | None) -> bool:
    """Whether a known operand keeps the result from Inf - Inf, 0 * Inf and Inf / Inf (IEEE 754-2019, 7.2)."""
    known = [n for n in (left, right) if n is not None]
    return bool(known) and not (operator == "*" and 0 in known)


def _operands(value: Fragment) -> tuple[str, ...]:
    """SQL of the operands of an arithmetic value, without constants."""
    if value.open:
        return value.operands
    return () if value.number is not None else (value.sql,)


def closed(value: Fragment) -> Fragment:
    """Return arithmetic of DuckDB with its check: finite operands that grow to infinity are an error, as in PostgreSQL.

    ``Inf - Inf``, ``0 * Inf`` and ``Inf / Inf`` are no value. DuckDB evaluates a repeated expression once.
    """
    if not value.open:
        return value
    finite = " AND ".join(f"isfinite({sql})" for sql in value.operands) or "true"
    sql = (
        f"(CASE WHEN isfinite({value.sql}) THEN {value.sql} WHEN {finite} THEN error('overflow') "
        f"ELSE {functions.without_nan(value.sql)} END)"
    )
    return replace(value, sql=sql, open=False, operands=())


def _bits(operator: str, left: Fragment, right: Fragment, at: Place, dialect: Dialect) -> Fragment:
    """Write a bitwise operation on whole numbers."""
    if any(s.kind not in (*INTEGERS, "null") for s in (left, right)):
        raise QueryError(f"{operator} takes whole numbers", *at)
    kind = max((s.kind for s in (left, right) if s.kind != "null"), key=NUMBERS.index, default="int")
    if operator == "^":
        sql = f"xor({left.sql}, {right.sql})" if dialect == "duckdb" else f"({left.sql} # {right.sql})"
    else:
        sql = f"({left.sql} {operator} {right.sql})"
    return Fragment(sql, kind, left.at)


def _carried(operator: str, left: Fragment, right: Fragment) -> ReleaseColumn | None:
    """Unit, UCD and text that arithmetic carries on: a sum of alike, a value times a number."""
    a, b = left.meta, right.meta
    if operator in "+-" and a and b and a.unit == b.unit:
        return ReleaseColumn("", "double", unit=a.unit)
    if operator in "+-" and a and right.number is not None:
        return ReleaseColumn("", "double", unit=a.unit)
    return None


def _folded(operator: str, left: Fragment, right: Fragment, kind: str) -> float | None:
    """Arithmetic on known numbers: a radius is often written 30./3600."""
    x, y = left.number, right.number
    if x is None or y is None or (operator == "/" and y == 0) or max(abs(x), abs(y)) > 2**52:
        return None
    if operator == "/":
        return x / y if kind == "double" else float(int(x / y))
    result = x + y if operator == "+" else x - y if operator == "-" else x * y
    return result if kind == "double" or abs(result) < 2**31 else None


def _whole(number: float, at: tuple[int, int]) -> Fragment:
    """Return a constant whole number."""
    return Fragment(f"({int(number)})", "int", at, constant=number)
