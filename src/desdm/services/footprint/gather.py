"""Compiled look-up of many records of a map; few are looked up without it, since the compiler loads slowly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from desdm.pixels.compiled import compiled

__all__ = ["gather"]

Longs = npt.NDArray[np.int64]
#: HealSparse's value of empty cells is far below.
_UNSEEN = -1e30


@compiled()
def gather(
    table: npt.NDArray[np.uint8],
    index: Longs,
    shift: int,
    pixels: Longs,
    depth: npt.NDArray[np.uint32],
    nexp: npt.NDArray[np.uint16],
    fraction: npt.NDArray[np.uint32],
    depth_value: npt.NDArray[np.float32],
    fraction_value: npt.NDArray[np.float32],
) -> None:
    """Copy big-endian records of 10 bytes (depth, nexp, fraction) of many cells.

    Parameters
    ----------
    table
        Bytes of the records.
    index
        Offset of each coverage pixel's records.
    shift
        Bits from a cell number to its coverage pixel.
    pixels
        (n,) cells; -1: no position.
    depth, nexp, fraction
        (n,) outputs, as unsigned integers.
    depth_value, fraction_value
        (n,) the same memory as ``depth`` and ``fraction``, as floats.
    """
    for i in range(pixels.size):
        pixel = pixels[i]
        if pixel >= 0:
            o = (index[pixel >> shift] + pixel) * 10
            depth[i] = (
                (np.uint32(table[o]) << 24)
                | (np.uint32(table[o + 1]) << 16)
                | (np.uint32(table[o + 2]) << 8)
                | np.uint32(table[o + 3])
            )
            nexp[i] = (np.uint16(table[o + 4]) << 8) | np.uint16(table[o + 5])
            fraction[i] = (
                (np.uint32(table[o + 6]) << 24)
                | (np.uint32(table[o + 7]) << 16)
                | (np.uint32(table[o + 8]) << 8)
                | np.uint32(table[o + 9])
            )
        if pixel < 0 or not depth_value[i] > _UNSEEN:
            depth_value[i] = np.nan
            nexp[i] = 0
            fraction_value[i] = 0.0
