"""Pixels near objects, so that the sky is taken between them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from desdm.codes.sky.blocks import Blocks, sky_blocks
from desdm.pixels.bins import bin_sums
from desdm.pixels.compiled import compiled

__all__ = ["object_pixels", "sky_between"]

_BIN = 4


@compiled()
def _bright(
    total: npt.NDArray[np.float64],
    count: npt.NDArray[np.int32],
    side: int,
    threshold: float,
    out: npt.NDArray[np.bool_],
) -> None:
    """Which bins stand ``threshold`` σ above the median bin of their block of ``side`` bins.

    ``total`` and ``count`` are the sums and numbers of the bins' good pixels.

    σ is that of the block's own bins below their median: where fringes or a ghost's rim make them uneven, their
    crests must not be taken for objects, for that would leave the troughs alone.
    """
    mean = np.empty(side * side, np.float32)
    for y_block in range(0, out.shape[0], side):
        for x_block in range(0, out.shape[1], side):
            n = 0
            for by in range(y_block, min(y_block + side, out.shape[0])):
                for bx in range(x_block, min(x_block + side, out.shape[1])):
                    # A bin of few pixels scatters more; it is left to the statistic of the block.
                    if 2 * count[by, bx] >= _BIN * _BIN:
                        mean[n] = total[by, bx] / count[by, bx]
                        n += 1
            if n < 8:
                continue
            ranked = np.sort(mean[:n])
            middle = ranked[n // 2]
            limit = middle + threshold * (middle - ranked[int(0.1587 * n)])
            n = 0
            for by in range(y_block, min(y_block + side, out.shape[0])):
                for bx in range(x_block, min(x_block + side, out.shape[1])):
                    if 2 * count[by, bx] >= _BIN * _BIN:
                        out[by, bx] = mean[n] > limit
                        n += 1


@compiled()
def _spread(
    bright: npt.NDArray[np.bool_], reach: int, bad: npt.NDArray[np.bool_], out: npt.NDArray[np.bool_]
) -> None:
    """``out``: ``bad`` or within ``reach`` bins of a bright one."""
    ny, nx = out.shape
    out[:] = bad
    for by in range(bright.shape[0]):
        for bx in range(bright.shape[1]):
            if not bright[by, bx]:
                continue
            for y in range(max((by - reach) * _BIN, 0), min((by + reach + 1) * _BIN, ny)):
                for x in range(max((bx - reach) * _BIN, 0), min((bx + reach + 1) * _BIN, nx)):
                    out[y, x] = True


def _whole_bins(
    image: npt.NDArray[np.float32], bad: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """The image with pixels that do not count at its upper edges, so that its size is a multiple of a bin's."""
    rest = [(0, -n % _BIN) for n in image.shape]
    if not any(more for _, more in rest):
        return image, bad
    return np.pad(image, rest), np.pad(bad, rest, constant_values=True)


def object_pixels(
    image: npt.NDArray[np.float32],
    bad: npt.NDArray[np.bool_],
    size: int,
    *,
    threshold: float = 3.0,
    reach: int = 2,
) -> npt.NDArray[np.bool_]:
    """Pixels that are bad or near an object that 4×4-pixel means show.

    Parameters
    ----------
    image
        (ny, nx), any unit.
    bad
        (ny, nx) true where a pixel is left out.
    size
        Pixels a side of the blocks whose own median and scatter an object stands above.
    threshold
        σ of the mean of 4×4 pixels at which they belong to an object.
    reach
        Bins of 4 pixels around that belong to it too.

    Returns
    -------
    array
        (ny, nx).
    """
    if size % _BIN:
        raise ValueError(f"a block of {size} pixels is not a multiple of {_BIN}")
    total, count = bin_sums(*_whole_bins(image, bad), _BIN)
    bright = np.zeros(total.shape, bool)
    _bright(total, count, size // _BIN, threshold, bright)
    closed = np.empty(bad.shape, bool)
    _spread(bright, reach, bad, closed)
    return closed


def sky_between(
    image: npt.NDArray[np.float32],
    bad: npt.NDArray[np.bool_],
    size: int,
    *,
    threshold: float = 3.0,
    reach: int = 2,
    least: float = 0.15,
    statistic: str = "median",
) -> Blocks:
    """Sky level in blocks, between the objects that 4×4-pixel means show; parameters as of `sky_blocks`.

    Parameters
    ----------
    threshold
        σ of the mean of 4×4 pixels at which they belong to an object.
    reach
        Bins of 4 pixels around that are left out too.

    Returns
    -------
    Blocks
        As of `sky_blocks`; a block that objects fill keeps NaN.
    """
    work = np.ascontiguousarray(image, np.float32)
    closed = object_pixels(work, bad, size, threshold=threshold, reach=reach)
    return sky_blocks(work, closed, size, least=least, statistic=statistic)
