"""The WCL in which quality controls are written: section ``qcf`` with ``patterns``, ``excludes`` and ``filter``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from desdm.errors import WCLError
from desdm.quality.qc.patterns import GLOBAL, Action, Controls, Filter, Ignore, Level, Pattern
from desdm.wcl import Document, Tree, read, truth

__all__ = ["escaped", "from_wcl", "read_controls", "to_wcl", "unescaped"]

_PATTERN_KEYS = {
    "pattern",
    "lvl",
    "priority",
    "execname",
    "number_of_lines",
    "only_matched",
    "action",
    "used",
    "text",
}
_EXCLUDE_KEYS = {"pattern", "execname", "exec", "used", "text"}
_FILTER_KEYS = {"replace_pattern", "with_pattern", "execname", "exec", "used", "text"}

_T = TypeVar("_T")


def read_controls(path: str | os.PathLike[str]) -> Controls:
    """Read a file of quality controls.

    Raises
    ------
    WCLError
        It cannot be read, or says what quality controls do not know; file and line are named.
    """
    document = read(path)
    return from_wcl(document.tree, document)


def from_wcl(tree: Mapping[str, str | Tree], document: Document | None = None) -> Controls:
    """Read the controls of a tree: its section ``qcf``, or the tree itself if it has none.

    Parameters
    ----------
    document
        Where the tree was read from, so that errors name file and line.

    Raises
    ------
    WCLError
        A section or key is unknown, a value is not a number where one is required, or an expression is wrong.
    """
    root = tree.get("qcf")
    base: tuple[str, ...] = ("qcf",) if isinstance(root, dict) else ()
    reader = _Reader(root if isinstance(root, dict) else tree, base, document)
    return Controls(
        tuple(reader.entries("patterns", _PATTERN_KEYS, reader.pattern)),
        tuple(reader.entries("excludes", _EXCLUDE_KEYS, reader.ignore)),
        tuple(reader.entries("filter", _FILTER_KEYS, reader.filter)),
        override=reader.override(),
    )


class _Reader:
    """Reads a section of patterns, with file and line of what is wrong."""

    def __init__(
        self, tree: Mapping[str, str | Tree], base: tuple[str, ...], document: Document | None
    ) -> None:
        self.tree, self.base, self.document = tree, base, document
        unknown = set(tree) - {"patterns", "excludes", "filter", "override"}
        if unknown and base:
            raise self.error(f"section qcf does not know {', '.join(sorted(unknown))}", (min(unknown),))

    def error(self, message: str, path: tuple[str, ...]) -> WCLError:
        """Return an error with the file and line of a key."""
        file, line = self.place(path)
        return WCLError(message, file, line)

    def place(self, path: tuple[str, ...]) -> tuple[str | None, int | None]:
        """Return file and line of a key, None where they are not known."""
        origin = None if self.document is None else self.document.origin(*self.base, *path)
        return (None, None) if origin is None else (origin.file, origin.line)

    def override(self) -> bool:
        """Tell whether the file replaces the vocabulary of the others."""
        word = self.tree.get("override", "false")
        if isinstance(word, dict):
            raise self.error("override is true or false, not a section", ("override",))
        try:
            return truth(word)
        except WCLError as err:
            raise self.error(f"override: {err.message}", ("override",)) from err

    def entries(
        self, kind: str, keys: set[str], make: Callable[[str, dict[str, str], tuple[str, ...]], _T]
    ) -> list[_T]:
        """Return the records of a section, in order; entries with ``used = false`` are left out.

        Parameters
        ----------
        kind
            Name of the section: pattern, ignore or filter.
        keys
            Keys that an entry may have.
        make
            Function from name, values and path of an entry to its record.
        """
        section = self.tree.get(kind, {})
        if not isinstance(section, dict):
            raise self.error(f"{kind} is a section, not a value", (kind,))
        records = []
        for name, entry in section.items():
            path = (kind, name)
            if not isinstance(entry, dict):
                raise self.error(f"{kind}: {name} is a section, not a value", path)
            values: dict[str, str] = {}
            for key, value in entry.items():
                if key not in keys or isinstance(value, dict):
                    known = ", ".join(sorted(keys))
                    raise self.error(f"{kind} {name} does not know {key}; it knows {known}", (*path, key))
                values[key] = value
            if self.number(values, "used", path, truth, True):
                records.append(make(name, values, path))
        return records

    def number(
        self, values: dict[str, str], key: str, path: tuple[str, ...], kind: Callable[[str], _T], default: _T
    ) -> _T:
        """Return a value of an entry, converted; a value that cannot be converted raises an error.

        Parameters
        ----------
        values
            Its keys and texts.
        key
            Key to look up.
        path
            Section and name of the entry, for errors.
        kind
            Function from the text to the value.
        default
            Value where the entry lacks the key.
        """
        if key not in values:
            return default
        try:
            return kind(values[key])
        except (ValueError, WCLError) as err:
            text = err.message if isinstance(err, WCLError) else f"{values[key]!r:.40} is not known"
            raise self.error(f"{path[0]} {path[1]}: {key}: {text}", (*path, key)) from err

    def needed(self, values: dict[str, str], key: str, path: tuple[str, ...]) -> str:
        """Return the text of a required key; an entry without it raises an error.

        Parameters
        ----------
        values
            Its keys and texts.
        key
            Key to look up.
        path
            Section and name of the entry, for errors.
        """
        if key not in values:
            raise self.error(f"{path[0]} {path[1]} has no {key}", path)
        return values[key]

    def pattern(self, name: str, values: dict[str, str], path: tuple[str, ...]) -> Pattern:
        """Return the pattern of an entry.

        Parameters
        ----------
        name
            Name of the entry.
        values
            Its keys and texts.
        path
            Section and name of the entry, for errors.
        """
        expression = self.needed(values, "pattern", path)
        file, line = self.place((*path, "pattern"))
        level = self.number(values, "lvl", path, lambda word: Level(int(word)), Level.ERROR)
        return Pattern(
            name,
            expression,
            level,
            # The worse comes first where nobody says otherwise.
            self.number(values, "priority", path, int, 100 * level),
            values.get("execname", GLOBAL),
            self.number(values, "number_of_lines", path, int, 1),
            self.number(values, "only_matched", path, truth, False),
            self.number(values, "action", path, lambda word: Action(word.lower()), Action.NONE),
            file,
            line,
        )

    def ignore(self, name: str, values: dict[str, str], path: tuple[str, ...]) -> Ignore:
        """Return the ignore rule of an entry.

        Parameters
        ----------
        name
            Name of the entry.
        values
            Its keys and texts.
        path
            Section and name of the entry, for errors.
        """
        expression = self.needed(values, "pattern", path)
        return Ignore(expression, _execname(values), name, *self.place((*path, "pattern")))

    def filter(self, name: str, values: dict[str, str], path: tuple[str, ...]) -> Filter:
        """Return the filter of an entry.

        Parameters
        ----------
        name
            Name of the entry.
        values
            Its keys and texts.
        path
            Section and name of the entry, for errors.
        """
        try:
            return Filter(
                unescaped(self.needed(values, "replace_pattern", path)),
                unescaped(values.get("with_pattern", "")),
                _execname(values),
                name,
            )
        except WCLError as err:
            raise self.error(err.message, path) from err


def _execname(values: dict[str, str]) -> str:
    """Return the name of the program to which an entry applies, or that of all programs."""
    return values.get("execname", values.get("exec", GLOBAL))


def unescaped(text: str) -> str:
    r"""Read the text of a filter: ``\xNN``, ``\t``, ``\\``, and DESDM's ``chr(27)``, stand for a character."""
    code = re.fullmatch(r"chr\((\d{1,3})\)", text)
    if code is not None:
        return chr(int(code[1]))
    known = {"t": "\t", "\\": "\\"}
    return re.sub(
        r"\\(?:x([0-9a-fA-F]{2})|([t\\]))",
        lambda match: chr(int(match[1], 16)) if match[1] else known[match[2]],
        text,
    )


