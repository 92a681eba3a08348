"""Operators between values: ``+ - * /``, ``||`` and those on bits, with the units that they carry on."""

from __future__ import annotations

from desdm.errors import QueryError
from desdm.release.model import ReleaseColumn
from desdm.services.adql import functions
from desdm.services.adql.fragments import GEOMETRIES, INTEGERS, NUMBERS, Fragment, constant
from desdm.services.adql.tokens import Place
from desdm.services.engines.writing import Dialect

__all__ = ["operate"]


def operate(operator: str, left: Fragment, right: Fragment, at: Place, dialect: Dialect) -> Fragment:
    """One operator between two values; known numbers are reckoned at once."""
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
    sql = f"({left.sql} {sign} {right.sql})"
    if kind in ("float", "double") and left.number is None and right.number is None:
        # Inf - Inf, 0 * Inf, Inf / Inf: an operand that is a known number does not lead there.
        sql = functions.without_nan(sql)
    return Fragment(sql, kind, left.at, meta)


def _bits(operator: str, left: Fragment, right: Fragment, at: Place, dialect: Dialect) -> Fragment:
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
    found = x + y if operator == "+" else x - y if operator == "-" else x * y
    return found if kind == "double" or abs(found) < 2**31 else None


def _whole(number: float, at: tuple[int, int]) -> Fragment:
    return Fragment(f"({int(number)})", "int", at, constant=number)
