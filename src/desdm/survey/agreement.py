"""What the HDUs of one exposure say about the whole exposure, and where they contradict each other.

A camera writes these keywords into the primary header, and many repeat them in the header of each CCD. Of several
values one must hold for the archive's record and for every CCD: that of the first image, else of the primary header.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from desdm.pixels.cards import Value
from desdm.survey.airmass import airmass_of, differ
from desdm.survey.obstime import mjd_of, moment, night_keyword

__all__ = [
    "EXPOSURE_KEYS",
    "LIMITED_KEYS",
    "LONGEST",
    "Contradiction",
    "can_hold",
    "contradictions",
    "same_value",
]

Get: TypeAlias = Callable[[str], Value]

_DATES = ("DATE-OBS", "DATE-BEG")
_NIGHTS = ("NITE", "DTCALDAT")
_NUMBERS = ("EXPNUM", "EXPTIME", "AIRMASS", "MJD-OBS", "MJD-BEG")
_WORDS = (
    "OBSTYPE",
    "FILTER",
    "BAND",
    "INSTRUME",
    "OBJECT",
    "PROPID",
    "PROCTYPE",
    "TIMESYS",
    "TIME-OBS",
    "UTC-OBS",
    "CCDSUM",
)
#: Keywords that can have one value in an exposure only.
EXPOSURE_KEYS = (*_NUMBERS, *_DATES, *_NIGHTS, *_WORDS)
#: Those of a sole number that cannot have every value: one that cannot be is a finding by itself, and never holds.
LIMITED_KEYS = ("EXPTIME", "AIRMASS")
#: No exposure is longer, seconds.
LONGEST = 86400.0
_SECOND = 1.0 / 86400.0


@dataclass(frozen=True, slots=True)
class Contradiction:
    """One keyword with several values in a file.

    Attributes
    ----------
    key
        The keyword.
    assumed
        The value that holds, and the HDU that has it.
    others
        (HDU, value) of each other value, at its first HDU.
    """

    key: str
    assumed: tuple[int, Value]
    others: tuple[tuple[int, Value], ...]

    @property
    def values(self) -> str:
        """All values with their HDUs, the one that holds first."""
        return ", ".join(f"{value!r} (HDU {number})" for number, value in (self.assumed, *self.others))


def contradictions(
    headers: Sequence[tuple[int, Get]], keys: Sequence[str] = EXPOSURE_KEYS
) -> list[Contradiction]:
    """Return the keywords of an exposure to which its HDUs give different values.

    Parameters
    ----------
    headers
        (number of the HDU, its keywords), that whose values hold first.
    keys
        Keywords to compare.
    """
    differences: list[Contradiction] = []
    if len(headers) < 2:
        return differences
    for key in keys:
        stated = [
            (number, value)
            for number, get in headers
            if (value := get(key)) is not None and _has(value) and can_hold(key, value)
        ]
        if len(stated) < 2:
            continue
        others: list[tuple[int, Value]] = []
        for number, value in stated[1:]:
            if value != stated[0][1] and not any(same_value(key, value, v) for _, v in (stated[0], *others)):
                others.append((number, value))
        if others:
            differences.append(Contradiction(key, stated[0], tuple(others)))
    return differences


def same_value(key: str, one: Value, other: Value) -> bool:
    """Whether two values of a keyword mean the same: as numbers, as moments to a second, as nights, or as words.

    Parameters
    ----------
    key
        Keyword, which decides how values are compared.
    one
        One value.
    other
        The other value.
    """
    if one == other:
        return True
    if key in _NUMBERS:
        a, b = _number(one), _number(other)
        if a is not None and b is not None:
            if key == "AIRMASS":
                return not differ(a, b)
            near = _SECOND if key.startswith("MJD") else 0.0 if key == "EXPNUM" else 1e-3
            return abs(a - b) <= near
    if key in _DATES:
        begins = [moment({key: value}, 0.0).begin for value in (one, other)]
        if begins[0] is not None and begins[1] is not None:
            return abs(mjd_of(begins[0]) - mjd_of(begins[1])) <= _SECOND
    if key in _NIGHTS:
        nights = night_keyword(one), night_keyword(other)
        if None not in nights:
            return nights[0] == nights[1]
    return _words(one) == _words(other)


def can_hold(key: str, value: Value) -> bool:
    """Tell whether a keyword of an exposure can have a value: of `LIMITED_KEYS` not every one can be."""
    if key == "AIRMASS":
        return airmass_of({key: value}.get) is not None
    if key != "EXPTIME":
        return True
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return number and 0.0 <= float(value or 0.0) <= LONGEST


def _has(value: Value) -> bool:
    """Tell whether a keyword has a value that is not blank."""
    return value is not None and (not isinstance(value, str) or value.strip() != "")


def _number(value: Value) -> float | None:
    """A number, also one in quotes."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _words(value: Value) -> list[str]:
    """Return the words of a value in lower case."""
    return str(value).lower().split()
