"""Mend what PSFEx leaves wrong in a model: the blur of its resampling, the total flux, the wing beyond its stamp."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from desdm.codes.psf.model import PSFModel

__all__ = ["normalised", "sharpened", "wing"]

Array = npt.NDArray[np.float64]


def wing(image: Array, samp: float) -> tuple[float, float]:
    """The pedestal of a PSF stamp, and the fraction of the star's light beyond the stamp, of its light within.

    A Moffat profile on a constant is fitted to the azimuthal mean, rings weighted by their pixels, the exponent
    confined between 2.2 and 6. The constant is what the sky and the wings of neighbours left in the stars' vignets;
    the profile is integrated from the circle of the stamp's area to infinity.
    """
    ny, nx = image.shape
    y, x = np.mgrid[:ny, :nx]
    radius = np.hypot(x - nx // 2, y - ny // 2) * samp
    ring = np.rint(radius / samp).astype(int)
    count = np.bincount(ring.ravel())
    profile = np.bincount(ring.ravel(), image.ravel()) / count
    middle = np.sqrt(np.bincount(ring.ravel(), radius.ravel() ** 2) / count)
    peak = float(profile.max())
    if peak <= 0:
        return 0.0, 0.0
    half = float(np.interp(0.5 * peak, profile[::-1], middle[::-1]))

    def misfit(p: Array) -> Array:
        shape = np.exp(p[0]) * (1 + (middle / np.exp(p[1])) ** 2) ** (-p[2]) + p[3]
        # The core's misfit is that of a ring's width and of a profile that is no Moffat; it must not rule the wings.
        return np.asarray((shape - profile) / peak * np.sqrt(count) / (0.001 + 0.02 * np.abs(profile) / peak))

    fit = least_squares(
        misfit,
        [np.log(peak), np.log(2 * max(half, 0.5)), 3.0, 0.0],
        bounds=([-30.0, -2.0, 2.2, -peak], [30.0, 5.0, 6.0, peak]),
        x_scale=[1.0, 1.0, 1.0, 1e-3 * peak],
    )
    height, alpha = float(np.exp(fit.x[0])), float(np.exp(fit.x[1]))
    beta, pedestal = float(fit.x[2]), float(fit.x[3])
    edge2 = nx * ny * samp**2 / np.pi
    outside = height * np.pi * alpha**2 / (beta - 1) * (1 + edge2 / alpha**2) ** (1 - beta)
    within = float((image - pedestal).sum()) * samp**2
    return pedestal, outside / within if within > 0 else 0.0


def normalised(model: PSFModel) -> PSFModel:
    """The same model with unit flux everywhere.

    PSFEx takes each star's aperture flux for its flux: the noise of those apertures gives the model a total
    that is a little wrong and even changes across the field, and light beyond the aperture is missed. Here the
    constant term loses its pedestal and is scaled to its own total, and every other term loses what it adds to
    the total, so that only the shape varies.
    """
    pedestal, beyond = wing(model.coefficients[0], model.samp)
    constant = model.coefficients[0] - pedestal
    inside = float(constant.sum()) * model.samp**2
    if inside <= 0:
        return model
    coefficients = model.coefficients.copy()
    coefficients[0] = constant
    for k in range(1, len(coefficients)):
        coefficients[k] -= constant * (coefficients[k].sum() / constant.sum())
    return replace(model, coefficients=coefficients / (inside * (1.0 + beyond)))


def _passed(frequency: Array) -> Array:
    """What Lanczos-3 resampling leaves of a wave, over all sub-pixel phases: the kernel's Fourier transform, 1 at rest.

    ``frequency`` in cycles a pixel.
    """
    u = np.linspace(-3.0, 3.0, 2401)
    kernel = np.sinc(u) * np.sinc(u / 3.0)
    waves = np.cos(2 * np.pi * np.multiply.outer(frequency, u))
    return np.asarray(np.trapezoid(waves * kernel, u) / np.trapezoid(kernel, u))


def sharpened(model: PSFModel) -> PSFModel:
    """The same model without the mark of PSFEx's resampling.

    PSFEx (3.21, BASIS_TYPE NONE) moves every star to the model's grid by Lanczos-3 interpolation and averages. Over many
    sub-pixel phases that is a convolution with the kernel itself, whose transform rises to 1.009 at a fifth of a cycle a
    pixel before it falls: the model comes out 0.6 per cent too small in area at a FWHM of 3.6 pixels. Dividing the
    transform by it, where it is within 5 per cent of 1, takes that away and no noise in.
    """
    terms, ny, nx = model.coefficients.shape
    size = 2 * max(ny, nx)
    once = _passed(np.asarray(np.fft.fftfreq(size) / model.samp, np.float64))
    passed = np.clip(np.multiply.outer(once, once), 0.95, 1.05)
    padded = np.zeros((terms, size, size))
    padded[:, :ny, :nx] = model.coefficients
    coefficients = np.fft.ifft2(np.fft.fft2(padded) / passed).real[:, :ny, :nx]
    return replace(model, coefficients=np.ascontiguousarray(coefficients))
