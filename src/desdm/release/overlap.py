"""Overlap of tiles: which rows of a catalogue belong to another tile, so that a release has each object once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from desdm.sky.gnomonic import gnomonic

__all__ = ["Square", "owners"]

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Square:
    """A tile: its name, centre in degrees, and half its sides in degrees on the tangent plane (north up)."""

    name: str
    ra: float
    dec: float
    half_x: float
    half_y: float


def owners(own: Square, others: Sequence[Square], ra: Values, dec: Values) -> npt.NDArray[np.int64]:
    """Return the tile of each position: the one with the nearest centre among those that cover it.

    Parameters
    ----------
    own
        The tile of the catalogue.
    others
        Tiles that may overlap it.
    ra, dec
        Positions, degrees.

    Returns
    -------
    numpy.ndarray
        (n,) -1 for ``own``, else the place in ``others``. Of two centres at the same distance the first name wins, so
        that both tiles come to the same answer.
    """
    out = np.full(len(ra), -1, np.int64)
    best = _plane(own, ra, dec)[2]
    names = np.full(len(ra), own.name, object)
    for i, other in enumerate(others):
        x, y, cosine = _plane(other, ra, dec)
        covers = (cosine > 0) & (np.abs(x) <= other.half_x) & (np.abs(y) <= other.half_y)
        nearer = (cosine > best + 1e-15) | ((np.abs(cosine - best) <= 1e-15) & (names > other.name))
        wins = covers & nearer
        out[wins], best = i, np.where(wins, cosine, best)
        names[wins] = other.name
    return out


def _plane(square: Square, ra: Values, dec: Values) -> tuple[Values, Values, Values]:
    """Return gnomonic coordinates (degrees) about the centre, and the cosine of the distance from it."""
    return gnomonic(ra, dec, square.ra, square.dec)
