"""Pieces of SQL with their types, and what differs between the engines in writing them."""

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
#: The longest SQL that is written for one value; nested functions that double must end somewhere.
_LONGEST = 400_000


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a query can name.

    Attributes
    ----------
    name, sql
        As queries and as the engine name it.
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
        The column whose unit, UCD and text it carries on.
    constant
        Its value, where it is known already.
    parts
        Of a geometry: coordinates and sizes in degrees, one after the other.
    column
        The column, if it is nothing but one.
    open
        It is arithmetic in DuckDB whose result has still to be checked for overflow (`arithmetic.closed`).
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
    open: bool = False
    operands: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.sql) > _LONGEST:
            raise QueryError("this expression grows too long in the database; split it with WITH", *self.at)

    @property
    def number(self) -> float | None:
        """Its value, if it is a known number."""
        return self.constant if isinstance(self.constant, float) else None


@dataclass(slots=True)
class Parameters:
    """Values that are bound, and how the engine marks them."""

    dialect: Dialect
    _values: list[str] = field(default_factory=list)

    def text(self, value: str) -> str:
        """SQL of a bound text."""
        if value not in self._values:
            self._values.append(value)
        # A mark that no query and no name can hold; what is used in the end is numbered then.
        return f"CAST(\x02{self._values.index(value)}\x02 AS {SQL_TYPES[self.dialect]['char']})"

    def bound(self, sql: str) -> tuple[str, tuple[str, ...]]:
        """SQL with the engine's own marks, and the values in their order."""
        used: list[int] = []

        def mark(match: re.Match[str]) -> str:
            number = int(match[1])
            if number not in used:
                used.append(number)
            place = used.index(number) + 1
            return f"${place}" if self.dialect == "duckdb" else f"%(p{place})s"

        return re.sub("\x02([0-9]+)\x02", mark, sql), tuple(self._values[n] for n in used)


def double(value: float) -> str:
    """A double in SQL, to its last bit: without the exponent the engines would read a decimal."""
    text = repr(float(value))
    text = text if "e" in text else text + "e0"
    return f"({text}::float8)"


def constant(value: float, at: Place) -> Fragment:
    """A known double."""
    if not math.isfinite(value):
        raise QueryError("this number is not finite", *at)
    return Fragment(double(value), "double", at, constant=float(value))


def numbers(fragments: Iterator[Fragment] | tuple[Fragment, ...]) -> list[float] | None:
    """Known values of all, or None if one is not known."""
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
