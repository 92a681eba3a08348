"""Numbers in texts: those from outside are digits, sign, point and exponent, nothing else that Python would read as one."""

from __future__ import annotations

import math

__all__ = ["DECIMAL", "NOT_FINITE", "counted", "decimal_number", "finite_number", "whole_number"]

#: Texts that are decimal numbers, and words that stand for a double without digits; every engine reads them alike.
DECIMAL = "[+-]?(?:[0-9]+[.]?[0-9]*|[.][0-9]+)(?:[eE][+-]?[0-9]+)?"
NOT_FINITE = "[+-]?[iI][nN][fF](?:[iI][nN][iI][tT][yY])?|[nN][aA][nN]"


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, whose plural takes an s: ``1 job``, ``2 jobs``, ``2 messages of level 1``."""
    word, _, rest = noun.partition(" ")
    return f"{count} {word}{'' if count == 1 else 's'}{rest and f' {rest}'}"


def decimal_number(text: str) -> float:
    """Return the number of a text; `ValueError` if it is not one.

    Python also reads underscores between digits and the digits of other scripts; no standard of the services knows
    them (VOTable 1.4, section 2.1; DALI 1.1, section 3.3.1), and other clients would read other numbers.
    """
    return float(_plain(text))


def finite_number(text: str) -> float:
    """Return the number of a text; `ValueError` as of `decimal_number`, and for nan and infinity."""
    value = decimal_number(text)
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not finite")
    return value


def whole_number(text: str, base: int = 10) -> int:
    """Return the whole number of a text in a base; `ValueError` as of `decimal_number`."""
    return int(_plain(text), base)


def _plain(text: str) -> str:
    """Return the text; `ValueError` if it has an underscore or is not ASCII."""
    if "_" in text or not text.isascii():
        raise ValueError(f"{text[:40]!r} is not a number: write digits, sign, point and exponent")
    return text
