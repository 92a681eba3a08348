"""Parser of ADQL queries: from tokens to the tree (REC-ADQL-2.1, appendix A)."""

from __future__ import annotations

from collections.abc import Callable

from desdm.errors import QueryError
from desdm.query.adql.parse import nodes
from desdm.query.adql.parse.otherdialects import word_advice
from desdm.query.adql.parse.reader import Reader
from desdm.query.adql.parse.tokens import Kind
from desdm.query.adql.parse.values import Values

__all__ = ["MOST_TABLES", "parse"]

#: Tables that one FROM joins at most: the ordering of the joins of 500 tables does not check the deadline for a minute.
MOST_TABLES = 100


def parse(query: str) -> nodes.Statement:
    """Parse a query into its tree.

    Raises
    ------
    QueryError
        The text is not an ADQL query; the error has line and column of the first unexpected word.
    """
    try:
        return _Grammar(Reader(query)).query()
    except RecursionError:
        raise QueryError("the query is nested too deeply; split it with WITH", 1, 1) from None


class _Grammar:
    """Recursive descent through one query: each method parses one rule of the grammar."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._values = Values(reader, self.statement)
        #: Number of tables so far in the FROM that is being parsed.
        self._tables = 0

    def query(self) -> nodes.Statement:
        """Parse the text to its end."""
        reader = self._reader
        if reader.ended():
            raise reader.fail("the query is empty")
        if not reader.is_word("SELECT", "WITH") and not reader.is_sign("("):
            advice = word_advice(reader.now.upper, "")
            raise reader.fail(
                f"only SELECT queries are accepted, not {reader.now.text[:40]!r}{advice and '; ' + advice}"
            )
        statement = self.statement()
        while reader.is_sign(";") and reader.ahead().kind in (Kind.END, Kind.SIGN):
            reader.advance()
        if not reader.ended():
            raise reader.unexpected("the end of the query")
        return statement

    def statement(self) -> nodes.Statement:
        """Parse ``[WITH …] query [ORDER BY …] [OFFSET n]``."""
        reader, at = self._reader, self._reader.now.at
        common_tables = self._common_tables() if reader.word("WITH") else ()
        body = self._union_or_except()
        order: list[nodes.Order] = []
        if reader.word("ORDER"):
            reader.need_word("BY")
            order.append(self._order_term())
            while reader.sign(","):
                order.append(self._order_term())
        offset = reader.unsigned_integer("OFFSET") if reader.word("OFFSET") else None
        return nodes.Statement(common_tables, body, tuple(order), offset, at)

    def _common_tables(self) -> tuple[nodes.With, ...]:
        """Parse the queries of WITH."""
        reader = self._reader
        if reader.is_word("RECURSIVE") and reader.ahead().upper != "AS":
            raise reader.fail("ADQL has no recursive WITH")
        queries = [self._common_table()]
        while reader.sign(","):
            queries.append(self._common_table())
        return tuple(queries)

    def _common_table(self) -> nodes.With:
        """Parse one query of WITH."""
        reader = self._reader
        name = reader.identifier("a name")
        reader.need_word("AS")
        return nodes.With(name, self._enclosed())

    def _enclosed(self) -> nodes.Statement:
        """Parse a query in parentheses."""
        self._reader.need_sign("(")
        with self._reader.deeper():
            if not self._reader.is_word("SELECT", "WITH") and not self._reader.is_sign("("):
                raise self._reader.unexpected("SELECT")
            query = self.statement()
        self._reader.need_sign(")")
        return query

    def _union_or_except(self) -> nodes.Body:
        """Parse UNION and EXCEPT, from left to right; INTERSECT has a higher precedence."""
        left = self._intersection()
        while self._reader.is_word("UNION", "EXCEPT"):
            left = self._operation(left, self._intersection)
        return left

    def _intersection(self) -> nodes.Body:
        """Parse INTERSECT, from left to right."""
        left = self._operand()
        while self._reader.is_word("INTERSECT"):
            left = self._operation(left, self._operand)
        return left

    def _operation(self, left: nodes.Body, right: Callable[[], nodes.Body]) -> nodes.Body:
        """Parse the operator and right side of a set operation."""
        token = self._reader.advance()
        keep_duplicates = self._reader.word("ALL", "DISTINCT") == "ALL"
        with self._reader.deeper():
            return nodes.SetOperation(token.upper, keep_duplicates, left, right(), token.at)

    def _operand(self) -> nodes.Body:
        """Parse a SELECT, or a query in parentheses."""
        return self._enclosed() if self._reader.is_sign("(") else self._select()

    def _order_term(self) -> nodes.Order:
        """Parse one term of ORDER BY."""
        value = self._values.value()
        descending = self._reader.word("ASC", "DESC") == "DESC"
        if self._reader.is_word("NULLS"):
            raise self._reader.fail("ADQL has no NULLS FIRST or NULLS LAST; NULLs are always sorted last")
        return nodes.Order(value, descending)

    def _select(self) -> nodes.Select:
        """Parse a SELECT up to HAVING."""
        reader = self._reader
        at = reader.need_word("SELECT").at
        distinct = reader.word("DISTINCT", "ALL") == "DISTINCT"
        top = reader.unsigned_integer("TOP") if reader.word("TOP") else None
        items = [self._select_item()]
        while reader.sign(","):
            items.append(self._select_item())
        if reader.is_word("INTO"):
            raise reader.fail("SELECT INTO is not allowed; keep a result as a table of your own in mydb")
        tables: list[nodes.TableReference] = []
        if reader.word("FROM"):
            outer_count, self._tables = self._tables, 0
            tables.append(self._table())
            while reader.sign(","):
                tables.append(self._table())
            self._tables = outer_count
        where = self._values.condition() if reader.word("WHERE") else None
        group: list[nodes.Expression] = []
        if reader.word("GROUP"):
            reader.need_word("BY")
            group.append(self._values.value())
            while reader.sign(","):
                group.append(self._values.value())
        having = self._values.condition() if reader.word("HAVING") else None
        return nodes.Select(distinct, top, tuple(items), tuple(tables), where, tuple(group), having, at)

    def _select_item(self) -> nodes.Item | nodes.Star:
        """Parse one item of the select list."""
        reader, at = self._reader, self._reader.now.at
        if reader.sign("*"):
            return self._star_alone(nodes.Star((), at))
        by = 0
        while reader.ahead(by).kind in (Kind.WORD, Kind.QUOTED) and reader.ahead(by + 1).text == ".":
            by += 2
        if by and reader.ahead(by).text == "*" and reader.ahead(by).kind is Kind.SIGN:
            qualifier = []
            while not reader.sign("*"):
                qualifier.append(reader.identifier("a table"))
                reader.need_sign(".")
            return self._star_alone(nodes.Star(tuple(qualifier), at))
        value = self._values.value()
        alias = None
        if reader.word("AS") or reader.is_name():
            alias = reader.identifier("a name")
        return nodes.Item(value, alias)

    def _star_alone(self, star: nodes.Star) -> nodes.Star:
        """Return the ``*``; raise if an alias or anything else follows it."""
        if not (
            self._reader.is_sign(",", ")", ";")
            or self._reader.now.kind is Kind.END
            or self._reader.is_word("FROM", "LIMIT", "INTO")
        ):
            raise self._reader.fail("nothing may follow * in the select list: no name, no list of exceptions")
        return star

    def _table(self) -> nodes.TableReference:
        """Parse a table of FROM with its joins."""
        left = self._table_primary()
        while True:
            reader, at = self._reader, self._reader.now.at
            natural = reader.word("NATURAL") is not None
            kind = reader.word("INNER", "LEFT", "RIGHT", "FULL", "CROSS")
            if kind in ("LEFT", "RIGHT", "FULL"):
                reader.word("OUTER")
            if kind is None and not natural and not reader.is_word("JOIN"):
                return left
            reader.need_word("JOIN")
            with reader.deeper():
                left = self._join(kind or "INNER", natural, left, at)

    def _join(
        self, kind: str, natural: bool, left: nodes.TableReference, at: tuple[int, int]
    ) -> nodes.TableReference:
        """Parse the right side of a join and its condition."""
        reader = self._reader
        right = self._table_primary()
        on: nodes.Expression | None = None
        using: list[nodes.Ident] = []
        if reader.word("ON"):
            on = self._values.condition()
        elif reader.word("USING"):
            reader.need_sign("(")
            using.append(reader.identifier("a column"))
            while reader.sign(","):
                using.append(reader.identifier("a column"))
            reader.need_sign(")")
        bare = on is None and not using
        if (natural or kind == "CROSS") != bare:
            what = (
                "a NATURAL or CROSS JOIN takes no ON and no USING" if not bare else "a JOIN needs ON or USING"
            )
            raise reader.fail(what, at)
        return nodes.Join(kind, natural, left, right, on, tuple(using), at)

    def _table_primary(self) -> nodes.TableReference:
        """Parse a table, a query in parentheses, or a join in parentheses."""
        reader, at = self._reader, self._reader.now.at
        self._tables += 1
        if self._tables > MOST_TABLES:
            raise reader.fail(f"a FROM joins at most {MOST_TABLES} tables; split the query with WITH")
        if reader.is_word("LATERAL", "UNNEST"):
            raise reader.fail(f"ADQL has no {reader.now.upper}")
        if reader.now.kind is Kind.TEXT:
            raise reader.fail("a table is expected here, not text in single quotes")
        if not reader.is_sign("("):
            return self._table_name()
        if self._opens_derived_table():
            query = self._enclosed()
            return nodes.Derived(query, self._alias(), at)
        reader.need_sign("(")
        with reader.deeper():
            inner = self._table()
        reader.need_sign(")")
        return inner

    def _opens_derived_table(self) -> bool:
        """Tell whether the parenthesis encloses a query, not a join."""
        by = 0
        while self._reader.ahead(by).text == "(" and self._reader.ahead(by).kind is Kind.SIGN:
            by += 1
        if self._reader.ahead(by).upper not in ("SELECT", "WITH"):
            return False
        return by == 1 or not self._encloses_join()

    def _encloses_join(self) -> bool:
        """Tell whether the double parentheses enclose a join, as in ``((SELECT …) AS a JOIN …)``, not a query."""
        depth, by = 0, 1
        while self._reader.ahead(by).kind is not Kind.END:
            text = self._reader.ahead(by).text if self._reader.ahead(by).kind is Kind.SIGN else ""
            depth += (text == "(") - (text == ")")
            by += 1
            if depth == 0:
                break
        after = self._reader.ahead(by)
        return not (after.text == ")" or after.upper in ("UNION", "EXCEPT", "INTERSECT", "ORDER", "OFFSET"))

    def _table_name(self) -> nodes.Named:
        """Parse the name of a table with its alias."""
        parts = [self._reader.identifier("a table")]
        while self._reader.sign("."):
            parts.append(self._reader.identifier("a table"))
        if self._reader.is_sign("("):
            raise self._reader.fail(
                "a table is expected here; functions that make tables are not allowed", parts[0].at
            )
        return nodes.Named(tuple(parts), self._alias())

    def _alias(self) -> nodes.Ident | None:
        """Parse an alias, if there is one."""
        if self._reader.word("AS") or self._reader.is_name():
            alias = self._reader.identifier("a name")
            if self._reader.is_sign("("):
                advice = word_advice("(", alias.text.upper())
                raise self._reader.fail(advice or "ADQL has no list of column names after an alias")
            return alias
        return None
