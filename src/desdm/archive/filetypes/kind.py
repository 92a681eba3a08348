"""What a file type is: its name, its names' pattern, its table of metadata, its rules of content."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from desdm.archive.content import Content
from desdm.errors import FileTypeError

__all__ = ["FileType", "Metadata", "Rule", "anything", "has_images", "has_table", "magic", "nothing"]

Metadata = dict[str, object]
#: A rule yields what is wrong with a file, in words; nothing: it holds.
Rule = Callable[[Content], Iterator[str]]


def anything(_content: Content) -> Iterator[str]:
    """Rule: any bytes."""
    return iter(())


def nothing(_content: Content) -> Metadata:
    """Metadata of files that tell nothing."""
    return {}


def has_images(count: int = 1) -> Rule:
    """Rule: a FITS file with at least ``count`` images."""

    def rule(content: Content) -> Iterator[str]:
        images = len(content.images())
        if images < count:
            yield f"it has {images} images, {count} are needed"

    return rule


def has_table(*columns: str, name: str = "") -> Rule:
    """Rule: a FITS file with a binary table (called ``name``) that has the columns."""

    def rule(content: Content) -> Iterator[str]:
        lacking: list[str] = []
        others = []
        for number, hdu in content.tables():
            if name and hdu.name != name:
                others.append(hdu.name or "one without a name")
                continue
            known = content.columns(number)
            lacking = [f"no column {c} in its table {hdu.name}".rstrip() for c in columns if c not in known]
            if not lacking:
                return
        if lacking:
            yield from lacking
        elif others:
            yield f"no table {name}; it has {', '.join(others[:5])}"
        else:
            yield "no binary table"

    return rule


def magic(*heads: bytes) -> Rule:
    """Rule: the file begins with one of these bytes."""

    def rule(content: Content) -> Iterator[str]:
        if not content.head(64).startswith(heads):
            yield f"it does not begin with {heads[0]!r}"

    return rule


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern, compiled when first used: most commands recognise nothing."""
    return re.compile(pattern)


@dataclass(frozen=True, slots=True)
class FileType:
    """One type of file.

    Attributes
    ----------
    name
        As stored in ``desfile.filetype``, at most 24 characters.
    text
        What such a file is.
    table
        Its metadata table: image, catalog, calibration or miscfile.
    pattern
        Regular expression for the whole name without compression suffix; its named groups are metadata.
    directory
        Default directory; ``{column}`` is replaced by metadata, an unknown value by ``none``.
    rule
        What the content must be.
    describe
        Metadata from the content; what the name tells is the fallback.
    recognised
        Whether a file may be taken for this type without an explicit --filetype.
    repeats
        Deliveries use the same name again for other bytes; the later file is renamed by its digest.
    all_bands
        It is produced from all bands of a tile together: such products of one tile come from one attempt.
    """

    name: str
    text: str
    table: str
    pattern: str
    directory: str = ""
    rule: Rule = anything
    describe: Callable[[Content], Metadata] = nothing
    recognised: bool = True
    repeats: bool = False
    all_bands: bool = False

    def match(self, stem: str) -> re.Match[str] | None:
        """How the name (without compression suffix) fits the pattern; None if it does not."""
        return _compiled(self.pattern).fullmatch(stem)

    def complaint(self, content: Content) -> str:
        """What keeps the file from being of this type; empty if nothing does."""
        try:
            return "; ".join(self.rule(content))
        except FileTypeError as err:
            return str(err)

    def metadata(self, content: Content) -> Metadata:
        """Metadata columns and values, as far as content and name tell them."""
        metadata = {k: v for k, v in self.describe(content).items() if v is not None}
        match = self.match(content.stem)
        if match:
            for key, value in match.groupdict().items():
                if value is not None:
                    metadata.setdefault(key, value)
        return metadata
