"""Batches of cutouts: processed tile by tile, each compressed block decoded once, each row with its own result."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum

import numpy as np
import numpy.typing as npt

from desdm.errors import CorruptFile, LimitExceeded, UsageError
from desdm.pixels.boxes import Blocks, Box
from desdm.release.model import ReleaseFile
from desdm.services.soda import colour
from desdm.services.soda.cutout import Cut, Outside, fits_parts, place, read
from desdm.services.soda.files import ImageCache, ReleaseImage
from desdm.services.soda.stencil import Around, Stencil

__all__ = ["Cause", "CutStatus", "Item", "ItemResult", "Member", "cut_items", "safe"]

_STRIP = 256  # rows of the image that are processed together: the height of a compressed block
_DAMAGED = "the image is damaged on this server and not served"
_UNSAFE = re.compile(r"[^A-Za-z0-9_.+-]+")


class Cause(Enum):
    """Cause of a cutout that failed."""

    #: The request is wrong, or no image has what it names.
    REQUEST = "request"
    #: There is no object with the identifier.
    UNKNOWN_OBJECT = "unknown object"
    #: It has more pixels than a cutout may have.
    TOO_LARGE = "too large"
    #: The image differs from the release.
    DAMAGED_IMAGE = "damaged image"


@dataclass(frozen=True, slots=True)
class Item:
    """One region to cut.

    Attributes
    ----------
    number
        Position in the request, from 1.
    name
        Stem of its file names, before band and extension.
    files
        Images of one tile to cut, by band; empty where there is none.
    reason
        Reason why it cannot be cut, if that is clear from the request.
    cause
        Cause that belongs to the reason.
    fits, png
        Whether to write a FITS file for each band, and one picture of all bands.
    """

    number: int
    name: str
    stencil: Stencil | Around
    files: dict[str, ReleaseFile] = field(default_factory=dict)
    fits: bool = True
    png: bool = False
    outside: Outside = "flag"
    look: colour.Lupton = field(default_factory=colour.Lupton)
    reason: str = ""
    cause: Cause = Cause.REQUEST


@dataclass(frozen=True, slots=True)
class Member:
    """One output file: name, media type, and bytes in pieces."""

    name: str
    mime: str
    parts: Sequence[bytes | memoryview]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(len(memoryview(p).cast("B")) for p in self.parts)

    def bytes(self) -> bytes:
        """Return the bytes in one piece."""
        return b"".join(self.parts)


class CutStatus(StrEnum):
    """How the cutting of one item went."""

    OK = "ok"
    TRIMMED = "trimmed"
    OUTSIDE = "outside"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ItemResult:
    """Result of cutting an item.

    Attributes
    ----------
    status
        Status; trimmed: the image ends within the region.
    reason
        Explanation of a status other than ``ok``.
    cause
        Cause of the status ``failed``.
    """

    item: Item
    status: CutStatus
    reason: str = ""
    members: tuple[Member, ...] = ()
    cause: Cause = Cause.REQUEST


def safe(text: str) -> str:
    """Return a text as a file name, with unsafe characters replaced."""
    return _UNSAFE.sub("_", text).strip("._")[:80] or "cutout"


def cut_items(
    images: ImageCache, items: Sequence[Item], cancelled: Callable[[], bool] = lambda: False
) -> Iterator[ItemResult]:
    """Cut all items, tile by tile; results come in the order of processing.

    Parameters
    ----------
    images
        Cache of release images.
    items
        Regions to cut.
    cancelled
        Called after each item; true ends the work.

    Yields
    ------
    ItemResult
        Result of each item.
    """
    groups: dict[tuple[str, ...], list[Item]] = {}
    for item in items:
        if not item.files:
            status = CutStatus.FAILED if item.reason else CutStatus.OUTSIDE
            yield ItemResult(item, status, item.reason or "outside footprint", cause=item.cause)
            continue
        groups.setdefault(tuple(sorted(f"{f.release}/{f.path}" for f in item.files.values())), []).append(
            item
        )
    for group in groups.values():
        for result in _cut_tile(images, group):
            yield result
            if cancelled():
                return


def _cut_tile(images: ImageCache, items: list[Item]) -> Iterator[ItemResult]:
    """Cut the items of one tile, all in the same bands."""
    try:
        sources = {band: images.open(file) for band, file in items[0].files.items()}
        first = next(iter(sources.values()))
        if any(o.grid.shape != first.grid.shape for o in sources.values()):
            raise UsageError(f"the images of {first.file.tilename} differ in size")
    except (CorruptFile, UsageError) as err:
        damaged = isinstance(err, CorruptFile)
        text, cause = (_DAMAGED, Cause.DAMAGED_IMAGE) if damaged else (str(err), Cause.REQUEST)
        yield from (ItemResult(item, CutStatus.FAILED, text, cause=cause) for item in items)
        return
    boxes: list[tuple[Item, Box, npt.NDArray[np.bool_] | None]] = []
    for item in items:
        try:
            position = place(first, item.stencil)
        except LimitExceeded as err:
            yield ItemResult(item, CutStatus.FAILED, str(err), cause=Cause.TOO_LARGE)
            continue
        if position is None:
            yield ItemResult(item, CutStatus.OUTSIDE, "outside footprint")
        else:
            boxes.append((item, *position))
    boxes.sort(key=lambda p: (p[1].y0 // _STRIP, p[1].x0, p[0].number))
    blocks = Blocks()
    for item, box, _ in boxes:
        for source in sources.values():
            for name, plane in source.planes.items():
                if name in _planes_for(item, source):
                    blocks.expect(plane, box)
    for item, box, inside in boxes:
        try:
            yield _cut_item(item, sources, box, inside, blocks)
        except CorruptFile:
            yield ItemResult(item, CutStatus.FAILED, _DAMAGED, cause=Cause.DAMAGED_IMAGE)


def _planes_for(item: Item, image: ReleaseImage) -> tuple[str, ...]:
    """Return the planes that an item needs: a picture needs no mask, and the weight only for its stretch."""
    if item.fits:
        return tuple(image.planes)
    return ("SCI", "WGT") if not item.look.stretch > 0 else ("SCI",)


def _cut_item(
    item: Item,
    sources: dict[str, ReleaseImage],
    box: Box,
    inside: npt.NDArray[np.bool_] | None,
    blocks: Blocks,
) -> ItemResult:
    """Cut one item out of the images of its bands and encode its files."""
    cuts: dict[str, Cut] = {
        band: read(
            image,
            item.stencil,
            box,
            inside,
            names=_planes_for(item, image),
            outside=item.outside,
            blocks=blocks,
        )
        for band, image in sources.items()
    }
    members = []
    whole = all(c.whole for c in cuts.values())
    if item.png:
        pictured = cuts if len(cuts) == 1 else {b: cuts[b] for b in colour.three_of(cuts, "")}
        members.append(
            Member(
                f"{item.name}.png", "image/png", (colour.png(*colour.grey_or_colour(pictured, item.look)),)
            )
        )
    if item.fits:
        for band, cut in cuts.items():
            ending = f"_{band}.fits" if band else ".fits"
            members.append(Member(item.name + ending, "application/fits", fits_parts(cut)))
    return ItemResult(
        item,
        CutStatus.OK if whole else CutStatus.TRIMMED,
        "" if whole else "the image ends here",
        tuple(members),
    )
