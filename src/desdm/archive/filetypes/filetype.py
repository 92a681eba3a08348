"""Definition of a file type: its name, file-name pattern, metadata table and content rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache

from desdm.archive.content import Content
from desdm.errors import FileTypeError

__all__ = [
    "FileType",
    "Metadata",
    "Rule",
    "any_content",
    "begins_with",
    "has_images",
    "has_table",
    "no_metadata",
]

#: Values by column of the file type's table; None: the content does not tell it.
Metadata = dict[str, str | int | float | bool | date | datetime | None]
#: A rule yields one text for each fault of a file, none if the file is valid.
Rule = Callable[[Content], Iterator[str]]


def any_content(_content: Content) -> Iterator[str]:
    """Accept any content."""
    return iter(())


def no_metadata(_content: Content) -> Metadata:
    """Return no metadata, for files whose content carries none."""
    return {}


def has_images(count: int = 1) -> Rule:
    """Return the rule that a file is a FITS file with at least ``count`` images."""

    def rule(content: Content) -> Iterator[str]:
        images = len(content.images())
        if images < count:
            yield f"it has {images} images, at least {count} are needed"

    return rule


def has_table(*columns: str, name: str = "") -> Rule:
    """Return the rule that a file is a FITS file with a binary table (called ``name``) that has the columns."""

    def rule(content: Content) -> Iterator[str]:
        missing: list[str] = []
        others = []
        for number, hdu in content.tables():
            if name and hdu.name != name:
                others.append(hdu.name or "an unnamed table")
                continue
            known = content.columns(number)
            missing = [f"no column {c} in its table {hdu.name}".rstrip() for c in columns if c not in known]
            if not missing:
                return
        if missing:
            yield from missing
        elif others:
            yield f"no table {name}; it has {', '.join(others[:5])}"
        else:
            yield "no binary table"

    return rule


def begins_with(*heads: bytes) -> Rule:
    """Return the rule that a file begins with one of these byte strings."""

    def rule(content: Content) -> Iterator[str]:
        if not content.head(64).startswith(heads):
            yield f"it does not begin with {' or '.join(map(repr, heads))}"

    return rule


@cache
def _compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a pattern on first use only; most commands never match file names."""
    return re.compile(pattern)


@dataclass(frozen=True, slots=True)
class FileType:
    """One type of file.

    Attributes
    ----------
    name
        As stored in ``desfile.filetype``, at most 24 characters.
    text
        Description that is shown to users.
    table
        Metadata table: image, catalog, calibration or miscfile.
    pattern
        Regular expression for the whole name without compression suffix; its named groups are metadata.
    directory
        Default directory; ``{column}`` is replaced by metadata, an unknown value by ``none``.
    rule
        Rule that the content must satisfy.
    read_metadata
        Function that reads metadata from the content; the groups of the name pattern fill in what it lacks.
    auto_detected
        Whether a file may be assigned this type without an explicit --filetype.
    names_repeat
        Whether deliveries reuse a name for different content; the later file is then renamed with its digest.
    all_bands
        Whether it is produced from all bands of a tile together: such products of one tile come from one attempt.
    """

    name: str
    text: str
    table: str
    pattern: str
    directory: str = ""
    rule: Rule = any_content
    read_metadata: Callable[[Content], Metadata] = no_metadata
    auto_detected: bool = True
    names_repeat: bool = False
    all_bands: bool = False

    def match(self, stem: str) -> re.Match[str] | None:
        """Match the name, without compression suffix, against the pattern; None if it does not match."""
        return _compile_pattern(self.pattern).fullmatch(stem)

    def complaint(self, content: Content) -> str:
        """Return the faults of the file for this type, separated by '; '; empty if there are none."""
        try:
            return "; ".join(self.rule(content))
        except FileTypeError as err:
            return str(err)

    def metadata(self, content: Content) -> Metadata:
        """Return the metadata by column, from the content and, where that lacks a value, from the file name."""
        metadata: Metadata = {k: v for k, v in self.read_metadata(content).items() if v is not None}
        match = self.match(content.stem)
        if match:
            for key, value in match.groupdict().items():
                if value is not None:
                    metadata.setdefault(key, value)
        return metadata
