"""Explain a value: where it stands, what it overrode, and the values of its references."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from desdm.errors import WCLError
from desdm.wcl.document import Document, Origin, leaves
from desdm.wcl.resolve import KINDS, Resolver
from desdm.wcl.tree import Tree

__all__ = ["Explanation", "Used", "explain", "paths_of", "scope_of"]


class Used(NamedTuple):
    """A reference inside a value: its name, what it gave and whence (``scope`` empty: nothing)."""

    name: str
    value: str
    scope: str
    origin: Origin | None


class Explanation(NamedTuple):
    """Why one value is what it is.

    Attributes
    ----------
    path
        Path of the value in the tree.
    value, origin
        The value as written and where; ``origin.history()`` gives what it overrode.
    resolved, problem
        The value with its references replaced, or the reason why they cannot be (the other is None).
    used
        The references, in the order in which they were met.
    """

    path: tuple[str, ...]
    value: str
    origin: Origin | None
    resolved: str | None
    problem: str | None
    used: list[Used]

    @property
    def key(self) -> str:
        """The path in dotted form."""
        return ".".join(self.path)


def scope_of(tree: Tree, path: tuple[str, ...]) -> tuple[dict[str, str], Tree | None, tuple[str, ...]]:
    """Give the current values, the search object and its path under which the value at ``path`` is used.

    A value inside ``<module catalog>`` is looked up with ``curr_module = catalog``; one inside a file or list
    also sees the other keys of that file or list.
    """
    current: dict[str, str] = {}
    if len(path) > 2 and path[0] in KINDS:
        current["curr_" + path[0]] = path[1]
    here: str | Tree = tree
    for at, word in enumerate(path[:-1]):
        here = here[word] if isinstance(here, dict) else ""
        inner = here.get(path[at + 1]) if isinstance(here, dict) else None
        if word in {"file", "list"} and at + 2 < len(path) and isinstance(inner, dict):
            return current, inner, path[: at + 2]
    return current, None, ()


def paths_of(document: Document, key: str | None) -> Iterator[tuple[tuple[str, ...], str]]:
    """Give the values that ``key`` names: one value, all of a section, or (None) all of the document.

    Raises
    ------
    WCLError
        There is no such key.
    """
    if key is None:
        yield from leaves(document.tree)
        return
    hit = Resolver(document.tree).lookup(key)
    if hit is None:
        raise WCLError(
            f"there is no {key}; a key in a section is named by its path, as in block.se.modulelist",
            document.name,
        )
    if isinstance(hit.value, dict):
        yield from leaves(hit.value, hit.path)
    else:
        yield hit.path, hit.value


def explain(document: Document, key: str | None = None, *, compat: bool = False) -> Iterator[Explanation]:
    """Explain the values that ``key`` names, or all of them.

    Parameters
    ----------
    document
        Document with the origins of its values.
    key
        Name of a value or section; None for the whole document.
    compat
        Resolve references as the original does.

    Raises
    ------
    WCLError
        There is no such key.
    """
    resolver = Resolver(document.tree, compat=compat)
    for path, value in paths_of(document, key):
        current, searchobj, place = scope_of(document.tree, path)
        met, result = resolver.references(value, current=current, searchobj=searchobj)
        used: dict[str, Used] = {}
        for name, hit in met:
            if hit is None or isinstance(hit.value, dict):
                used.setdefault(name, Used(name, "", "", None))
                continue
            where = hit.path or (*place, name.lower())
            used.setdefault(name, Used(name, hit.value, hit.scope, document.origin(*where)))
        yield Explanation(
            path,
            value,
            document.origin(*path),
            None if isinstance(result, WCLError) else result,
            result.message if isinstance(result, WCLError) else None,
            list(used.values()),
        )
