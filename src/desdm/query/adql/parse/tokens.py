"""Tokens of an ADQL query with line and column (REC-ADQL-2.1, 2.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from desdm.errors import QueryError

__all__ = ["LONGEST", "Kind", "Place", "Token", "tokens"]

#: Largest number of characters of a query: enough for some ten thousand numbers in an IN list.
LONGEST = 256 * 1024
#: Characters of a number: more than any double or integer needs, and fewer than Python refuses to convert.
_LONGEST_NUMBER = 1000
Place = tuple[int, int]


class Kind(Enum):
    """Kinds of tokens."""

    WORD = "word"
    QUOTED = "delimited identifier"
    NUMBER = "number"
    TEXT = "text"
    SIGN = "sign"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """One token; ``text`` of identifiers and strings is without quotes, ``upper`` is a word's capitals."""

    kind: Kind
    text: str
    at: Place
    upper: str = ""


_TOKEN = re.compile(
    r"""
      (?P<space>[ \t\r\n]+ | --[^\n]* | /\*.*?\*/)
    | (?P<number>0[xX][0-9a-fA-F]+|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | '(?P<text>(?:[^']|'')*)'
    | "(?P<quoted>(?:[^"]|"")+)"
    | (?P<sign><>|!=|<=|>=|\|\||::|:=|=>|->|[-+*/(),.;=<>&|^~%?:\[\]{}@#$!`\\])
    """,
    re.VERBOSE | re.DOTALL,
)
_CONTROL = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u0085\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff\ud800-\udfff]"
)
_HINTS = {
    "'": "this text is not closed: a single quote is missing, or one within it must be doubled",
    '"': "this delimited identifier is empty or not closed: a double quote is missing",
}


def tokens(query: str) -> list[Token]:
    """Split a query into tokens; the last one is of `Kind.END`.

    Raises
    ------
    QueryError
        The query has a character that ADQL does not have or text that is not closed, or it is too long.
    """
    if len(query) > LONGEST:
        raise QueryError(
            f"the query has {len(query)} characters, more than {LONGEST}; put long lists into an uploaded table"
        )
    stream: list[Token] = []
    line, start, place = 1, 0, 0
    if bad := _CONTROL.search(query):
        before = query[: bad.start()]
        where = before.count("\n") + 1, bad.start() - (before.rfind("\n") + 1) + 1
        raise QueryError(f"the character U+{ord(bad[0]):04X} is not allowed in a query", *where)
    while place < len(query):
        match = _TOKEN.match(query, place)
        at = (line, place - start + 1)
        if match is None:
            sign = query[place]
            raise QueryError(_HINTS.get(sign, f"the character {sign!r} is not allowed in ADQL"), *at)
        _add(stream, match, at)
        text = match[0]
        if "\n" in text:
            line += text.count("\n")
            start = place + text.rfind("\n") + 1
        place = match.end()
    stream.append(Token(Kind.END, "", (line, place - start + 1)))
    return stream


def _add(stream: list[Token], match: re.Match[str], at: Place) -> None:
    """Append the token of a match, spaces aside."""
    kind = match.lastgroup
    if kind == "space":
        return
    if kind == "number":
        after = match.string[match.end() : match.end() + 1]
        if after.isalnum() or after in ("_", "."):
            raise QueryError(
                f"{match[0]}{after} is not a number; ADQL's are 12, 1.5, .5, 1.5e-3 and 0x1F", *at
            )
        written = match[0]
        if len(written) > _LONGEST_NUMBER:
            raise QueryError(
                f"a number of {len(written)} characters; at most {_LONGEST_NUMBER} are allowed", *at
            )
        stream.append(
            Token(Kind.NUMBER, str(int(written, 16)) if written[1:2] in ("x", "X") else written, at)
        )
    elif kind == "word":
        stream.append(Token(Kind.WORD, match[0], at, match[0].upper()))
    elif kind == "text":
        stream.append(Token(Kind.TEXT, match["text"].replace("''", "'"), at))
    elif kind == "quoted":
        stream.append(Token(Kind.QUOTED, match["quoted"].replace('""', '"'), at))
    else:
        stream.append(Token(Kind.SIGN, match[0], at))
