"""Sky level in square blocks of one CCD: each block's median or mode, in one pass over its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from desdm.pixels.compiled import compiled

__all__ = ["Blocks", "centres", "sky_blocks"]

_BINS = 512


@dataclass(frozen=True, slots=True)
class Blocks:
    """Block values of one CCD, shape (ceil(ny/size), ceil(nx/size)); the last row and column may be narrower.

    ``level`` in the image's units, NaN where too few pixels are good; ``sigma`` of one pixel, from the side of the
    distribution below the median, which objects do not reach; ``good`` fraction of pixels used.
    """

    level: npt.NDArray[np.float32]
    sigma: npt.NDArray[np.float32]
    good: npt.NDArray[np.float32]
    size: int


def centres(length: int, size: int) -> npt.NDArray[np.float64]:
    """Centres of the blocks along an axis of ``length`` pixels, in pixels from 0."""
    first = np.arange(0, length, size)
    return (first + np.minimum(first + size, length) - 1) / 2.0


@compiled()
def _quantile(bins: npt.NDArray[np.int64], below: int, rank: float) -> float:
    """Place, in bins from 0, of a rank in a histogram that ``below`` values lie under."""
    cumulative = float(below)
    for k in range(bins.size):
        if cumulative + bins[k] > rank:
            part: float = k + (rank - cumulative) / bins[k]
            return part
        cumulative += bins[k]
    return float(bins.size)


@compiled()
def _mode(bins: npt.NDArray[np.int64], middle: float, sigma: float) -> float:
    """Mode by Pearson's relation with SExtractor's factors, 2.5 median - 1.5 mean, of what lies within 3 σ; in bins."""
    for _ in range(6):
        low = max(int(middle - 3.0 * sigma), 0)
        high = min(int(middle + 3.0 * sigma) + 1, bins.size)
        count, total = 0, 0.0
        for k in range(low, high):
            count += bins[k]
            total += bins[k] * (k + 0.5)
        if count == 0:
            return middle
        mean = total / count
        new = low + _quantile(bins[low:high], 0, count / 2.0)
        if abs(new - middle) < 1e-3 * sigma:
            middle = new
            break
        middle = new
    if abs(mean - middle) > 0.3 * sigma:
        return middle
    return 2.5 * middle - 1.5 * mean


@compiled()
def _levels(
    image: npt.NDArray[np.float32],
    bad: npt.NDArray[np.bool_],
    size: int,
    least: float,
    mode: bool,
    level: npt.NDArray[np.float32],
    sigma: npt.NDArray[np.float32],
    good: npt.NDArray[np.float32],
) -> None:
    """Set level and scatter of the sky in each block; NaN with too few good pixels."""
    ny, nx = image.shape
    sample = np.empty(1024 + size, np.float32)
    bins = np.zeros(_BINS, np.int64)
    for by in range(level.shape[0]):
        y0, y1 = by * size, min((by + 1) * size, ny)
        for bx in range(level.shape[1]):
            x0, x1 = bx * size, min((bx + 1) * size, nx)
            step = max((y1 - y0) * (x1 - x0) // 1024, 1)
            n, k = 0, 0
            for y in range(y0, y1):
                # A stride that does not go with the width visits all columns.
                x = x0 + (k % step)
                while x < x1:
                    if not bad[y, x] and n < sample.size:
                        sample[n] = image[y, x]
                        n += 1
                    x += step
                k += 7
            if n < 8:
                continue
            part = np.sort(sample[:n])
            m0 = part[n // 2]
            s0 = max(m0 - part[int(0.1587 * n)], np.float32(1e-6) + abs(m0) * np.float32(1e-6))
            # 512 bins over ±4 σ: interpolation within one is good to some 1e-4 σ.
            start = m0 - np.float32(4.0) * s0
            scale = np.float32(_BINS / 8.0) / s0
            bins[:] = 0
            below, count = 0, 0
            for y in range(y0, y1):
                for x in range(x0, x1):
                    if bad[y, x]:
                        continue
                    count += 1
                    at = (image[y, x] - start) * scale
                    if at < 0.0:
                        below += 1
                    elif at < _BINS:
                        bins[int(at)] += 1
            good[by, bx] = count / ((y1 - y0) * (x1 - x0))
            if good[by, bx] < least:
                continue
            middle = _quantile(bins, below, 0.5 * count)
            wide = middle - _quantile(bins, below, 0.1587 * count)
            sigma[by, bx] = wide / scale
            level[by, bx] = start + (_mode(bins, middle, wide) if mode else middle) / scale


def sky_blocks(
    image: npt.NDArray[np.float32],
    bad: npt.NDArray[np.bool_],
    size: int,
    *,
    least: float = 0.25,
    statistic: str = "mode",
) -> Blocks:
    """Sky level in blocks of ``size`` × ``size`` pixels.

    Parameters
    ----------
    image
        (ny, nx), any unit.
    bad
        (ny, nx) true where a pixel is left out.
    least
        Fraction of a block's pixels that must be good.
    statistic
        ``median``, DESDM's own; or ``mode``, which the faint objects of the block move less.

    Returns
    -------
    Blocks
        Levels, scatter and good fraction.
    """
    if statistic not in ("median", "mode"):
        raise ValueError(f"statistic {statistic!r}: median or mode")
    ny, nx = image.shape
    shape = (-(-ny // size), -(-nx // size))
    level, sigma = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float32)
    good = np.zeros(shape, np.float32)
    work = np.ascontiguousarray(image, np.float32)
    _levels(work, np.ascontiguousarray(bad), size, least, statistic == "mode", level, sigma, good)
    return Blocks(level, sigma, good, size)
