"""Names of the items of a select list, and whether they aggregate, from the tree alone."""

from __future__ import annotations

from collections.abc import Sequence

from desdm.query.adql.parse import nodes

__all__ = ["aggregated", "distinct_names", "name_of"]


def name_of(item: nodes.Item, number: int) -> str:
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


def distinct_names(names: Sequence[str]) -> list[str]:
    """Names with a number after those that come again."""
    previous: set[str] = set()
    unique = []
    for name in names:
        new, number = name, 2
        while new.lower() in previous:
            new, number = f"{name}_{number}", number + 1
        previous.add(new.lower())
        unique.append(new)
    return unique


def aggregated(node: nodes.Expression) -> bool:
    """Whether an aggregate stands in it (queries within it do not count)."""
    match node:
        case nodes.Aggregate():
            return True
        case nodes.Chain():
            return aggregated(node.first) or any(aggregated(r) for _, _, r in node.rest)
        case nodes.Sign() | nodes.Cast() | nodes.Not() | nodes.IsNull():
            return aggregated(node.operand)
        case nodes.Call():
            return any(aggregated(a) for a in node.arguments)
        case nodes.Case():
            parts = [p for branch in node.branches for p in branch]
            parts += [p for p in (node.operand, node.otherwise) if p is not None]
            return any(aggregated(p) for p in parts)
        case nodes.Compare():
            return aggregated(node.left) or aggregated(node.right)
        case nodes.Junction():
            return any(aggregated(p) for p in node.parts)
        case nodes.Between():
            return any(aggregated(p) for p in (node.operand, node.low, node.high))
        case nodes.In():
            return any(aggregated(p) for p in (node.operand, *node.values))
        case nodes.Like():
            return aggregated(node.operand) or aggregated(node.pattern)
        case _:
            return False
