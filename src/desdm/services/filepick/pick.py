"""Selection of files: the parameters, parsed once, and the selection itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from desdm.accounts.model import Caller
from desdm.errors import UsageError
from desdm.numbers import decimal_number
from desdm.release.model import Release, ReleaseFile
from desdm.services.filepick.index import Indexes
from desdm.services.parameters import Values

__all__ = ["Choice", "Selection", "choice_of", "select_files"]


@dataclass(frozen=True, slots=True)
class Choice:
    """Conditions on files; an empty condition accepts every file.

    Attributes
    ----------
    releases, tilenames, bands, filetypes
        Alternative names; case does not matter.
    path
        Prefix of the path.
    circle
        (ra, dec, radius) in degrees, ICRS, which the file's outline must touch.
    limit, offset
        Largest number of files, and number of files to skip.
    """

    releases: tuple[str, ...] = ()
    tilenames: frozenset[str] = frozenset()
    bands: frozenset[str] = frozenset()
    filetypes: frozenset[str] = frozenset()
    path: str = ""
    circle: tuple[float, float, float] | None = None
    limit: int | None = None
    offset: int = 0

    def accepts(self, file: ReleaseFile) -> bool:
        """Whether a file meets all conditions but the circle."""
        return (
            (not self.tilenames or (file.tilename or "").lower() in self.tilenames)
            and (not self.bands or file.band in self.bands)
            and (not self.filetypes or file.filetype.lower() in self.filetypes)
            and file.path.startswith(self.path)
        )


class Selection(NamedTuple):
    """Selected files with their releases, and the total number of matches."""

    files: list[tuple[Release, ReleaseFile]]
    total: int


def choice_of(values: Values, release: str | None = None) -> Choice:
    """Return the conditions of a request; ``release`` is set if the URL names it.

    Raises
    ------
    UsageError
        The position is invalid.
    """
    pos = values.text("POS").strip()
    return Choice(
        releases=(release,) if release else tuple(_names(values, "RELEASE", str)),
        tilenames=frozenset(_names(values, "TILENAME", str.lower)),
        bands=frozenset(_names(values, "BAND", str)),  # y is not a band, Y is
        filetypes=frozenset(_names(values, "FILETYPE", str.lower)),
        path=values.text("PATH"),
        circle=_circle(pos) if pos else None,
        limit=values.whole("LIMIT"),
        offset=values.whole("OFFSET") or 0,
    )


def select_files(indexes: Indexes, caller: Caller, choice: Choice) -> Selection:
    """Select the matching files that the caller may read.

    Parameters
    ----------
    indexes
        Indexes of the published releases.
    caller
        Caller, whose rights decide which files are visible.
    choice
        Conditions.

    Returns
    -------
    Selection
        Releases newest first, files in the order of their paths.

    Raises
    ------
    NotFoundError
        A requested release is not published, or it is hidden from the caller.
    """
    names = choice.releases or [release.name for release in indexes.visible(caller)]
    access = indexes.access(caller)
    matches: list[tuple[Release, ReleaseFile]] = []
    for name in dict.fromkeys(names):
        index = indexes.of(name, caller)
        files: Sequence[ReleaseFile] = index.near(*choice.circle) if choice.circle else index.files
        for file in files:
            if choice.accepts(file) and access.file(file):
                matches.append((index.release, file))
    stop = None if choice.limit is None else choice.offset + choice.limit
    return Selection(matches[choice.offset : stop], len(matches))


def _names(values: Values, name: str, normalize: Callable[[str], str]) -> list[str]:
    """Parse the values of a parameter, repeated or separated by commas."""
    parts = [part.strip() for value in values.texts(name) for part in value.split(",")]
    return [normalize(part) for part in parts if part]


def _circle(text: str) -> tuple[float, float, float]:
    """Parse POS into right ascension, declination and radius."""
    words = text.replace(",", " ").split()
    if words and words[0].upper() == "CIRCLE":
        words = words[1:]
    try:
        numbers = [decimal_number(word) for word in words]
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
