"""The PSF of a coadd from the PSFs of its exposures: turned to the tile's grid, weighted, and added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS
from scipy.ndimage import map_coordinates

from desdm.codes.psf.model import PSFModel, constant_model

__all__ = ["Part", "combine"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Part:
    """One exposure of a coadd: PSF, WCS, shape (ny, nx), and the weight of its pixels on the common scale."""

    model: PSFModel
    wcs: WCS
    shape: tuple[int, int]
    weight: float


def combine(parts: Sequence[Part], tile: WCS, centre: tuple[float, float], size: int = 51) -> PSFModel | None:
    """Constant model of the coadd at FITS pixel ``centre`` of the tile.

    An exposure that does not reach the centre gives its PSF at its own nearest pixel: the coadd has its stars too.

    Parameters
    ----------
    parts
        Model, WCS, weight and size of each exposure's image under the tile.
    tile
        WCS of the tile.
    centre
        FITS pixel (x, y) of the tile at which the model holds.
    size
        Side of the model, pixels of the tile.

    Returns
    -------
    PSFModel or None
        In samples of one tile pixel, summing to 1; None if there is no part with weight.
    """
    total = np.zeros((size, size))
    weights = 0.0
    for part in parts:
        if part.weight <= 0:
            continue
        ra, dec = tile.all_pix2world(
            [centre[0], centre[0] + 1, centre[0]], [centre[1], centre[1], centre[1] + 1], 1
        )
        x, y = part.wcs.all_world2pix(ra, dec, 1)
        jacobian = np.array([[x[1] - x[0], x[2] - x[0]], [y[1] - y[0], y[2] - y[0]]])
        here = (float(np.clip(x[0], 1, part.shape[1])), float(np.clip(y[0], 1, part.shape[0])))
        stamp = _turned(part.model, here, jacobian, size)
        if stamp.sum() > 0:
            total += part.weight * stamp / stamp.sum()
            weights += part.weight
    if weights == 0:
        return None
    image = total / weights
    model = constant_model(image, 1.0, sum(p.model.fwhm * p.weight for p in parts) / weights)
    return constant_model(image, 1.0, model.moments(0.0, 0.0)[0])


def _turned(model: PSFModel, here: tuple[float, float], jacobian: Array, size: int) -> Array:
    """Resample the PSF model at a position onto the pixels of the tile."""
    image = model.image_at(*here)
    dy, dx = np.mgrid[:size, :size] - size // 2
    u = (jacobian[0, 0] * dx + jacobian[0, 1] * dy) / model.samp + image.shape[1] // 2
    v = (jacobian[1, 0] * dx + jacobian[1, 1] * dy) / model.samp + image.shape[0] // 2
    return np.asarray(map_coordinates(image, [v, u], order=3, mode="constant"))
