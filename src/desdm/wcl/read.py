"""Read WCL: lines into a tree, strictly or as the original reader did.

Both modes walk one path. Wherever the original drops or changes something in silence there is a call of
``surprise``, which strict turns into an error and compat into a warning.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from desdm.errors import WCLError
from desdm.wcl.document import SECTION, Document, Finding, Marks, Origin, Surprise
from desdm.wcl.include import (
    MAX_INCLUDES,
    MAX_NESTED,
    IncludeFunctions,
    call_inclfunc,
    included_text,
    read_text,
)
from desdm.wcl.lines import Close, Open, cut_comment, pair, section, statements
from desdm.wcl.tree import CASE_KEPT, MAX_DEPTH, Tree

__all__ = ["check", "loads", "read"]

_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_INCLUDE = re.compile(r"<<include (\S+)>>")
_INCLFUNC = re.compile(r"<<inclfunc ([^>]+)>>")
_ODD_NAME = re.compile(r"[<>=/]")


def read(
    path: str | os.PathLike[str],
    *,
    compat: bool = False,
    top: Mapping[str, str | Tree] | None = None,
    functions: IncludeFunctions | None = None,
) -> Document:
    """Read a WCL file with everything it includes.

    Parameters
    ----------
    path
        The file; UTF-8.
    compat
        Read as DESDM's reader did, surprises becoming ``Document.warnings``; otherwise they are errors.
    top
        Top-level values known beforehand, for the ``${}`` of include paths; they do not join the tree.
    functions
        Functions for ``<<inclfunc>>`` by their bare name, whatever package the document names; others are imported.

    Raises
    ------
    WCLError
        The file cannot be read or is not WCL; it names file and line.
    """
    name = os.fspath(path)
    return _document(read_text(name), name, compat, top or {}, functions or {})


def loads(text: str, *, name: str = "<text>", compat: bool = False) -> Document:
    """Read WCL from a text; ``name`` stands for the file in errors and origins.

    Parameters
    ----------
    text
        The document.
    name
        Name in errors and origins, in place of a file.
    compat
        Accept what the original accepts, with warnings.

    Raises
    ------
    WCLError
        The text is not WCL.
    """
    return _document(text, name, compat, {}, {})


def check(path: str | os.PathLike[str], *, compat: bool = False) -> tuple[list[Finding], WCLError | None]:
    """Read by the rules of a mode, but go on after each surprise.

    Returns
    -------
    findings
        The surprises, in the order of reading.
    error
        What stopped the reading before the end of the file, if anything did.
    """
    name = os.fspath(path)
    reading = _Reading(compat, gather=True, functions={})
    try:
        source = _Source(reading, name, (os.path.realpath(name),), {}, case_kept=False)
        source.parse(read_text(name))
    except WCLError as err:
        return reading.warnings, err
    return reading.warnings, None


def _document(
    text: str, name: str, compat: bool, top: Mapping[str, str | Tree], functions: IncludeFunctions
) -> Document:
    """Parse a text and return it as a document."""
    reading = _Reading(compat, gather=False, functions=functions)
    source = _Source(reading, name, (os.path.realpath(name),), top, case_kept=False)
    source.parse(text)
    return Document(name, source.tree, source.marks, reading.warnings, tuple(reading.files))


class _Reading:
    """What one reading shares among the files it comes through."""

    def __init__(self, compat: bool, gather: bool, functions: IncludeFunctions) -> None:
        self.compat, self.gather, self.functions = compat, gather, functions
        self.warnings: list[Finding] = []
        self.files: list[str] = []

    def surprise(self, kind: Surprise, file: str, line: int, text: str) -> None:
        """Record a warning; in strict raise it as an error.

        Parameters
        ----------
        kind
            Kind of the deviation.
        file, line
            Position of the statement.
        text
            The statement.
        """
        text = text.strip()
        text = text if len(text) <= 200 else text[:200] + "…"
        if not (self.compat or self.gather):
            raise WCLError(f"{kind.value}: {text}", file, line)
        self.warnings.append(Finding(kind, file, line, text))


class _Section:
    """One opening of a section while the reader is inside it."""

    __slots__ = ("is_label", "keys", "marks", "name", "tree")

    def __init__(self, name: str, tree: Tree | None, marks: Marks, is_label: bool) -> None:
        # ``tree`` is None where the original pushed a plain value and failed on the first use of it.
        self.name, self.tree, self.marks, self.is_label = name, tree, marks, is_label
        self.keys: set[str] = set()


class _Source:
    """The reading of one file into its own tree."""

    def __init__(
        self,
        reading: _Reading,
        name: str,
        chain: tuple[str, ...],
        top: Mapping[str, str | Tree],
        *,
        case_kept: bool,
    ) -> None:
        self.reading, self.name, self.chain, self.known = reading, name, chain, top
        self.tree: Tree = {}
        self.marks: Marks = {}
        # The original names its outermost section so; a file that opens or closes it fails there too.
        self.stack = [_Section("__topwcl__", self.tree, self.marks, is_label=False)]
        self.inherited = case_kept
        self.flag = case_kept
        self.line = 0
        reading.files.append(name)

    def error(self, message: str) -> WCLError:
        """Return an error with file and line."""
        return WCLError(message, self.name, self.line or None)

    def surprise(self, kind: Surprise, text: str) -> None:
        """Record a construct that is accepted but probably not intended."""
        self.reading.surprise(kind, self.name, self.line, text)

    def parse(self, text: str) -> None:
        """Read the whole text into ``tree`` and ``marks``."""
        compat = self.reading.compat
        if not text.isascii():
            self.check_unicode(text)
        for line, joined, surprise in statements(text, compat=compat):
            self.line = line
            content, cut = cut_comment(joined, compat=compat)
            if surprise is not None:
                self.surprise(surprise, joined)
            if not content or content.isspace():
                continue
            if _CONTROL.search(content) is not None:
                self.surprise(Surprise.CONTROL, repr(content))
            if cut is not None:
                self.surprise(cut, joined)
            self.statement(content)
        if len(self.stack) > 1:
            opened = self.stack[-1]
            mark = opened.marks.get(SECTION)
            where = f", opened on line {mark.line}," if isinstance(mark, Origin) else ""
            raise self.error(f"section <{opened.name}>{where} is not closed; add </{opened.name}>")

    def check_unicode(self, text: str) -> None:
        """Refuse what no UTF-8 file holds, and the mark that some editors put first."""
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as err:
            self.line = text.count("\n", 0, err.start) + 1
            raise self.error("the text holds a lone surrogate, which no UTF-8 file can") from err
        if text[0] == "\ufeff":
            self.line = 1
            self.surprise(Surprise.CONTROL, "byte order mark")

    def statement(self, text: str) -> None:
        """Take one statement; the order of the tests is that of the language."""
        if "<<incl" in text:
            match = _INCLUDE.search(text)
            if match is not None:
                self.include(match[1], alone=match[0] == text.strip(), text=text)
                return
            match = _INCLFUNC.search(text)
            if match is not None:
                self.inclfunc(match[1], alone=match[0] == text.strip(), text=text)
                return
            self.surprise(Surprise.NOT_AN_INCLUDE, text)
        part = section(text) if "<" in text else None
        if part is None:
            self.pair(text)
        elif isinstance(part, Close):
            self.close(part.name)
        else:
            self.open(part, text)

    # --- sections

    def open(self, part: Open, text: str) -> None:
        """Open a section at its opening tag."""
        name, label = part
        if name == self.stack[-1].name:
            raise self.error(f"section <{name}> opens inside <{name}>; is the '/' of a closing missing?")
        if _ODD_NAME.search(name + (label or "")):
            self.surprise(Surprise.ODD_SECTION, text)
        if label == name:
            self.surprise(Surprise.SAME_LABEL, text)
        self.push(name, is_label=False)
        if name in CASE_KEPT:
            self.flag = True
        if label is not None:
            if label in CASE_KEPT and not self.flag and self.reading.compat:
                self.surprise(Surprise.CASE_LOST, text)
            self.push(label, is_label=True)
            if label in CASE_KEPT and not self.reading.compat:
                self.flag = True

    def push(self, name: str, *, is_label: bool) -> None:
        """Make a section, or a label in it, the innermost one."""
        if len(self.stack) > MAX_DEPTH:
            raise self.error(f"sections are nested more than {MAX_DEPTH} deep; flatten the document")
        here = self.stack[-1]
        tree, marks = self.inside(here, f"<{name}>"), here.marks
        inner, inner_marks = tree.setdefault(name, {}), marks.setdefault(name, {})
        if isinstance(inner, dict) and isinstance(inner_marks, dict):
            inner_marks.setdefault(SECTION, Origin(self.name, self.line, ""))
            self.stack.append(_Section(name, inner, inner_marks, is_label))
            return
        if is_label or not self.reading.compat:
            raise self.error(f"section <{name}> meets the value {name} = {inner!r:.80}; rename one of them")
        self.stack.append(_Section(name, None, {}, is_label))

    def inside(self, here: _Section, what: str) -> Tree:
        """Return the tree of a section, to which entries can be added."""
        if here.tree is None:
            raise self.error(f"{what} is in <{here.name}>, but {here.name} is a value; rename one of them")
        return here.tree

    def close(self, name: str) -> None:
        """Close the innermost section at its closing tag."""
        here = self.stack[-1]
        was_label, here.is_label = here.is_label, False
        if len(self.stack) == 1:
            raise self.error(f"</{name}> closes a section that is not open")
        if name == here.name:
            self.stack.pop()
        elif was_label and name == self.stack[-2].name:
            del self.stack[-2:]
        else:
            expected = self.stack[-2].name if was_label else here.name
            raise self.error(f"</{name}> stands where </{expected}> is expected")
        if self.reading.compat:
            # The original has one flag and no stack of them: closing an inner one ends the case of the outer.
            if name in CASE_KEPT:
                self.flag = False
                if any(opened.name in CASE_KEPT for opened in self.stack):
                    self.surprise(Surprise.CASE_LOST, f"</{name}>")
        else:
            self.flag = self.inherited or any(opened.name in CASE_KEPT for opened in self.stack)

    # --- values

    def pair(self, text: str) -> None:
        """Store a line `name = value` in the innermost section."""
        assignment = pair(text)
        if assignment is None:
            self.surprise(Surprise.EMPTY if text.rstrip().endswith("=") else Surprise.IGNORED, text)
            return
        if assignment.surprise is not None:
            self.surprise(assignment.surprise, text)
        key = assignment.key if self.flag else assignment.key.lower()
        here = self.stack[-1]
        tree = self.inside(here, key)
        if key in here.keys:
            earlier = here.marks.get(key)
            first = f" (before in line {earlier.line})" if isinstance(earlier, Origin) else ""
            self.surprise(Surprise.DUPLICATE, f"{text}{first}")
        here.keys.add(key)
        if isinstance(tree.get(key), dict):
            self.surprise(Surprise.VALUE_OVER_SECTION, text)
        tree[key] = assignment.value
        before = here.marks.get(key)
        overrode = before if isinstance(before, Origin) else None
        here.marks[key] = Origin(self.name, self.line, assignment.value, overrode)

    # --- includes

    def include(self, written: str, *, alone: bool, text: str) -> None:
        """Read an included file and merge it.

        Parameters
        ----------
        written
            Path as the include has it.
        alone
            Whether the statement has nothing else.
        text
            The statement, for warnings.
        """
        self.weigh_include(alone, text)
        if len(self.reading.files) > MAX_INCLUDES:
            raise self.error(f"more than {MAX_INCLUDES} files are included")
        if len(self.chain) > MAX_NESTED:
            raise self.error(f"includes are nested more than {MAX_NESTED} deep")
        document = included_text(
            written, self.name, self.line, {**self.known, **self.tree}, compat=self.reading.compat
        )
        if document.beside:
            self.surprise(Surprise.INCLUDE_BESIDE, text)
        real = os.path.realpath(document.path)
        if real in self.chain:
            raise self.error(f"the file {document.path} includes itself")
        inner = _Source(self.reading, document.path, (*self.chain, real), {}, case_kept=self.flag)
        inner.parse(document.text)
        self.absorb(self.tree, self.marks, inner.tree, inner.marks)

    def inclfunc(self, written: str, *, alone: bool, text: str) -> None:
        """Call a function of ``<<inclfunc>>`` and merge its dictionary.

        Parameters
        ----------
        written
            Call as the document has it.
        alone
            Whether the statement has nothing else.
        text
            The statement, for warnings.
        """
        self.weigh_include(alone, text)
        answer = call_inclfunc(written, self.name, self.line, self.tree, self.reading.functions)
        for key in answer.missing:
            self.surprise(Surprise.NO_ARGUMENT, key)
        marks: Marks = {}
        self.mark_all(answer.tree, marks)
        self.absorb(self.tree, self.marks, answer.tree, marks)

    def weigh_include(self, alone: bool, text: str) -> None:
        """Record an include in an unusual place."""
        if not alone:
            self.surprise(Surprise.INCLUDE_IN_TEXT, text)
        if len(self.stack) > 1:
            self.surprise(Surprise.INCLUDE_IN_SECTION, text)

    def mark_all(self, tree: Tree, marks: Marks) -> None:
        """Store the origin of every value of a tree that was included."""
        for key, value in tree.items():
            if isinstance(value, dict):
                inner: Marks = {SECTION: Origin(self.name, self.line, "")}
                marks[key] = inner
                self.mark_all(value, inner)
            else:
                marks[key] = Origin(self.name, self.line, value)

    def absorb(self, tree: Tree, marks: Marks, other: Tree, other_marks: Marks) -> None:
        """Merge an included document with its marks; sections that are open here stay the same objects.

        Parameters
        ----------
        tree, marks
            Document that is read, and the origins of its values.
        other, other_marks
            Included document, and the origins of its values.
        """
        for key, value in other.items():
            here, new = tree.get(key), other_marks[key]
            mine = marks.get(key)
            if isinstance(value, dict):
                if here is None:
                    tree[key], marks[key] = value, new
                elif isinstance(here, dict) and isinstance(mine, dict) and isinstance(new, dict):
                    self.absorb(here, mine, value, new)
                else:
                    raise self.error(f"included section <{key}> meets the value {key} = {here!r:.80}")
                continue
            if isinstance(here, dict):
                self.surprise(Surprise.VALUE_OVER_SECTION, f"{key} = {value}")
            tree[key] = value
            if isinstance(new, Origin) and isinstance(mine, Origin):
                new = _overriding(new, mine)
            marks[key] = new


def _overriding(new: Origin, old: Origin) -> Origin:
    """Put the history of ``old`` behind that of ``new``."""
    for origin in reversed(list(new.history())):
        old = origin._replace(overrode=old)
    return old
