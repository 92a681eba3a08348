"""How sharp the stars of one image are, measured on their cores: what the search for cosmic rays needs to know."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from desdm.pixels.compiled import compiled

__all__ = ["Seeing", "measure_seeing"]

_BETA = 3.0


class Seeing(NamedTuple):
    """``fwhm`` in pixels, of the Moffat profile with the cores' curvature; ``stars``: how many agreed."""

    fwhm: float
    stars: int


@compiled()
def _curvatures(
    image: npt.NDArray[np.float32], weight: npt.NDArray[np.float32], bad: npt.NDArray[np.bool_], least: float
) -> npt.NDArray[np.float64]:
    """Drop of the logarithm one pixel from each peak, along both axes: (n, 2).

    For a Gaussian the mean over both sides does not depend on where in the pixel the star lies.
    """
    ny, nx = image.shape
    out = np.empty((4096, 2), np.float64)
    count = 0
    least2 = np.float32(least * least)
    places = np.empty(nx, np.int32)
    for y in range(2, ny - 2):
        # Without a branch for each pixel: the sky's sign is a coin that no processor foresees.
        line, weights, shut, n = image[y], weight[y], bad[y], 0
        for x in range(2, nx - 2):
            v = line[x]
            places[n] = x
            n += int((v * v * weights[x] >= least2) & (v > 0.0) & (not shut[x]))
        for x in places[:n]:
            p = image[y, x]
            peak = True
            for j in range(y - 2, y + 3):
                for i in range(x - 2, x + 3):
                    if bad[j, i] or image[j, i] > p or image[j, i] <= 0.0:
                        peak = False
                        break
                if not peak:
                    break
            if not peak:
                continue
            top = np.log(p)
            out[count, 0] = top - 0.5 * (np.log(image[y, x - 1]) + np.log(image[y, x + 1]))
            out[count, 1] = top - 0.5 * (np.log(image[y - 1, x]) + np.log(image[y + 1, x]))
            count += 1
            if count == out.shape[0]:
                return out
    return out[:count]


def _half_sample_mode(values: npt.NDArray[np.float64]) -> float:
    """Bickel & Frühwirth (2006): the densest half, again and again."""
    values = np.sort(values)
    while values.size > 3:
        half = (values.size + 1) // 2
        k = int(np.argmin(values[half - 1 :] - values[: values.size - half + 1]))
        values = values[k : k + half]
    return float(np.mean(values))


def measure_seeing(
    image: npt.NDArray[np.float32],
    weight: npt.NDArray[np.float32],
    bad: npt.NDArray[np.bool_],
    *,
    least: float = 40.0,
) -> Seeing | None:
    """The seeing from the curvature of bright cores.

    Parameters
    ----------
    image, weight, bad
        As of `find_cosmics`: electrons without sky, inverse variance, true where unusable (saturated stars too).
    least
        σ over the sky that a peak must have.

    Returns
    -------
    Seeing or None
        None: no peak is round, bright and wider than a cosmic ray.
    """
    drops = _curvatures(
        np.ascontiguousarray(image, np.float32), np.ascontiguousarray(weight, np.float32), bad, least
    )
    # A Moffat of beta 3 falls to (1 + 1/α²)^-3 at one pixel.
    alpha = 1.0 / np.sqrt(np.expm1(np.maximum(drops, 1e-3) / _BETA))
    fwhm = 2.0 * alpha * np.sqrt(2.0 ** (1.0 / _BETA) - 1.0)
    round_ = (np.abs(np.log(fwhm[:, 0] / fwhm[:, 1])) < 0.35) & (fwhm.min(axis=1) > 1.8)
    width = np.sqrt(fwhm[round_, 0] * fwhm[round_, 1])
    if width.size == 0:
        return None
    mode = _half_sample_mode(width)
    near = width[np.abs(width / mode - 1.0) < 0.15]
    return Seeing(float(np.median(near)), int(near.size))
