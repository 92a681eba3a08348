"""Tree of an ADQL query; each node has its line and column in the text."""

from __future__ import annotations

from dataclasses import dataclass

from desdm.query.adql.parse.tokens import Place

__all__ = [
    "Aggregate",
    "Between",
    "Body",
    "Call",
    "Case",
    "Cast",
    "Chain",
    "Compare",
    "Derived",
    "Exists",
    "Expression",
    "Ident",
    "In",
    "IsNull",
    "Item",
    "Join",
    "Junction",
    "Like",
    "Literal",
    "Name",
    "Named",
    "Not",
    "Order",
    "Select",
    "SetOperation",
    "Sign",
    "Star",
    "Statement",
    "Subquery",
    "TableReference",
    "With",
]


@dataclass(frozen=True, slots=True)
class Ident:
    """An identifier; a delimited one is compared with its case."""

    text: str
    quoted: bool
    at: Place


@dataclass(frozen=True, slots=True)
class Literal:
    """A number (its text), a text, a truth value, or NULL (``kind``: number, text, boolean, null)."""

    kind: str
    text: str
    at: Place


@dataclass(frozen=True, slots=True)
class Name:
    """A column, perhaps with its table and schema before it."""

    parts: tuple[Ident, ...]

    @property
    def at(self) -> Place:
        """Line and column of its first word."""
        return self.parts[0].at


@dataclass(frozen=True, slots=True)
class Call:
    """A function with its arguments."""

    name: str
    arguments: tuple[Expression, ...]
    at: Place


@dataclass(frozen=True, slots=True)
class Aggregate:
    """COUNT, SUM, AVG, MIN, MAX or one of `aggregates`; without argument: ``COUNT(*)``."""

    name: str
    argument: Expression | None
    distinct: bool
    at: Place


@dataclass(frozen=True, slots=True)
class Chain:
    """Operators of one precedence, from left to right: ``first op next op next``."""

    first: Expression
    rest: tuple[tuple[str, Place, Expression], ...]
    at: Place


@dataclass(frozen=True, slots=True)
class Sign:
    """``+x``, ``-x`` or ``~x``."""

    sign: str
    operand: Expression
    at: Place


@dataclass(frozen=True, slots=True)
class Cast:
    """CAST(x AS type(length))."""

    operand: Expression
    target: str
    length: int | None
    at: Place


@dataclass(frozen=True, slots=True)
class Case:
    """CASE WHEN … THEN … ELSE … END (not in ADQL 2.1; accepted)."""

    operand: Expression | None
    branches: tuple[tuple[Expression, Expression], ...]
    otherwise: Expression | None
    at: Place


@dataclass(frozen=True, slots=True)
class Subquery:
    """A query as a value."""

    query: Statement
    at: Place


@dataclass(frozen=True, slots=True)
class Compare:
    """``left op right``."""

    operator: str
    left: Expression
    right: Expression
    at: Place


@dataclass(frozen=True, slots=True)
class Between:
    """``x [NOT] BETWEEN low AND high``."""

    operand: Expression
    low: Expression
    high: Expression
    negated: bool
    at: Place


@dataclass(frozen=True, slots=True)
class In:
    """``x [NOT] IN (…)``: values, or a query."""

    operand: Expression
    values: tuple[Expression, ...]
    query: Statement | None
    negated: bool
    at: Place


@dataclass(frozen=True, slots=True)
class Like:
    """``x [NOT] LIKE pattern`` (or ILIKE), perhaps with an escape character."""

    operand: Expression
    pattern: Expression
    escape: str | None
    ignore_case: bool
    negated: bool
    at: Place


@dataclass(frozen=True, slots=True)
class IsNull:
    """``x IS [NOT] NULL``."""

    operand: Expression
    negated: bool
    at: Place


@dataclass(frozen=True, slots=True)
class Exists:
    """``EXISTS (query)``."""

    query: Statement
    at: Place


@dataclass(frozen=True, slots=True)
class Not:
    """``NOT x``."""

    operand: Expression
    at: Place


@dataclass(frozen=True, slots=True)
class Junction:
    """Conditions joined by AND, or by OR."""

    word: str
    parts: tuple[Expression, ...]
    at: Place


Expression = (
    Literal
    | Name
    | Call
    | Aggregate
    | Chain
    | Sign
    | Cast
    | Case
    | Subquery
    | Compare
    | Between
    | In
    | Like
    | IsNull
    | Exists
    | Not
    | Junction
)


@dataclass(frozen=True, slots=True)
class Star:
    """``*`` or ``table.*`` in a select list."""

    qualifier: tuple[Ident, ...]
    at: Place


@dataclass(frozen=True, slots=True)
class Item:
    """One value of a select list with its name."""

    value: Expression
    alias: Ident | None


@dataclass(frozen=True, slots=True)
class Named:
    """A table by name."""

    parts: tuple[Ident, ...]
    alias: Ident | None

    @property
    def at(self) -> Place:
        """Line and column of its first word."""
        return self.parts[0].at


@dataclass(frozen=True, slots=True)
class Derived:
    """A query as a table."""

    query: Statement
    alias: Ident | None
    at: Place


@dataclass(frozen=True, slots=True)
class Join:
    """Two tables joined; ``kind`` is INNER, LEFT, RIGHT, FULL or CROSS."""

    kind: str
    natural: bool
    left: TableReference
    right: TableReference
    on: Expression | None
    using: tuple[Ident, ...]
    at: Place


TableReference = Named | Derived | Join


@dataclass(frozen=True, slots=True)
class Select:
    """One SELECT without ORDER BY."""

    distinct: bool
    top: int | None
    items: tuple[Item | Star, ...]
    tables: tuple[TableReference, ...]
    where: Expression | None
    group: tuple[Expression, ...]
    having: Expression | None
    at: Place


@dataclass(frozen=True, slots=True)
class SetOperation:
    """UNION, EXCEPT or INTERSECT of two queries."""

    word: str
    all: bool
    left: Body
    right: Body
    at: Place


@dataclass(frozen=True, slots=True)
class Order:
    """One term of ORDER BY."""

    value: Expression
    descending: bool


@dataclass(frozen=True, slots=True)
class With:
    """One common table expression."""

    name: Ident
    query: Statement


@dataclass(frozen=True, slots=True)
class Statement:
    """A query with its common table expressions, order and offset."""

    common_tables: tuple[With, ...]
    body: Body
    order: tuple[Order, ...]
    offset: int | None
    at: Place


Body = Select | SetOperation | Statement
