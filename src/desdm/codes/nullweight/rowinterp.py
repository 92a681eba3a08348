"""Fill masked pixels along rows from their good neighbours, so that no program trips over them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["interpolate_rows"]


def interpolate_rows(
    image: npt.NDArray[np.float32], bad: npt.NDArray[np.bool_], longest: int
) -> npt.NDArray[np.bool_]:
    """Linear interpolation across runs of bad pixels in each row, in place.

    Runs longer than ``longest`` pixels, or ones that touch the image's edge, get the median of the good pixels
    instead: their value is of no use, but must not make a resampling kernel ring.

    Parameters
    ----------
    image
        (ny, nx); changed in place.
    bad
        (ny, nx), true where masked.
    longest
        Longest run in pixels that is interpolated.

    Returns
    -------
    numpy.ndarray
        True where a pixel was interpolated.
    """
    done = np.zeros(bad.shape, bool)
    rows = np.flatnonzero(bad.any(axis=1))
    if rows.size == 0:
        return done
    good = image[~bad]
    typical = float(np.median(good)) if good.size else 0.0
    columns = np.arange(image.shape[1])
    for row in rows:
        masked = bad[row]
        if masked.all():
            image[row] = typical
            continue
        edges = np.flatnonzero(np.diff(np.concatenate(([False], masked, [False])).astype(np.int8)))
        filled = np.interp(columns[masked], columns[~masked], image[row, ~masked])
        image[row, masked] = filled
        for start, stop in edges.reshape(-1, 2):
            if stop - start > longest or start == 0 or stop == image.shape[1]:
                image[row, start:stop] = typical
            else:
                done[row, start:stop] = True
    return done
