"""Sections of a detector, ``[x1:x2,y1:y2]``: read from a header, checked against the array, turned into slices."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from desdm.errors import FileTypeError

__all__ = ["Section", "parse_section", "section_of"]

_FORM = re.compile(r"\s*\[\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*\]\s*\Z")


@dataclass(frozen=True, slots=True)
class Section:
    """A rectangle of pixels, both ends included, counted from 1 as in FITS headers.

    ``x1 > x2`` (or ``y1 > y2``) is allowed, as DECam writes AMPSEC: it tells the direction of the read-out, not
    another set of pixels.
    """

    x1: int
    x2: int
    y1: int
    y2: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """(rows, columns) for a numpy array, always in rising order."""
        return (
            slice(min(self.y1, self.y2) - 1, max(self.y1, self.y2)),
            slice(min(self.x1, self.x2) - 1, max(self.x1, self.x2)),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) in pixels."""
        return abs(self.y2 - self.y1) + 1, abs(self.x2 - self.x1) + 1

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether it lies within an array of ``shape`` (rows, columns)."""
        return max(self.y1, self.y2) <= shape[0] and max(self.x1, self.x2) <= shape[1]

    @property
    def text(self) -> str:
        """As FITS headers write it."""
        return f"[{self.x1}:{self.x2},{self.y1}:{self.y2}]"


def parse_section(text: str) -> Section | None:
    """The section that a keyword's text names; None if it is not a section, or one that begins before pixel 1."""
    match = _FORM.match(text)
    if match is None:
        return None
    x1, x2, y1, y2 = (int(v) for v in match.groups())
    return None if min(x1, x2, y1, y2) < 1 else Section(x1, x2, y1, y2)


def section_of(
    get: Callable[[str], object], keyword: str, shape: tuple[int, ...], where: str
) -> Section | None:
    """The section under a keyword, checked against the array.

    Parameters
    ----------
    get
        Gives a keyword's value, or None.
    keyword
        For instance BIASSECA.
    shape
        (rows, columns) of the array that it must fit.
    where
        File and HDU or CCD, for the message.

    Returns
    -------
    Section or None
        None if the keyword is absent.

    Raises
    ------
    FileTypeError
        It cannot be read, or it does not fit the array; the text names file, keyword and both sizes.
    """
    value = get(keyword)
    if value is None:
        return None
    section = parse_section(str(value))
    if section is None:
        raise FileTypeError(f"{where}: {keyword} {str(value)!r} is not a section of the form [x1:x2,y1:y2]")
    if not section.fits(shape):
        raise FileTypeError(
            f"{where}: {keyword} {section.text} does not fit its array of {shape[1]} columns and {shape[0]} rows; "
            "mend the header or leave the frame out"
        )
    return section
