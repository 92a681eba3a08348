"""Sums of an image's good pixels in square bins."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from desdm.pixels.compiled import compiled

__all__ = ["bin_sums"]


@compiled()
def _add(
    image: npt.NDArray[np.float32],
    bad: npt.NDArray[np.bool_],
    size: int,
    total: npt.NDArray[np.float64],
    count: npt.NDArray[np.int32],
) -> None:
    """Add good pixels to the sums and counts of their blocks."""
    nx = total.shape[1] * size
    line, many = np.empty(nx, np.float64), np.empty(nx, np.int32)
    for by in range(total.shape[0]):
        # Down the columns first: those loops run straight on, and few steps are left for the uneven ones.
        line[:] = 0.0
        many[:] = 0
        for y in range(by * size, (by + 1) * size):
            values, closed = image[y], bad[y]
            for x in range(nx):
                line[x] += np.float64(np.float32(0.0) if closed[x] else values[x])
                many[x] += np.int32(0) if closed[x] else np.int32(1)
        for bx in range(total.shape[1]):
            a, n = 0.0, 0
            for x in range(bx * size, (bx + 1) * size):
                a += line[x]
                n += many[x]
            total[by, bx], count[by, bx] = a, n


def bin_sums(
    image: npt.NDArray[np.float32], bad: npt.NDArray[np.bool_], size: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]]:
    """Sum and number of the good pixels in bins of ``size`` × ``size``; a rest at the upper edges is left out.

    Parameters
    ----------
    image
        (ny, nx).
    bad
        (ny, nx), true where a pixel does not count.

    Returns
    -------
    numpy.ndarray, numpy.ndarray
        Sums and numbers, (ny // size, nx // size).
    """
    shape = (image.shape[0] // size, image.shape[1] // size)
    total, count = np.zeros(shape, np.float64), np.zeros(shape, np.int32)
    _add(np.asarray(image, np.float32), bad, size, total, count)
    return total, count
