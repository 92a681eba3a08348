"""The value syntax of file queries: lists, patterns, negation, null, ranges and regular expressions, as conditions.

One value is a comma list; every element is one of ``v`` (equal), ``a%`` (like), ``1:5`` (range, both ends), ``null``, a
regular expression (recognised by ``* ^ $ [ ] &``), or any of these with ``!`` before it. Elements without ``!`` are
alternatives; those with ``!`` must all hold.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from sqlalchemy import BigInteger, Float, Integer, and_, or_
from sqlalchemy.sql.elements import ColumnElement

from desdm.errors import UsageError

__all__ = ["condition", "overlap", "region"]

_REGEXP = re.compile(r"[*^$\[\]&]")


def condition(column: ColumnElement[object], value: str) -> ColumnElement[bool]:
    """The condition on ``column`` that the value says.

    Raises
    ------
    UsageError
        If an element does not fit the column.
    """
    some: list[ColumnElement[bool]] = []
    every: list[ColumnElement[bool]] = []
    plain: list[object] = []
    for element in (part.strip() for part in str(value).split(",")):
        negative = element.startswith("!")
        word = element[1:].strip() if negative else element
        if not word:
            raise UsageError(f"{_name(column)} = {value!r}: an element of the list is empty")
        if negative:
            every.append(_negative(column, word))
        elif _plain(column, word):
            plain.append(_typed(column, word))
        else:
            some.append(_positive(column, word))
    if plain:
        some.append(column == plain[0] if len(plain) == 1 else column.in_(plain))
    if some:
        every.append(or_(*some))
    return and_(*every)


def _name(column: ColumnElement[object]) -> str:
    """Return the name of a column, for messages."""
    return str(getattr(column, "name", "filename"))


def _plain(column: ColumnElement[object], word: str) -> bool:
    """Tell whether a word is a plain value: not a range, a pattern or null."""
    if word.lower() == "null":
        return False
    if isinstance(column.type, Integer | Float):
        return ":" not in word
    return "%" not in word and not _REGEXP.search(word) and not _range(column, word)


def _range(column: ColumnElement[object], word: str) -> tuple[str, str] | None:
    """Return the ends of a range ``low:high``, or None if the word is not a range."""
    # Names hold colons too; a range of text is only meant where both ends look alike.
    low, colon, high = word.partition(":")
    if not colon or ":" in high:
        return None
    if isinstance(column.type, Integer | Float) or (
        low.isdigit() and high.isdigit() and len(low) == len(high)
    ):
        return low.strip(), high.strip()
    return None


def _positive(column: ColumnElement[object], word: str) -> ColumnElement[bool]:
    """Return the condition that a column matches a word."""
    if word.lower() == "null":
        return column.is_(None)
    ends = _range(column, word)
    if ends:
        return column.between(_typed(column, ends[0]), _typed(column, ends[1]))
    if isinstance(column.type, Integer | Float):
        return column == _typed(column, word)
    if _REGEXP.search(word):
        try:
            re.compile(word)
        except re.error as err:
            raise UsageError(f"{_name(column)} = {word!r}: no regular expression: {err}") from err
        return column.regexp_match(word)
    return column.like(word) if "%" in word else column == word


def _negative(column: ColumnElement[object], word: str) -> ColumnElement[bool]:
    """Return the condition that a column does not match a word; NULL does not match."""
    if word.lower() == "null":
        return column.is_not(None)
    # NOT of a comparison with NULL is NULL: a file without a band is not in band g either.
    return or_(column.is_(None), ~_positive(column, word))


def _typed(column: ColumnElement[object], word: str) -> object:
    """Return a word as a value of the column's type; `UsageError` if it is not one."""
    kind = column.type
    if not isinstance(kind, Integer | Float):
        return word
    bits = 63 if isinstance(kind, BigInteger) else 31
    try:
        if isinstance(kind, Integer):
            number = int(word)
            if abs(number) >= 2**bits:
                raise OverflowError
            return number
        real = float(word)
        if not math.isfinite(real):
            raise OverflowError
    except (ValueError, OverflowError) as err:
        raise UsageError(f"{_name(column)} = {word!r}: that column holds numbers ({kind})") from err
    return real


def region(value: str) -> tuple[float, float, float]:
    """(ra, dec, size) of ``ra,dec,size`` in degrees; `UsageError` if it is not that."""
    try:
        ra, dec, size = (float(part) for part in value.split(","))
    except ValueError as err:
        raise UsageError(f"region = {value!r}: give ra,dec,size in degrees") from err
    if not (math.isfinite(ra) and -90 <= dec <= 90 and 0 <= size <= 180):
        raise UsageError(f"region = {value!r}: dec must be in -90…90 and size in 0…180 degrees")
    return ra % 360.0, dec, size


def overlap(
    box: tuple[float, float, float], column: Callable[[str], ColumnElement[float]]
) -> ColumnElement[bool]:
    """Condition that a file's region overlaps a square of ``size`` degrees about (ra, dec).

    The square is bounded by its meridians and parallels, generously near the poles: where it holds a pole it
    holds every right ascension.
    """
    ra, dec, size = box
    half = size / 2
    in_dec = and_(column("deccmin") <= dec + half, column("deccmax") >= dec - half)
    edge = abs(dec) + half
    if edge >= 90.0:
        return in_dec
    wide = half / math.cos(math.radians(edge))
    if wide >= 180.0:
        return in_dec
    low, high = ra - wide, ra + wide
    spans = [(low, high)]
    if low < 0:
        spans = [(low + 360.0, 360.0), (0.0, high)]
    elif high > 360:
        spans = [(low, 360.0), (0.0, high - 360.0)]
    racmin, racmax, cross = column("racmin"), column("racmax"), column("crossra0")
    inside = [
        or_(
            and_(cross == "Y", or_(racmin <= b, racmax >= a)),
            and_(cross != "Y", racmin <= b, racmax >= a),
        )
        for a, b in spans
    ]
    return and_(in_dec, or_(*inside))
