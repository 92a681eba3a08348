"""FROM in an engine's SQL: tables of the catalogue, uploads, derived tables and joins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches

from desdm.errors import QueryError
from desdm.query.adql.parse import nodes
from desdm.query.adql.parse.otherdialects import table_advice
from desdm.query.adql.parse.tokens import Place
from desdm.query.adql.sql import matching
from desdm.query.adql.sql.expressions import Expressions
from desdm.query.adql.sql.fragments import Column, Fragment, Parameters, Written
from desdm.query.adql.sql.matching import Tables
from desdm.query.adql.sql.scope import Scope, Source, matches
from desdm.query.catalogue import Catalogue, Entry
from desdm.query.engines.model import Upload
from desdm.query.engines.writing import Dialect, kind_of, quote
from desdm.release.model import ReleaseColumn

__all__ = ["From"]

UPLOADS = "tap_upload"


class From:
    """Writer of FROM for one query text; ``query`` writes derived tables.

    Attributes
    ----------
    common_tables
        Common tables of the enclosing queries, the innermost last: name → SQL name, identifier and query.
    read
        (schema, table) of the tables that the query reads.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        dialect: Dialect,
        uploads: Mapping[str, Upload],
        parameters: Parameters,
        query: Callable[[nodes.Statement, Scope | None], Written],
        numbers: Iterator[int],
    ) -> None:
        self._catalogue, self._dialect, self._parameters, self._query = catalogue, dialect, parameters, query
        self._uploads = {name.lower(): upload for name, upload in uploads.items()}
        self._numbers = numbers
        self._expressions = Expressions(dialect, parameters, query, self.footprint)
        self.common_tables: list[dict[str, tuple[str, nodes.Ident, Written]]] = []
        self.read: set[tuple[str, str]] = set()

    @property
    def expressions(self) -> Expressions:
        """Writer of the expressions of the same query text."""
        return self._expressions

    def _quote(self, name: str) -> str:
        """Return a quoted name."""
        return quote(name, self._dialect)

    def tables(self, node: nodes.Select, scope: Scope) -> Tables:
        """Write FROM of a SELECT, with conditions that make joins by position fast."""
        if not node.tables:
            return Tables("", [], [])
        members = [self._table(t, scope) for t in node.tables]
        sources = [s for t in members for s in t.sources]
        self._require_distinct_names(sources, node.tables[0].at)
        extra = ""
        if len(members) > 1 and node.where is not None:
            inner = Scope(scope.parent, sources, [c for t in members for c in t.columns])
            for k in range(1, len(members)):
                for i in range(k):
                    members[i], members[k], more = self._matched(
                        members[i], members[k], node.where, inner, "INNER"
                    )
                    extra += more
        sql = ", ".join(t.sql for t in members)
        return Tables(sql, sources, [c for t in members for c in t.columns], extra=extra)

    def _matched(
        self, left: Tables, right: Tables, condition: nodes.Expression, scope: Scope, kind: str
    ) -> tuple[Tables, Tables, str]:
        """Return two tables, joined by cells if the condition matches positions, and SQL to add to it."""
        both = isinstance(condition, nodes.Junction) and condition.word == "AND"
        parts = condition.parts if both and isinstance(condition, nodes.Junction) else (condition,)
        pairs = self._expressions.geometry.pairs
        for part in parts:
            if not (isinstance(part, nodes.Compare) and _is_geometric(part)):
                continue
            pairs.clear()
            test = self._expressions.condition(part, scope)
            if test.startswith("(NOT") or len(pairs) != 1:
                continue
            a, b, limit = pairs[0]
            if _columns_of(a, right) and _columns_of(b, left):
                a, b = b, a
            if _columns_of(a, left) and _columns_of(b, right):
                return matching.join(self._expressions, left, right, a, b, limit, kind)
        return left, right, ""

    def _require_distinct_names(self, sources: Sequence[Source], at: Place) -> None:
        """Raise if two tables of FROM have one name."""
        names: set[tuple[str | None, str]] = set()
        for source in sources:
            key = (source.schema and source.schema.lower(), source.name.lower())
            if key in names:
                raise QueryError(f"two tables are called {source.name} here; give one an alias", *at)
            names.add(key)

    def _table(self, node: nodes.TableReference, scope: Scope) -> Tables:
        """Write one table of FROM."""
        match node:
            case nodes.Named():
                return self._named_table(node)
            case nodes.Derived():
                written = self._query(node.query, scope.parent)
                alias = f"t{next(self._numbers)}"
                return self._derived_table(
                    f"({written.sql}) AS {alias}", alias, node.alias.text if node.alias else alias, written
                )
            case nodes.Join():
                return self._join(node, scope)

    def _named_table(self, node: nodes.Named) -> Tables:
        """Write a table of the catalogue, of WITH, or an upload."""
        alias = f"t{next(self._numbers)}"
        if len(node.parts) == 1:
            for named in reversed(self.common_tables):
                for name, ident, written in named.values():
                    if _means(node.parts[0], ident):
                        qualifier = node.alias.text if node.alias else ident.text
                        return self._derived_table(f"{name} AS {alias}", alias, qualifier, written)
        entry = self._entry(node)
        self.read.add((entry.schema, entry.name))
        physical = ".".join(self._quote(p) for p in entry.physical)
        columns, number = self._columns(alias, entry), next(self._numbers)
        columns = [replace(c, table=number) for c in columns]
        cell = next((c.sql for c in columns if c.role == "hpix"), None)
        if cell is not None:
            self._expressions.cells[number] = cell
        if entry.row_filter is not None:
            column, values = entry.row_filter
            marks = ", ".join(self._parameters.text(v) for v in sorted(values)) or "NULL"
            selected = "*" if entry.numbering is None else self._numbered(entry)
            physical = f"(SELECT {selected} FROM {physical} WHERE {self._quote(column)} IN ({marks}))"
        name, schema = (node.alias.text, None) if node.alias else (entry.name, entry.schema)
        sources = [Source(name, schema, tuple(columns))]
        return Tables(f"{physical} AS {alias}", sources, columns, physical, alias, entry.row_count)

    def _numbered(self, entry: Entry) -> str:
        """Write the columns of a table with its visible rows numbered from 0."""
        return ", ".join(
            f"CAST(ROW_NUMBER() OVER (ORDER BY {self._quote(c.name)}) - 1 AS INTEGER) AS {self._quote(c.name)}"
            if c.name == entry.numbering
            else self._quote(c.name)
            for c in entry.columns
        )

    def _entry(self, node: nodes.Named) -> Entry:
        """Return the catalogue entry that a table name means."""
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
        dotted_name = ".".join(p.text for p in node.parts)[:80]
        several = self._catalogue.named(table.text)
        if schema is None and len(several) > 1:
            names = ", ".join(f"{e.schema}.{e.name}" for e in several)
            raise QueryError(f"{dotted_name} could be {names}; add the schema", *node.at)
        advice = table_advice(schema, table.text) or self._similar_table(dotted_name)
        raise QueryError(f"there is no table {dotted_name} that you may query; {advice}", *node.at)

    def _similar_table(self, name: str) -> str:
        """Return a hint for a table that does not exist: a similar name that the caller may see, or where all are."""
        names = {f"{e.schema}.{e.name}".lower(): f"{e.schema}.{e.name}" for e in self._catalogue.entries()}
        similar = get_close_matches(name.lower(), names, 1, 0.75)
        return (
            f"did you mean {names[similar[0]]}?" if similar else "the tables are listed in tap_schema.tables"
        )

    def _upload(self, upload: Upload) -> Entry:
        """Return the catalogue entry of an upload."""
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
        """Return the columns of a table under its alias."""
        roles = {entry.ra: "ra", entry.dec: "dec", entry.hpix: "hpix"}
        roles.pop(None, None)
        return [
            Column(c.name, f"{alias}.{self._quote(c.name)}", kind_of(c), c, role=roles.get(c.name, ""))
            for c in entry.columns
        ]

    def outer_columns(self, alias: str, written: Written) -> list[Column]:
        """Return the columns of a derived table; columns of a position keep that role."""
        columns: list[Column] = []
        numbers: dict[int, int] = {}
        for out in written.columns:
            inner = out.fragment.column if out.fragment is not None else None
            table, role = -1, ""
            if inner is not None and inner.role:
                table = numbers.setdefault(inner.table, next(self._numbers))
                role = inner.role
            sql = f"{alias}.{self._quote(out.name)}"
            if role == "hpix":
                self._expressions.cells[table] = sql
            columns.append(
                Column(
                    out.name,
                    sql,
                    out.kind,
                    out.meta or ReleaseColumn(out.name, out.kind),
                    table,
                    role,
                    out.ambiguous,
                )
            )
        return columns

    def _derived_table(self, sql: str, alias: str, qualifier: str, written: Written) -> Tables:
        """Return a derived table."""
        columns = self.outer_columns(alias, written)
        return Tables(
            sql, [Source(qualifier, None, tuple(columns))], columns, sql.removesuffix(f" AS {alias}"), alias
        )

    # Joins

    def _join(self, node: nodes.Join, scope: Scope) -> Tables:
        """Write a join."""
        left, right = self._table(node.left, scope), self._table(node.right, scope)
        sources = [*left.sources, *right.sources]
        self._require_distinct_names(sources, node.at)
        if node.on is not None:
            inner = Scope(scope.parent, sources, [*left.columns, *right.columns])
            left, right, extra = self._matched(left, right, node.on, inner, node.kind)
            condition = self._expressions.condition(node.on, inner)
            sql = f"({left.sql} {node.kind} JOIN {right.sql} ON {condition}{extra})"
            return Tables(sql, sources, inner.columns)
        if node.kind == "CROSS":
            return Tables(f"({left.sql} CROSS JOIN {right.sql})", sources, [*left.columns, *right.columns])
        return self._using(node, left, right, sources)

    def _using(self, node: nodes.Join, left: Tables, right: Tables, sources: list[Source]) -> Tables:
        """Write a join by USING or NATURAL."""
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
            a, b = self._expressions.alike(fragments[0], fragments[1], ident.at)
            tests.append(f"{a.sql} = {b.sql}")
            joined = pair[1] if node.kind == "RIGHT" else pair[0]
            if node.kind == "FULL":
                joined = replace(joined, sql=f"coalesce({pair[0].sql}, {pair[1].sql})", role="")
            merged.append(joined)
        rest = [c for c in (*left.columns, *right.columns) if c.sql not in gone]
        kind = node.kind if tests else "CROSS"
        on = f" ON {' AND '.join(tests)}" if tests else ""
        return Tables(f"({left.sql} {kind} JOIN {right.sql}{on})", sources, [*merged, *rest])

    def _only(self, side: Tables, ident: nodes.Ident) -> Column:
        """Return the one column of a side that an identifier names."""
        candidates = [c for c in side.columns if matches(ident, c.name)]
        if len(candidates) != 1:
            raise QueryError(f"{ident.text} must be one column of each of the joined tables", *ident.at)
        return candidates[0]

    def footprint(self, release: str, at: Place) -> str:
        """Return the name of the footprint table of a release."""
        entry = self._catalogue.entry(release, "footprint")
        if entry is None:
            raise QueryError(f"there is no release {release[:40]} with a footprint that you may query", *at)
        self.read.add((entry.schema, entry.name))
        return ".".join(self._quote(p) for p in entry.physical)


def _is_geometric(node: nodes.Compare) -> bool:
    """Tell whether a comparison is one of geometry."""
    return any(
        isinstance(side, nodes.Call) and side.name in ("CONTAINS", "DISTANCE", "INTERSECTS")
        for side in (node.left, node.right)
    )


def _columns_of(point: tuple[Fragment, Fragment], tables: Tables) -> bool:
    """Tell whether both coordinates are columns of the tables."""
    known = {c.sql for c in tables.columns}
    return all(f.column is not None and f.column.sql in known for f in point)


def _means(used: nodes.Ident, defined: nodes.Ident) -> bool:
    """Tell whether an identifier names a query of WITH."""
    if used.quoted:
        return used.text == defined.text
    return used.text.lower() == defined.text.lower()
