"""Fill masked pixels along rows from their good neighbours, so that no program trips over them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from desdm.pixels.compiled import compiled

__all__ = ["interpolate_rows"]

#: Above so many pixels the typical value is taken from every 7th row and column.
_MANY = 1_000_000


@compiled()
def _fill(
    image: npt.NDArray[np.float32],
    bad: npt.NDArray[np.bool_],
    longest: int,
    typical: np.float32,
    done: npt.NDArray[np.bool_],
) -> None:
    """Interpolate bad stretches linearly along each row; long ones get the typical value."""
    ny, nx = image.shape
    for y in range(ny):
        x = 0
        while x < nx:
            if not bad[y, x]:
                x += 1
                continue
            start = x
            while x < nx and bad[y, x]:
                x += 1
            if x - start > longest or start == 0 or x == nx:
                for k in range(start, x):
                    image[y, k] = typical
                continue
            left, right = image[y, start - 1], image[y, x]
            step = (right - left) / (x - start + 1)
            for k in range(start, x):
                image[y, k] = left + step * (k - start + 1)
                done[y, k] = True


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
    if not bad.any():
        return done
    thin = (slice(None, None, 7), slice(None, None, 7)) if image.size > _MANY else (slice(None), slice(None))
    good = image[thin][~bad[thin]]
    typical = np.float32(np.median(good)) if good.size else np.float32(0.0)
    _fill(image, bad, longest, typical, done)
    return done
