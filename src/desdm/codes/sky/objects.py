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
    level: npt.NDArray[np.float32],
    sigma: npt.NDArray[np.float32],
    size: int,
    threshold: float,
    out: npt.NDArray[np.bool_],
) -> None:
    """Bins of 4×4 pixels that stand ``threshold`` σ of their mean above the sky of their block."""
    ny, nx = image.shape
    for by in range(out.shape[0]):
        for bx in range(out.shape[1]):
            count, total = 0, np.float32(0.0)
            y0, x0 = by * _BIN, bx * _BIN
            for y in range(y0, min(y0 + _BIN, ny)):
                for x in range(x0, min(x0 + _BIN, nx)):
                    if not bad[y, x]:
                        total += image[y, x]
                        count += 1
            here, noise = level[y0 // size, x0 // size], sigma[y0 // size, x0 // size]
            if count:
                out[by, bx] = total - count * here > threshold * noise * np.sqrt(count)


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
    first = sky_blocks(work, bad, size, least=least, statistic=statistic)
    level = np.where(np.isfinite(first.level), first.level, np.float32(np.inf))
    sigma = np.where(np.isfinite(first.sigma), first.sigma, np.float32(1.0))
    bright = np.zeros((-(-image.shape[0] // _BIN), -(-image.shape[1] // _BIN)), bool)
    if size % _BIN:
        raise ValueError(f"a block of {size} pixels is no multiple of {_BIN}")
    _bright(work, bad, level, sigma, size, threshold, bright)
    closed = np.empty(bad.shape, bool)
    _spread(bright, reach, bad, closed)
    return sky_blocks(work, closed, size, least=least, statistic=statistic)
