"""One cutout: planes, mask of the stencil, exact world coordinates, and origin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from desdm import __version__
from desdm.errors import LimitExceeded, LimitKind
from desdm.pixels.boxes import Blocks, Box
from desdm.release.model import ReleaseFile
from desdm.services.soda.files import ReleaseImage
from desdm.services.soda.fitsfile import Card, card, image_hdu, primary_hdu
from desdm.services.soda.stencil import Around, Stencil

__all__ = ["MOST_PIXELS", "OUTSIDE", "Cut", "Outside", "cut", "fits_parts", "place", "read"]

#: Bit of MSK at pixels outside the stencil; the survey's own bits end at 16384.
OUTSIDE = 32768
#: Pixels of one plane of a cutout: 13 arcmin square at 0.263 arcsec; larger regions are served as whole files.
MOST_PIXELS = 3000 * 3000

#: Pixel values of one plane: floats (SCI, WGT) or integers (MSK).
Plane = npt.NDArray[np.floating | np.integer]

#: Treatment of pixels outside the stencil: flag them in MSK; flag and blank SCI and WGT; keep them as they are.
Outside = Literal["flag", "blank", "keep"]


@dataclass(slots=True)
class Cut:
    """Pixels of a cutout.

    Attributes
    ----------
    box
        Position in the image.
    planes
        SCI, MSK, WGT, as far as the image has them, (ny, nx) each.
    whole
        Whether the image covers the whole stencil.
    """

    image: ReleaseImage
    stencil: Stencil | Around
    box: Box
    inside: npt.NDArray[np.bool_] | None
    planes: dict[str, Plane]
    whole: bool

    @property
    def file(self) -> ReleaseFile:
        """Release file from which it was cut."""
        return self.image.file


def place(
    image: ReleaseImage, stencil: Stencil | Around, limit: int = MOST_PIXELS
) -> tuple[Box, npt.NDArray[np.bool_] | None] | None:
    """Return the box of a stencil in an image and the pixels of the box that are inside; None if it lies outside.

    Parameters
    ----------
    image
        Open release image.
    stencil
        Region on the sky.
    limit
        Largest number of pixels.

    Returns
    -------
    tuple or None
        Box, and (ny, nx) booleans; None in place of booleans if all pixels are inside.

    Raises
    ------
    LimitExceeded
        It is larger than ``limit`` pixels.
    """
    box = image.grid.box(stencil)
    if not box.pixels:
        return None
    if box.pixels > limit:
        ny, nx = box.shape
        raise LimitExceeded(
            f"{stencil.text[:80]}: {nx} x {ny} pixels are more than the {limit} of one cutout; ask for less, or take "
            f"the file {image.file.path} as a whole",
            LimitKind.SIZE,
        )
    if isinstance(stencil, Around):
        return box, None
    box, inside = image.grid.inside(stencil, box)
    return (box, inside) if box.pixels else None


def read(
    image: ReleaseImage,
    stencil: Stencil | Around,
    box: Box,
    inside: npt.NDArray[np.bool_] | None = None,
    *,
    names: Sequence[str] = (),
    outside: Outside = "flag",
    blocks: Blocks | None = None,
) -> Cut:
    """Read the pixels of a box that `place` returned.

    Parameters
    ----------
    image
        Open release image.
    stencil
        Region on the sky.
    box, inside
        Box in the image and its pixels inside the stencil.
    outside
        Treatment of the pixels outside the stencil.
    names
        Planes to read; all if empty.
    blocks
        Decoded tiles that other cutouts of the batch share.
    """
    planes = {
        name: plane.read(box, blocks) for name, plane in image.planes.items() if not names or name in names
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
    return Cut(image, stencil, box, inside, planes, _whole(image, stencil, box))


def _whole(image: ReleaseImage, stencil: Stencil | Around, box: Box) -> bool:
    """Whether the image covers the whole stencil."""
    ny, nx = image.grid.shape
    if box.x0 > 0 and box.y0 > 0 and box.x1 < nx and box.y1 < ny:
        return True
    if isinstance(stencil, Around):
        return (box.shape[1], box.shape[0]) == image.grid.size_of(stencil)
    x, y = image.grid.pixels(*stencil.outline())
    with np.errstate(invalid="ignore"):
        return bool(((x >= -0.5) & (y >= -0.5) & (x <= nx - 0.5) & (y <= ny - 0.5)).all())


def cut(
    image: ReleaseImage, stencil: Stencil | Around, *, names: Sequence[str] = (), outside: Outside = "flag"
) -> Cut | None:
    """Cut a stencil out of an image; None if it lies outside of it.

    Parameters
    ----------
    image
        Open release image.
    stencil
        Region on the sky.
    names
        Planes to read; all if empty.
    outside
        Treatment of the pixels outside the stencil.

    Returns
    -------
    Cut or None
        The pixels.
    """
    position = place(image, stencil)
    return None if position is None else read(image, stencil, *position, names=names, outside=outside)


def origin(cutout: Cut) -> list[Card]:
    """Return the origin of a cutout as header cards."""
    file, box = cutout.file, cutout.box
    cards: list[Card] = [
        ("RELEASE", file.release, "release"),
        ("CUTFILE", file.path, "file of the release that it was cut from"),
        ("CUTSHA", file.sha256, "sha-256 of that file"),
        ("CUTX1", box.x0 + 1, "[pixel] its first column in that image"),
        ("CUTY1", box.y0 + 1, "[pixel] its first row in that image"),
        ("STENCIL", cutout.stencil.text, "requested region (ICRS, deg)"),
        ("CUTSOFT", f"desdm {__version__}", "program that cut it"),
    ]
    if cutout.inside is not None and not cutout.inside.all():
        cards.append(("OUTSIDE", OUTSIDE, "bit of MSK at pixels outside the stencil"))
    if not cutout.whole:
        cards.append(("TRIMMED", True, "the image ends within the requested region"))
    return cards


def fits_parts(cutout: Cut) -> list[bytes | memoryview]:
    """Encode a cutout as a FITS file, in pieces; byte-swaps its pixels in place, so that they cannot be used afterwards."""
    cards = origin(cutout)
    identity: list[Card] = [("ORIGIN", "desdm", "")]
    parts: list[bytes | memoryview] = [primary_hdu([*identity, *cards], cutout.image.primary)]
    for name, data in cutout.planes.items():
        header = cutout.image.planes[name].hdu.header
        grid = b""
        for axis, begin in (("1", cutout.box.x0), ("2", cutout.box.y0)):
            reference = header.number(f"CRPIX{axis}")
            if reference is not None:
                grid += card(f"CRPIX{axis}", reference - begin, "reference pixel")
        if grid:
            grid = card("WCSAXES", 2) + grid
        parts += image_hdu(data, name, grid + cutout.image.cards[name], cards)
    return parts
