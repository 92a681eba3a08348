"""The line grammar: what a line of WCL is, by the rules that the original reader tries in turn.

The order of the tests matters and is part of the language. Each function is linear in its line, for lines
come from outside.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from desdm.wcl.document import Surprise

__all__ = ["Close", "Open", "Pair", "Statement", "cut_comment", "pair", "section", "statements"]

_WORD = re.compile(r"\S+")
_QUOTED = re.compile(r"""(?<=[\s=(,])(['"]).*?\1""")


class Statement(NamedTuple):
    """A line with its continuations joined, before its comment is cut."""

    line: int
    text: str
    surprise: Surprise | None


class Open(NamedTuple):
    """``<name>`` or ``<name label>``."""

    name: str
    label: str | None


class Close(NamedTuple):
    """``</name>``."""

    name: str


class Pair(NamedTuple):
    """``key = value`` or ``key value``, with the case as written."""

    key: str
    value: str
    surprise: Surprise | None


def statements(text: str, *, compat: bool) -> Iterator[Statement]:
    r"""Give the lines of ``text``, stripped and with ``\`` continuations joined.

    Lines end as Python's text files end them (``\n``, ``\r\n``, ``\r``) and not at form feeds or the like.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    at, end = 0, len(lines)
    while at < end:
        first = at
        line = lines[at].strip()
        at += 1
        if not line.endswith("\\"):
            if line:
                yield Statement(first + 1, line, None)
            continue
        pieces, surprise = [line], None
        while pieces and pieces[-1].endswith("\\"):
            if "#" in pieces[-1] and len(cut_comment(pieces[-1], compat=compat)[0]) < len(pieces[-1]):
                surprise = Surprise.COMMENT_CONTINUES
            pieces[-1] = pieces[-1][:-1]
            following = lines[at].strip() if at < end else ""
            if at >= end:
                surprise = Surprise.ENDS_IN_BACKSLASH
            at += 1
            if following:
                pieces.append(following)
            elif not pieces[-1]:
                pieces.pop()
        yield Statement(first + 1, "".join(pieces), surprise)


def cut_comment(text: str, *, compat: bool) -> tuple[str, Surprise | None]:
    """Drop the comment of a statement and say what was surprising about it.

    In compat the first ``#`` begins the comment wherever it stands. In strict it does so only at the start
    or after a blank; inside quotes it is text.
    """
    at = text.find("#")
    if at < 0:
        return text, None
    quoted = [match.span() for match in _QUOTED.finditer(text)]
    while at >= 0:
        inside = next((end for begin, end in quoted if begin < at < end), None)
        if inside is None:
            glued = at > 0 and not text[at - 1].isspace()
            return _with_backslash_check(text[:at], Surprise.HASH_CUTS if glued else None)
        if compat:
            return _with_backslash_check(text[:at], Surprise.HASH_IN_QUOTES)
        at = text.find("#", inside)
    return text, None


def _with_backslash_check(text: str, surprise: Surprise | None) -> tuple[str, Surprise | None]:
    """Return the text, and a surprise if it ends with a backslash."""
    if surprise is None and text.rstrip().endswith("\\"):
        surprise = Surprise.BACKSLASH_KEPT
    return text, surprise


def section(text: str) -> Open | Close | None:
    """Read a line as the opening or closing of a section; names come lower-cased.

    What is not a proper section (``<a b c>``, ``< a>``) gives None and is tried as a key.
    """
    text = text.strip()
    if len(text) < 3 or text[0] != "<" or text[-1] != ">":
        return None
    if text[1] == "/":
        words = text[2:-1].split()
        if len(words) == 1:
            return Close(words[0].lower())
    inner = text[1:-1]
    if inner[0].isspace():
        return None
    words = inner.split(None, 2)
    if len(words) == 1:
        return Open(words[0].lower(), None)
    if len(words) == 2 and not inner[-1].isspace():
        return Open(words[0].lower(), words[1].lower())
    return None


def pair(text: str) -> Pair | None:
    """Read a line as ``key = value``, ``key=value`` or ``key value``; None if it is neither.

    The first ``=`` after a blank ends the key; without blanks the last possible ``=`` does. Nothing but
    blanks may stand for a value where the original lets them (``key = # note`` gives an empty value).
    """
    text = text.lstrip()
    match = _WORD.match(text)
    if match is None:
        return None
    word, rest = match[0], text[match.end() :]
    after = rest.lstrip()
    if after.startswith("=") and len(after) > 1:
        return _checked_pair(word, after[1:])
    at = word.rfind("=", 1)
    if at == len(text) - 1:
        at = word.rfind("=", 1, at)
    if at > 0:
        return _checked_pair(text[:at], text[at + 1 :])
    blanks = len(rest) - len(after)
    if after and after[0] != "=" and blanks:
        return _checked_pair(word, after)
    if blanks >= 2:
        # The original lets one of the blanks be the value, so that "key  =" gives "=".
        return Pair(word, after.strip(), Surprise.EMPTY)
    return None


def _checked_pair(key: str, value: str) -> Pair:
    """Return a pair of key and value with the surprise that its form deserves."""
    value = value.strip()
    surprise = None
    if not value:
        surprise = Surprise.EMPTY
    elif key[0] == "<":
        surprise = Surprise.NOT_A_SECTION
    elif "=" in key:
        surprise = Surprise.AMBIGUOUS
    return Pair(key, value, surprise)
