"""Reads tokens one after the other, with a bound on how deep a query nests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from desdm.errors import QueryError
from desdm.query.adql.parse.nodes import Ident
from desdm.query.adql.parse.otherdialects import word_advice
from desdm.query.adql.parse.tokens import Kind, Place, Token, tokens

__all__ = ["DEEPEST", "STRUCTURAL", "Reader"]

#: How deep parentheses, functions and queries may stand in one another.
DEEPEST = 40

#: Words that hold a query together and are never names; other reserved words are taken as names where a column
#: or an alias of that name stands, since catalogues do have a column ``distance``.
STRUCTURAL = frozenset(
    [
        "ALL",
        "AND",
        "ANY",
        "AS",
        "ASC",
        "BETWEEN",
        "BY",
        "CASE",
        "CAST",
        "CROSS",
        "DESC",
        "DISTINCT",
        "ELSE",
        "END",
        "ESCAPE",
        "EXCEPT",
        "EXISTS",
        "FETCH",
        "FOR",
        "FROM",
        "FULL",
        "GROUP",
        "HAVING",
        "ILIKE",
        "IN",
        "INNER",
        "INTERSECT",
        "INTO",
        "IS",
        "JOIN",
        "LEFT",
        "LIKE",
        "LIMIT",
        "NATURAL",
        "NOT",
        "NULL",
        "OFFSET",
        "ON",
        "OR",
        "ORDER",
        "OUTER",
        "QUALIFY",
        "RETURNING",
        "RIGHT",
        "SELECT",
        "SOME",
        "TABLE",
        "THEN",
        "TOP",
        "UNION",
        "USING",
        "VALUES",
        "WHEN",
        "WHERE",
        "WINDOW",
        "WITH",
    ]
)


class Reader:
    """The tokens of a query and the place of reading."""

    def __init__(self, query: str) -> None:
        self._tokens = tokens(query)
        self._place = 0
        self._depth = 0

    @property
    def now(self) -> Token:
        """The token that comes next."""
        return self._tokens[self._place]

    def ended(self) -> bool:
        """Whether nothing comes any more."""
        return self.now.kind is Kind.END

    def ahead(self, by: int = 1) -> Token:
        """A later token."""
        return self._tokens[min(self._place + by, len(self._tokens) - 1)]

    def advance(self) -> Token:
        """Take the next token."""
        token = self.now
        if token.kind is not Kind.END:
            self._place += 1
        return token

    def fail(self, message: str, at: Place | None = None) -> QueryError:
        """The error to raise here (or ``at``)."""
        return QueryError(message, *(at or self.now.at))

    def unexpected(self, wanted: str) -> QueryError:
        """The error that something else should stand here."""
        token = self.now
        before = self._tokens[self._place - 1].upper if self._place else ""
        if advice := word_advice(token.upper or token.text, before):
            return self.fail(advice)
        if token.text == "::":
            return self.fail("ADQL has no ::; write CAST(value AS type)")
        if token.text == ";":
            return self.fail("one statement only: nothing may follow the ;")
        if token.text in ("?", "$", "@", "#", ":", "%"):
            return self.fail(f"ADQL knows no {token.text} here: there are no parameters and no such operator")
        actual = "the end of the query" if token.kind is Kind.END else f"{token.text[:40]!r}"
        return self.fail(f"{wanted} is expected here, not {actual}")

    def is_word(self, *words: str) -> bool:
        """Whether one of the words comes next."""
        return self.now.kind is Kind.WORD and self.now.upper in words

    def word(self, *words: str) -> str | None:
        """Take one of the words if it comes next."""
        return self.advance().upper if self.is_word(*words) else None

    def need_word(self, word: str) -> Token:
        """Take a word that must come next."""
        if not self.is_word(word):
            raise self.unexpected(word)
        return self.advance()

    def is_sign(self, *signs: str) -> bool:
        """Whether one of the signs comes next."""
        return self.now.kind is Kind.SIGN and self.now.text in signs

    def sign(self, *signs: str) -> str | None:
        """Take one of the signs if it comes next."""
        return self.advance().text if self.is_sign(*signs) else None

    def need_sign(self, sign: str) -> Token:
        """Take a sign that must come next."""
        if not self.is_sign(sign):
            raise self.unexpected(sign)
        return self.advance()

    def is_name(self) -> bool:
        """Whether an identifier comes next."""
        token = self.now
        return token.kind is Kind.QUOTED or (token.kind is Kind.WORD and token.upper not in STRUCTURAL)

    def identifier(self, what: str) -> Ident:
        """Take an identifier."""
        if not self.is_name():
            if self.now.kind is Kind.WORD and self.now.upper != "LIMIT":
                word = self.now.text
                raise self.fail(
                    f'{what} is expected here; {word} is a reserved word, as a name it is written "{word}"'
                )
            raise self.unexpected(what)
        token = self.advance()
        return Ident(token.text, token.kind is Kind.QUOTED, token.at)

    def whole(self, what: str) -> int:
        """Take a whole number without sign."""
        token = self.now
        if token.kind is not Kind.NUMBER or not token.text.isdigit() or len(token.text) > 18:
            raise self.unexpected(f"a whole number after {what}")
        self.advance()
        return int(token.text)

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """Within the body one level deeper; an error if that is too deep."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise self.fail(f"the query nests more than {DEEPEST} levels deep; split it with WITH")
        try:
            yield
        finally:
            self._depth -= 1
