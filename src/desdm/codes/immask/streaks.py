"""Satellite streaks in one CCD: detection in the binned image, measurement and mask in the pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from desdm.codes.immask.profile import Profile, straighten, tune
from desdm.codes.immask.radon import Line, strongest_line
from desdm.pixels.bins import bin_sums

__all__ = ["Streak", "StreakLimits", "find_streaks", "mask_streak", "measure_streak"]

Image = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class StreakLimits:
    """Thresholds of the search.

    Attributes
    ----------
    binning
        Side of a block, pixels.
    detect_snr
        Least S/N of the whole line.
    confirm_snr
        Least S/N of the median of the line's pieces against their surroundings.
    uniform_fraction
        Least fraction of the pieces that are about equally bright; a row of stars has neither.
    max_sigma
        Largest Gaussian width, pixels; a near satellite is out of focus by some 2 arcsec.
    mask_level
        Pixels are masked where the streak's light exceeds this fraction of the sky's σ.
    max_streaks
        Largest number of streaks.
    min_length
        Least length, pixels.
    """

    binning: int = 4
    detect_snr: float = 8.0
    confirm_snr: float = 7.5
    uniform_fraction: float = 0.6
    max_sigma: float = 4.0
    mask_level: float = 0.5
    max_streaks: int = 8
    min_length: float = 150.0


@dataclass(frozen=True, slots=True)
class Streak:
    """One streak in one CCD: ends (x, y) in pixels from 0, ``half`` the masked half width in pixels.

    ``peak``: electrons a pixel on the crest; ``sigma``: Gaussian width in pixels; ``snr`` of the whole.
    """

    x1: float
    y1: float
    x2: float
    y2: float
    half: float
    peak: float
    sigma: float
    snr: float

    @property
    def length(self) -> float:
        """In pixels."""
        return float(np.hypot(self.x2 - self.x1, self.y2 - self.y1))


def block_snr(image: Image, bad: Flags, noise: float, size: int) -> tuple[Image, Flags]:
    """Return the S/N of blocks of ``size``² pixels above their surroundings, and the valid blocks.

    Parameters
    ----------
    image
        (ny, nx) counts over the sky.
    bad
        (ny, nx) true where a pixel is left out.
    noise
        Standard deviation of a sky pixel, in the unit of the image.
    size
        Side of a block, pixels.

    Returns
    -------
    tuple of numpy.ndarray
        S/N of the blocks, and true where at least half of a block's pixels are good.
    """
    sums, numbers = bin_sums(image, bad, size)
    total, count = sums.astype(np.float32), numbers.astype(np.float32)
    valid = count >= size * size / 2
    mean = np.where(valid, total / np.maximum(count, 1), 0.0)
    mean = mean - _background(mean, valid, 16)
    snr = np.where(valid, mean * np.sqrt(np.maximum(count, 1)) / noise, 0.0)
    scatter = 1.4826 * np.median(np.abs(snr[valid])) if valid.any() else 1.0
    return (snr / max(scatter, 1e-6)).astype(np.float32), valid


def _background(mean: npt.NDArray[np.float64], valid: Flags, size: int) -> npt.NDArray[np.float64]:
    """Return the median of each block of ``size``² values, which a streak hardly changes."""
    ny, nx = mean.shape
    pad = ((0, -ny % size), (0, -nx % size))
    full = np.pad(np.where(valid, mean, np.nan), pad, constant_values=np.nan)
    rows, columns = full.shape[0] // size, full.shape[1] // size
    blocks = full.reshape(rows, size, columns, size).transpose(0, 2, 1, 3).reshape(rows, columns, -1)
    empty = np.isnan(blocks).all(axis=2)
    blocks[empty] = 0.0
    middle = np.nanmedian(blocks, axis=2)
    return np.asarray(np.repeat(np.repeat(middle, size, 0), size, 1)[:ny, :nx])


def compact_source_mask(snr: Image, level: float = 4.0) -> Flags:
    """Return the blocks of stars and galaxies: connected bright blocks that are not elongated."""
    labels, count = ndimage.label(snr > level, structure=np.ones((3, 3), bool))
    if count == 0:
        return np.zeros(snr.shape, bool)
    y, x = np.nonzero(labels)
    k = labels[y, x]
    n = np.bincount(k, minlength=count + 1).astype(float)
    n[0] = 1.0

    def mean(v: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(np.bincount(k, v, minlength=count + 1) / n)

    my, mx = mean(y.astype(float)), mean(x.astype(float))
    dy, dx = y - my[k], x - mx[k]
    yy, xx, xy = mean(dy * dy) + 1 / 12, mean(dx * dx) + 1 / 12, mean(dx * dy)
    root = np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    long, short = (xx + yy) / 2 + root, np.maximum((xx + yy) / 2 - root, 1e-3)
    # Twice as long as wide: a streak, or a piece of one that noise has cut. Edge-on galaxies pass too; they are few.
    line = (long > 4.0 * short) & (n >= 5)
    # Streaks that cross fill little of their common ellipse, an object nearly all of it.
    line |= (long > 64.0) & (n < 0.15 * 4.0 * np.pi * np.sqrt(long * short))
    line[0] = True
    return np.asarray(ndimage.binary_dilation(~line[labels], structure=np.ones((3, 3), bool)))


def find_streaks(image: Image, bad: Flags, noise: float, limits: StreakLimits | None = None) -> list[Streak]:
    """Return the streaks of one CCD, the most significant first.

    Parameters
    ----------
    image
        (ny, nx) electrons, sky subtracted.
    bad
        (ny, nx) true where a pixel is masked.
    noise
        σ of one pixel's sky in electrons.
    limits
        Thresholds; None for the defaults.

    Returns
    -------
    list of Streak
        At most ``limits.max_streaks``.
    """
    limits = limits or StreakLimits()
    size = limits.binning
    snr, valid = block_snr(image, bad, noise, size)
    valid &= ~compact_source_mask(snr)
    # A star that was left may count for little more than noise; a bright streak still adds up over its whole length.
    snr = np.clip(snr, -4.0, 4.0)
    streaks: list[Streak] = []
    for _ in range(2 * limits.max_streaks):
        line = strongest_line(snr, valid, limits.min_length / size / 1.5)
        if line is None or line.snr < limits.detect_snr or len(streaks) == limits.max_streaks:
            break
        middle = (size - 1) / 2.0
        ends = (
            line.x1 * size + middle,
            line.y1 * size + middle,
            line.x2 * size + middle,
            line.y2 * size + middle,
        )
        streak = measure_streak(image, bad, noise, ends, limits, reach=2.0 * size)
        if streak is not None:
            streaks.append(streak)
        _exclude_line(snr, valid, line, 2.0 if streak is None else max(streak.half / size, 1.0) + 1.5)
    return streaks


def _exclude_line(snr: Image, valid: Flags, line: Line, width: float) -> None:
    """Mark the blocks of a line as invalid."""
    yy, xx = np.ogrid[: snr.shape[0], : snr.shape[1]]
    length = max(np.hypot(line.x2 - line.x1, line.y2 - line.y1), 1e-6)
    ux, uy = (line.x2 - line.x1) / length, (line.y2 - line.y1) / length
    across = (yy - line.y1) * ux - (xx - line.x1) * uy
    valid &= np.abs(across) > width


def measure_streak(
    image: Image,
    bad: Flags,
    noise: float,
    ends: tuple[float, float, float, float],
    limits: StreakLimits,
    *,
    reach: float,
    min_snr: float | None = None,
) -> Streak | None:
    """Measure a streak near a line.

    Parameters
    ----------
    image
        (ny, nx) electrons, sky subtracted.
    bad
        (ny, nx) true where a pixel is masked.
    noise
        σ of one pixel's sky in electrons.
    ends
        x1, y1, x2, y2 in pixels from 0.
    limits
        Thresholds.
    reach
        Uncertainty of the position at both ends, pixels.
    min_snr
        Least S/N instead of ``limits.confirm_snr``; smaller if another CCD has detected the streak.

    Returns
    -------
    Streak or None
        None if nothing is significant, or only few pieces of the line are.
    """
    strip = straighten(image, bad, noise, ends, reach + 16.0)
    if strip is None:
        return None
    tuned: Profile | None = tune(strip, reach)
    if tuned is None or tuned.middle_snr < (limits.confirm_snr if min_snr is None else min_snr):
        return None
    if tuned.even < limits.uniform_fraction or tuned.sigma > limits.max_sigma:
        return None
    # Nothing of a fainter one would be masked. Fringes that no template took away are straight over some hundred
    # pixels, but faint; where another CCD has detected the streak, half of its light suffices.
    if tuned.peak < limits.mask_level * noise * (1.0 if min_snr is None else 0.5):
        return None
    half = tuned.sigma * np.sqrt(2.0 * np.log(max(tuned.peak / (limits.mask_level * noise), 1.0 + 1e-9)))
    half = float(np.clip(half, tuned.sigma, reach + 14.0))
    x1, y1, x2, y2 = tuned.ends
    streak = Streak(x1, y1, x2, y2, half, tuned.peak, tuned.sigma, tuned.snr)
    if streak.length < limits.min_length and min_snr is None:
        return None
    return _to_border(streak, image.shape, strip.step)


def _to_border(streak: Streak, shape: tuple[int, ...], near: float) -> Streak:
    """Extend a streak that ends within two pieces of the CCD's border beyond it."""
    ux, uy = (streak.x2 - streak.x1) / streak.length, (streak.y2 - streak.y1) / streak.length

    def extend(x: float, y: float, sx: float, sy: float) -> tuple[float, float]:
        to_x = (shape[1] - 1 - x) / sx if sx > 0 else -x / sx if sx < 0 else np.inf
        to_y = (shape[0] - 1 - y) / sy if sy > 0 else -y / sy if sy < 0 else np.inf
        left = min(to_x, to_y)
        # The strip has width: its corners leave the CCD later than its axis.
        more = left + 4.0 * streak.half + 2.0 if left <= 2.5 * near + streak.half else 0.0
        return x + more * sx, y + more * sy

    x1, y1 = extend(streak.x1, streak.y1, -ux, -uy)
    x2, y2 = extend(streak.x2, streak.y2, ux, uy)
    return replace(streak, x1=x1, y1=y1, x2=x2, y2=y2)


def mask_streak(shape: tuple[int, int], streak: Streak) -> Flags:
    """Return the mask of a streak: true within ``half`` pixels of the axis, between the ends."""
    out = np.zeros(shape, bool)
    ux, uy = (streak.x2 - streak.x1) / streak.length, (streak.y2 - streak.y1) / streak.length
    y0 = max(int(min(streak.y1, streak.y2) - streak.half - 1), 0)
    y1 = min(int(max(streak.y1, streak.y2) + streak.half + 2), shape[0])
    x0 = max(int(min(streak.x1, streak.x2) - streak.half - 1), 0)
    x1 = min(int(max(streak.x1, streak.x2) + streak.half + 2), shape[1])
    if y0 >= y1 or x0 >= x1:
        return out
    yy, xx = np.ogrid[y0:y1, x0:x1]
    across = (yy - streak.y1) * ux - (xx - streak.x1) * uy
    along = (xx - streak.x1) * ux + (yy - streak.y1) * uy
    out[y0:y1, x0:x1] = (np.abs(across) <= streak.half) & (along >= 0) & (along <= streak.length)
    return out
