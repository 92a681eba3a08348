"""Three planes as a colour picture through one asinh stretch that keeps colours (Lupton et al. 2004, PASP 116, 133)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["WHITE", "lupton"]

Image = npt.NDArray[np.float32]
#: Bands from blue to red, and the factor that makes a star like the Sun about white in counts of one zero point.
WHITE = {"u": 3.0, "g": 1.6, "r": 1.0, "VR": 1.0, "i": 0.8, "z": 0.7, "Y": 0.7}
_GRADIENT = 0.1  # the slope of the stretch is 1 at this share of it


def lupton(
    red: Image, green: Image, blue: Image, q: float, stretch: float, minimum: float
) -> npt.NDArray[np.uint8]:
    """RGB picture of three planes on one scale; rows as in the planes.

    The intensity I (mean of the planes above ``minimum``) becomes asinh(Q I / stretch), scaled so that the
    slope is 1/stretch at a tenth of the stretch; each plane keeps its share. A pixel brighter than white keeps its
    colour. A pixel without a value in any plane is black.

    Parameters
    ----------
    red
        Plane of the reddest band, shape (rows, columns).
    green
        Plane of the middle band, same shape.
    blue
        Plane of the bluest band, same shape.
    q
        Softening Q: larger values compress bright pixels more.
    stretch
        Linear range, in the planes' unit.
    minimum
        Value drawn black, in the planes' unit.

    Returns
    -------
    numpy.ndarray
        uint8 (ny, nx, 3).
    """
    q = q if q > 2.0**-23 else 0.1
    rgb = np.stack([red, green, blue]).astype(np.float32)
    rgb -= np.float32(minimum)
    rgb[:, ~np.isfinite(rgb).all(axis=0)] = 0
    mean = rgb.mean(axis=0)
    value = np.arcsinh(mean * np.float32(q / stretch)) * np.float32(_GRADIENT / math.asinh(_GRADIENT * q))
    share = np.zeros_like(mean)
    np.divide(value, mean, out=share, where=mean > 0)
    rgb *= share
    np.maximum(rgb, 0.0, out=rgb)
    peak = rgb.max(axis=0)
    np.maximum(peak, 1.0, out=peak)
    rgb /= peak
    return np.ascontiguousarray(np.moveaxis((rgb * np.float32(255.0)).astype(np.uint8), 0, -1))
