"""find_flat_normalization and scale_flat: one number a band makes the flats of all CCDs one flat of the focal plane."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from desdm.errors import ProgramFailed

__all__ = ["find_flat_normalization", "focal_plane", "mini_of"]

F8 = npt.NDArray[np.float64]


def mini_of(image: npt.NDArray[np.floating], block: int) -> F8:
    """Medians of blocks of ``block`` × ``block`` pixels of one CCD: its share of the mini focal plane.

    Parameters
    ----------
    image
        Shape (ny, nx); NaN pixels are left out.
    block
        Side of a block, pixels; the last row and column of blocks may be smaller.

    Returns
    -------
    numpy.ndarray
        float64, shape (ceil(ny / block), ceil(nx / block)); NaN where less than half of a block has a value.
    """
    ny, nx = image.shape
    out = np.full((-(-ny // block), -(-nx // block)), np.nan)
    # Of large blocks every second pixel tells as much as a flat's shape needs, at a quarter of the cost.
    step = max(1, block // 64)
    for j in range(out.shape[0]):
        strip = image[j * block : (j + 1) * block]
        for i in range(out.shape[1]):
            values = strip[::step, i * block : (i + 1) * block : step].ravel()
            finite = values[np.isfinite(values)]
            if 2 * finite.size >= values.size:
                out[j, i] = np.median(finite)
    return out


def focal_plane(minis: F8, levels: Sequence[float]) -> F8:
    """The mini focal plane of the flat that frames of these levels combine to.

    Parameters
    ----------
    minis
        Shape (frames, …), electrons.
    levels
        Level of each frame, electrons: the photon weights with which the frames are combined.

    Returns
    -------
    numpy.ndarray
        Σ minis / Σ levels over the frames that have the block; NaN where none has.
    """
    weights = np.where(np.isfinite(minis), np.reshape(levels, (-1,) + (1,) * (minis.ndim - 1)), 0.0)
    total = weights.sum(axis=0)
    out = np.full(minis.shape[1:], np.nan)
    np.divide(np.where(np.isfinite(minis), minis, 0.0).sum(axis=0), total, out=out, where=total > 0)
    return out


def find_flat_normalization(plane: F8) -> float:
    """The one number by which a band's flats are divided: the median over the focal plane's blocks.

    Parameters
    ----------
    plane
        Mini focal plane of the combined flat; NaN where there is no value.

    Raises
    ------
    ProgramFailed
        No block has a value, or the median is not positive.
    """
    values = plane[np.isfinite(plane)]
    if not values.size:
        raise ProgramFailed("flat normalisation: no block of the focal plane has a value")
    # The median: a dead amplifier or a block across a broken column must not set the scale of the rest.
    middle = float(np.median(values))
    if not middle > 0:
        raise ProgramFailed(f"flat normalisation: the focal plane's median is {middle:.4g}")
    return middle
