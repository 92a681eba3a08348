"""Give a name its value: the order of lookup, and the replacing of ``${}`` in texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from desdm.errors import WCLError
from desdm.wcl.expand import Expanded, Substitution
from desdm.wcl.functions import Functions, HeaderReader, call_function, fits_header
from desdm.wcl.tree import Tree

__all__ = ["KINDS", "Hit", "Reference", "Resolver"]

KINDS = ("file", "list", "exec", "job", "module", "block", "archive", "site")
"""Kinds of sections in the order of lookup, each by the instance that ``curr_<kind>`` names."""


class _Missing:
    """The type of the default that means: raise."""


_RAISE: Final = _Missing()


class Hit(NamedTuple):
    """A hit of a lookup.

    Attributes
    ----------
    value
        The value as it stands, nothing replaced; or a section.
    scope
        Who gave it: ``current values``, ``current``, ``searchobj``, ``<kind> <name>``, ``exact path``
        or ``top``.
    path
        Its path in the tree; empty if it is not in the tree.
    """

    value: str | Tree
    scope: str
    path: tuple[str, ...]


class Reference(NamedTuple):
    """A name met while a text was resolved, and its hit (None if it had no value)."""

    name: str
    hit: Hit | None


class Resolver:
    """Looks names up in a tree and replaces them in texts.

    Parameters
    ----------
    tree
        The document.
    functions
        Functions for ``$FUNC{}`` by their dotted name; others are imported.
    header
        Reads header keys of a file for ``$HEAD{}``; by default FITS primary headers, through fitsio.
    compat
        Expand in the order of the original, and leave what is not a proper reference as it is.
    kinds
        Kinds of sections to ask.
    """

    def __init__(
        self,
        tree: Tree,
        *,
        functions: Functions | None = None,
        header: HeaderReader | None = None,
        compat: bool = False,
        kinds: Sequence[str] = KINDS,
    ) -> None:
        self.tree = tree
        self._functions: Functions = functions or {}
        self._header = header or fits_header
        self._compat = compat
        self._kinds = tuple((kind, "curr_" + kind) for kind in kinds)

    def lookup(
        self,
        key: str,
        *,
        current: Mapping[str, object] | None = None,
        searchobj: Mapping[str, object] | None = None,
    ) -> Hit | None:
        """Find a name; a dotted one is an exact path from the top, any other goes through the scopes.

        The order: ``current`` as passed, section ``current``, ``searchobj``, the current file, list, exec,
        job, module, block, archive and site, then the top level. Case does not matter.

        Parameters
        ----------
        key
            Name, or dotted path.
        current
            Values that come before all others.
        searchobj
            Values that come after section ``current``.
        """
        if "." in key:
            return self._exact(key)
        name = key.lower()
        if current and name in current:
            return Hit(_text(current[name]), "current values", ())
        current_section = self.tree.get("current")
        section: Mapping[str, object] = current_section if isinstance(current_section, dict) else {}
        if name in section:
            return Hit(_text(section[name]), "current", ("current", name))
        if searchobj and name in searchobj:
            return Hit(_text(searchobj[name]), "searchobj", ())
        for kind, which in self._kinds:
            chosen = current.get(which) if current and which in current else section.get(which)
            if chosen:
                hit = self._in_instance(kind, str(chosen), name)
                if hit is not None:
                    return hit
        if name in self.tree:
            return Hit(self.tree[name], "top", (name,))
        return None

    def _in_instance(self, kind: str, chosen: str, name: str) -> Hit | None:
        """Look a name up in one instance of a kind of section."""
        instances = self.tree.get(kind)
        if not isinstance(instances, dict):
            return None
        if chosen not in instances:
            chosen = chosen.lower()
        instance = instances.get(chosen)
        if not isinstance(instance, dict):
            return None
        if name in instance:
            return Hit(instance[name], f"{kind} {chosen}", (kind, chosen, name))
        if name == kind + "name":
            return Hit(chosen, f"{kind} {chosen}", (kind, chosen))
        return None

    def _exact(self, key: str) -> Hit | None:
        """Look up a dotted path from the top of the tree."""
        here: str | Tree = self.tree
        path: list[str] = []
        words = key.split(".")
        for at, word in enumerate(words):
            if not isinstance(here, dict):
                return None
            low = word.lower()
            if low not in here and word not in here:
                if at == len(words) - 1 == 2 and low == path[0] + "name":
                    return Hit(path[1], "exact path", tuple(path))
                return None
            path.append(low if low in here else word)
            here = here[path[-1]]
        return Hit(here, "exact path", tuple(path))

    def get(
        self,
        key: str,
        *,
        current: Mapping[str, object] | None = None,
        searchobj: Mapping[str, object] | None = None,
        default: str | Tree | _Missing | None = _RAISE,
    ) -> str | Tree | None:
        """Return the value or section of a name, with its references unresolved.

        Parameters
        ----------
        key
            Name, or dotted path.
        current, searchobj
            Values that come first, and after section ``current`` (see `lookup`).
        default
            Result for a name without a value.

        Raises
        ------
        WCLError
            It has none, and no ``default`` was passed.
        """
        hit = self.lookup(key, current=current, searchobj=searchobj)
        if hit is not None:
            return hit.value
        if isinstance(default, _Missing):
            raise WCLError(f"no value for {key}")
        return default

    def replace(
        self,
        text: str,
        *,
        current: Mapping[str, object] | None = None,
        searchobj: Mapping[str, object] | None = None,
    ) -> str:
        """Replace all references in a text; lists and ranges come in as they stand.

        Parameters
        ----------
        text
            Text with references.
        current, searchobj
            Values that come first, and after section ``current`` (see `lookup`).

        Raises
        ------
        WCLError
            A name has no value, values name each other in a circle, or a header or function fails.
        """
        if "$" not in text:
            return text
        return self._finished(self._substitution(current, searchobj, None, multiple=False).run(_clean(text)))

    def expand(
        self,
        text: str,
        *,
        current: Mapping[str, object] | None = None,
        searchobj: Mapping[str, object] | None = None,
        order: Sequence[str] = (),
    ) -> list[Expanded]:
        """Replace all references, one result per combination of the values that are lists.

        Parameters
        ----------
        order
            Names of variables from the slowest to the fastest; the rest follow in the order of the text.

        Raises
        ------
        WCLError
            As ``replace``; also for more than a million results or an ``order`` that names no list.
        """
        substitution = self._substitution(current, searchobj, None, multiple=True)
        results = substitution.combinations(substitution.run(_clean(text)), order)
        for one in results:
            self._finished(one.value)
        return results

    def references(
        self,
        text: str,
        *,
        current: Mapping[str, object] | None = None,
        searchobj: Mapping[str, object] | None = None,
    ) -> tuple[list[Reference], str | WCLError]:
        """Return every name met while a text is resolved, and the result or the error that stops it.

        Parameters
        ----------
        text
            Text with references.
        current, searchobj
            Values that come first, and after section ``current`` (see `lookup`).
        """
        met: list[Reference] = []
        substitution = self._substitution(current, searchobj, met, multiple=False)
        try:
            return met, self._finished(substitution.run(_clean(text)))
        except WCLError as err:
            return met, err

    def _substitution(
        self,
        current: Mapping[str, object] | None,
        searchobj: Mapping[str, object] | None,
        met: list[Reference] | None,
        *,
        multiple: bool,
    ) -> Substitution:
        """Return a substitution that looks names up here and records them in ``met``."""

        def look(name: str) -> Hit | None:
            hit = self.lookup(name, current=current, searchobj=searchobj)
            if met is not None and len(met) < 1000:
                met.append(Reference(name, hit))
            return hit

        def func(inside: str) -> str:
            return call_function(inside, self._functions)

        return Substitution(look, self._head, func, multiple=multiple, compat=self._compat)

    def _head(self, inside: str) -> str:
        """Return the header values for the inside of ``$HEAD{}``, separated by commas."""
        file, *keys = [word.strip() for word in inside.split(",")]
        if not keys:
            raise WCLError(f"$HEAD{{{inside}}} names no key; write $HEAD{{file,KEY}}")
        return ",".join(map(str, self._header(file, keys)))

    def _finished(self, text: str) -> str:
        """Return the text; in strict raise if a reference remains in it."""
        if not self._compat and "${" in text:
            raise WCLError(f"a '${{' is empty or not closed: {text[:80]}")
        return text


def _clean(text: str) -> str:
    """Return the text; raise if it holds a NUL character."""
    if "\x00" in text:
        raise WCLError(f"the text holds a NUL character: {text[:80]!r}")
    return text


def _text(value: object) -> str | Tree:
    """Return a section as it is, any other value as text."""
    return value if isinstance(value, str | dict) else str(value)
