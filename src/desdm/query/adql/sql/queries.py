"""Writes whole queries of ADQL in an engine's SQL: WITH, select list, groups, order, set operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count

from desdm.errors import QueryError
from desdm.query.adql.parse import nodes
from desdm.query.adql.sql.fragments import GEOMETRIES, NUMBERS, Fragment, OutColumn, Parameters, Written
from desdm.query.adql.sql.output import intermediate_sql, output_sql
from desdm.query.adql.sql.scope import AMBIGUOUS, Scope, Source, matches
from desdm.query.adql.sql.tables import From
from desdm.query.catalogue import Catalogue
from desdm.query.engines.model import Upload
from desdm.query.engines.writing import SQL_TYPES, Dialect, quote
from desdm.query.formats.rows import distinct_names

__all__ = ["Queries"]


class Queries:
    """Writes the queries of one ADQL text."""

    def __init__(self, catalogue: Catalogue, dialect: Dialect, uploads: Mapping[str, Upload]) -> None:
        self.dialect = dialect
        self.parameters = Parameters(dialect)
        self._numbers = count(1)
        self._from = From(catalogue, dialect, uploads, self.parameters, self.statement, self._numbers)
        self.expressions = self._from.expressions

    @property
    def tables(self) -> set[tuple[str, str]]:
        """(schema, table) that were read."""
        return self._from.read

    def _quote(self, name: str) -> str:
        """Return a quoted name."""
        return quote(name, self.dialect)

    # Queries

    def statement(
        self,
        node: nodes.Statement,
        parent: Scope | None = None,
        limit: int | None = None,
        output: bool = False,
    ) -> Written:
        """Write a query.

        Parameters
        ----------
        node
            Tree of the query.
        parent
            Scope of the query around it, for correlated columns.
        limit
            Largest number of rows, beside TOP.
        output
            Whether values are written in the form of the answer, not for use in another query.

        Raises
        ------
        QueryError
            The query names something that is not there, or combines kinds that do not fit.
        """
        named: dict[str, tuple[str, nodes.Ident, Written]] = {}
        self._from.common_tables.append(named)
        try:
            for each in node.common_tables:
                key = each.name.text if each.name.quoted else each.name.text.lower()
                if key in named:
                    raise QueryError(f"two queries of WITH are called {each.name.text}", *each.name.at)
                written = self.statement(each.query)
                named[key] = (f"w{next(self._numbers)}", each.name, written)
            written = self._body(node, parent, limit, output)
            if not named:
                return written
            parts = ", ".join(f"{name} AS ({w.sql})" for name, _, w in named.values())
            return Written(f"WITH {parts} {written.sql}", written.columns)
        finally:
            self._from.common_tables.pop()

    def _body(self, node: nodes.Statement, parent: Scope | None, limit: int | None, output: bool) -> Written:
        """Write the body of a query with its order and limits."""
        body = node.body
        if isinstance(body, nodes.Statement) and not node.order and node.offset is None:
            return self.statement(body, parent, limit, output)
        if isinstance(body, nodes.Select):
            return self._select(body, parent, node.order, node.offset, limit, output)
        written = (
            self._set(body, parent) if isinstance(body, nodes.SetOperation) else self.statement(body, parent)
        )
        return self._around(node, written, limit, output)

    def _around(self, node: nodes.Statement, written: Written, limit: int | None, output: bool) -> Written:
        """Write ORDER BY, OFFSET and limit of a set operation, in a query around it."""
        alias = f"u{next(self._numbers)}"
        columns = self._from.outer_columns(alias, written)
        scope = Scope(None, [Source(alias, None, tuple(columns))], columns)
        order = [self._order_term(term, scope, [c.sql for c in columns]) for term in node.order]
        items = []
        for out, column in zip(written.columns, columns, strict=True):
            fragment = Fragment(column.sql, column.kind, node.at, out.meta)
            items.append(
                f"{output_sql(fragment, self.dialect) if output else column.sql} AS {self._quote(out.name)}"
            )
        sql = f"SELECT {', '.join(items)} FROM ({written.sql}) AS {alias}{self._tail(order, node.offset, limit)}"
        return Written(sql, written.columns)

    def _tail(self, order: Sequence[str], offset: int | None, limit: int | None) -> str:
        """Write ORDER BY, LIMIT and OFFSET."""
        sql = f" ORDER BY {', '.join(order)}" if order else ""
        sql += f" LIMIT {limit}" if limit is not None else ""
        return sql + (f" OFFSET {offset}" if offset is not None else "")

    def _set(self, node: nodes.SetOperation, parent: Scope | None) -> Written:
        """Write UNION, EXCEPT or INTERSECT."""
        left, right = self._operand(node.left, parent), self._operand(node.right, parent)
        if len(left.columns) != len(right.columns):
            raise QueryError(
                f"{node.word}: the queries have {len(left.columns)} and {len(right.columns)} columns",
                *node.at,
            )
        kinds = [self._together(a, b, node) for a, b in zip(left.columns, right.columns, strict=True)]
        word = f"{node.word} ALL" if node.all else node.word
        sql = f"{self._as_kinds(left, kinds)} {word} {self._as_kinds(right, kinds)}"
        columns = tuple(replace(c, kind=k, fragment=None) for c, k in zip(left.columns, kinds, strict=True))
        return Written(sql, columns)

    def _together(self, a: OutColumn, b: OutColumn, node: nodes.SetOperation) -> str:
        """Return the kind of a column of a set operation."""
        kinds = {a.kind, b.kind} - {"null"}
        if len(kinds) <= 1:
            return next(iter(kinds), "null")
        if kinds <= set(NUMBERS):
            return "double" if "float" in kinds else max(kinds, key=NUMBERS.index)
        raise QueryError(
            f"{node.word}: the columns {a.name} and {b.name} differ in kind ({a.kind}, {b.kind})", *node.at
        )

    def _as_kinds(self, written: Written, kinds: Sequence[str]) -> str:
        """Write a query with its columns cast to kinds."""
        if all(c.kind == k for c, k in zip(written.columns, kinds, strict=True)):
            return f"({written.sql})"
        alias = f"u{next(self._numbers)}"
        items = [
            f"CAST({alias}.{self._quote(c.name)} AS {SQL_TYPES[self.dialect][k]}) AS {self._quote(c.name)}"
            if c.kind != k
            else f"{alias}.{self._quote(c.name)}"
            for c, k in zip(written.columns, kinds, strict=True)
        ]
        return f"(SELECT {', '.join(items)} FROM ({written.sql}) AS {alias})"

    def _operand(self, node: nodes.Body, parent: Scope | None) -> Written:
        """Write one side of a set operation."""
        if isinstance(node, nodes.SetOperation):
            return self._set(node, parent)
        if isinstance(node, nodes.Select):
            return self._select(node, parent, (), None, None, False)
        return self.statement(node, parent)

    # SELECT

    def _select(
        self,
        node: nodes.Select,
        parent: Scope | None,
        order: Sequence[nodes.Order],
        offset: int | None,
        limit: int | None,
        output: bool,
    ) -> Written:
        """Write a SELECT."""
        scope = Scope(parent)
        tables = self._from.tables(node, scope)
        scope.sources, scope.columns = tables.sources, tables.columns
        where = (
            ""
            if node.where is None
            else f" WHERE {self.expressions.condition(node.where, scope)}{tables.extra}"
        )
        self._group(node, scope, order)
        items = self._items(node, scope)
        having = ""
        if node.having is not None:
            having = f" HAVING {self.expressions.condition(node.having, scope)}"
        self._grouped(scope)
        names = distinct_names([n for n, _ in items])
        sqls = [intermediate_sql(f, self.dialect) for _, f in items]
        terms = [self._order_term(term, scope, sqls, node.distinct) for term in order]
        self._grouped(scope)
        group = f" GROUP BY {', '.join(sorted(scope.groups))}" if scope.groups else ""
        columns = []
        for name, (_, f) in zip(names, items, strict=True):
            columns.append(
                f"{output_sql(f, self.dialect) if output else intermediate_sql(f, self.dialect)} AS {self._quote(name)}"
            )
        most = node.top if limit is None else limit if node.top is None else min(node.top, limit)
        source = f" FROM {tables.sql}" if tables.sql else ""
        distinct = "DISTINCT " if node.distinct else ""
        sql = f"SELECT {distinct}{', '.join(columns)}{source}{where}{group}{having}{self._tail(terms, offset, most)}"
        return Written(
            sql,
            tuple(
                OutColumn(n, f.kind, f.meta, f, n == written and scope.is_ambiguous(n))
                for n, (written, f) in zip(names, items, strict=True)
            ),
        )

    def _group(self, node: nodes.Select, scope: Scope, order: Sequence[nodes.Order]) -> None:
        """Write GROUP BY into the scope, before the select list is written."""
        aggregates = any(_aggregates(i.value) for i in node.items if isinstance(i, nodes.Item))
        aggregates = aggregates or node.having is not None or any(_aggregates(o.value) for o in order)
        if not node.group and not aggregates:
            return
        groups = []
        for value in node.group:
            if _aggregates(value):
                raise QueryError("aggregates are not allowed in GROUP BY", *value.at)
            item = self._named_item(value, node, scope)
            fragment = self.expressions.value(item, scope)
            if fragment.kind in (*GEOMETRIES, "array"):
                raise QueryError("GROUP BY takes no geometry", *value.at)
            if fragment.constant is None:
                groups.append(fragment.sql)
        scope.groups = frozenset(groups)

    def _named_item(self, value: nodes.Expression, node: nodes.Select, scope: Scope) -> nodes.Expression:
        """What GROUP BY names: the item of a number or of an alias, else the expression itself."""
        if isinstance(value, nodes.Literal) and value.kind == "number" and value.text.isdigit():
            place = int(value.text)
            if not 1 <= place <= len(node.items) or not isinstance(
                target := node.items[place - 1], nodes.Item
            ):
                raise QueryError(f"GROUP BY {place}: there is no such item in the select list", *value.at)
            return target.value
        if isinstance(value, nodes.Name) and len(value.parts) == 1:
            if any(matches(value.parts[0], c.name) for c in scope.columns):
                return value
            named = [
                item.value
                for item in node.items
                if isinstance(item, nodes.Item) and item.alias and matches(value.parts[0], item.alias.text)
            ]
            if len(named) > 1:
                raise QueryError(AMBIGUOUS.format(value.parts[0].text[:100]), *value.at)
            return named[0] if named else value
        return value

    def _grouped(self, scope: Scope) -> None:
        """Raise if a column is neither in GROUP BY nor within an aggregate."""
        if scope.ungrouped:
            name, at = scope.ungrouped[0]
            raise QueryError(f"{name} must appear in GROUP BY or within an aggregate such as MAX", *at)

    def _items(self, node: nodes.Select, scope: Scope) -> list[tuple[str, Fragment]]:
        """Return the columns of the select list by name."""
        items: list[tuple[str, Fragment]] = []
        aliases: list[tuple[str, Fragment]] = []
        for number, item in enumerate(node.items, 1):
            if isinstance(item, nodes.Star):
                columns = scope.source(item.qualifier).columns if item.qualifier else scope.columns
                if not columns:
                    raise QueryError("* needs a table in FROM", *item.at)
                for c in columns:
                    if scope.groups is not None and c.sql not in scope.groups:
                        scope.ungrouped.append((c.name, item.at))
                    items.append((c.name, Fragment(c.sql, c.kind, item.at, c.meta, column=c)))
                continue
            fragment = self.expressions.value(item.value, scope)
            if fragment.kind == "condition":
                raise QueryError("a condition cannot be an item of the select list", *item.value.at)
            items.append((_name_of(item, number), fragment))
            if item.alias is not None:
                aliases.append((item.alias.text, fragment))
        scope.aliases, scope.items = aliases, items
        return items

    def _order_term(
        self, term: nodes.Order, scope: Scope, items: Sequence[str], distinct: bool = False
    ) -> str:
        """Write one term of ORDER BY."""
        value, way = term.value, " DESC NULLS LAST" if term.descending else " ASC NULLS LAST"
        if isinstance(value, nodes.Literal) and value.kind == "number":
            if not value.text.isdigit() or not 1 <= int(value.text) <= len(items):
                raise QueryError(
                    f"ORDER BY {value.text}: the select list has {len(items)} {'column' if len(items) == 1 else 'columns'}",
                    *value.at,
                )
            return f"{items[int(value.text) - 1]}{way}"
        alias = None
        if isinstance(value, nodes.Name) and len(value.parts) == 1:
            alias = scope.alias(value.parts[0])
        fragment = alias or self.expressions.value(value, scope)
        if fragment.kind in (*GEOMETRIES, "array"):
            raise QueryError("rows cannot be ordered by geometry", *value.at)
        if fragment.constant is not None:
            return f"(SELECT 1){way}"
        if distinct and fragment.sql not in items:
            raise QueryError("with DISTINCT, ORDER BY takes only items of the select list", *value.at)
        return f"{fragment.sql}{way}"


def _name_of(item: nodes.Item, number: int) -> str:
    """Name of an item of the select list: its alias, its column, its function, or its number."""
    if item.alias is not None:
        return item.alias.text
    match item.value:
        case nodes.Name():
            return item.value.parts[-1].text
        case nodes.Aggregate() | nodes.Call():
            return item.value.name.lower()
        case _:
            return f"col{number}"


def _aggregates(node: nodes.Expression) -> bool:
    """Tell whether an expression contains an aggregate, subqueries aside."""
    match node:
        case nodes.Aggregate():
            return True
        case nodes.Chain():
            return _aggregates(node.first) or any(_aggregates(r) for _, _, r in node.rest)
        case nodes.Sign() | nodes.Cast() | nodes.Not() | nodes.IsNull():
            return _aggregates(node.operand)
        case nodes.Call():
            return any(_aggregates(a) for a in node.arguments)
        case nodes.Case():
            parts = [p for branch in node.branches for p in branch]
            parts += [p for p in (node.operand, node.otherwise) if p is not None]
            return any(_aggregates(p) for p in parts)
        case nodes.Compare():
            return _aggregates(node.left) or _aggregates(node.right)
        case nodes.Junction():
            return any(_aggregates(p) for p in node.parts)
        case nodes.Between():
            return any(_aggregates(p) for p in (node.operand, node.low, node.high))
        case nodes.In():
            return any(_aggregates(p) for p in (node.operand, *node.values))
        case nodes.Like():
            return _aggregates(node.operand) or _aggregates(node.pattern)
        case _:
            return False
