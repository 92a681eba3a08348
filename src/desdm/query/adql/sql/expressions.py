"""Values of ADQL in an engine's SQL: names, literals, CASE, aggregates and functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from desdm.errors import QueryError
from desdm.query.adql.parse import nodes
from desdm.query.adql.parse.otherdialects import function_advice
from desdm.query.adql.sql import functions, measures, regions, statistics, userfunctions
from desdm.query.adql.sql.arithmetic import checked, operate
from desdm.query.adql.sql.conditions import Conditions
from desdm.query.adql.sql.fragments import (
    GEOMETRIES,
    INTEGERS,
    NUMBERS,
    Fragment,
    Parameters,
    Written,
    constant,
)
from desdm.query.adql.sql.geometry import Geometry
from desdm.query.adql.sql.scope import Scope
from desdm.query.adql.sql.units import factor
from desdm.query.engines.writing import SQL_TYPES, Dialect
from desdm.release.model import ReleaseColumn

__all__ = ["Expressions"]

_SHAPES = ("POINT", "CIRCLE", "BOX", "POLYGON")
_MEASURES = (
    "DISTANCE",
    "AREA",
    "CENTROID",
    "COORD1",
    "COORD2",
    "COORDSYS",
    "CONTAINS",
    "INTERSECTS",
    "REGION",
)


class Expressions:
    """Writer of the expressions of one query; ``query`` writes the subqueries in them."""

    def __init__(
        self,
        dialect: Dialect,
        parameters: Parameters,
        query: Callable[[nodes.Statement, Scope], Written],
        footprint: Callable[[str, tuple[int, int]], str],
    ) -> None:
        self.dialect, self._parameters, self._query = dialect, parameters, query
        self._types = SQL_TYPES[dialect]
        self._footprint = footprint
        #: SQL of the ``hpix29`` column by the number of its table
        self.cells: dict[int, str] = {}
        self.geometry = Geometry(self.cell, dialect)
        self._conditions = Conditions(self, query)
        self.condition, self.alike = self._conditions.condition, self._conditions.alike

    def cell(self, lon: Fragment, lat: Fragment) -> str | None:
        """Return SQL of the ``hpix29`` column for the position of a table; None for other positions."""
        a, d = lon.column, lat.column
        if a is None or d is None or a.table != d.table or (a.role, d.role) != ("ra", "dec"):
            return None
        return self.cells.get(a.table)

    # Values

    def value(self, node: nodes.Expression, scope: Scope) -> Fragment:
        """Write a value; in a query with groups, columns must appear in GROUP BY or within an aggregate."""
        return checked(self._operand(node, scope))

    def _operand(self, node: nodes.Expression, scope: Scope) -> Fragment:
        """Write an operand of arithmetic, whose check for overflow may be left to the result."""
        if scope.groups is None or scope.in_aggregate:
            return self._value(node, scope)
        before = len(scope.ungrouped)
        fragment = self._value(node, scope)
        checked_value = checked(fragment)
        if checked_value.sql and checked_value.sql in scope.groups:
            # The engines recognise an expression of GROUP BY by its text.
            del scope.ungrouped[before:]
            return checked_value
        return fragment

    def _value(self, node: nodes.Expression, scope: Scope) -> Fragment:
        """Write an expression by its kind of node."""
        match node:
            case nodes.Literal():
                return self._literal(node)
            case nodes.Name():
                return self._name(node, scope)
            case nodes.Chain():
                return self._chain(node, scope)
            case nodes.Sign():
                return self._sign(node, scope)
            case nodes.Aggregate():
                return self._aggregate(node, scope)
            case nodes.Cast():
                return functions.cast(
                    self.value(node.operand, scope), node.target, node.length, self.dialect, self._types
                )
            case nodes.Case():
                return self._case(node, scope)
            case nodes.Subquery():
                return self._subquery(node, scope)
            case nodes.Call():
                return self._call(node, scope)
            case _:
                raise QueryError("a value is expected here, not a condition", *node.at)

    def _literal(self, node: nodes.Literal) -> Fragment:
        """Write a literal as a constant or parameter."""
        if node.kind == "text":
            meta = None if node.text.isascii() else ReleaseColumn("", "unicodeChar")
            return Fragment(self._parameters.text(node.text), "char", node.at, meta, node.text)
        if node.kind == "null":
            return Fragment("NULL", "null", node.at)
        if node.kind == "boolean":
            return Fragment(node.text, "boolean", node.at)
        if node.text.isdigit() and int(node.text) < 2**63:
            number = int(node.text)
            return Fragment(str(number), "int" if number < 2**31 else "long", node.at, constant=float(number))
        return constant(float(node.text), node.at)

    def _name(self, node: nodes.Name, scope: Scope) -> Fragment:
        """Write a column or an alias of the select list."""
        if len(node.parts) == 1 and not any(_matches(node.parts[0], c.name) for c in scope.columns):
            alias = scope.alias(node.parts[0])
            if alias is not None:
                return alias
        column, owner = scope.find(node.parts)
        if (
            owner.groups is not None
            and not owner.in_aggregate
            and owner is scope
            and column.sql not in owner.groups
        ):
            owner.ungrouped.append((column.name, node.at))
        return Fragment(column.sql, column.kind, node.at, column.meta, column=column)

    def _chain(self, node: nodes.Chain, scope: Scope) -> Fragment:
        """Write a chain of binary operators from left to right."""
        left = self._operand(node.first, scope)
        for operator, at, right in node.rest:
            left = operate(operator, left, self._operand(right, scope), at, self.dialect)
        return left

    def _sign(self, node: nodes.Sign, scope: Scope) -> Fragment:
        """Write a sign or the bitwise complement."""
        value = self._operand(node.operand, scope)
        if value.kind not in (*NUMBERS, "null") or (node.sign == "~" and value.kind not in INTEGERS):
            raise QueryError(f"{node.sign} takes a number", *node.at)
        if node.sign == "+":
            return value
        if node.sign == "-" and value.number is not None and value.kind == "double":
            return constant(-value.number, node.at)
        known = -value.number if node.sign == "-" and value.number is not None else None
        return Fragment(
            f"({node.sign}{value.sql})",
            value.kind,
            node.at,
            value.meta,
            known,
            unchecked=value.unchecked,
            operands=value.operands,
        )

    def _aggregate(self, node: nodes.Aggregate, scope: Scope) -> Fragment:
        """Write an aggregate function."""
        if scope.in_aggregate:
            raise QueryError(f"{node.name} cannot be used within another aggregate", *node.at)
        if scope.groups is None:
            raise QueryError(
                f"{node.name} cannot be used here; aggregates are allowed in SELECT, HAVING and ORDER BY",
                *node.at,
            )
        if node.argument is None:
            return Fragment(
                "count(*)", "long", node.at, ReleaseColumn("", "long", ucd="meta.number", text="Rows")
            )
        scope.in_aggregate = True
        value = self.value(node.argument, scope)
        scope.in_aggregate = False
        if value.kind in (*GEOMETRIES, "array") and not (
            value.kind == "region" and node.name == "COUNT" and not node.distinct
        ):
            raise QueryError(f"{node.name} takes no geometry", *node.at)
        if node.name in statistics.SIGNATURES:
            return statistics.aggregate(node.name, value, node.distinct, node.at, self.dialect)
        word = "DISTINCT " if node.distinct else ""
        if node.name == "COUNT":
            return Fragment(
                f"count({word}{value.sql})", "long", node.at, ReleaseColumn("", "long", ucd="meta.number")
            )
        if node.name in ("MIN", "MAX"):
            if value.kind == "boolean":
                raise QueryError(f"{node.name} takes numbers or text", *node.at)
            return Fragment(f"{node.name.lower()}({value.sql})", value.kind, node.at, value.meta)
        if value.kind not in (*NUMBERS, "null"):
            raise QueryError(f"{node.name} takes numbers", *node.at)
        if node.name == "SUM" and value.kind in INTEGERS:
            return Fragment(
                f"CAST(sum({word}{value.sql}) AS {self._types['long']})", "long", node.at, value.meta
            )
        # A sum over +Inf and -Inf is NaN.
        x = functions.as_double(value).sql
        sql = f"{node.name.lower()}({word}{x})"
        if self.dialect == "duckdb":
            sql = functions.checked_sum_sql(sql, x)
        return Fragment(functions.without_nan(sql), "double", node.at, value.meta)

    def _case(self, node: nodes.Case, scope: Scope) -> Fragment:
        """Write CASE, whose branches have one kind."""
        operand = None if node.operand is None else node.operand
        whens = []
        for when, then in node.branches:
            condition = when if operand is None else nodes.Compare("=", operand, when, when.at)
            whens.append((self.condition(condition, scope), self.value(then, scope)))
        values = [v for _, v in whens]
        if node.otherwise is not None:
            values.append(self.value(node.otherwise, scope))
        values = self.common(values, node.at)
        branches = " ".join(f"WHEN {c} THEN {v.sql}" for (c, _), v in zip(whens, values, strict=False))
        otherwise = f" ELSE {values[-1].sql}" if node.otherwise is not None else ""
        return Fragment(f"(CASE {branches}{otherwise} END)", values[0].kind, node.at, values[0].meta)

    def common(self, values: Sequence[Fragment], at: tuple[int, int]) -> list[Fragment]:
        """Convert values to one kind."""
        kinds = {v.kind for v in values} - {"null"}
        if kinds & {*GEOMETRIES, "array"}:
            raise QueryError("geometry cannot be used here", *at)
        if len(kinds) <= 1:
            kind = next(iter(kinds), "char")
        elif kinds <= set(NUMBERS):
            kind = "double" if "float" in kinds else max(kinds, key=NUMBERS.index)
        else:
            raise QueryError(f"the values have different kinds: {', '.join(sorted(kinds))}; use CAST", *at)
        return [v if v.kind == kind else self.to_kind(v, kind) for v in values]

    def to_kind(self, value: Fragment, kind: str) -> Fragment:
        """Convert a number or NULL to a kind."""
        return Fragment(f"CAST({value.sql} AS {self._types[kind]})", kind, value.at, value.meta)

    def _subquery(self, node: nodes.Subquery, scope: Scope) -> Fragment:
        """Write a query used as a value."""
        written = self._query(node.query, scope)
        if len(written.columns) != 1:
            raise QueryError(
                f"a query used as a value must have one column, not {len(written.columns)}", *node.at
            )
        column = written.columns[0]
        if column.kind in (*GEOMETRIES, "array"):
            raise QueryError("a query used as a value cannot return geometry", *node.at)
        return Fragment(f"({written.sql})", column.kind, node.at, column.meta)

    def _call(self, node: nodes.Call, scope: Scope) -> Fragment:
        """Write a function call: geometry, plain functions, or the service's own."""
        name, at = node.name, node.at
        if name in _SHAPES:
            return self.geometry.build(name, [self.value(a, scope) for a in node.arguments], at)
        if name in _MEASURES:
            return self._measure(node, scope)
        if name == "COALESCE":
            if not node.arguments:
                raise QueryError("COALESCE takes at least one value", *at)
            values = self.common([self.value(a, scope) for a in node.arguments], at)
            return Fragment(
                f"coalesce({', '.join(v.sql for v in values)})", values[0].kind, at, values[0].meta
            )
        if name == "NULLIF":
            if len(node.arguments) != 2:
                raise QueryError("NULLIF takes two values", *at)
            left, right = (self.value(a, scope) for a in node.arguments)
            left, right = self.alike(left, right, at)
            return Fragment(f"nullif({left.sql}, {right.sql})", left.kind, at, left.meta)
        if name == "IN_UNIT":
            return self._in_unit(node, scope)
        if name in functions.FUNCTIONS or name in ("MOD", "ROUND", "TRUNCATE"):
            return functions.function_sql(
                name, [self.value(a, scope) for a in node.arguments], at, self.dialect
            )
        if name in userfunctions.NAMES:
            return userfunctions.user_function_sql(
                name,
                [self.value(a, scope) for a in node.arguments],
                at,
                self.dialect,
                self.cell,
                self._footprint,
            )
        advice = function_advice(name)
        raise QueryError(f"there is no function {node.name[:60]}{advice and '; ' + advice}", *at)

    def _measure(self, node: nodes.Call, scope: Scope) -> Fragment:
        """Write a function that takes geometry and returns a value."""
        name, at = node.name, node.at
        if name in ("CONTAINS", "INTERSECTS"):
            return Fragment(f"CAST({self._conditions.meets(node, scope)} AS {self._types['int']})", "int", at)
        shapes = [self._conditions.region(self.value(a, scope)) for a in node.arguments]
        if name == "REGION":
            return self.geometry.build(*regions.from_text(shapes, at), at)
        if name == "DISTANCE":
            measure = self.geometry.distance(shapes, at)
            meta = ReleaseColumn("", "double", unit="deg", ucd="pos.angDistance", text="Angular distance")
            return Fragment(measure.sql, "double", at, meta, measure.constant)
        if len(shapes) != 1 or shapes[0].kind not in GEOMETRIES:
            raise QueryError(f"{name} takes one geometry", *at)
        if name == "AREA":
            measure = measures.area(shapes[0], at)
            return Fragment(
                measure.sql,
                "double",
                at,
                ReleaseColumn("", "double", unit="deg2", ucd="phys.angArea"),
                measure.constant,
            )
        if name == "CENTROID":
            return measures.centroid(shapes[0], at)
        if name == "COORDSYS":
            return Fragment(self._parameters.text("ICRS"), "char", at)
        if shapes[0].kind != "point":
            raise QueryError(f"{name} takes a POINT", *at)
        part = functions.as_double(shapes[0].parts[name == "COORD2"])
        return Fragment(part.sql, "double", at, part.meta, part.constant)

    def _in_unit(self, node: nodes.Call, scope: Scope) -> Fragment:
        """Write IN_UNIT as a product with a constant factor."""
        arguments = [self.value(a, scope) for a in node.arguments]
        if (
            len(arguments) != 2
            or not isinstance(arguments[1].constant, str)
            or arguments[0].kind not in (*NUMBERS, "null")
        ):
            raise QueryError(
                "IN_UNIT takes a number with a unit, and the wanted unit in single quotes", *node.at
            )
        unit = arguments[0].meta.unit if arguments[0].meta else ""
        scale = factor(unit, arguments[1].constant, node.at)
        source = arguments[0].meta
        ucd, text = (source.ucd, source.text) if source else ("", "")
        meta = ReleaseColumn("", "double", unit=arguments[1].constant, ucd=ucd, text=text)
        product = operate("*", arguments[0], constant(scale, node.at), node.at, self.dialect)
        return replace(checked(product), at=node.at, meta=meta)


def _matches(ident: nodes.Ident, name: str) -> bool:
    """Tell whether an identifier names a column."""
    return ident.text == name if ident.quoted else ident.text.lower() == name.lower()
