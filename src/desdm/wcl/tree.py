"""What a WCL document is once read: sections within sections, and values that are text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from desdm.errors import WCLError

__all__ = ["CASE_KEPT", "MAX_DEPTH", "Tree", "copy_tree", "merge"]

Tree: TypeAlias = "dict[str, str | Tree]"

CASE_KEPT = frozenset({"cmdline", "replace"})
"""Sections inside which keys keep their case (DESDM's own rule)."""

MAX_DEPTH = 200
"""Deepest nesting of sections that is read or written; no production file passes 10."""


def copy_tree(tree: Mapping[str, str | Tree], depth: int = 0) -> Tree:
    """Copy a tree so that nothing of it is shared.

    Raises
    ------
    WCLError
        Sections stand deeper than ``MAX_DEPTH``.
    """
    if depth > MAX_DEPTH:
        raise WCLError(f"sections are nested more than {MAX_DEPTH} deep; flatten the document")
    return {
        key: copy_tree(value, depth + 1) if isinstance(value, dict) else value for key, value in tree.items()
    }


def merge(into: Tree, other: Mapping[str, str | Tree], *, _depth: int = 0) -> Tree:
    """Merge ``other`` deeply into ``into``: sections join, and the later value wins.

    A value may take the place of a section; a section never takes the place of a value, for that is what
    a forgotten ``<section>`` looks like (DESDM's own rule).

    Parameters
    ----------
    into
        The tree that is changed.
    other
        The tree that wins; nothing of it is shared with ``into`` afterwards.

    Returns
    -------
    Tree
        ``into`` itself.

    Raises
    ------
    WCLError
        A section of ``other`` meets a value of ``into``, or sections stand too deep.
    """
    if _depth > MAX_DEPTH:
        raise WCLError(f"sections are nested more than {MAX_DEPTH} deep; flatten the document")
    for key, value in other.items():
        if not isinstance(value, dict):
            into[key] = value
            continue
        here = into.get(key)
        if here is None:
            into[key] = copy_tree(value, _depth + 1)
        elif isinstance(here, dict):
            merge(here, value, _depth=_depth + 1)
        else:
            raise WCLError(f"section <{key}> meets the value {key} = {here}; rename one of them")
    return into
