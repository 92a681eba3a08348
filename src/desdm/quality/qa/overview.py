"""Pictures of all CCDs of an exposure side by side, without and with the mask; or of one image file."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from desdm.errors import DesdmError, FileTypeError
from desdm.pixels.maskbits import MaskBit
from desdm.quality.qa.draw import paint, stretch
from desdm.quality.qa.frame import arrange, open_image, read_bits, read_mean, section
from desdm.quality.qa.masks import COLOURS, translator
from desdm.quality.qa.quicklook import quicklook

__all__ = ["MaskShare", "Overview", "overview"]

Pixels = npt.NDArray[np.uint8]
#: Gap between CCDs in the picture, pixels, and colour of what no CCD covers.
_GAP, _GROUND = 3, (24, 26, 31)
#: Largest area of the focal plane over that of its CCDs; where DETSEC says more, it is wrong, and a grid is drawn.
_SPREAD = 8


@dataclass(frozen=True, slots=True)
class MaskShare:
    """A mask bit with its colour in the picture, and the part of the pixels that have it."""

    name: str
    colour: tuple[int, int, int]
    fraction: float


@dataclass(frozen=True, slots=True)
class Overview:
    """Pictures of a subject.

    Attributes
    ----------
    plain, masked
        RGB rows from the top, without and with the mask; the same shape, `masked` is None if there is no mask.
    bits
        Mask bits in the picture, the most frequent first.
    unread
        Files that could not be read, with why.
    """

    plain: Pixels
    masked: Pixels | None
    bits: tuple[MaskShare, ...]
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Ccd:
    """A CCD binned to the picture: values, mask bits and masked share of each pixel, and its place on the focal plane."""

    values: npt.NDArray[np.float32]
    bits: npt.NDArray[np.int32]
    fraction: npt.NDArray[np.float32]
    counts: dict[int, int]
    pixels: int
    place: tuple[int, int] | None


def overview(paths: Sequence[Path], size: int) -> Overview:
    """Draw image files of the CCDs of one exposure at their places (DETSEC, else a grid), or one file.

    Parameters
    ----------
    paths
        FITS files, in the order of CCDs.
    size
        Longer side of the picture, pixels, about.

    Raises
    ------
    FileTypeError
        None of the files can be drawn.
    """
    if len(paths) == 1:
        return _one(paths[0], size)
    ccds: list[_Ccd] = []
    unread = []
    block = 0
    for path in paths:
        try:
            ccd, block = _read(path, size, len(paths), block)
        except DesdmError as err:
            unread.append(str(err))
            continue
        ccds.append(ccd)
    if not ccds:
        raise FileTypeError(f"no image can be drawn: {unread[0] if unread else 'there is none'}")
    return _assemble(ccds, block, unread)


def _one(path: Path, size: int) -> Overview:
    """Draw one file."""
    from PIL import Image

    pictures: list[Pixels] = []
    shares: tuple[MaskShare, ...] = ()
    with tempfile.TemporaryDirectory(prefix="desdm-picture-") as folder:
        out = Path(folder) / "picture.png"
        for mask in (False, True):
            drawn = quicklook(path, out, mask=mask, size=size, captions=False)
            with Image.open(out) as image:
                pictures.append(np.asarray(image.convert("RGB")))
            shares = _shares({MaskBit[n]: f for n, f in drawn.bits.items() if n in MaskBit.__members__})
    return Overview(pictures[0], pictures[1] if shares else None, shares)


def _read(path: Path, size: int, count: int, block: int) -> tuple[_Ccd, int]:
    """Return a CCD binned by blocks; of the first one (``block`` 0) the block follows from the size of the picture."""
    opened = open_image(path)
    try:
        names = {name.upper(): number for number, name, _ in opened.images}
        science = names.get("SCI", opened.images[0][0])
        shape = next(s for n, _, s in opened.images if n == science)
        # The focal plane is about as wide as the root of its pixels; all CCDs are binned alike.
        block = block or max(1, math.ceil(1.1 * (count * shape[0] * shape[1]) ** 0.5 / size))
        values = read_mean(opened, arrange(opened, [science]), block).values
        bits, fraction = np.zeros(values.shape, np.int32), np.zeros(values.shape, np.float32)
        counts: dict[int, int] = {}
        if "MSK" in names:
            bits, fraction, counts = read_bits(
                opened, arrange(opened, [names["MSK"]]), block, translator("MSK", {})
            )
        box = section(opened.header(science).get("DETSEC"))
        place = (box[2] // block, box[0] // block) if box is not None else None
        return _Ccd(values, bits, fraction, counts, shape[0] * shape[1], place), block
    finally:
        opened.fits.close()


def _assemble(ccds: Sequence[_Ccd], block: int, unread: Sequence[str]) -> Overview:
    """Put the CCDs side by side, and paint them with one scale of grey."""
    places = _places(ccds)
    height = max(y + c.values.shape[0] for (y, _), c in zip(places, ccds, strict=True))
    width = max(x + c.values.shape[1] for (_, x), c in zip(places, ccds, strict=True))
    values = np.full((height, width), np.nan, np.float32)
    bits, fraction = np.zeros((height, width), np.int32), np.zeros((height, width), np.float32)
    covered = np.zeros((height, width), np.bool_)
    counts: dict[int, int] = {}
    for (y, x), ccd in zip(places, ccds, strict=True):
        here = np.s_[y : y + ccd.values.shape[0], x : x + ccd.values.shape[1]]
        values[here], bits[here], fraction[here], covered[here] = ccd.values, ccd.bits, ccd.fraction, True
        for bit, number in ccd.counts.items():
            counts[bit] = counts.get(bit, 0) + number
    limits = stretch(values, bits != 0)
    plain = paint(values, limits, None, None)
    masked = paint(values, limits, bits, fraction) if counts else None
    for picture in (plain, masked):
        if picture is not None:
            picture[~covered[::-1]] = _GROUND
    total = sum(ccd.pixels for ccd in ccds)
    known = {MaskBit(bit): n / total for bit, n in counts.items() if bit in MaskBit._value2member_map_}
    return Overview(plain, masked, _shares(known), tuple(unread))


def _places(ccds: Sequence[_Ccd]) -> list[tuple[int, int]]:
    """Return (row, column) of each CCD: by DETSEC with a gap between neighbours, else on a grid."""
    by_detsec = [c.place for c in ccds if c.place is not None]
    rows, columns = sorted({y for y, _ in by_detsec}), sorted({x for _, x in by_detsec})
    covered = sum(c.values.size for c in ccds)
    if len(set(by_detsec)) == len(ccds) and (
        (rows[-1] - rows[0]) * (columns[-1] - columns[0]) <= _SPREAD * covered
    ):
        # CCDs stand in columns that are shifted by half a CCD: the gap is by place, not by number in the row.
        tall, wide = max(c.values.shape[0] for c in ccds), max(c.values.shape[1] for c in ccds)
        return [
            (y - rows[0] + _GAP * ((y - rows[0]) // tall), x - columns[0] + _GAP * ((x - columns[0]) // wide))
            for y, x in by_detsec
        ]
    tall, wide = max(c.values.shape[0] for c in ccds) + _GAP, max(c.values.shape[1] for c in ccds) + _GAP
    across = max(1, round((len(ccds) * tall / wide) ** 0.5))
    down = -(-len(ccds) // across)
    return [((down - 1 - n // across) * tall, (n % across) * wide) for n in range(len(ccds))]


def _shares(fractions: dict[MaskBit, float]) -> tuple[MaskShare, ...]:
    """Return mask bits with their colours, the most frequent first."""
    ordered = sorted(fractions.items(), key=lambda item: -item[1])
    return tuple(
        MaskShare(bit.name or str(int(bit)), COLOURS.get(bit, (255, 255, 255)), part)
        for bit, part in ordered
        if part
    )
