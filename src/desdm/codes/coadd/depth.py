"""How deep a coadd is: noise of empty apertures, from the weights and measured on the image itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from desdm.survey.images import Planes

__all__ = ["Depth", "aperture", "catalogue_depth", "measure"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Depth:
    """Depth of one band: magnitudes at S/N 10 in a 2″ aperture, and what they stand on.

    ``snr10`` counts the correlation of pixels (``correlation``: measured aperture noise over that of independent pixels);
    ``snr10_p10`` and ``snr10_p90`` are the 10th and 90th percentile over the area; ``area`` in square arcmin with weight.
    """

    snr10: float
    snr10_p10: float
    snr10_p90: float
    correlation: float
    apertures: int
    area: float

    def facts(self) -> dict[str, float]:
        """As plain numbers for JSON."""
        return {k: float(v) for k, v in asdict(self).items()}


def aperture(pixscale: float) -> Array:
    """Part of each pixel that lies in an aperture of 2″ across, (n, n), n odd; ``pixscale`` in arcsec."""
    radius = 1.0 / pixscale
    half = int(np.ceil(radius))
    dy, dx = np.mgrid[-half : half + 1, -half : half + 1]
    return np.asarray(np.clip(radius + 0.5 - np.hypot(dx, dy), 0.0, 1.0))


def measure(
    planes: Planes, zero: float, pixscale: float, sources: tuple[Array, Array], seed: int = 1
) -> Depth:
    """Depth of a coadd.

    Parameters
    ----------
    planes
        The coadd; SCI background-subtracted.
    zero
        AB magnitude of one count.
    pixscale
        Arcsec.
    sources
        FITS pixel positions of detected objects; apertures keep 3.5″ away from them.
    seed
        Places of the apertures.
    """
    kernel = aperture(pixscale)
    half = kernel.shape[0] // 2
    npix = float(kernel.sum())
    weight = planes.wgt.astype(np.float64)
    good = (weight > 0) & ((planes.msk & ~4) == 0)
    ratio, count = _apertures(planes, good, kernel, half, sources, 3.5 / pixscale, seed)
    # The lower floor keeps a handful of apertures from promising a depth beyond independent pixels.
    correlation = max(ratio, 1.0) if count >= 20 else 1.0
    noise = np.sqrt(npix / weight[good]) * correlation if good.any() else np.array([np.inf])
    middle, low, high = (zero - 2.5 * np.log10(10.0 * np.percentile(noise, p)) for p in (50, 90, 10))
    area = float(good.sum()) * (pixscale / 60.0) ** 2
    return Depth(float(middle), float(low), float(high), correlation, count, area)


def _apertures(
    planes: Planes,
    good: npt.NDArray[np.bool_],
    kernel: Array,
    half: int,
    sources: tuple[Array, Array],
    clear: float,
    seed: int,
) -> tuple[float, int]:
    """Scatter of empty apertures over their expected noise, and their number."""
    from scipy.ndimage import uniform_filter
    from scipy.spatial import cKDTree

    ny, nx = planes.shape
    rng = np.random.Generator(np.random.Philox(seed))
    x = rng.integers(half, max(nx - half, half + 1), 3000)
    y = rng.integers(half, max(ny - half, half + 1), 3000)
    whole = uniform_filter(good.astype(np.float32), 2 * half + 1, mode="constant") > 0.999
    free = whole[y, x]
    if len(sources[0]):
        tree = cKDTree(np.column_stack(sources) - 1.0)
        free &= tree.query(np.column_stack([x, y]))[0] > clear
    x, y = x[free][:1000], y[free][:1000]
    if x.size < 20:
        return 1.0, int(x.size)
    sums, expected = np.zeros(x.size), np.zeros(x.size)
    for i, (column, row) in enumerate(zip(x, y, strict=True)):
        window = np.s_[row - half : row + half + 1, column - half : column + half + 1]
        sums[i] = np.sum(kernel * planes.sci[window])
        expected[i] = np.sqrt(np.sum(kernel**2 / planes.wgt[window]))
    pulls = sums / expected
    return 1.4826 * float(np.median(np.abs(pulls - np.median(pulls)))), int(x.size)


def catalogue_depth(mag: Array, error: Array, *, sigma: float = 0.1, least: int = 20) -> float:
    """Magnitude at which the error is ``sigma``, from a straight line of log error against magnitude.

    Parameters
    ----------
    mag
        (n,) magnitudes.
    error
        (n,) their errors, mag.
    sigma
        Error that defines the depth, mag.
    least
        Number of objects that the fit needs.

    Returns
    -------
    float
        nan if fewer than ``least`` objects have errors between a third and three times ``sigma``.
    """
    use = (error > sigma / 3) & (error < sigma * 3) & (mag < 50)
    if use.sum() < least:
        return float("nan")
    slope, offset = np.polyfit(mag[use], np.log10(error[use]), 1)
    return float((np.log10(sigma) - offset) / slope) if slope > 0 else float("nan")
