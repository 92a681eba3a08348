"""Reader of the tokens of a query, with a limit on the depth of nesting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from desdm.errors import QueryError
from desdm.query.adql.parse.nodes import Ident
from desdm.query.adql.parse.otherdialects import word_advice
from desdm.query.adql.parse.tokens import Kind, Place, Token, tokens
from desdm.schema.adqlwords import STRUCTURAL

__all__ = ["DEEPEST", "Reader"]

#: Largest depth of nested parentheses, functions and queries.
DEEPEST = 40


class Reader:
    """The tokens of a query with the position of the parser."""

    def __init__(self, query: str) -> None:
        self._tokens = tokens(query)
        self._place = 0
        self._depth = 0

    @property
    def now(self) -> Token:
        """The next token, which is not consumed."""
        return self._tokens[self._place]

    def ended(self) -> bool:
        """Tell whether all tokens are consumed."""
        return self.now.kind is Kind.END

    def ahead(self, by: int = 1) -> Token:
        """Return a later token without consuming it."""
        return self._tokens[min(self._place + by, len(self._tokens) - 1)]

    def advance(self) -> Token:
        """Consume the next token and return it."""
        token = self.now
        if token.kind is not Kind.END:
            self._place += 1
        return token

    def fail(self, message: str, at: Place | None = None) -> QueryError:
        """Return an error at the next token, or at ``at``."""
        return QueryError(message, *(at or self.now.at))

    def unexpected(self, wanted: str) -> QueryError:
        """Return the error that something else is expected at the next token."""
        token = self.now
        before = self._tokens[self._place - 1].upper if self._place else ""
        if advice := word_advice(token.upper or token.text, before):
            return self.fail(advice)
        if token.text == "::":
            return self.fail("ADQL has no ::; write CAST(value AS type)")
        if token.text == ";":
            return self.fail("one statement only: nothing may follow the ;")
        if token.text in ("?", "$", "@", "#", ":", "%"):
            return self.fail(f"{token.text} is not an operator of ADQL, and queries have no parameters")
        actual = "the end of the query" if token.kind is Kind.END else f"{token.text[:40]!r}"
        return self.fail(f"{wanted} is expected here, not {actual}")

    def is_word(self, *words: str) -> bool:
        """Tell whether the next token is one of the words."""
        return self.now.kind is Kind.WORD and self.now.upper in words

    def word(self, *words: str) -> str | None:
        """Consume the next token if it is one of the words; return it in capitals."""
        return self.advance().upper if self.is_word(*words) else None

    def need_word(self, word: str) -> Token:
        """Consume the word; raise if the next token is another."""
        if not self.is_word(word):
            raise self.unexpected(word)
        return self.advance()

    def is_sign(self, *signs: str) -> bool:
        """Tell whether the next token is one of the signs."""
        return self.now.kind is Kind.SIGN and self.now.text in signs

    def sign(self, *signs: str) -> str | None:
        """Consume the next token if it is one of the signs; return it."""
        return self.advance().text if self.is_sign(*signs) else None

    def need_sign(self, sign: str) -> Token:
        """Consume the sign; raise if the next token is another."""
        if not self.is_sign(sign):
            raise self.unexpected(sign)
        return self.advance()

    def is_name(self) -> bool:
        """Tell whether the next token is an identifier."""
        token = self.now
        return token.kind is Kind.QUOTED or (token.kind is Kind.WORD and token.upper not in STRUCTURAL)

    def identifier(self, what: str) -> Ident:
        """Consume an identifier; raise if the next token is none."""
        if not self.is_name():
            if self.now.kind is Kind.WORD and self.now.upper != "LIMIT":
                word = self.now.text
                raise self.fail(
                    f'{what} is expected here; {word} is a reserved word, as a name it is written "{word}"'
                )
            raise self.unexpected(what)
        token = self.advance()
        return Ident(token.text, token.kind is Kind.QUOTED, token.at)

    def unsigned_integer(self, what: str) -> int:
        """Consume a whole number without sign."""
        token = self.now
        if token.kind is not Kind.NUMBER or not token.text.isdigit() or len(token.text) > 18:
            raise self.unexpected(f"a whole number after {what}")
        self.advance()
        return int(token.text)

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """Count one more level of nesting in the body; raise if that is too deep."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise self.fail(f"the query is nested more than {DEEPEST} levels deep; split it with WITH")
        try:
            yield
        finally:
            self._depth -= 1
