"""A colour picture of a tile: three bands through one asinh stretch that keeps colours (Lupton et al. 2004)."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

__all__ = ["choose_bands", "picture"]

Image = npt.NDArray[np.float32]

#: From blue to red.
_ORDER = ("u", "g", "r", "VR", "i", "z", "Y")


def choose_bands(have: Collection[str], wanted: str) -> tuple[str, str, str]:
    """Bands for blue, green and red: the wanted ones if they are all there, else spread over what is.

    With two bands the middle is their mean (named twice by the caller's choice of the bluer); with one, all are it.
    """
    want = tuple(b.strip() for b in wanted.split(","))
    if len(want) == 3 and all(b in have for b in want):
        return want[0], want[1], want[2]
    known = [b for b in _ORDER if b in have]
    return known[0], known[len(known) // 2], known[-1]


def picture(
    blue: Image,
    green: Image,
    red: Image,
    *,
    scales: tuple[float, float, float],
    softening: float,
    stretch: float,
    noise: float,
) -> npt.NDArray[np.uint8]:
    """RGB picture, north up.

    Parameters
    ----------
    blue, green, red
        Planes of one shape, background-subtracted, on a common zero point.
    scales
        Factors on blue, green, red that make a typical object white.
    softening
        Lupton's Q: how strongly the bright end is compressed.
    stretch
        Intensity, in units of ``noise``, at which the picture is about half bright in its linear part.
    noise
        Sky noise of the mean of the scaled planes, counts.

    Returns
    -------
    numpy.ndarray
        uint8 (ny, nx, 3).
    """
    planes = [s * p.astype(np.float64) for s, p in zip(scales, (blue, green, red), strict=True)]
    intensity = np.clip(sum(planes) / 3.0, 1e-9, None)
    reach = stretch * noise
    value = np.arcsinh(softening * intensity / reach) / softening
    # A little of the sky is left visible, for a picture of black sky hides what the noise is like.
    lift = 0.04
    rgb = np.stack([p / intensity * value for p in reversed(planes)], axis=-1) + lift
    peak = rgb.max(axis=-1, keepdims=True)
    rgb = np.where(peak > 1.0, rgb / np.maximum(peak, 1e-9), rgb)
    return np.asarray(np.clip(rgb, 0.0, 1.0) ** 0.8 * 255.0 + 0.5).astype(np.uint8)[::-1]
