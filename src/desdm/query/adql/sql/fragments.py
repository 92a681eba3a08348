"""SQL of values with their kind, unit and constant value, and bound parameters."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from desdm.errors import QueryError
from desdm.query.adql.parse.tokens import Place
from desdm.query.engines.writing import GEOMETRIES, SQL_TYPES, Dialect
from desdm.release.model import ReleaseColumn

__all__ = [
    "GEOMETRIES",
    "INTEGERS",
    "NUMBERS",
    "Column",
    "Fragment",
    "OutColumn",
    "Parameters",
    "Written",
    "constant",
    "double",
    "numbers",
]

INTEGERS = ("short", "int", "long")
NUMBERS = ("short", "int", "long", "float", "double")
#: Longest SQL of one value: nested functions that repeat their argument grow exponentially.
_LONGEST = 400_000


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a query can name.

    Attributes
    ----------
    name, sql
        Its name in queries, and its SQL.
    role
        ``ra``, ``dec`` or ``hpix`` of the position of its table ``table`` (a number within the query), or empty.
    ambiguous
        Whether its query writes another column, of another value, with the same name.
    """

    name: str
    sql: str
    kind: str
    meta: ReleaseColumn
    table: int = -1
    role: str = ""
    ambiguous: bool = False


@dataclass(frozen=True, slots=True)
class Fragment:
    """A value in SQL.

    Attributes
    ----------
    kind
        VOTable data type, or ``timestamp``, ``null``, ``condition``, or a geometry.
    meta
        Column from which it has its unit, UCD and description.
    constant
        Its value, if it is a constant.
    parts
        Of a geometry: coordinates and sizes in degrees, one after the other.
    column
        The column, if the value is a column itself.
    unchecked
        Whether it is arithmetic in DuckDB whose check for overflow is still missing (`arithmetic.checked`).
    operands
        SQL of the operands of such arithmetic that are not known numbers.
    """

    sql: str
    kind: str
    at: Place
    meta: ReleaseColumn | None = None
    constant: float | str | None = None
    parts: tuple[Fragment, ...] = ()
    column: Column | None = None
    unchecked: bool = False
    operands: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.sql) > _LONGEST:
            raise QueryError("the SQL of this expression becomes too long; split it with WITH", *self.at)

    @property
    def number(self) -> float | None:
        """Its value, if it is a constant number."""
        return self.constant if isinstance(self.constant, float) else None


@dataclass(slots=True)
class Parameters:
    """Bound parameters and their placeholders."""

    dialect: Dialect
    _values: list[str] = field(default_factory=list)

    def text(self, value: str) -> str:
        """Bind a text; return its placeholder in SQL."""
        if value not in self._values:
            self._values.append(value)
        # A placeholder that cannot occur in a query or name; those that are used are numbered in `bound`.
        return f"CAST(\x02{self._values.index(value)}\x02 AS {SQL_TYPES[self.dialect]['char']})"

    def bound(self, sql: str) -> tuple[str, tuple[str, ...]]:
        """Return SQL with the engine's own placeholders, and the values in their order."""
        used: list[int] = []

        def mark(match: re.Match[str]) -> str:
            number = int(match[1])
            if number not in used:
                used.append(number)
            place = used.index(number) + 1
            return f"${place}" if self.dialect == "duckdb" else f"%(p{place})s"

        return re.sub("\x02([0-9]+)\x02", mark, sql), tuple(self._values[n] for n in used)


def double(value: float) -> str:
    """Write a double exactly; without an exponent the engines would read a decimal."""
    text = repr(float(value))
    text = text if "e" in text else text + "e0"
    return f"({text}::float8)"


def constant(value: float, at: Place) -> Fragment:
    """Return a constant double."""
    if not math.isfinite(value):
        raise QueryError("this number is not finite", *at)
    return Fragment(double(value), "double", at, constant=float(value))


def numbers(fragments: Iterator[Fragment] | tuple[Fragment, ...]) -> list[float] | None:
    """Return the values of constants, or None if one of the fragments is not constant."""
    values = [f.number for f in fragments]
    return None if any(n is None for n in values) else [n for n in values if n is not None]


@dataclass(frozen=True, slots=True)
class OutColumn:
    """A column of a query's answer.

    Attributes
    ----------
    ambiguous
        Whether another column, of another value, is written with the same name: a query around cannot name it.
    """

    name: str
    kind: str
    meta: ReleaseColumn | None
    fragment: Fragment | None = None
    ambiguous: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """A query in SQL with its columns."""

    sql: str
    columns: tuple[OutColumn, ...]
