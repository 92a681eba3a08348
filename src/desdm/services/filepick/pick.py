"""Which files a caller asks for: the parameters of a choice, read once, and the choice itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from desdm.accounts.model import Caller
from desdm.errors import UsageError
from desdm.release.model import Release, ReleaseFile
from desdm.services.filepick.index import Indexes
from desdm.services.parameters import Given

__all__ = ["PARAMETERS", "Choice", "Found", "choose", "read"]

#: What a choice of files understands; any other name is refused, so that a misspelt one cannot mean "all".
PARAMETERS = ("RELEASE", "TILENAME", "BAND", "FILETYPE", "PATH", "POS", "FORMAT", "LIMIT", "OFFSET")


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice of files; an empty condition is none.

    Attributes
    ----------
    releases, tilenames, bands, filetypes
        Names, any of which will do; capitals do not matter.
    path
        Beginning of the path.
    circle
        (ra, dec, radius) in degrees, ICRS, that the file's outline must touch.
    limit, offset
        Part of the answer: so many files, after so many.
    """

    releases: tuple[str, ...] = ()
    tilenames: frozenset[str] = frozenset()
    bands: frozenset[str] = frozenset()
    filetypes: frozenset[str] = frozenset()
    path: str = ""
    circle: tuple[float, float, float] | None = None
    limit: int | None = None
    offset: int = 0

    def takes(self, file: ReleaseFile) -> bool:
        """Whether a file fits, its place left aside."""
        return (
            (not self.tilenames or (file.tilename or "").lower() in self.tilenames)
            and (not self.bands or file.band in self.bands)
            and (not self.filetypes or file.filetype.lower() in self.filetypes)
            and file.path.startswith(self.path)
        )


class Found(NamedTuple):
    """Files of an answer with their releases, and how many there are in all."""

    files: list[tuple[Release, ReleaseFile]]
    total: int


def read(given: Given, release: str | None = None) -> Choice:
    """The choice that parameters describe; ``release`` where the address names it.

    Raises
    ------
    UsageError
        Naming the parameter that cannot be understood.
    """
    given.only([name for name in PARAMETERS if release is None or name != "RELEASE"])
    pos = given.value("POS").strip()
    return Choice(
        releases=(release,) if release else tuple(_names(given, "RELEASE", str)),
        tilenames=frozenset(_names(given, "TILENAME", str.lower)),
        bands=frozenset(_names(given, "BAND", str)),  # y is no band, Y is
        filetypes=frozenset(_names(given, "FILETYPE", str.lower)),
        path=given.value("PATH"),
        circle=_circle(pos) if pos else None,
        limit=given.number("LIMIT"),
        offset=given.number("OFFSET") or 0,
    )


def choose(indexes: Indexes, caller: Caller, choice: Choice) -> Found:
    """Files that fit and that the caller may have: releases newest first, files in the order of their paths.

    Raises
    ------
    NotFoundError
        A release that is named is not published, or the caller may see nothing of it.
    """
    names = choice.releases or [release.name for release in indexes.visible(caller)]
    access = indexes.access(caller)
    found: list[tuple[Release, ReleaseFile]] = []
    for name in dict.fromkeys(names):
        index = indexes.of(name, caller)
        files: Sequence[ReleaseFile] = index.near(*choice.circle) if choice.circle else index.files
        for file in files:
            if choice.takes(file) and access.file(file):
                found.append((index.release, file))
    stop = None if choice.limit is None else choice.offset + choice.limit
    return Found(found[choice.offset : stop], len(found))


def _names(given: Given, name: str, spelt: Callable[[str], str]) -> list[str]:
    parts = [part.strip() for value in given.values(name) for part in value.split(",")]
    return [spelt(part) for part in parts if part]


def _circle(text: str) -> tuple[float, float, float]:
    words = text.replace(",", " ").split()
    if words and words[0].upper() == "CIRCLE":
        words = words[1:]
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) == 2:
        numbers.append(0.0)
    if len(numbers) != 3 or not all(map(math.isfinite, numbers)):
        raise UsageError(f"POS={text[:60]}: ra,dec or ra,dec,radius in degrees is wanted (ICRS)")
    ra, dec, radius = numbers
    if not -90 <= dec <= 90:
        raise UsageError(f"POS={text[:60]}: declination {dec:g} is not between -90 and 90")
    if not 0 <= radius <= 180:
        raise UsageError(f"POS={text[:60]}: radius {radius:g} is not between 0 and 180")
    return ra % 360, dec, radius
