"""Pixels without a value: BLANK in stored integers, ZBLANK in quantised floats, NaN in floats (FITS 4.0, 4.4.2.5 and 10.2).

Every reader of pixels asks this module which pixels are missing, so that all give the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from desdm.pixels.maskbits import MaskBit

__all__ = ["NULL", "Blank", "Keywords", "blank_of", "null_of", "scaled", "scaling_of", "valued"]

#: The integer that our writer, and cfitsio, give a quantised float without a value.
NULL = -2147483647


class Keywords(Protocol):
    """A header: `cards.Header`, astropy's, or a dictionary."""

    def get(self, key: str, /) -> Any:
        """Value of a keyword, or None."""


@dataclass(frozen=True, slots=True)
class Blank:
    """The integer that stands for "no value" in an image, as it is stored: before BSCALE and BZERO (FITS 4.0, 4.4.2.5).

    It is looked for among the stored integers: scaled ones may lie closer than a float can tell apart.
    """

    stored: int

    def missing(self, stored: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
        """Where stored integers have no value."""
        limits = np.iinfo(stored.dtype)
        if not limits.min <= self.stored <= limits.max:
            return np.zeros(stored.shape, np.bool_)
        return np.asarray(stored == stored.dtype.type(self.stored))


def scaling_of(header: Keywords) -> tuple[float, float]:
    """(BSCALE, BZERO) of an image, 1 and 0 where the header lacks them."""
    scale, zero = _number(header.get("BSCALE")), _number(header.get("BZERO"))
    return 1.0 if scale is None else scale, 0.0 if zero is None else zero


def blank_of(header: Keywords, bitpix: int) -> Blank | None:
    """The integer that stands for "no value" in an image of integers.

    Parameters
    ----------
    header
        Of the image; of a tile-compressed one the header of its table.
    bitpix
        BITPIX of the image (of a tile-compressed one ZBITPIX).

    Returns
    -------
    Blank or None
        None if the header names none, if what it says is not an integer, or if the pixels are floats, whose missing values
        are NaN. A compressed image may say ZBLANK instead of BLANK.
    """
    if bitpix < 0:
        return None
    for key in ("BLANK", "ZBLANK"):
        value = header.get(key)
        number = int(value) if _integral(value) else None
        if number is not None:
            return Blank(number)
    return None


def null_of(header: Keywords) -> int:
    """The integer that stands for "no value" in a quantised image of floats, unless a column ZBLANK tells it by tile."""
    value = header.get("ZBLANK")
    return int(value) if _integral(value) else NULL


def _integral(value: object) -> bool:
    """Tell whether a header value is a whole number."""
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


def _number(value: object) -> float | None:
    """Return a header value as a float; None if it is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def scaled(stored: npt.NDArray[Any], scale: float, zero: float) -> npt.NDArray[np.number]:
    """Stored pixels as values: BSCALE and BZERO applied (FITS 4.0, 4.4.2.5).

    Parameters
    ----------
    stored
        Pixels as they are stored, in native byte order.
    scale, zero
        BSCALE and BZERO. Whole numbers keep integers integers; otherwise 8 and 16 bits become float32, others float64.
    """
    if (scale, zero) == (1.0, 0.0):
        return stored
    if stored.dtype.kind == "f":
        return (stored.astype(np.float64) * scale + zero).astype(stored.dtype)
    whole = scale == int(scale) and zero == int(zero)
    if whole and stored.dtype.itemsize <= 2 and abs(scale) < 2**14 and abs(zero) < 2**30:
        return stored.astype(np.int32) * np.int32(scale) + np.int32(zero)
    if whole and stored.dtype.itemsize <= 4 and abs(scale) < 2**30 and abs(zero) < 2**61:
        return stored.astype(np.int64) * np.int64(scale) + np.int64(zero)
    if (scale, zero) == (1.0, 2.0**63):
        return stored.view(np.uint64) ^ np.uint64(1 << 63)
    values = stored.astype(np.float64) * scale + zero
    return values.astype(np.float32) if stored.dtype.itemsize <= 2 else values


def valued(
    values: npt.NDArray[Any], missing: npt.NDArray[np.bool_], *, mask: bool = False
) -> npt.NDArray[Any]:
    """Pixels whose missing ones can be recognised without the header.

    Parameters
    ----------
    values
        Integers or floats.
    missing
        Where they have no value.
    mask
        They are bits of the survey's mask: a pixel of unknown state is bad (BPM).

    Returns
    -------
    numpy.ndarray
        Floats with NaN (float32 for 8 and 16 bits, else float64); mask bits as int32.
    """
    if mask:
        return np.where(missing, np.int32(MaskBit.BPM), values.astype(np.int32))
    if values.dtype.kind != "f":
        values = values.astype(np.float32 if values.dtype.itemsize <= 2 else np.float64)
    return np.where(missing, values.dtype.type(np.nan), values)
