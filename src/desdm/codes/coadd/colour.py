"""A colour picture of a tile: three bands through one asinh stretch that keeps colours (`survey.lupton`)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from desdm.survey.lupton import WHITE, lupton

__all__ = ["choose_bands", "picture", "without_gaps"]

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


def without_gaps(
    planes: Sequence[Image], covered: Sequence[npt.NDArray[np.bool_]], scales: Sequence[float]
) -> list[Image]:
    """Fill the pixels that some bands lack: the core of a saturated star is grey instead of a patch of one colour.

    Parameters
    ----------
    planes
        Planes of one shape, background-subtracted, on a common zero point.
    covered
        Of each plane, where it has a value.
    scales
        Factors on the planes that make a typical object white.

    Returns
    -------
    list of numpy.ndarray
        The planes; where a band has no value and others have, the mean of the scaled others, in its own scale. Pixels
        that no band covers stay as they are.
    """
    scaled = np.stack([np.float32(s) * plane for s, plane in zip(scales, planes, strict=True)])
    valid = np.stack(list(covered)) & np.isfinite(scaled)
    count = valid.sum(axis=0)
    total = np.where(valid, scaled, np.float32(0)).sum(axis=0, dtype=np.float32)
    mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    return [
        np.where((count > 0) & ~good, mean / np.float32(s), plane).astype(np.float32)
        for s, plane, good in zip(scales, planes, valid, strict=True)
    ]


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
