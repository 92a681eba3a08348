"""Many cutouts at once: worked tile by tile, each compressed block decoded once, each row with its own outcome."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from desdm.errors import CorruptFile, LimitExceeded, UsageError
from desdm.pixels.boxes import Blocks, Box
from desdm.release.model import ReleaseFile
from desdm.services.soda import colour
from desdm.services.soda.cutout import Cut, Outside, fits_parts, place, read
from desdm.services.soda.files import Opened, Shelf
from desdm.services.soda.stencil import Around, Stencil

__all__ = ["Done", "Item", "Member", "produce", "safe"]

_STRIP = 256  # rows of the image that are worked on before the next: the height of a compressed block
_UNSAFE = re.compile(r"[^A-Za-z0-9_.+-]+")


@dataclass(frozen=True, slots=True)
class Item:
    """One region that is asked for.

    Attributes
    ----------
    number
        Its place among those asked for, from 1.
    name
        What its files are called, before band and ending.
    files
        Images of one tile to cut, by band; empty where there is none.
    reason
        Why it cannot be cut, if that is known beforehand.
    fits, png
        What is made: a FITS file a band; one picture of all of them.
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


@dataclass(frozen=True, slots=True)
class Member:
    """A file that was made: its name, media type, and bytes in pieces."""

    name: str
    mime: str
    parts: Sequence[Any]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(len(memoryview(p).cast("B")) for p in self.parts)

    def bytes(self) -> bytes:
        """Its bytes in one piece."""
        return b"".join(self.parts)


@dataclass(frozen=True, slots=True)
class Done:
    """What became of an item.

    Attributes
    ----------
    status
        ``ok``, ``trimmed`` (the image ends within the region), ``outside`` or ``failed``.
    reason
        Why it is not ``ok``.
    too_large
        It failed because it has more pixels than a cutout may have.
    """

    item: Item
    status: str
    reason: str = ""
    members: tuple[Member, ...] = ()
    too_large: bool = False


def safe(text: str) -> str:
    """A name for files out of any text."""
    return _UNSAFE.sub("_", text).strip("._")[:80] or "cutout"


def produce(shelf: Shelf, items: Sequence[Item], ended: Callable[[], bool] = lambda: False) -> Iterator[Done]:
    """Cut all items, tile by tile; their order is that of the work.

    Parameters
    ----------
    ended
        Asked before each: whether nobody wants the rest any more.
    """
    groups: dict[tuple[str, ...], list[Item]] = {}
    for item in items:
        if not item.files:
            yield Done(item, "failed" if item.reason else "outside", item.reason or "outside footprint")
            continue
        groups.setdefault(tuple(sorted(f"{f.release}/{f.path}" for f in item.files.values())), []).append(
            item
        )
    for group in groups.values():
        for done in _tile(shelf, group):
            yield done
            if ended():
                return


def _tile(shelf: Shelf, items: list[Item]) -> Iterator[Done]:
    # Of one tile, in the same bands.
    try:
        opened = {band: shelf.open(file) for band, file in items[0].files.items()}
        first = next(iter(opened.values()))
        if any(o.grid.shape != first.grid.shape for o in opened.values()):
            raise UsageError(f"the images of {first.file.tilename} differ in size")
    except (CorruptFile, UsageError) as err:
        text = (
            "the image is damaged on this server and not served" if isinstance(err, CorruptFile) else str(err)
        )
        yield from (Done(item, "failed", text) for item in items)
        return
    placed: list[tuple[Item, Box, Any]] = []
    for item in items:
        try:
            found = place(first, item.stencil)
        except LimitExceeded as err:
            yield Done(item, "failed", str(err), too_large=True)
            continue
        if found is None:
            yield Done(item, "outside", "outside footprint")
        else:
            placed.append((item, *found))
    placed.sort(key=lambda p: (p[1].y0 // _STRIP, p[1].x0, p[0].number))
    blocks = Blocks()
    for item, box, _ in placed:
        for one in opened.values():
            for name, plane in one.planes.items():
                if name in _names(item, one):
                    blocks.expect(plane, box)
    for item, box, inside in placed:
        try:
            yield _made(item, opened, box, inside, blocks)
        except CorruptFile:
            yield Done(item, "failed", "the image is damaged on this server and not served")


def _names(item: Item, opened: Opened) -> tuple[str, ...]:
    # A picture alone needs no mask, and the weight only for its stretch.
    if item.fits:
        return tuple(opened.planes)
    return ("SCI", "WGT") if not item.look.stretch > 0 else ("SCI",)


def _made(item: Item, opened: dict[str, Opened], box: Box, inside: Any, blocks: Blocks) -> Done:
    cuts: dict[str, Cut] = {
        band: read(
            one, item.stencil, box, inside, names=_names(item, one), outside=item.outside, blocks=blocks
        )
        for band, one in opened.items()
    }
    members = []
    whole = all(c.whole for c in cuts.values())
    if item.png:
        wanted = cuts if len(cuts) == 1 else {b: cuts[b] for b in colour.three_of(cuts, "")}
        members.append(
            Member(f"{item.name}.png", "image/png", (colour.png(*colour.grey_or_colour(wanted, item.look)),))
        )
    if item.fits:
        for band, made in cuts.items():
            ending = f"_{band}.fits" if band else ".fits"
            members.append(Member(item.name + ending, "application/fits", fits_parts(made)))
    return Done(item, "ok" if whole else "trimmed", "" if whole else "the image ends here", tuple(members))
