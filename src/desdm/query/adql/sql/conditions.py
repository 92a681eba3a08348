"""Conditions of ADQL in an engine's SQL: comparisons, IN, LIKE, EXISTS, predicates of geometry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from desdm.errors import QueryError
from desdm.query.adql.parse import nodes
from desdm.query.adql.sql import functions, regions
from desdm.query.adql.sql.fragments import GEOMETRIES, INTEGERS, NUMBERS, Fragment, Written
from desdm.query.adql.sql.geometry import Geometry
from desdm.query.adql.sql.scope import Scope
from desdm.query.engines.writing import SQL_TYPES, Dialect

__all__ = ["Conditions"]

#: Comparison of CONTAINS or INTERSECTS with a number → whether it is true for 1, not for 0.
_TRUE_FOR_ONE: dict[tuple[str, float | None], bool] = {
    ("=", 1.0): True,
    ("<>", 0.0): True,
    (">", 0.0): True,
    (">=", 1.0): True,
    ("=", 0.0): False,
    ("<>", 1.0): False,
    ("<", 1.0): False,
    ("<=", 0.0): False,
}
_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "<>": "<>"}


class Values(Protocol):
    """Writer of the values in conditions."""

    dialect: Dialect
    geometry: Geometry

    def value(self, node: nodes.Expression, scope: Scope) -> Fragment:
        """Write a value."""


class Conditions:
    """Writer of the conditions of one query.

    Parameters
    ----------
    values
        Writes the values in them.
    query
        Writes the subqueries in them.
    """

    def __init__(self, values: Values, query: Callable[[nodes.Statement, Scope], Written]) -> None:
        self._values, self._query = values, query
        self.dialect, self._types = values.dialect, SQL_TYPES[values.dialect]

    def condition(self, node: nodes.Expression, scope: Scope) -> str:
        """Write a condition."""
        match node:
            case nodes.Junction():
                return "(" + f" {node.word} ".join(self.condition(p, scope) for p in node.parts) + ")"
            case nodes.Not():
                return f"(NOT {self.condition(node.operand, scope)})"
            case nodes.Compare():
                return self._compare(node, scope)
            case nodes.Between():
                return self._between(node, scope)
            case nodes.In():
                return self._in(node, scope)
            case nodes.Like():
                return self._like(node, scope)
            case nodes.IsNull():
                value = self._values.value(node.operand, scope)
                inner = value.parts[0].sql if value.kind in GEOMETRIES and value.parts else value.sql
                return f"({inner} IS {'NOT ' if node.negated else ''}NULL)"
            case nodes.Exists():
                return f"EXISTS ({self._query(node.query, scope).sql})"
            case _:
                value = self._values.value(node, scope)
                if value.kind == "boolean":
                    return value.sql
                hint = " compare it with 1 or 0" if isinstance(node, nodes.Call) else ""
                raise QueryError(
                    f"a condition is expected here, not a value;{hint or ' compare it'}", *node.at
                )

    def _compare(self, node: nodes.Compare, scope: Scope) -> str:
        """Write a comparison; those with geometry become predicates."""
        for call, other, operator in (
            (node.left, node.right, node.operator),
            (node.right, node.left, _MIRRORED[node.operator]),
        ):
            if isinstance(call, nodes.Call) and call.name in ("CONTAINS", "INTERSECTS"):
                return self._predicate(call, other, operator, scope)
            if isinstance(call, nodes.Call) and call.name == "DISTANCE" and operator not in ("=", "<>"):
                return self._near(call, other, operator, scope)
        left, right = self._values.value(node.left, scope), self._values.value(node.right, scope)
        left, right = self.alike(left, right, node.at)
        return f"({left.sql} {node.operator} {right.sql})"

    def _predicate(self, call: nodes.Call, other: nodes.Expression, operator: str, scope: Scope) -> str:
        """Write CONTAINS or INTERSECTS compared with 1 or 0."""
        value = self._values.value(other, scope)
        true = _TRUE_FOR_ONE.get((operator, value.number))
        if true is None:
            raise QueryError(f"{call.name} returns 1 or 0; write 1 = {call.name}(…)", *call.at)
        sql = self.meets(call, scope)
        return sql if true else f"(NOT {sql})"

    def meets(self, call: nodes.Call, scope: Scope) -> str:
        """Write CONTAINS or INTERSECTS as a condition."""
        arguments = [self._values.value(a, scope) for a in call.arguments]
        if len(arguments) != 2 or any(g.kind not in GEOMETRIES for g in arguments):
            raise QueryError(f"{call.name} takes two geometries: POINT, CIRCLE, BOX, POLYGON", *call.at)
        arguments = [self.region(g) for g in arguments]
        if call.name == "CONTAINS":
            return self._values.geometry.contains(arguments[0], arguments[1], call.at)
        return self._values.geometry.intersects(arguments[0], arguments[1], call.at)

    def region(self, value: Fragment) -> Fragment:
        """Return a geometry with its coordinates; that of a column is taken apart."""
        if value.parts or value.kind not in ("region", "point", "circle", "polygon"):
            return value
        return regions.of_column(value, self._types["char"])

    def _near(self, call: nodes.Call, other: nodes.Expression, operator: str, scope: Scope) -> str:
        """Write DISTANCE compared with a number of degrees."""
        points = self._values.geometry.two_points(
            [self.region(self._values.value(a, scope)) for a in call.arguments], call.at
        )
        radius = self._values.value(other, scope)
        if radius.kind not in (*NUMBERS, "null"):
            raise QueryError("a distance must be compared with a number of degrees", *other.at)
        inclusive = operator in ("<=", ">")
        sql = self._values.geometry.near(*points, radius, call.at, strict=not inclusive)
        return sql if operator in ("<", "<=") else f"(NOT {sql})"

    def _between(self, node: nodes.Between, scope: Scope) -> str:
        """Write BETWEEN."""
        if isinstance(node.operand, nodes.Call) and node.operand.name == "DISTANCE":
            above = nodes.Compare(">=", node.operand, node.low, node.at)
            both = nodes.Junction(
                "AND", (above, nodes.Compare("<=", node.operand, node.high, node.at)), node.at
            )
            return self.condition(nodes.Not(both, node.at) if node.negated else both, scope)
        value = self._values.value(node.operand, scope)
        low, high = self._values.value(node.low, scope), self._values.value(node.high, scope)
        first, least = self.alike(value, low, node.at)
        second, most = self.alike(value, high, node.at)
        if first.sql != second.sql:
            sql = f"({first.sql} >= {least.sql} AND {second.sql} <= {most.sql})"
            return f"(NOT {sql})" if node.negated else sql
        return f"({first.sql} {'NOT ' if node.negated else ''}BETWEEN {least.sql} AND {most.sql})"

    def _in(self, node: nodes.In, scope: Scope) -> str:
        """Write IN with a list or a query."""
        value = self._values.value(node.operand, scope)
        word = "NOT IN" if node.negated else "IN"
        if node.query is None:
            pairs = [self.alike(value, self._values.value(v, scope), v.at) for v in node.values]
            first = max(
                (p[0] for p in pairs), key=lambda f: NUMBERS.index(f.kind) if f.kind in NUMBERS else 0
            )
            return f"({first.sql} {word} ({', '.join(p[1].sql for p in pairs)}))"
        written = self._query(node.query, scope)
        if len(written.columns) != 1:
            raise QueryError(
                f"the query in IN has {len(written.columns)} columns; it must have one", *node.query.at
            )
        inner = Fragment("", written.columns[0].kind, node.query.at)
        value, _ = self.alike(value, inner, node.at)
        return f"({value.sql} {word} ({written.sql}))"

    def _like(self, node: nodes.Like, scope: Scope) -> str:
        """Write LIKE or ILIKE."""
        value, pattern = self._values.value(node.operand, scope), self._values.value(node.pattern, scope)
        for side in (value, pattern):
            if side.kind not in ("char", "null", "region"):
                raise QueryError("LIKE compares text", *side.at)
        word = ("NOT " if node.negated else "") + ("ILIKE" if node.ignore_case else "LIKE")
        escape = ""
        if node.escape is not None:
            quoted = (
                "''"
                if node.escape == "'"
                else "%%"
                if node.escape == "%" and self.dialect == "postgresql"
                else node.escape
            )
            escape = f" ESCAPE '{quoted}'"
        elif self.dialect == "postgresql":
            escape = " ESCAPE ''"
        ignore_case = node.ignore_case and self.dialect == "postgresql"
        return f"({functions.case_insensitive(value.sql) if ignore_case else value.sql} {word} {pattern.sql}{escape})"

    def alike(self, left: Fragment, right: Fragment, at: tuple[int, int]) -> tuple[Fragment, Fragment]:
        """Return two values converted to kinds that can be compared.

        Parameters
        ----------
        left, right
            Values of any kinds.
        at
            Line and column of the comparison, for errors.

        Raises
        ------
        QueryError
            Their kinds cannot be compared.
        """
        for side in (left, right):
            if side.kind in (*GEOMETRIES, "array", "condition"):
                raise QueryError(
                    "this value cannot be compared; for geometry use CONTAINS, INTERSECTS or DISTANCE",
                    *side.at,
                )
        kinds = {left.kind, right.kind} - {"null"}
        if len(kinds) <= 1:
            return left, right
        if kinds <= set(NUMBERS):
            if "float" in kinds or "double" in kinds:
                return functions.as_double(left), functions.as_double(right)
            return left, right
        if kinds == {"timestamp", "char"}:
            return functions.as_timestamp(left), functions.as_timestamp(right)
        if "boolean" in kinds:
            return self._as_flag(left), self._as_flag(right)
        raise QueryError(
            f"text cannot be compared with a number here ({left.kind} and {right.kind}); use CAST", *at
        )

    def _as_flag(self, value: Fragment) -> Fragment:
        """Convert a boolean, or a text such as 'true', to 1 or 0."""
        if value.kind == "boolean":
            return Fragment(f"CAST({value.sql} AS {self._types['int']})", "int", value.at)
        if isinstance(value.constant, str) and value.constant.lower() in (
            "true",
            "false",
            "t",
            "f",
            "1",
            "0",
        ):
            return Fragment("1" if value.constant.lower() in ("true", "t", "1") else "0", "int", value.at)
        if value.kind in INTEGERS:
            return value
        raise QueryError("a truth value can be compared with 1, 0, TRUE and FALSE", *value.at)
