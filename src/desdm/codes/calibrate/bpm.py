"""Bad pixel masks: hot pixels and columns from the bias, low and high response from flats, curved response from a ramp."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import median_filter, zoom

from desdm.pixels.maskbits import MaskBit
from desdm.survey.imageio import Planes

__all__ = ["Limits", "from_bias", "from_flats", "from_ramp", "smooth_background", "variance_of"]

F4 = npt.NDArray[np.float32]
I4 = npt.NDArray[np.int32]
_BAD, _SUSPECT = int(MaskBit.BPM), int(MaskBit.SUSPECT)


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on a pixel is bad.

    Attributes
    ----------
    hot
        ADU above or below its surroundings in the bias.
    hot_column
        The same for a stretch of a column.
    response
        Fraction by which the response to light differs from the surroundings.
    suspect
        The same for pixels that are only marked SUSPECT.
    column
        The same for a stretch of a column (bad, not suspect).
    curved
        Fraction by which the ratio of a faint to a bright flat differs from the surroundings.
    nsigma
        No difference below so many σ of the plane's noise is taken for real.
    stretch
        Rows of a column that are judged together.
    block
        Side of the blocks whose medians are the surroundings, pixels.
    """

    hot: float = 15.0
    hot_column: float = 6.0
    response: float = 0.2
    suspect: float = 0.1
    column: float = 0.03
    curved: float = 0.05
    nsigma: float = 6.0
    stretch: int = 64
    block: int = 32


def smooth_background(image: F4, block: int) -> F4:
    """Medians of blocks, smoothed by a 3 × 3 median and interpolated linearly to every pixel, shape of ``image``."""
    ny, nx = image.shape
    my, mx = max(1, round(ny / block)), max(1, round(nx / block))
    coarse = np.zeros((my, mx))
    rows, columns = np.linspace(0, ny, my + 1).astype(int), np.linspace(0, nx, mx + 1).astype(int)
    overall = float(np.nanmedian(image)) if np.isfinite(image).any() else 0.0
    for j in range(my):
        for i in range(mx):
            part = image[rows[j] : rows[j + 1], columns[i] : columns[i + 1]]
            finite = part[np.isfinite(part)]
            coarse[j, i] = np.median(finite) if finite.size else overall
    coarse = median_filter(coarse, size=3, mode="nearest")
    out: F4 = zoom(coarse.astype(np.float32), (ny / my, nx / mx), order=1, mode="nearest", grid_mode=True)
    return out


def from_bias(bias: F4, variance: F4, limits: Limits) -> I4:
    """Hot (or cold) pixels and columns of a combined bias.

    Parameters
    ----------
    bias
        ADU above the overscan, shape (ny, nx).
    variance
        Of ``bias``, ADU², infinite or NaN where nothing is known: such pixels are bad.
    """
    excess = bias - smooth_background(bias, limits.block)
    sigma = _sigma(variance)
    bits = _over(np.abs(excess), np.maximum(limits.hot, limits.nsigma * sigma), _BAD)
    # The bias has steps from column to column of its own, which the noise of a stretch does not tell.
    bits |= _columns(excess, sigma, limits.hot_column, limits)
    bits[~np.isfinite(bias) | ~np.isfinite(variance)] |= _BAD
    return bits


def from_flats(ratio: F4, variance: F4, limits: Limits) -> I4:
    """Pixels whose response differs from their surroundings'.

    Parameters
    ----------
    ratio
        Flat of one band, or mean of several, any scale, shape (ny, nx).
    variance
        Of ``ratio``; infinite where nothing is known.
    """
    smooth = smooth_background(ratio, limits.block)
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = np.where(smooth > 0, ratio / smooth - 1.0, np.nan).astype(np.float32)
        sigma = (_sigma(variance) / np.maximum(smooth, 1e-6)).astype(np.float32)
    off = np.abs(excess)
    bits = _over(off, np.maximum(limits.suspect, limits.nsigma * sigma), _SUSPECT)
    bits |= _over(off, np.maximum(limits.response, limits.nsigma * sigma), _BAD)
    bits |= _columns(excess, sigma, limits.column, limits)
    bits[~np.isfinite(excess) | ~np.isfinite(variance)] |= _BAD
    bits[(bits & _BAD) > 0] &= ~_SUSPECT
    return bits


def from_ramp(faint: F4, bright: F4, variance: F4, limits: Limits) -> I4:
    """Non-linear pixels: the ratio of a faint to a bright flat differs from the surroundings'.

    Parameters
    ----------
    faint, bright
        Linearised flats of one lamp at a low and a high level, each over its level.
    variance
        Of ``faint / bright``.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        # A dead pixel has no meaningful ratio; its response reveals it.
        ratio = np.where(bright > 0.1, faint / bright, np.nan).astype(np.float32)
    excess = ratio - smooth_background(ratio, limits.block)
    noise = limits.nsigma * _sigma(variance) / np.maximum(bright, 0.1)
    return _over(np.abs(excess), np.maximum(limits.curved, noise), _BAD)


def variance_of(planes: Planes) -> F4:
    """Variance of each pixel; infinite where the weight is 0."""
    out = np.full(planes.shape, np.inf, np.float32)
    np.divide(1.0, planes.wgt, out=out, where=planes.wgt > 0)
    return out


def _sigma(variance: F4) -> F4:
    """Return the square root of variances, 0 where they are not finite."""
    out: F4 = np.sqrt(np.where(np.isfinite(variance), variance, 0.0)).astype(np.float32)
    return out


def _over(values: F4, limit: npt.NDArray[np.floating], bit: int) -> I4:
    """Return ``bit`` where values exceed the limit, else 0."""
    # NaN compares false: what has no value is judged elsewhere.
    return np.where(values > limit, np.int32(bit), np.int32(0)).astype(np.int32)


def _columns(excess: F4, sigma: F4, least: float, limits: Limits) -> I4:
    """Stretches of columns that are off as a whole, though each of their pixels may pass for noise."""
    ny, nx = excess.shape
    bits = np.zeros((ny, nx), np.int32)
    for first in range(0, ny, limits.stretch):
        rows = slice(first, min(first + limits.stretch, ny))
        filled = np.where(np.isfinite(excess[rows]), excess[rows], 0.0)
        middle = np.median(filled, axis=0)
        middle -= median_filter(middle, size=min(15, nx), mode="nearest")
        noise = 1.25 * np.median(sigma[rows], axis=0) / (rows.stop - rows.start) ** 0.5
        off = np.abs(middle) > np.maximum(least, limits.nsigma * noise)
        bits[rows, off] = _BAD
    return bits
