"""A document as read: its tree, what was surprising in it, and where each value stands."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from desdm.wcl.tree import Tree

__all__ = ["SECTION", "Document", "Finding", "Marks", "Origin", "Surprise", "leaves"]

SECTION = ""
"""The key of ``Marks`` under which a section keeps its own origin; no key of WCL is empty."""


class Surprise(Enum):
    """What compat does in silence and strict refuses; the value is what an operator reads."""

    IGNORED = "the line is not WCL and is ignored"
    EMPTY = "the key has no value"
    DUPLICATE = "the key stands twice in one opening of the section and the later value wins"
    HASH_CUTS = "a '#' with no blank before it cuts the value; put a blank before it or quote the value"
    HASH_IN_QUOTES = "a '#' inside quotes cuts the value"
    COMMENT_CONTINUES = "a comment that ends in '\\' swallows the next line"
    ENDS_IN_BACKSLASH = "the '\\' has no line to continue with"
    BACKSLASH_KEPT = "the '\\' before a comment does not continue the line but becomes part of the value"
    AMBIGUOUS = "the line has more than one '=' without blanks; put blanks around the one that is meant"
    NOT_A_SECTION = "the line looks like a section but is read as a key; a section has at most one sub-label"
    ODD_SECTION = "the name of the section holds '<', '>', '=' or '/'"
    SAME_LABEL = "section and sub-label have one name, so that one closing closes only half"
    CASE_LOST = (
        "keys lose their case: the original takes no sub-label for <cmdline>, and one closing ends all"
    )
    VALUE_OVER_SECTION = "the value takes the place of a whole section"
    INCLUDE_IN_SECTION = "an include inside a section merges into the top level"
    INCLUDE_IN_TEXT = "the text around an include is dropped"
    NOT_AN_INCLUDE = "the line looks like an include but is none; write <<include PATH>> with one blank"
    INCLUDE_BESIDE = "the included file is not in the working folder, but beside the file that includes it"
    NO_ARGUMENT = "the key handed to an inclfunc has no value"
    CONTROL = "the line holds a control character"


class Finding(NamedTuple):
    """One surprise of a document.

    Attributes
    ----------
    kind
        What sort of surprise.
    file, line
        Where its line begins (``line`` counts from 1).
    text
        The line, or the part of it that matters.
    """

    kind: Surprise
    file: str
    line: int
    text: str

    @property
    def message(self) -> str:
        """What an operator reads: ``file:line: what: text``."""
        return f"{self.file}:{self.line}: {self.kind.value}: {self.text}"


class Origin(NamedTuple):
    """Where the value that won stands, and what it overrode.

    Attributes
    ----------
    file, line
        Where the statement begins (``line`` counts from 1).
    value
        The value as written there; empty for a section.
    overrode
        The origin of the value before it, if there was one.
    """

    file: str
    line: int
    value: str
    overrode: Origin | None = None

    def history(self) -> Iterator[Origin]:
        """Give this origin and then every one it overrode, latest first."""
        origin: Origin | None = self
        while origin is not None:
            yield origin
            origin = origin.overrode


Marks = dict[str, "Origin | Marks"]


class Document:
    """A WCL document as read.

    Attributes
    ----------
    tree
        Sections and values in the order of the file.
    warnings
        What was surprising, in the order of reading; always empty after a strict reading.
    name
        The file, or the name passed with the text.
    files
        Every file that was read, the first being the document itself.
    """

    __slots__ = ("_marks", "files", "name", "tree", "warnings")

    def __init__(
        self, name: str, tree: Tree, marks: Marks, warnings: list[Finding], files: tuple[str, ...]
    ) -> None:
        self.name, self.tree, self.warnings, self.files = name, tree, warnings, files
        self._marks = marks

    def origin(self, *path: str) -> Origin | None:
        """Say where the value (or the first opening of the section) at ``path`` stands; None if nowhere."""
        here: Origin | Marks = self._marks
        for key in path:
            if isinstance(here, Origin) or key not in here:
                return None
            here = here[key]
        if isinstance(here, Origin):
            return here
        mark = here.get(SECTION)
        return mark if isinstance(mark, Origin) else None


def leaves(tree: Tree, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Give every value of a tree with its path, in order."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value