def escaped(text: str) -> str:
    """Write the text of a filter such that WCL can hold it and ``unescaped`` reads it back."""
    text = re.sub(r"[\x00-\x1f\x7f-\x9f#\\<]", lambda match: f"\\x{ord(match[0]):02x}", text)
    text = re.sub(r"^ | $", r"\\x20", text)
    return f"\\x{ord(text[0]):02x}{text[1:]}" if re.fullmatch(r"chr\(\d{1,3}\)", text) else text


def _expression(text: str) -> str:
    """Write an expression so that WCL can hold it; it means the same."""

    def plain(match: re.Match[str]) -> str:
        char = match[0][-1]
        return f"\\x{ord(char):02x}" if char == "#" or ord(char) < 32 or 127 <= ord(char) < 160 else match[0]

    text = re.sub(r"\\.|.", plain, text, flags=re.DOTALL)
    if text.endswith("\\\\"):
        text += "(?:)"  # a value of WCL does not end in a backslash
    text = text.replace("<<incl", r"<\x3cincl")  # else it would be read as an include
    text = re.sub(r"^ ", r"\\x20", text)
    return re.sub(r"(\\?) $", r"\\x20", text)


def to_wcl(controls: Controls) -> Tree:
    """Write controls as a tree that ``from_wcl`` reads back alike."""
    patterns: Tree = {
        one.name: {
            "pattern": _expression(one.pattern),
            "lvl": str(int(one.level)),
            "priority": str(one.priority),
            "execname": one.execname,
            "number_of_lines": str(one.number_of_lines),
            "only_matched": str(one.only_matched).lower(),
            "action": one.action.value,
        }
        for one in controls.patterns
    }
    excludes: Tree = {
        f"exclude_{at}": {"pattern": _expression(one.pattern), "execname": one.execname}
        for at, one in enumerate(controls.ignores, 1)
    }
    filters: Tree = {}
    for at, one in enumerate(controls.filters, 1):
        entry: Tree = {"replace_pattern": escaped(one.replace), "execname": one.execname}
        if one.put:
            entry["with_pattern"] = escaped(one.put)
        filters[f"filter_{at}"] = entry
    return {
        "qcf": {
            "override": str(controls.override).lower(),
            "patterns": patterns,
            "excludes": excludes,
            "filter": filters,
        }
    }
