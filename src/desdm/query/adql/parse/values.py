"""Parser of conditions and values of ADQL: from OR down to a single column."""

from __future__ import annotations

from collections.abc import Callable

from desdm.query.adql.parse import aggregates, nodes
from desdm.query.adql.parse.nodes import Expression
from desdm.query.adql.parse.otherdialects import function_advice
from desdm.query.adql.parse.reader import Reader
from desdm.query.adql.parse.tokens import Kind
from desdm.schema.adqlwords import STRUCTURAL

__all__ = ["Values"]

_COMPARE = ("=", "<>", "!=", "<", ">", "<=", ">=")
_AGGREGATES = frozenset(("COUNT", "SUM", "AVG", "MIN", "MAX", *aggregates.SIGNATURES))
#: Operators on values by precedence, the lowest first.
_RANKS: tuple[tuple[str, ...], ...] = (("||",), ("|",), ("^",), ("&",), ("+", "-"), ("*", "/"))


class Values:
    """Parser of conditions and values.

    Parameters
    ----------
    reader
        Tokens of the query.
    parse_query
        Parses a subquery.
    """

    def __init__(self, reader: Reader, parse_query: Callable[[], nodes.Statement]) -> None:
        self._reader, self._parse_query = reader, parse_query

    def condition(self) -> Expression:
        """Parse conditions joined by OR."""
        return self._junction("OR", self._conjunction)

    def _conjunction(self) -> Expression:
        """Parse conditions joined by AND."""
        return self._junction("AND", self._negation)

    def _junction(self, word: str, part: Callable[[], Expression]) -> Expression:
        """Parse conditions joined by ``word``."""
        parts = [part()]
        while self._reader.word(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else nodes.Junction(word, tuple(parts), parts[0].at)

    def _negation(self) -> Expression:
        """Parse a condition after NOT."""
        at = self._reader.now.at
        if not self._reader.word("NOT"):
            return self._predicate()
        with self._reader.deeper():
            return nodes.Not(self._negation(), at)

    def _predicate(self) -> Expression:
        """Parse one predicate, or a value in place of a condition."""
        reader, at = self._reader, self._reader.now.at
        if reader.word("EXISTS"):
            return nodes.Exists(self._subquery(), at)
        left = self.value()
        if sign := reader.sign(*_COMPARE):
            if reader.is_word("ANY", "ALL", "SOME"):
                raise reader.fail("ADQL has no ANY, ALL or SOME here; use IN or EXISTS")
            return nodes.Compare("<>" if sign == "!=" else sign, left, self.value(), at)
        if reader.word("IS"):
            negated = reader.word("NOT") is not None
            reader.need_word("NULL")
            return nodes.IsNull(left, negated, at)
        negated = reader.word("NOT") is not None
        if reader.word("BETWEEN"):
            low = self.value()
            reader.need_word("AND")
            return nodes.Between(left, low, self.value(), negated, at)
        if word := reader.word("LIKE", "ILIKE"):
            return nodes.Like(left, self.value(), self._escape(), word == "ILIKE", negated, at)
        if reader.word("IN"):
            return self._in(left, negated)
        if negated:
            raise reader.unexpected("BETWEEN, LIKE, ILIKE or IN")
        return left

    def _escape(self) -> str | None:
        """Parse ESCAPE, if it is there."""
        if not self._reader.word("ESCAPE"):
            return None
        token = self._reader.advance()
        if token.kind is not Kind.TEXT or len(token.text) != 1:
            raise self._reader.fail("ESCAPE takes one character in single quotes", token.at)
        return token.text

    def _in(self, left: Expression, negated: bool) -> Expression:
        """Parse what follows IN."""
        reader, at = self._reader, left.at
        if reader.is_sign("(") and self._opens_query():
            return nodes.In(left, (), self._subquery(), negated, at)
        reader.need_sign("(")
        with reader.deeper():
            values = [self.value()]
            while reader.sign(","):
                values.append(self.value())
        reader.need_sign(")")
        return nodes.In(left, tuple(values), None, negated, at)

    def _opens_query(self) -> bool:
        """Tell whether the next parentheses enclose a query."""
        by = 0
        while self._reader.ahead(by).text == "(" and self._reader.ahead(by).kind is Kind.SIGN:
            by += 1
        return self._reader.ahead(by).upper in ("SELECT", "WITH")

    def _subquery(self) -> nodes.Statement:
        """Parse a query in parentheses."""
        self._reader.need_sign("(")
        with self._reader.deeper():
            query = self._parse_query()
        self._reader.need_sign(")")
        return query

    def value(self, rank: int = 0) -> Expression:
        """Parse a value whose operators have at least the precedence ``rank``."""
        if rank == len(_RANKS):
            return self._factor()
        first = self.value(rank + 1)
        rest = []
        while self._reader.is_sign(*_RANKS[rank]):
            token = self._reader.advance()
            rest.append((token.text, token.at, self.value(rank + 1)))
        return nodes.Chain(first, tuple(rest), first.at) if rest else first

    def _factor(self) -> Expression:
        """Parse a value with its sign."""
        at = self._reader.now.at
        if sign := self._reader.sign("-", "+", "~"):
            with self._reader.deeper():
                return nodes.Sign(sign, self._factor(), at)
        return self._primary()

    def _primary(self) -> Expression:
        """Parse a literal, name, call or parenthesis."""
        reader = self._reader
        token = reader.now
        if token.kind is Kind.NUMBER:
            reader.advance()
            return nodes.Literal("number", token.text, token.at)
        if token.kind is Kind.TEXT:
            reader.advance()
            if reader.now.kind is Kind.TEXT:
                raise reader.unexpected("an operator")
            return nodes.Literal("text", token.text, token.at)
        if reader.is_sign("("):
            return self._parenthesis()
        if reader.word("NULL"):
            return nodes.Literal("null", "NULL", token.at)
        if token.upper in ("TRUE", "FALSE") and reader.ahead().text not in (".", "("):
            reader.advance()
            return nodes.Literal("boolean", token.upper, token.at)
        if reader.is_word("CAST"):
            return self._cast()
        if reader.is_word("CASE"):
            return self._case()
        if token.kind is Kind.WORD and reader.ahead().text == "(" and reader.ahead().kind is Kind.SIGN:
            if token.upper in STRUCTURAL:
                raise reader.unexpected("a value")
            return self._call()
        return self._name()

    def _parenthesis(self) -> Expression:
        """Parse a condition, value or query in parentheses."""
        reader, at = self._reader, self._reader.now.at
        if self._opens_query() and reader.ahead().text != "(":
            return nodes.Subquery(self._subquery(), at)
        reader.need_sign("(")
        with reader.deeper():
            inner = self.condition()
        if reader.is_sign(","):
            raise reader.fail("ADQL has no rows of values here")
        reader.need_sign(")")
        return inner

    def _name(self) -> Expression:
        """Parse a column name."""
        parts = [self._reader.identifier("a value")]
        while self._reader.sign("."):
            if self._reader.is_sign("*"):
                raise self._reader.fail("* is allowed only in the select list itself and in COUNT(*)")
            parts.append(self._reader.identifier("a column"))
        if self._reader.is_sign("("):
            advice = function_advice(parts[0].text) or "functions have no schema"
            raise self._reader.fail(f"there is no function of that name; {advice}", parts[0].at)
        return nodes.Name(tuple(parts))

    def _call(self) -> Expression:
        """Parse a function call."""
        reader = self._reader
        name = reader.advance()
        reader.need_sign("(")
        with reader.deeper():
            if name.upper in _AGGREGATES:
                return self._aggregate(name.upper, name.at)
            arguments: list[Expression] = []
            if not reader.is_sign(")"):
                arguments.append(self.value())
                while reader.sign(","):
                    arguments.append(self.value())
        reader.need_sign(")")
        self._no_window()
        return nodes.Call(name.upper, tuple(arguments), name.at)

    def _aggregate(self, name: str, at: tuple[int, int]) -> Expression:
        """Parse the arguments of an aggregate function."""
        reader = self._reader
        if reader.is_sign("*"):
            if name != "COUNT":
                raise reader.fail(f"{name} takes a value; * is allowed only in COUNT(*)")
            reader.advance()
            reader.need_sign(")")
            self._no_window()
            return nodes.Aggregate(name, None, False, at)
        distinct = reader.word("DISTINCT", "ALL") == "DISTINCT"
        argument = self.value()
        reader.need_sign(")")
        self._no_window()
        return nodes.Aggregate(name, argument, distinct, at)

    def _no_window(self) -> None:
        """Refuse window functions and FILTER."""
        if self._reader.is_word("OVER", "FILTER", "WITHIN") and self._reader.ahead().text == "(":
            raise self._reader.fail(f"ADQL has no {self._reader.now.upper} after a function")

    def _cast(self) -> Expression:
        """Parse CAST."""
        reader = self._reader
        at = reader.need_word("CAST").at
        reader.need_sign("(")
        with reader.deeper():
            operand = self.value()
        reader.need_word("AS")
        token = reader.advance()
        target, length = token.upper, None
        if target == "DOUBLE":
            reader.word("PRECISION")
        if target not in _TARGETS:
            raise reader.fail(
                f"CAST converts to {', '.join(sorted(_TARGETS))}, not to {token.text[:40]!r}", token.at
            )
        if reader.sign("("):
            length = reader.unsigned_integer("CHAR(")
            if target not in ("CHAR", "VARCHAR") or not 0 < length < 65536:
                raise reader.fail("only CHAR and VARCHAR have a length, from 1 to 65535", token.at)
            reader.need_sign(")")
        reader.need_sign(")")
        return nodes.Cast(operand, target, length, at)

    def _case(self) -> Expression:
        """Parse CASE."""
        reader = self._reader
        at = reader.need_word("CASE").at
        branches = []
        with reader.deeper():
            operand = None if reader.is_word("WHEN") else self.value()
            while reader.word("WHEN"):
                when = self.condition() if operand is None else self.value()
                reader.need_word("THEN")
                branches.append((when, self.value()))
            if not branches:
                raise reader.unexpected("WHEN")
            otherwise = self.value() if reader.word("ELSE") else None
        reader.need_word("END")
        return nodes.Case(operand, tuple(branches), otherwise, at)


_TARGETS = frozenset(
    (
        "SMALLINT",
        "INTEGER",
        "INT",
        "BIGINT",
        "REAL",
        "DOUBLE",
        "CHAR",
        "VARCHAR",
        "TIMESTAMP",
        "POINT",
        "CIRCLE",
        "POLYGON",
    )
)
