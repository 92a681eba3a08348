"""The loop that takes many records out of a map, compiled; few are taken without it, for its compiler loads slowly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from desdm.pixels.compiled import compiled

__all__ = ["gather"]

Longs = npt.NDArray[np.int64]
#: What HealSparse writes where nothing is known is far below.
_UNSEEN = -1e30


@compiled()
def gather(
    table: npt.NDArray[np.uint8], index: Longs, shift: int, pixels: Longs, depth: npt.NDArray[np.uint32],
    nexp: npt.NDArray[np.uint16], fraction: npt.NDArray[np.uint32], depth_value: npt.NDArray[np.float32],
    fraction_value: npt.NDArray[np.float32],
) -> None:  # fmt: skip
    """Take big-endian records of 10 bytes; ``depth`` and ``depth_value`` are two views of one array."""
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
