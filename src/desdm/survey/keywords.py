"""Keywords of an image as the survey's functions read them: a FITS header or a dictionary."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Keywords", "text_of"]


class Keywords(Protocol):
    """Values by keyword; `get` returns None for a keyword that is not there."""

    def get(self, key: str, /) -> object:
        """Return the value of a keyword, or None."""


def text_of(header: Keywords, key: str) -> str:
    """Return the value of a keyword as text; empty if it is not there."""
    value = header.get(key)
    return "" if value is None else str(value)
