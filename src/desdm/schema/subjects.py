"""Subjects: what a mark, a problem, an entry of the logbook or a notice is about, under one canonical name."""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple

from desdm.errors import UsageError
from desdm.schema.operationstates import SubjectKind
from desdm.schema.runname import RunName
from desdm.schema.store import exposure_name

__all__ = ["Subject", "parse_subject"]

#: Length of the column.
_LONGEST = 200
_EXPOSURE = re.compile(r"D?0*([1-9][0-9]{0,8})", re.IGNORECASE)
_CCD = re.compile(r"D?0*([1-9][0-9]{0,8})_c([0-9]{1,2})", re.IGNORECASE)
_NITE = re.compile(r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])")
_TILE = re.compile(r"DES[0-9]{4}[+-][0-9]{4}", re.IGNORECASE)


class Subject(NamedTuple):
    """A kind, and the canonical name of one thing of it."""

    kind: SubjectKind
    name: str

    @property
    def text(self) -> str:
        """The subject as people write it, with its kind."""
        return f"{self.kind.value}:{self.name}"


def parse_subject(text: str, kind: SubjectKind | None = None) -> Subject:
    """Return the subject that a text names.

    Parameters
    ----------
    text
        ``KIND:NAME``, or a name alone: of an exposure (``D00229686``, a number), a CCD (``D00229686_c10``), a run, a night
        (``20121120``: also a number, and never taken for an exposure), a tile; of a file if it has a suffix.
    kind
        Kind that the name has; None: it follows from the text.

    Raises
    ------
    UsageError
        The text names nothing of the kind, or of no kind that is known.
    """
    name = text.strip()
    if kind is None:
        word, sign, rest = name.partition(":")
        if sign and word.lower() in tuple(SubjectKind):
            kind, name = SubjectKind(word.lower()), rest.strip()
    if not name or len(name) > _LONGEST:
        raise UsageError(f"{text[:60]!r} names nothing; give KIND:NAME, for instance exposure:D00229686")
    if kind is None:
        kind = _kind_of(name)
    if kind is None:
        raise UsageError(
            f"{name[:60]!r}: its kind is not clear; write it before the name, for instance tag:{name[:40]}; kinds are "
            + ", ".join(k.value for k in SubjectKind)
        )
    return Subject(kind, _canonical(kind, name))


def _kind_of(name: str) -> SubjectKind | None:
    """Return the kind of a name by its form; None if several are possible."""
    if RunName.parse(name) is not None and "." not in name:
        return SubjectKind.ATTEMPT
    for pattern, kind in (
        (_CCD, SubjectKind.CCD),
        (_NITE, SubjectKind.NITE),
        (_EXPOSURE, SubjectKind.EXPOSURE),
        (_TILE, SubjectKind.TILE),
    ):
        if pattern.fullmatch(name):
            return kind
    return SubjectKind.FILE if "." in name else None


def _is_date(digits: str) -> bool:
    """Whether eight digits are a date of the calendar, YYYYMMDD."""
    try:
        datetime.strptime(digits, "%Y%m%d")
    except ValueError:
        return False
    return True


def _canonical(kind: SubjectKind, name: str) -> str:
    """Return the canonical name of a thing of a kind; `UsageError` if no such thing has that name."""
    if kind is SubjectKind.EXPOSURE:
        match = _EXPOSURE.fullmatch(name)
        if match is None:
            raise UsageError(f"{name!r} is not an exposure; give its number or name: 229686 or D00229686")
        return exposure_name(int(match[1]))
    if kind is SubjectKind.CCD:
        match = _CCD.fullmatch(name)
        if match is None or not int(match[2]):
            raise UsageError(f"{name!r} is not a CCD of an exposure; write it as D00229686_c10")
        return f"{exposure_name(int(match[1]))}_c{int(match[2]):02d}"
    if kind is SubjectKind.NITE and not (_NITE.fullmatch(name) and _is_date(name)):
        raise UsageError(f"{name!r} is not a night; give its date, YYYYMMDD, for instance 20121120")
    if kind is SubjectKind.ATTEMPT and RunName.parse(name) is None:
        raise UsageError(f"{name!r} is not a run; its name looks like D00229686_r5p01")
    if kind is SubjectKind.TILE:
        return name.upper()
    return name
