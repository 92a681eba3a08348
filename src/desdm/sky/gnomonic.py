"""Gnomonic projection: great circles become straight lines (Calabretta & Greisen 2002, A&A 395, 1077; 5.1.3)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["gnomonic"]

Floats = npt.NDArray[np.float64]


def gnomonic(ra: npt.ArrayLike, dec: npt.ArrayLike, ra0: float, dec0: float) -> tuple[Floats, Floats, Floats]:
    """Project positions onto the plane that touches the sphere at a point.

    Parameters
    ----------
    ra, dec
        Positions, degrees; any shape.
    ra0, dec0
        The point, degrees.

    Returns
    -------
    x, y : numpy.ndarray
        Coordinates to the east and to the north, degrees; without meaning where ``cosine`` is not positive.
    cosine : numpy.ndarray
        Cosine of the distance from the point.
    """
    a, d = np.radians(np.asarray(ra, float) - ra0), np.radians(np.asarray(dec, float))
    d0 = np.radians(dec0)
    cosine = np.sin(d0) * np.sin(d) + np.cos(d0) * np.cos(d) * np.cos(a)
    safe = np.where(cosine > 0, cosine, 1.0)
    x = np.degrees(np.cos(d) * np.sin(a) / safe)
    y = np.degrees((np.cos(d0) * np.sin(d) - np.sin(d0) * np.cos(d) * np.cos(a)) / safe)
    return x, y, cosine
