"""Colours of mask bits, and where an image's mask is: in its own file, or in a file beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.pixels.maskbits import MaskBit, from_cp_codes
from desdm.survey.images import _is_coded
from desdm.survey.keywords import Keywords, text_of

__all__ = ["COLOURS", "PRIORITY", "beside", "is_mask", "names_of_mask", "translator"]

#: From an HDU's pixels to the survey's bits.
Translate: TypeAlias = Callable[[npt.NDArray[Any]], npt.NDArray[np.int32]]

#: Bit → colour, by what happened to the pixel: reds for charge, blues for the detector, greens for what was mended.
COLOURS: dict[MaskBit, tuple[int, int, int]] = {
    MaskBit.BPM: (86, 156, 255),
    MaskBit.SATURATE: (255, 59, 59),
    MaskBit.INTERP: (64, 205, 110),
    MaskBit.BADAMP: (70, 92, 230),
    MaskBit.CRAY: (255, 222, 60),
    MaskBit.STAR: (205, 110, 255),
    MaskBit.TRAIL: (255, 140, 40),
    MaskBit.EDGEBLEED: (190, 70, 20),
    MaskBit.SSXTALK: (150, 120, 220),
    MaskBit.EDGE: (60, 120, 150),
    MaskBit.STREAK: (255, 95, 200),
    MaskBit.SUSPECT: (185, 150, 110),
    MaskBit.FIXED: (20, 190, 175),
    MaskBit.NEAREDGE: (110, 165, 190),
    MaskBit.TAPEBUMP: (120, 110, 90),
}
#: Which colour a pixel with several bits gets: the cause before what was done about it.
PRIORITY: tuple[MaskBit, ...] = (
    MaskBit.TRAIL,
    MaskBit.SATURATE,
    MaskBit.EDGEBLEED,
    MaskBit.STREAK,
    MaskBit.CRAY,
    MaskBit.STAR,
    MaskBit.BADAMP,
    MaskBit.BPM,
    MaskBit.SSXTALK,
    MaskBit.SUSPECT,
    MaskBit.TAPEBUMP,
    MaskBit.FIXED,
    MaskBit.INTERP,
    MaskBit.EDGE,
    MaskBit.NEAREDGE,
)

_IMAGE = re.compile(r"(?P<head>.+_oo)i(?P<tail>_.+?\.fits?)(?:\.fz)?(?:\.gz)?")
_MASK = re.compile(r".+_ood_.+\.fits?(?:\.fz)?(?:\.gz)?")


def names_of_mask(name: str) -> Iterator[str]:
    """Names that the mask of a Community Pipeline image may have: its own with ``d`` for ``i``, packed or not."""
    match = _IMAGE.fullmatch(name)
    if match:
        for suffix in ("", ".fz", ".gz", ".fz.gz"):
            yield f"{match['head']}d{match['tail']}{suffix}"


def beside(path: Path) -> Path | None:
    """The mask file in an image's own directory, if it is there."""
    return next((path.with_name(n) for n in names_of_mask(path.name) if path.with_name(n).is_file()), None)


def is_mask(path: Path, extension: str, cards: Keywords) -> bool:
    """Whether an HDU is a mask: by its name, its file's name or what the Community Pipeline says of it.

    Parameters
    ----------
    path
        Path of the file.
    extension
        Name of the HDU.
    cards
        Its header.
    """
    return (
        extension.upper() == "MSK"
        or _MASK.fullmatch(path.name) is not None
        or text_of(cards, "PRODTYPE").strip() == "dqmask"
    )


def translator(extension: str, cards: Keywords) -> Translate:
    """A function from an HDU's pixels to the survey's bits: a MSK plane has them, the Community Pipeline codes."""
    if extension.upper() == "MSK":
        return _as_bits
    version = fits.Header()
    if (plver := cards.get("PLVER")) is not None:
        version["PLVER"] = str(plver)
    return from_cp_codes if _is_coded(version) else _any_bad


def _as_bits(pixels: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Return mask pixels as 32-bit integers."""
    bits: npt.NDArray[np.int32] = np.asarray(pixels).astype(np.int32)
    return bits


def _any_bad(pixels: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Return bit 1 for every pixel whose code is not 0."""
    bits: npt.NDArray[np.int32] = (np.asarray(pixels) != 0).astype(np.int32)
    return bits
