"""One cutout: planes, mask of the stencil, exact world coordinates, and where it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from desdm import __version__
from desdm.errors import LimitExceeded
from desdm.pixels.boxes import Blocks, Box
from desdm.release.model import ReleaseFile
from desdm.services.soda.files import Opened
from desdm.services.soda.fitsfile import Card, card, image_hdu, primary_hdu
from desdm.services.soda.stencil import Around, Stencil

__all__ = ["MOST_PIXELS", "OUTSIDE", "Cut", "Outside", "cut", "fits_parts", "place", "read"]

#: Bit of MSK at pixels outside the stencil; the survey's own bits end at 16384.
OUTSIDE = 32768
#: Pixels of one plane of a cutout: 13 arcmin square at 0.263 arcsec; who wants more takes the file.
MOST_PIXELS = 3000 * 3000

#: What becomes of pixels of the rectangle outside the stencil: MSK tells them; SCI and WGT are blanked too; nothing.
Outside = Literal["flag", "blank", "keep"]


@dataclass(slots=True)
class Cut:
    """Pixels that were cut out.

    Attributes
    ----------
    box
        Where they lie in the image.
    planes
        SCI, MSK, WGT (those that there are), (ny, nx) each.
    whole
        Whether the image holds all that was asked for.
    """

    opened: Opened
    stencil: Stencil | Around
    box: Box
    inside: npt.NDArray[np.bool_] | None
    planes: dict[str, npt.NDArray[Any]]
    whole: bool

    @property
    def file(self) -> ReleaseFile:
        """The image that it was cut from."""
        return self.opened.file


def place(
    opened: Opened, stencil: Stencil | Around, most: int = MOST_PIXELS
) -> tuple[Box, npt.NDArray[np.bool_] | None] | None:
    """Where a stencil lies in an image, and which pixels of that box are in it; None if it lies outside.

    Raises
    ------
    LimitExceeded
        It is larger than ``most`` pixels.
    """
    box = opened.grid.box(stencil)
    if not box.pixels:
        return None
    if box.pixels > most:
        ny, nx = box.shape
        raise LimitExceeded(
            f"{stencil.text[:80]}: {nx} x {ny} pixels are more than the {most} of one cutout; ask for less, or take "
            f"the file {opened.file.path} as a whole",
            "size",
        )
    if isinstance(stencil, Around):
        return box, None
    box, inside = opened.grid.inside(stencil, box)
    return (box, inside) if box.pixels else None


def read(
    opened: Opened,
    stencil: Stencil | Around,
    box: Box,
    inside: npt.NDArray[np.bool_] | None = None,
    *,
    names: Sequence[str] = (),
    outside: Outside = "flag",
    blocks: Blocks | None = None,
) -> Cut:
    """The pixels of a box that `place` gave.

    Parameters
    ----------
    names
        Planes to read; all if empty.
    blocks
        Decoded tiles that other cutouts of the batch share.
    """
    planes = {
        name: plane.read(box, blocks) for name, plane in opened.planes.items() if not names or name in names
    }
    if inside is not None and not inside.all() and outside != "keep":
        out = ~inside
        if "MSK" in planes:
            planes["MSK"] = planes["MSK"].astype(np.int32, copy=False)
            planes["MSK"][out] |= OUTSIDE
        if outside == "blank":
            if "SCI" in planes and planes["SCI"].dtype.kind == "f":
                planes["SCI"][out] = np.nan
            if "WGT" in planes:
                planes["WGT"][out] = 0
    return Cut(opened, stencil, box, inside, planes, _whole(opened, stencil, box))


def _whole(opened: Opened, stencil: Stencil | Around, box: Box) -> bool:
    ny, nx = opened.grid.shape
    if box.x0 > 0 and box.y0 > 0 and box.x1 < nx and box.y1 < ny:
        return True
    if isinstance(stencil, Around):
        return (box.shape[1], box.shape[0]) == opened.grid.size_of(stencil)
    x, y = opened.grid.pixels(*stencil.outline())
    with np.errstate(invalid="ignore"):
        return bool(((x >= -0.5) & (y >= -0.5) & (x <= nx - 0.5) & (y <= ny - 0.5)).all())


def cut(
    opened: Opened, stencil: Stencil | Around, *, names: Sequence[str] = (), outside: Outside = "flag"
) -> Cut | None:
    """Cut a stencil out of an image; None if it lies outside of it."""
    placed = place(opened, stencil)
    return None if placed is None else read(opened, stencil, *placed, names=names, outside=outside)


def origin(made: Cut) -> list[Card]:
    """Where a cutout came from, as header cards."""
    file, box = made.file, made.box
    cards: list[Card] = [
        ("RELEASE", file.release, "release"),
        ("CUTFILE", file.path, "file of the release that it was cut from"),
        ("CUTSHA", file.sha256, "sha-256 of that file"),
        ("CUTX1", box.x0 + 1, "[pixel] its first column in that image"),
        ("CUTY1", box.y0 + 1, "[pixel] its first row in that image"),
        ("STENCIL", made.stencil.text, "what was asked for (ICRS, deg)"),
        ("CUTSOFT", f"desdm {__version__}", "program that cut it"),
    ]
    if made.inside is not None and not made.inside.all():
        cards.append(("OUTSIDE", OUTSIDE, "bit of MSK at pixels outside the stencil"))
    if not made.whole:
        cards.append(("TRIMMED", True, "the image ends within what was asked for"))
    return cards


def fits_parts(made: Cut) -> list[bytes | memoryview]:
    """A cutout as a FITS file, in pieces; its pixels are turned in place and not to be used any more."""
    cards = origin(made)
    identity: list[Card] = [("ORIGIN", "desdm", "")]
    parts: list[bytes | memoryview] = [primary_hdu([*identity, *cards], made.opened.primary)]
    for name, data in made.planes.items():
        header = made.opened.planes[name].hdu.header
        grid = b""
        for axis, begin in (("1", made.box.x0), ("2", made.box.y0)):
            at = header.number(f"CRPIX{axis}")
            if at is not None:
                grid += card(f"CRPIX{axis}", at - begin, "reference pixel")
        if grid:
            grid = card("WCSAXES", 2) + grid
        parts += image_hdu(data, name, grid + made.opened.cards[name], cards)
    return parts
