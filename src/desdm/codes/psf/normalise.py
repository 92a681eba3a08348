"""Give a PSF model unit flux at every position: its own sum, and the wing beyond its stamp from a Moffat fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from desdm.codes.psf.model import PSFModel

__all__ = ["normalised", "wing"]

Array = npt.NDArray[np.float64]


def wing(image: Array, samp: float) -> float:
    """Fraction of a star's light beyond the stamp, of its light within.

    A Moffat profile is fitted to the square root of the azimuthal mean (so that the wings count), with an exponent
    between 2.2 and 6, and integrated from the circle of the stamp's area to infinity.
    """
    ny, nx = image.shape
    y, x = np.mgrid[:ny, :nx]
    radius = np.hypot(x - nx // 2, y - ny // 2) * samp
    ring = np.rint(radius / samp).astype(int)
    count = np.bincount(ring.ravel())
    profile = np.bincount(ring.ravel(), image.ravel()) / count
    middle = np.bincount(ring.ravel(), radius.ravel()) / count
    use = middle <= (min(nx, ny) // 2) * samp
    profile, middle, number = np.clip(profile[use], 0, None), middle[use], count[use]
    peak = float(profile.max())
    half = float(np.interp(0.5 * peak, profile[::-1], middle[::-1])) if peak > 0 else 2.0

    def misfit(p: Array) -> Array:
        shape = np.exp(p[0]) * (1 + (middle / np.exp(p[1])) ** 2) ** (-p[2])
        return np.asarray((np.sqrt(shape) - np.sqrt(profile)) * np.sqrt(number))

    fit = least_squares(
        misfit, [np.log(max(peak, 1e-9)), np.log(2 * max(half, 0.5)), 3.0],
        bounds=([-30.0, -2.0, 2.2], [30.0, 5.0, 6.0]),
    )  # fmt: skip
    height, alpha, beta = float(np.exp(fit.x[0])), float(np.exp(fit.x[1])), float(fit.x[2])
    edge2 = nx * ny * samp**2 / np.pi
    total = height * np.pi * alpha**2 / (beta - 1)
    outside = float((1 + edge2 / alpha**2) ** (1 - beta))
    within = float(image.sum()) * samp**2
    return total * outside / within if within > 0 else 0.0


def normalised(model: PSFModel) -> PSFModel:
    """The same model with unit flux everywhere.

    PSFEx takes each star's aperture flux for its flux: the noise of those apertures gives the model a total that is a little
    wrong and even changes across the field, and light beyond the aperture is missed. Here the constant term is scaled to its own
    total and every other term loses what it adds to the total, so that only the shape varies.
    """
    constant = model.mask[0]
    inside = float(constant.sum()) * model.samp**2
    if inside <= 0:
        return model
    mask = model.mask.copy()
    for k in range(1, len(mask)):
        mask[k] -= constant * (mask[k].sum() / constant.sum())
    return replace(model, mask=mask / (inside * (1.0 + wing(constant, model.samp))))
