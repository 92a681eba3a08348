"""What a coadd's sky still is after SWarp: a smooth surface through the pixels without objects."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_dilation, gaussian_filter, median_filter, zoom

__all__ = ["residual_sky"]

Image = npt.NDArray[np.float32]


def residual_sky(sci: Image, wgt: Image, mesh: int, *, grow: int = 10) -> tuple[Image, float]:
    """The residual sky of a background-subtracted image.

    SWarp estimates the sky with the objects in it and so takes a little of their wings for sky: some
    thousandths of the noise, but over a wide aperture a hundredth of a faint star. Here pixels above 4 σ of
    the smoothed image, grown by ``grow`` pixels, are left out, and the clipped mean of the rest of each mesh
    is taken.

    Parameters
    ----------
    sci, wgt
        Image and inverse variance, (ny, nx).
    mesh
        Side of a mesh in pixels.
    grow
        Pixels.

    Returns
    -------
    tuple
        Surface of the same shape, and the fraction of pixels that it stands on.
    """
    covered = wgt > 0
    root = np.sqrt(np.where(covered, wgt, 0.0))
    signal = gaussian_filter((sci * root).astype(np.float32), 1.5)
    # Lower, and the peaks of the noise would be cut away and the sky come out too dark. White noise of 1
    # shrinks to 1 / (2 √π σ) under a Gaussian of σ; resampling leaves a little more of it.
    objects = signal > 4.0 * 1.3 / (2 * np.sqrt(np.pi) * 1.5)
    free = covered & ~binary_dilation(objects & covered, iterations=grow)
    ny, nx = sci.shape
    rows, columns = max(1, round(ny / mesh)), max(1, round(nx / mesh))
    level, known = np.zeros((rows, columns)), np.zeros((rows, columns), bool)
    for j in range(rows):
        for i in range(columns):
            box = np.s_[j * ny // rows : (j + 1) * ny // rows, i * nx // columns : (i + 1) * nx // columns]
            values, weights = sci[box][free[box]], wgt[box][free[box]]
            # A mesh that is nearly all object says nothing of the sky.
            if values.size > 0.05 * sci[box].size:
                level[j, i], known[j, i] = _clipped(values, weights), True
    if not known.any():
        return np.zeros_like(sci), 0.0
    level[~known] = float(np.mean(level[known]))
    if min(rows, columns) >= 3:
        level = median_filter(level, 3, mode="nearest")
    surface = zoom(level, (ny / rows, nx / columns), order=1, mode="nearest", grid_mode=True)
    return surface.astype(np.float32), float(free.mean())


def _clipped(values: Image, weights: Image) -> float:
    """Return the weighted mean of a mesh after clipping far outliers."""
    keep = np.ones(values.size, bool)
    mean = 0.0
    for _ in range(3):
        mean = float(np.average(values[keep], weights=weights[keep]))
        sigma = float(np.std(values[keep]))
        # Only far outliers: a tight clip would bend the mean where undetected objects skew the distribution.
        keep = np.abs(values - mean) < 4 * sigma
    return mean
