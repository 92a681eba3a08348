"""The photon limit of a star measured on several exposures: Fisher information of the true PSF and noise.

King (1983, PASP 95, 163) for flux and position of a point source with known background and PSF.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from desdm.simulate.psf import Moffat

__all__ = ["information"]

Array = npt.NDArray[np.float64]


def information(psf: Moffat, flux: Array, background: float) -> tuple[Array, Array, Array]:
    """Fisher information of one exposure on a star's flux and position.

    Parameters
    ----------
    psf
        True PSF, pixels.
    flux
        Fluxes in electrons.
    background
        Variance a pixel without the star (sky plus read noise squared), electrons².

    Returns
    -------
    tuple
        Information on the flux (electrons⁻²), and on x and on y (pixel⁻²); add them over exposures, in common units,
        and take 1/√ for the standard error. The PSF sits at a pixel's centre: the dependence on the sub-pixel phase is
        below 1 % for FWHM above 3 pixels.
    """
    size = 61
    here, _, _ = psf.stamp(500.0, 500.0, size)
    h = 0.05
    dx = (_shifted(psf, h, 0.0, size) - _shifted(psf, -h, 0.0, size)) / (2 * h)
    dy = (_shifted(psf, 0.0, h, size) - _shifted(psf, 0.0, -h, size)) / (2 * h)
    out = np.zeros((3, flux.size))
    for i, f in enumerate(flux):
        variance = background + f * here
        out[0, i] = float(np.sum(here**2 / variance))
        out[1, i] = float(np.sum((f * dx) ** 2 / variance))
        out[2, i] = float(np.sum((f * dy) ** 2 / variance))
    return out[0], out[1], out[2]


def _shifted(psf: Moffat, dx: float, dy: float, size: int) -> Array:
    """Return the stamp of a shifted star."""
    # round() keeps the same pixel box for shifts below half a pixel.
    return psf.stamp(500.0 + dx, 500.0 + dy, size)[0]
