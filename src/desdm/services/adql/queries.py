"""Writes whole queries of ADQL in an engine's SQL: tables, joins, groups, order, set operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count

from desdm.errors import QueryError
from desdm.release.model import ReleaseColumn
from desdm.services.adql import functions, matching, nodes
from desdm.services.adql.expressions import Expressions
from desdm.services.adql.fragments import (
    GEOMETRIES,
    NUMBERS,
    Column,
    Fragment,
    OutColumn,
    Parameters,
    Written,
)
from desdm.services.adql.matching import Tables
from desdm.services.adql.scope import Scope, Source, matches
from desdm.services.adql.tokens import Place
from desdm.services.catalogue import Catalogue, Entry
from desdm.services.engines.model import Upload
from desdm.services.engines.writing import SQL_TYPES, Dialect, kind_of, quote

__all__ = ["Queries"]

UPLOADS = "tap_upload"


class Queries:
    """Writes the queries of one ADQL text."""

    def __init__(self, catalogue: Catalogue, dialect: Dialect, uploads: Mapping[str, Upload]) -> None:
        self._catalogue, self.dialect = catalogue, dialect
        self._uploads = {name.lower(): upload for name, upload in uploads.items()}
        self.parameters = Parameters(dialect)
        self.expressions = Expressions(dialect, self.parameters, self.statement, self._footprint)
        self._ctes: list[dict[str, tuple[str, nodes.Ident, Written]]] = []
        self._numbers = count(1)
        #: (schema, table) that were read
        self.tables: set[tuple[str, str]] = set()

    def _quote(self, name: str) -> str:
        return quote(name, self.dialect)

    # Queries

    def statement(
        self,
        node: nodes.Statement,
        parent: Scope | None = None,
        limit: int | None = None,
        shown: bool = False,
    ) -> Written:
        """A query; ``limit`` bounds its rows from outside, ``shown`` writes values as they go out."""
        named: dict[str, tuple[str, nodes.Ident, Written]] = {}
        self._ctes.append(named)
        try:
            for each in node.withs:
                key = each.name.text if each.name.quoted else each.name.text.lower()
                if key in named:
                    raise QueryError(f"two queries of WITH are called {each.name.text}", *each.name.at)
                written = self.statement(each.query)
                named[key] = (f"w{next(self._numbers)}", each.name, written)
            written = self._body(node, parent, limit, shown)
            if not named:
                return written
            parts = ", ".join(f"{name} AS ({w.sql})" for name, _, w in named.values())
            return Written(f"WITH {parts} {written.sql}", written.columns)
        finally:
            self._ctes.pop()

    def _body(self, node: nodes.Statement, parent: Scope | None, limit: int | None, shown: bool) -> Written:
        body = node.body
        if isinstance(body, nodes.Statement) and not node.order and node.offset is None:
            return self.statement(body, parent, limit, shown)
        if isinstance(body, nodes.Select):
            return self._select(body, parent, node.order, node.offset, limit, shown)
        written = (
            self._set(body, parent) if isinstance(body, nodes.SetOperation) else self.statement(body, parent)
        )
        return self._around(node, written, limit, shown)

    def _around(self, node: nodes.Statement, written: Written, limit: int | None, shown: bool) -> Written:
        """ORDER BY, OFFSET and limit around a set operation, on its columns."""
        alias = f"u{next(self._numbers)}"
        columns = self._outer_columns(alias, written)
        scope = Scope(None, [Source(alias, None, tuple(columns))], columns)
        order = [self._order_term(term, scope, [c.sql for c in columns]) for term in node.order]
        items = []
        for out, column in zip(written.columns, columns, strict=True):
            fragment = Fragment(column.sql, column.kind, node.at, out.meta)
            items.append(f"{self._shown(fragment) if shown else column.sql} AS {self._quote(out.name)}")
        sql = f"SELECT {', '.join(items)} FROM ({written.sql}) AS {alias}{self._tail(order, node.offset, limit)}"
        return Written(sql, written.columns)

    def _tail(self, order: Sequence[str], offset: int | None, limit: int | None) -> str:
        sql = f" ORDER BY {', '.join(order)}" if order else ""
        sql += f" LIMIT {limit}" if limit is not None else ""
        return sql + (f" OFFSET {offset}" if offset is not None else "")

    def _set(self, node: nodes.SetOperation, parent: Scope | None) -> Written:
        left, right = self._operand(node.left, parent), self._operand(node.right, parent)
        if len(left.columns) != len(right.columns):
            raise QueryError(
                f"{node.word}: the queries have {len(left.columns)} and {len(right.columns)} columns",
                *node.at,
            )
        kinds = [self._together(a, b, node) for a, b in zip(left.columns, right.columns, strict=True)]
        word = f"{node.word} ALL" if node.every else node.word
        sql = f"{self._as_kinds(left, kinds)} {word} {self._as_kinds(right, kinds)}"
        columns = tuple(replace(c, kind=k, fragment=None) for c, k in zip(left.columns, kinds, strict=True))
        return Written(sql, columns)

    def _together(self, a: OutColumn, b: OutColumn, node: nodes.SetOperation) -> str:
        kinds = {a.kind, b.kind} - {"null"}
        if len(kinds) <= 1:
            return next(iter(kinds), "null")
        if kinds <= set(NUMBERS):
            return "double" if "float" in kinds else max(kinds, key=NUMBERS.index)
        raise QueryError(
            f"{node.word}: the columns {a.name} and {b.name} differ in kind ({a.kind}, {b.kind})", *node.at
        )

    def _as_kinds(self, written: Written, kinds: Sequence[str]) -> str:
        if all(c.kind == k for c, k in zip(written.columns, kinds, strict=True)):
            return f"({written.sql})"
        alias = f"u{next(self._numbers)}"
        items = [
            f"CAST({alias}.{self._quote(c.name)} AS {SQL_TYPES[self.dialect][k]}) AS {self._quote(c.name)}"
            if c.kind != k else f"{alias}.{self._quote(c.name)}"
            for c, k in zip(written.columns, kinds, strict=True)
        ]  # fmt: skip
        return f"(SELECT {', '.join(items)} FROM ({written.sql}) AS {alias})"

    def _operand(self, node: nodes.Body, parent: Scope | None) -> Written:
        if isinstance(node, nodes.SetOperation):
            return self._set(node, parent)
        if isinstance(node, nodes.Select):
            return self._select(node, parent, (), None, None, False)
        return self.statement(node, parent)

    # SELECT

    def _select(
        self, node: nodes.Select, parent: Scope | None, order: Sequence[nodes.Order], offset: int | None,
        limit: int | None, shown: bool,
    ) -> Written:  # fmt: skip
        scope = Scope(parent)
        tables = self._from(node, scope)
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
        names = _distinct_names([n for n, _ in items])
        sqls = [self._plain(f) for _, f in items]
        terms = [self._order_term(term, scope, sqls, node.distinct) for term in order]
        self._grouped(scope)
        group = f" GROUP BY {', '.join(sorted(scope.groups))}" if scope.groups else ""
        columns = []
        for name, (_, f) in zip(names, items, strict=True):
            columns.append(f"{self._shown(f) if shown else self._plain(f)} AS {self._quote(name)}")
        most = node.top if limit is None else limit if node.top is None else min(node.top, limit)
        source = f" FROM {tables.sql}" if tables.sql else ""
        distinct = "DISTINCT " if node.distinct else ""
        sql = f"SELECT {distinct}{', '.join(columns)}{source}{where}{group}{having}{self._tail(terms, offset, most)}"
        return Written(
            sql, tuple(OutColumn(n, f.kind, f.meta, f) for n, (_, f) in zip(names, items, strict=True))
        )

    def _group(self, node: nodes.Select, scope: Scope, order: Sequence[nodes.Order]) -> None:
        """Find out what the query groups by, before its select list is written."""
        aggregates = any(_aggregates(i.value) for i in node.items if isinstance(i, nodes.Item))
        aggregates = aggregates or node.having is not None or any(_aggregates(o.value) for o in order)
        if not node.group and not aggregates:
            return
        groups = []
        for value in node.group:
            if _aggregates(value):
                raise QueryError("an aggregate cannot stand in GROUP BY", *value.at)
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
                found := node.items[place - 1], nodes.Item
            ):
                raise QueryError(f"GROUP BY {place}: there is no such item in the select list", *value.at)
            return found.value
        if isinstance(value, nodes.Name) and len(value.parts) == 1:
            if any(matches(value.parts[0], c.name) for c in scope.columns):
                return value
            for item in node.items:
                if isinstance(item, nodes.Item) and item.alias and matches(value.parts[0], item.alias.text):
                    return item.value
        return value

    def _grouped(self, scope: Scope) -> None:
        if scope.loose:
            name, at = scope.loose[0]
            raise QueryError(f"{name} must stand in GROUP BY or within an aggregate such as MAX", *at)

    def _items(self, node: nodes.Select, scope: Scope) -> list[tuple[str, Fragment]]:
        found: list[tuple[str, Fragment]] = []
        aliases: dict[str, Fragment] = {}
        for number, item in enumerate(node.items, 1):
            if isinstance(item, nodes.Star):
                columns = scope.source(item.qualifier).columns if item.qualifier else scope.columns
                if not columns:
                    raise QueryError("* needs a table in FROM", *item.at)
                for c in columns:
                    if scope.groups is not None and c.sql not in scope.groups:
                        scope.loose.append((c.name, item.at))
                    found.append((c.name, Fragment(c.sql, c.kind, item.at, c.meta, column=c)))
                continue
            fragment = self.expressions.value(item.value, scope)
            if fragment.kind == "condition":
                raise QueryError("a condition cannot stand in the select list", *item.value.at)
            found.append((_name(item, number), fragment))
            if item.alias is not None:
                aliases[item.alias.text if item.alias.quoted else item.alias.text.lower()] = fragment
        scope.aliases = aliases
        return found

    def _order_term(
        self, term: nodes.Order, scope: Scope, items: Sequence[str], distinct: bool = False
    ) -> str:
        value, way = term.value, " DESC NULLS LAST" if term.descending else " ASC NULLS LAST"
        if isinstance(value, nodes.Literal) and value.kind == "number":
            if not value.text.isdigit() or not 1 <= int(value.text) <= len(items):
                raise QueryError(
                    f"ORDER BY {value.text}: the select list has {len(items)} columns", *value.at
                )
            return f"{items[int(value.text) - 1]}{way}"
        alias = None
        if isinstance(value, nodes.Name) and len(value.parts) == 1:
            ident = value.parts[0]
            alias = scope.aliases.get(ident.text if ident.quoted else ident.text.lower())
        fragment = alias or self.expressions.value(value, scope)
        if fragment.kind in (*GEOMETRIES, "array"):
            raise QueryError("rows cannot be ordered by geometry", *value.at)
        if fragment.constant is not None:
            return f"(SELECT 1){way}"
        if distinct and fragment.sql not in items:
            raise QueryError("with DISTINCT, ORDER BY takes only what stands in the select list", *value.at)
        return f"{fragment.sql}{way}"

    # Values that go out

    def _plain(self, fragment: Fragment) -> str:
        """SQL of a value within a query: geometry as an array."""
        if fragment.kind in GEOMETRIES and fragment.parts:
            parts = fragment.parts
            if fragment.kind == "box":
                from desdm.services.adql.fragments import constant, numbers
                from desdm.services.adql.sphere import box_corners

                known = numbers(parts)
                if known is None:
                    raise QueryError("a BOX goes out only if it is made of numbers", *fragment.at)
                parts = tuple(constant(c, fragment.at) for c in box_corners(*known))
            return self._array([functions.as_double(p).sql for p in parts])
        if fragment.kind == "null":
            return f"CAST(NULL AS {SQL_TYPES[self.dialect]['null']})"
        return fragment.sql

    def _array(self, values: Sequence[str]) -> str:
        inner = ", ".join(values)
        return f"[{inner}]" if self.dialect == "duckdb" else f"ARRAY[{inner}]"

    def _shown(self, fragment: Fragment) -> str:
        """SQL of a value as it goes out: of the type that its column says."""
        sql = self._plain(fragment)
        if fragment.kind == "timestamp":
            return functions.iso(sql, self.dialect)
        if fragment.column is None and fragment.kind in (*NUMBERS, "boolean"):
            return f"CAST({sql} AS {SQL_TYPES[self.dialect][fragment.kind]})"
        return sql

    # FROM

    def _from(self, node: nodes.Select, scope: Scope) -> Tables:
        if not node.tables:
            return Tables("", [], [])
        found = [self._table(t, scope) for t in node.tables]
        sources = [s for t in found for s in t.sources]
        self._unlike(sources, node.tables[0].at)
        extra = ""
        if len(found) > 1 and node.where is not None:
            inner = Scope(scope.parent, sources, [c for t in found for c in t.columns])
            for k in range(1, len(found)):
                for i in range(k):
                    found[i], found[k], more = self._matched(found[i], found[k], node.where, inner, "INNER")
                    extra += more
        sql = ", ".join(t.sql for t in found)
        return Tables(sql, sources, [c for t in found for c in t.columns], extra=extra)

    def _matched(
        self, left: Tables, right: Tables, condition: nodes.Expression, scope: Scope, kind: str
    ) -> tuple[Tables, Tables, str]:
        """Two tables that are joined by position, and the condition by which that is fast."""
        both = isinstance(condition, nodes.Junction) and condition.word == "AND"
        parts = condition.parts if both and isinstance(condition, nodes.Junction) else (condition,)
        pairs = self.expressions.geometry.pairs
        for part in parts:
            if not (isinstance(part, nodes.Compare) and _measures(part)):
                continue
            pairs.clear()
            test = self.expressions.condition(part, scope)
            if test.startswith("(NOT") or len(pairs) != 1:
                continue
            a, b, limit = pairs[0]
            if _of(a, right) and _of(b, left):
                a, b = b, a
            if _of(a, left) and _of(b, right):
                return matching.join(self.expressions, left, right, a, b, limit, kind)
        return left, right, ""

    def _unlike(self, sources: Sequence[Source], at: Place) -> None:
        seen: set[tuple[str | None, str]] = set()
        for source in sources:
            key = (source.schema and source.schema.lower(), source.name.lower())
            if key in seen:
                raise QueryError(f"two tables are called {source.name} here; give one an alias", *at)
            seen.add(key)

    def _table(self, node: nodes.TableReference, scope: Scope) -> Tables:
        match node:
            case nodes.Named():
                return self._named(node)
            case nodes.Derived():
                written = self.statement(node.query, scope.parent)
                alias = f"t{next(self._numbers)}"
                return self._outer(
                    f"({written.sql}) AS {alias}", alias, node.alias.text if node.alias else alias, written
                )
            case nodes.Join():
                return self._join(node, scope)

    def _named(self, node: nodes.Named) -> Tables:
        alias = f"t{next(self._numbers)}"
        if len(node.parts) == 1:
            for named in reversed(self._ctes):
                for name, ident, written in named.values():
                    if _alike(node.parts[0], ident):
                        shown = node.alias.text if node.alias else ident.text
                        return self._outer(f"{name} AS {alias}", alias, shown, written)
        entry = self._entry(node)
        self.tables.add((entry.schema, entry.name))
        physical = ".".join(self._quote(p) for p in entry.physical)
        columns, number = self._columns(alias, entry), next(self._numbers)
        columns = [replace(c, table=number) for c in columns]
        cell = next((c.sql for c in columns if c.role == "hpix"), None)
        if cell is not None:
            self.expressions.cells[number] = cell
        if entry.row_filter is not None:
            column, values = entry.row_filter
            marks = ", ".join(self.parameters.text(v) for v in sorted(values)) or "NULL"
            physical = f"(SELECT * FROM {physical} WHERE {self._quote(column)} IN ({marks}))"
        name, schema = (node.alias.text, None) if node.alias else (entry.name, entry.schema)
        sources = [Source(name, schema, tuple(columns))]
        return Tables(f"{physical} AS {alias}", sources, columns, physical, alias, entry.row_count)

    def _entry(self, node: nodes.Named) -> Entry:
        schema = node.parts[-2].text if len(node.parts) > 1 else None
        table = node.parts[-1]
        if len(node.parts) <= 2 and schema is not None and schema.lower() == UPLOADS:
            upload = self._uploads.get(table.text.lower())
            if upload is not None:
                return self._upload(upload)
            raise QueryError(f"no table {table.text[:60]} was uploaded with this query", *node.at)
        entry = self._catalogue.entry(schema, table.text) if len(node.parts) <= 2 else None
        if entry is not None:
            return entry
        shown = ".".join(p.text for p in node.parts)[:80]
        several = self._catalogue.named(table.text)
        if schema is None and len(several) > 1:
            names = ", ".join(f"{e.schema}.{e.name}" for e in several)
            raise QueryError(f"{shown} could be {names}; write it with its schema", *node.at)
        raise QueryError(
            f"there is no table {shown} that you may ask; tap_schema.tables lists what there is", *node.at
        )

    def _upload(self, upload: Upload) -> Entry:
        known = {c.name.lower(): c.name for c in upload.columns}
        return Entry(
            "TAP_UPLOAD",
            upload.name,
            upload.columns,
            (f"{UPLOADS}_{upload.name}",),
            known.get("ra"),
            known.get("dec"),
        )

    def _columns(self, alias: str, entry: Entry) -> list[Column]:
        roles = {entry.ra: "ra", entry.dec: "dec", entry.hpix: "hpix"}
        roles.pop(None, None)
        return [
            Column(c.name, f"{alias}.{self._quote(c.name)}", kind_of(c), c, role=roles.get(c.name, ""))
            for c in entry.columns
        ]

    def _outer_columns(self, alias: str, written: Written) -> list[Column]:
        """Columns of a query that stands as a table; a position stays one where its columns are handed on."""
        found: list[Column] = []
        numbers: dict[int, int] = {}
        for out in written.columns:
            inner = out.fragment.column if out.fragment is not None else None
            table, role = -1, ""
            if inner is not None and inner.role:
                table = numbers.setdefault(inner.table, next(self._numbers))
                role = inner.role
            sql = f"{alias}.{self._quote(out.name)}"
            if role == "hpix":
                self.expressions.cells[table] = sql
            found.append(
                Column(out.name, sql, out.kind, out.meta or ReleaseColumn(out.name, out.kind), table, role)
            )
        return found

    def _outer(self, sql: str, alias: str, shown: str, written: Written) -> Tables:
        columns = self._outer_columns(alias, written)
        return Tables(
            sql, [Source(shown, None, tuple(columns))], columns, sql.removesuffix(f" AS {alias}"), alias
        )

    # Joins

    def _join(self, node: nodes.Join, scope: Scope) -> Tables:
        left, right = self._table(node.left, scope), self._table(node.right, scope)
        sources = [*left.sources, *right.sources]
        self._unlike(sources, node.at)
        if node.on is not None:
            inner = Scope(scope.parent, sources, [*left.columns, *right.columns])
            left, right, extra = self._matched(left, right, node.on, inner, node.kind)
            condition = self.expressions.condition(node.on, inner)
            sql = f"({left.sql} {node.kind} JOIN {right.sql} ON {condition}{extra})"
            return Tables(sql, sources, inner.columns)
        if node.kind == "CROSS":
            return Tables(f"({left.sql} CROSS JOIN {right.sql})", sources, [*left.columns, *right.columns])
        return self._using(node, left, right, sources)

    def _using(self, node: nodes.Join, left: Tables, right: Tables, sources: list[Source]) -> Tables:
        if node.natural:
            shared = {c.name.lower() for c in right.columns}
            wanted = [nodes.Ident(c.name, False, node.at) for c in left.columns if c.name.lower() in shared]
        else:
            wanted = list(node.using)
        merged, gone, tests = [], set(), []
        for ident in wanted:
            pair = [self._only(side, ident) for side in (left, right)]
            gone |= {c.sql for c in pair}
            fragments = [Fragment(c.sql, c.kind, ident.at, c.meta, column=c) for c in pair]
            a, b = self.expressions.alike(fragments[0], fragments[1], ident.at)
            tests.append(f"{a.sql} = {b.sql}")
            kept = pair[1] if node.kind == "RIGHT" else pair[0]
            if node.kind == "FULL":
                kept = replace(kept, sql=f"coalesce({pair[0].sql}, {pair[1].sql})", role="")
            merged.append(kept)
        rest = [c for c in (*left.columns, *right.columns) if c.sql not in gone]
        kind = node.kind if tests else "CROSS"
        on = f" ON {' AND '.join(tests)}" if tests else ""
        return Tables(f"({left.sql} {kind} JOIN {right.sql}{on})", sources, [*merged, *rest])

    def _only(self, side: Tables, ident: nodes.Ident) -> Column:
        found = [c for c in side.columns if matches(ident, c.name)]
        if len(found) != 1:
            raise QueryError(f"{ident.text} must be one column of each of the joined tables", *ident.at)
        return found[0]

    def _footprint(self, release: str, at: Place) -> str:
        entry = self._catalogue.entry(release, "footprint")
        if entry is None:
            raise QueryError(f"there is no release {release[:40]} with a footprint that you may ask", *at)
        self.tables.add((entry.schema, entry.name))
        return ".".join(self._quote(p) for p in entry.physical)


def _measures(node: nodes.Compare) -> bool:
    """Whether a comparison is one of geometry."""
    return any(
        isinstance(side, nodes.Call) and side.name in ("CONTAINS", "DISTANCE", "INTERSECTS")
        for side in (node.left, node.right)
    )


def _of(point: tuple[Fragment, Fragment], tables: Tables) -> bool:
    """Whether both coordinates are columns of it."""
    known = {c.sql for c in tables.columns}
    return all(f.column is not None and f.column.sql in known for f in point)


def _alike(used: nodes.Ident, defined: nodes.Ident) -> bool:
    if used.quoted:
        return used.text == defined.text
    return used.text.lower() == defined.text.lower()


def _name(item: nodes.Item, number: int) -> str:
    if item.alias is not None:
        return item.alias.text
    match item.value:
        case nodes.Name():
            return item.value.parts[-1].text
        case nodes.Aggregate() | nodes.Call():
            return item.value.name.lower()
        case _:
            return f"col{number}"


def _distinct_names(names: Sequence[str]) -> list[str]:
    """Names with a number after those that come again."""
    seen: set[str] = set()
    found = []
    for name in names:
        new, number = name, 2
        while new.lower() in seen:
            new, number = f"{name}_{number}", number + 1
        seen.add(new.lower())
        found.append(new)
    return found


def _aggregates(node: nodes.Expression) -> bool:
    """Whether an aggregate stands in it (queries within it do not count)."""
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
