"""Tie exposures whose zero point is only nominal to those of the same band that have a measured one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from desdm.sky.spherical import unit

__all__ = ["Tie", "tie"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tie:
    """Offset to add to an exposure's magnitudes, its error, and the number of objects it rests on."""

    offset: float
    error: float
    count: int


def tie(
    mine: npt.NDArray[np.void],
    others: Sequence[npt.NDArray[np.void]],
    *,
    radius: float = 1.0,
    maxerr: float = 0.05,
) -> Tie | None:
    """Median magnitude difference of the objects that ``mine`` has in common with ``others``.

    Parameters
    ----------
    mine, others
        Catalogues (structured rows) with ALPHAWIN_J2000, DELTAWIN_J2000, MAG_PSF, MAGERR_PSF, FLAGS.
    radius
        Largest separation in arcsec.
    maxerr
        Largest MAGERR_PSF.

    Returns
    -------
    Tie or None
        None if fewer than two objects are in common: one alone could be variable.
    """
    differences, errors = [], []
    a = _good(mine, maxerr)
    if len(a) == 0:
        return None
    tree = cKDTree(unit(a["ALPHAWIN_J2000"], a["DELTAWIN_J2000"]))
    for other in others:
        b = _good(other, maxerr)
        if len(b) == 0:
            continue
        reach = np.radians(radius / 3600.0)
        near, index = tree.query(unit(b["ALPHAWIN_J2000"], b["DELTAWIN_J2000"]), distance_upper_bound=reach)
        hit = np.isfinite(near)
        differences.append(b["MAG_PSF"][hit] - a["MAG_PSF"][index[hit]])
        errors.append(np.hypot(b["MAGERR_PSF"][hit], a["MAGERR_PSF"][index[hit]]))
    if not differences or sum(map(len, differences)) < 2:
        return None
    d, e = np.concatenate(differences), np.hypot(np.concatenate(errors), 0.01)
    order = np.argsort(d)
    half = np.cumsum(1 / e[order] ** 2)
    median = float(d[order][np.searchsorted(half, half[-1] / 2)])
    return Tie(median, float(1.25 / np.sqrt(np.sum(1 / e**2))), len(d))


def _good(rows: npt.NDArray[np.void], maxerr: float) -> npt.NDArray[np.void]:
    """Select unblended rows with a PSF magnitude and an error below ``maxerr``."""
    return rows[
        (rows["FLAGS"] < 4)
        & (rows["MAGERR_PSF"] > 0)
        & (rows["MAGERR_PSF"] < maxerr)
        & (rows["MAG_PSF"] < 50)
    ]
