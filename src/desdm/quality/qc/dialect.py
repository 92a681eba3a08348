"""Patterns are written as Python regular expressions; the matcher speaks Hyperscan and PCRE: translate exactly.

The three dialects look alike and differ in corners (``\\v``, ``[[:alpha:]]``, ``{,3}``, ``\\Z``). Every construct
is therefore read and written anew, and what is not known here is refused rather than guessed.
"""

from __future__ import annotations

import re
import warnings
from typing import NamedTuple

from desdm.errors import WCLError

__all__ = ["Translated", "translate"]

MAX_PATTERN = 4000
"""Longest expression, in characters."""

_TOKEN = re.compile(
    rb"""
      (?P<escape>\\(?:x[0-9a-fA-F]{2}|0[0-7]{0,2}|[1-3][0-7]{2}|[1-9][0-9]?|.))
    | (?P<set>\[\^?\]?(?:\\.|[^\]\\])*\])
    | (?P<comment>\(\?\#[^)]*\))
    | (?P<flags>\(\?[aimsux]+\))
    | (?P<scoped>\(\?(?P<on>[aims]*)(?:-(?P<off>[ims]+))?:)
    | (?P<named>\(\?P<\w+>)
    | (?P<again>\(\?P=\w+\))
    | (?P<look>\(\?<?[=!])
    | (?P<atomic>\(\?>)
    | (?P<unknown>\(\?)
    | (?P<repeat>(?:[*+?]|\{[0-9]*,?[0-9]*\}))(?P<lazy>[?+]?)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_SET_ESCAPE = re.compile(rb"\\(?:x[0-9a-fA-F]{2}|[0-7]{1,3}|.)|\[", re.DOTALL)


class Translated(NamedTuple):
    """A pattern in the dialects of the matcher.

    Attributes
    ----------
    hyperscan
        For whole chunks of a log; with ``exact`` it decides, otherwise it matches at least what it should.
    pcre
        For a single line, exact.
    exact
        Whether Hyperscan decides alone.
    matches_empty
        Whether an empty line matches.
    """

    hyperscan: bytes
    pcre: bytes
    exact: bool
    matches_empty: bool


def translate(pattern: str) -> Translated:
    """Translate a Python expression (bytes, ignoring case, on one line without its end).

    Raises
    ------
    WCLError
        It is not a regular expression, or holds what the other dialects do not have.
    """
    try:
        raw = pattern.encode()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "possible nested set": sets are written anew below
            compiled = re.compile(raw, re.IGNORECASE | re.DOTALL)
    except (re.error, OverflowError, UnicodeEncodeError, RecursionError) as err:
        raise WCLError(f"{pattern!r:.80} is not a regular expression: {err}") from err
    if len(pattern) > MAX_PATTERN:
        raise WCLError(f"{pattern!r:.80} is longer than {MAX_PATTERN} characters")
    hyperscan, pcre, exact = bytearray(), bytearray(), True
    for match in _TOKEN.finditer(raw):
        chunk, line, same = _token(match, pattern)
        hyperscan += chunk
        pcre += line
        exact = exact and same
    return Translated(bytes(hyperscan), bytes(pcre), exact, compiled.search(b"") is not None)


def _token(match: re.Match[bytes], pattern: str) -> tuple[bytes, bytes, bool]:
    """Give a token for chunks, for single lines, and whether the first is exact."""
    text, kind = match[0], match.lastgroup
    if kind == "escape":
        return _escape(text)
    if kind == "set":
        inner = _SET_ESCAPE.sub(_in_set, text[1:-1])
        return b"[" + inner + b"]", b"[" + inner + b"]", True
    if match["flags"] or kind == "comment":
        if b"x" in match[0][2:] and kind != "comment":
            raise WCLError(f"{pattern!r:.80}: flag x is not known here; write the expression without blanks")
        return b"", b"", True  # i holds anyway, and a, m, s mean nothing for one line of bytes
    if match["scoped"]:
        off = b"-i" if b"i" in (match["off"] or b"") else b""
        on = b"i" if b"i" in match["on"] else b""
        return b"(?" + on + off + b":", b"(?" + on + off + b":", True
    if match["look"] or match["again"]:
        return text, text, False
    if match["atomic"]:
        return b"(?:", text, False
    if match["unknown"]:
        raise WCLError(f"{pattern!r:.80}: {text.decode()}… is not known here; say it in another way")
    if match["repeat"]:
        repeat, lazy = match["repeat"], match["lazy"]
        if repeat[:1] == b"{":
            if repeat == b"{}":
                return b"\\{\\}" + lazy, b"\\{\\}" + lazy, True
            low, comma, high = repeat[1:-1].partition(b",")
            repeat = b"{" + (low or b"0") + comma + high + b"}"
        if lazy == b"+":
            return repeat, repeat + b"+", False
        return repeat + lazy, repeat + lazy, True
    if text in b"{}]":
        return b"\\" + text, b"\\" + text, True
    if text == b"\0":
        return b"\\x00", b"\\x00", True
    return text, text, True


def _escape(text: bytes) -> tuple[bytes, bytes, bool]:
    """Translate an escape sequence; return it for hyperscan, for PCRE, and whether both mean the same."""
    letter = text[1:2]
    if letter == b"A":
        return b"^", b"\\A", True
    if letter == b"Z":
        return b"$", b"\\z", True
    if letter == b"0" or (len(text) == 4 and letter != b"x"):
        plain = b"\\x%02x" % (int(text[1:], 8) & 0xFF)
        return plain, plain, True
    if letter.isdigit():
        return text, text, False
    if letter in {b"v", b"a"}:
        plain = b"\\x0b" if letter == b"v" else b"\\x07"
        return plain, plain, True
    return text, text, True


def _in_set(match: re.Match[bytes]) -> bytes:
    """Translate a token within a character set to PCRE's syntax."""
    text = match[0]
    if text == b"[":
        return b"\\["
    if text[1:2].isdigit():
        return b"\\x%02x" % (int(text[1:], 8) & 0xFF)
    return {b"\\v": b"\\x0b", b"\\a": b"\\x07"}.get(text, text)
