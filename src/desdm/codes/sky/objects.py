"""Pixels near objects, so that the sky is taken between them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from desdm.codes.sky.blocks import Blocks, sky_blocks
from desdm.survey.compiled import compiled

__all__ = ["sky_between"]

_BIN = 4


@compiled()
def _bright(
    image: npt.NDArray[np.float32],
    bad: npt.NDArray[np.bool_],
    size: int,
    threshold: float,
    out: npt.NDArray[np.bool_],
) -> None:
    """Bins of 4×4 pixels that stand ``threshold`` σ above the median bin of their block.

    σ is that of the block's own bins below their median: where fringes or a ghost's rim make them uneven, their
    crests must not be taken for objects, for that would leave the troughs alone.
    """
    ny, nx = image.shape
    side = size // _BIN
    mean = np.empty(side * side, np.float32)
    for y_block in range(0, out.shape[0], side):
        for x_block in range(0, out.shape[1], side):
            n = 0
            for by in range(y_block, min(y_block + side, out.shape[0])):
                for bx in range(x_block, min(x_block + side, out.shape[1])):
                    count, total = 0, np.float32(0.0)
                    for y in range(by * _BIN, min((by + 1) * _BIN, ny)):
                        for x in range(bx * _BIN, min((bx + 1) * _BIN, nx)):
                            if not bad[y, x]:
                                total += image[y, x]
                                count += 1
                    # A bin of few pixels scatters more; it is left to the statistic of the block.
                    if 2 * count >= _BIN * _BIN:
                        mean[n] = total / count
                        n += 1
            if n < 8:
                continue
            ranked = np.sort(mean[:n])
            middle = ranked[n // 2]
            limit = middle + threshold * (middle - ranked[int(0.1587 * n)])
            n = 0
            for by in range(y_block, min(y_block + side, out.shape[0])):
                for bx in range(x_block, min(x_block + side, out.shape[1])):
                    count = 0
                    for y in range(by * _BIN, min((by + 1) * _BIN, ny)):
                        for x in range(bx * _BIN, min((bx + 1) * _BIN, nx)):
                            if not bad[y, x]:
                                count += 1
                    if 2 * count >= _BIN * _BIN:
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
    if size % _BIN:
        raise ValueError(f"a block of {size} pixels is no multiple of {_BIN}")
    bright = np.zeros((-(-image.shape[0] // _BIN), -(-image.shape[1] // _BIN)), bool)
    _bright(work, np.ascontiguousarray(bad), size, threshold, bright)
    closed = np.empty(bad.shape, bool)
    _spread(bright, reach, bad, closed)
    return sky_blocks(work, closed, size, least=least, statistic=statistic)
