"""A colour picture of a tile: three bands through one asinh stretch that keeps colours (`survey.lupton`)."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from desdm.survey.lupton import WHITE, lupton

__all__ = ["choose_bands", "picture"]

Image = npt.NDArray[np.float32]

#: Noises below zero that are black: a little of the sky is left visible, since black sky hides what the noise is like.
_SKY = 1.0


def choose_bands(have: Collection[str], wanted: str) -> tuple[str, str, str]:
    """Bands for blue, green and red: the wanted ones if they are all there, else spread over what is.

    With two bands the middle is their mean (named twice by the caller's choice of the bluer); with one, all are it.
    """
    want = tuple(b.strip() for b in wanted.split(","))
    if len(want) == 3 and all(b in have for b in want):
        return want[0], want[1], want[2]
    known = [b for b in WHITE if b in have]
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
        Linear range, in units of ``noise``.
    noise
        Sky noise of the mean of the scaled planes, counts.

    Returns
    -------
    numpy.ndarray
        uint8 (ny, nx, 3).
    """
    b, g, r = (np.float32(s) * p for s, p in zip(scales, (blue, green, red), strict=True))
    return lupton(r, g, b, softening, stretch * noise, -_SKY * noise)[::-1]
