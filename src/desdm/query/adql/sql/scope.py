"""Name resolution: tables and columns that a query can name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from desdm.errors import QueryError
from desdm.query.adql.parse.nodes import Ident
from desdm.query.adql.parse.otherdialects import value_advice
from desdm.query.adql.parse.tokens import Place
from desdm.query.adql.sql.fragments import Column, Fragment

__all__ = ["AMBIGUOUS", "Scope", "Source", "matches"]

#: Message for a name that several items of a select list have.
AMBIGUOUS = "{} names several items of the select list; give each an alias of its own"


def matches(ident: Ident, name: str) -> bool:
    """Tell whether an identifier means a name: delimited ones are case-sensitive, others are not."""
    return ident.text == name if ident.quoted else ident.text.lower() == name.lower()


@dataclass(frozen=True, slots=True)
class Source:
    """One table of FROM.

    Attributes
    ----------
    name
        Its alias, else its own name.
    schema
        Its schema, if it has no alias.
    """

    name: str
    schema: str | None
    columns: tuple[Column, ...]

    def named(self, qualifier: Sequence[Ident]) -> bool:
        """Tell whether ``schema.table`` or ``table`` means this table."""
        if not matches(qualifier[-1], self.name):
            return False
        return len(qualifier) == 1 or (self.schema is not None and matches(qualifier[-2], self.schema))


@dataclass(slots=True)
class Scope:
    """Tables, columns and aliases that one SELECT can name.

    Attributes
    ----------
    sources
        Its tables, for ``table.column``.
    columns
        Their columns without qualifier, those of USING and NATURAL once.
    aliases
        Aliases of the select list with their values, for GROUP BY, HAVING and ORDER BY.
    items
        Items of the select list, each with its alias or the name of its column.
    groups
        SQL of the expressions of GROUP BY; None: the query has no groups.
    in_aggregate
        Whether the argument of an aggregate is being written.
    ungrouped
        Columns named outside an aggregate that the query does not group by.
    """

    parent: Scope | None
    sources: list[Source] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    aliases: list[tuple[str, Fragment]] = field(default_factory=list)
    items: list[tuple[str, Fragment]] = field(default_factory=list)
    groups: frozenset[str] | None = None
    ungrouped: list[tuple[str, Place]] = field(default_factory=list)
    in_aggregate: bool = False

    def alias(self, ident: Ident) -> Fragment | None:
        """Return the item of the select list that an alias names; None if none has it.

        Raises
        ------
        QueryError
            Several items of different values have the name.
        """
        fragment = next((f for alias, f in self.aliases if matches(ident, alias)), None)
        if fragment is not None and len({f.sql for name, f in self.items if matches(ident, name)}) > 1:
            raise QueryError(AMBIGUOUS.format(ident.text[:100]), *ident.at)
        return fragment

    def is_ambiguous(self, name: str) -> bool:
        """Whether several items of the select list, of different values, have a name, whatever its case."""
        return len({f.sql for other, f in self.items if other.lower() == name.lower()}) > 1

    def find(self, parts: Sequence[Ident]) -> tuple[Column, Scope]:
        """Return the column that a name means, in this query or an outer one, and its scope."""
        scope: Scope | None = self
        while scope is not None:
            candidates = scope.columns_named(parts)
            if len(candidates) > 1:
                raise QueryError(
                    f"{dotted(parts)} could mean several columns; write table.column", *parts[0].at
                )
            if candidates:
                if candidates[0].ambiguous:
                    raise QueryError(AMBIGUOUS.format(parts[-1].text[:100]), *parts[-1].at)
                return candidates[0], scope
            scope = scope.parent
        raise self._unknown(parts)

    def columns_named(self, parts: Sequence[Ident]) -> list[Column]:
        """Return the columns of this SELECT that a name means."""
        if len(parts) == 1:
            return [c for c in self.columns if matches(parts[0], c.name)]
        sources = [s for s in self.sources if s.named(parts[:-1])]
        return [c for s in sources for c in s.columns if matches(parts[-1], c.name)]

    def source(self, qualifier: Sequence[Ident]) -> Source:
        """Return the table that a qualifier means."""
        candidates = [s for s in self.sources if s.named(qualifier)]
        if len(candidates) != 1:
            raise QueryError(f"there is no table {dotted(qualifier)} in this FROM", *qualifier[0].at)
        return candidates[0]

    def _unknown(self, parts: Sequence[Ident]) -> QueryError:
        """Return the error for a name that means no column, with a similar name."""
        names: list[str] = []
        scope: Scope | None = self
        while scope is not None:
            if len(parts) > 1 and not any(s.named(parts[:-1]) for s in scope.sources):
                scope = scope.parent
                continue
            names += [c.name for c in (scope.columns_of(parts) if len(parts) > 1 else scope.columns)]
            scope = scope.parent
        if len(parts) > 1 and not names:
            return QueryError(f"there is no table {dotted(parts[:-1])} in this FROM", *parts[0].at)
        if advice := value_advice(parts[-1].text):
            return QueryError(advice, *parts[-1].at)
        near = get_close_matches(parts[-1].text.lower(), [n.lower() for n in names], 1, 0.6)
        hint = f"; did you mean {next(n for n in names if n.lower() == near[0])}?" if near else ""
        return QueryError(f"there is no column {dotted(parts)}{hint}", *parts[-1].at)

    def columns_of(self, parts: Sequence[Ident]) -> Iterable[Column]:
        """Return the columns of the tables that a qualified name can mean."""
        return (c for s in self.sources if s.named(parts[:-1]) for c in s.columns)


def dotted(parts: Sequence[Ident]) -> str:
    """Return a name as in the query, truncated to 100 characters."""
    return ".".join(p.text for p in parts)[:100]
