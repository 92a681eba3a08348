"""Zero points of an exposure's CCDs: PSF fluxes of its stars against reference magnitudes, robustly averaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from desdm.codes.astrometry.reference import Reference

__all__ = ["Flag", "Limits", "Stars", "Zero", "match", "robust", "solve"]

Array = npt.NDArray[np.float64]


class Flag(IntFlag):
    """Why a zero point is less than it could be; 0: nothing to say."""

    FEW = 1  #: the CCD has too few stars; the exposure's zero point stands for it
    SCATTER = 2  #: the stars scatter more than their errors and the limit allow
    NOMINAL = 4  #: no reference over the field: aterm and k of the band, not a measurement
    WCS = 8  #: the CCD's WCS is the first one


@dataclass(frozen=True, slots=True)
class Limits:
    """What a star must be: least S/N, magnitude range of the reference, match radius (arcsec), least numbers."""

    snr: float = 100.0
    bright: float = 10.0
    faint: float = 30.0
    radius: float = 1.0
    ccd_least: int = 5
    exposure_least: int = 10
    scatter: float = 0.1
    #: mag; error of a reference star that its catalogue does not tell
    floor: float = 0.005
    #: mask bits that spoil a star
    spoilt: int = 0x6DB
    spread: float = 0.005


@dataclass(frozen=True, slots=True)
class Stars:
    """Matched stars of one CCD: instrumental magnitude of the flux in electrons, its error, reference magnitude."""

    ccdnum: int
    mag: Array
    error: Array
    reference: Array
    colour: Array

    @property
    def offset(self) -> Array:
        """What each star says the zero point is."""
        return self.reference - self.mag


@dataclass(frozen=True, slots=True)
class Zero:
    """A zero point: AB magnitude of one electron, its error, the scatter of its stars, their number, and `Flag` bits."""

    ccdnum: int
    value: float
    sigma: float
    scatter: float
    count: int
    flag: int = 0


def match(
    rows: Any,
    ccdnum: int,
    reference: Reference,
    band: str,
    limits: Limits,
    colour: tuple[str, str] | None = None,
) -> Stars:
    """The stars of a catalogue that reference stars of the band are known for, each once.

    Parameters
    ----------
    rows
        LDAC_OBJECTS with ALPHAWIN_J2000, DELTAWIN_J2000 (deg), FLUX_PSF, FLUXERR_PSF (electrons), FLAGS, IMAFLAGS_ISO;
        SPREAD_MODEL is looked at if it is there.
    colour
        Two bands whose difference goes along, for a colour term.
    """
    flux, error = rows["FLUX_PSF"].astype(float), rows["FLUXERR_PSF"].astype(float)
    good = (flux > 0) & (error > 0) & (rows["FLAGS"] < 2) & ((rows["IMAFLAGS_ISO"] & limits.spoilt) == 0)
    good &= flux > limits.snr * error
    if "SPREAD_MODEL" in rows.dtype.names:
        good &= np.abs(rows["SPREAD_MODEL"]) < limits.spread
    mags = reference.mags.get(band)
    rows, flux, error = rows[good], flux[good], error[good]
    if mags is None or not len(rows):
        return Stars(ccdnum, *[np.zeros(0)] * 4)
    known = np.isfinite(mags) & (mags > limits.bright) & (mags < limits.faint)
    ra, dec = rows["ALPHAWIN_J2000"].astype(float), rows["DELTAWIN_J2000"].astype(float)
    cosd = float(np.cos(np.radians(np.median(dec))))
    here = np.column_stack([_wrap(ra - ra[0]) * cosd, dec])
    stars = np.column_stack([_wrap(reference.ra - ra[0]) * cosd, reference.dec])
    # A pair must be each other's nearest among all reference stars, or a close pair's companion is taken for it.
    far, index = cKDTree(stars).query(here, distance_upper_bound=limits.radius / 3600.0)
    _, home = cKDTree(here).query(stars, distance_upper_bound=limits.radius / 3600.0)
    hit = np.flatnonzero(np.isfinite(far))
    hit = hit[home[index[hit]] == hit]
    hit = hit[known[index[hit]]]
    star = index[hit]
    hue = np.zeros(hit.size)
    if colour is not None and all(b in reference.mags for b in colour):
        hue = reference.mags[colour[0]][star] - reference.mags[colour[1]][star]
    return Stars(
        ccdnum,
        -2.5 * np.log10(flux[hit]),
        1.0857 * error[hit] / flux[hit],
        np.asarray(mags[star], float),
        hue,
    )


def _wrap(degrees: Array) -> Array:
    return (degrees + 180.0) % 360.0 - 180.0


def robust(values: Array, errors: Array, floor: float) -> tuple[float, float, float, int]:
    """Mean of values with unequal errors and some outliers: (mean, its error, scatter, number kept).

    Weights are 1/(error² + floor²); beyond 3.5 of the larger of a value's own error and the robust scatter it is left
    out, five times over; the mean's error is the larger of what the errors and what the scatter promise.
    """
    weights = 1.0 / (errors**2 + floor**2)
    middle = float(np.median(values))
    keep = np.ones(values.size, bool)
    scatter = 0.0
    for _ in range(5):
        scatter = 1.4826 * float(np.median(np.abs(values[keep] - middle)))
        limit = 3.5 * np.maximum(np.sqrt(errors**2 + floor**2), min(scatter, 0.3))
        new = np.abs(values - middle) <= limit
        if not new.any():
            break
        middle = float(np.average(values[new], weights=weights[new]))
        if bool((new == keep).all()):
            break
        keep = new
    promised = 1.0 / float(np.sqrt(weights[keep].sum()))
    chi = float(np.sqrt(np.mean((values[keep] - middle) ** 2 * weights[keep])))
    return middle, promised * max(chi, 1.0), scatter, int(keep.sum())


def solve(
    found: Sequence[Stars], limits: Limits, nominal: float, slope: float = 0.0
) -> tuple[Zero, list[Zero]]:
    """The exposure's zero point and each CCD's.

    Parameters
    ----------
    found
        Stars of each CCD.
    nominal
        What stands where nothing can be measured: aterm + 2.5 log10 t - k X.
    slope
        Colour term: magnitudes that a star of colour 1 seems too bright for the reference.

    Returns
    -------
    tuple
        The exposure's (``ccdnum`` 0) and those of the CCDs in their order. A CCD with fewer than ``ccd_least`` stars has
        the exposure's.
    """
    offsets = [s.offset + slope * s.colour for s in found]
    total = np.concatenate(offsets) if offsets else np.zeros(0)
    if total.size < limits.exposure_least:
        flag = int(Flag.NOMINAL)
        return (
            Zero(0, nominal, float("nan"), float("nan"), int(total.size), flag),
            [Zero(s.ccdnum, nominal, float("nan"), float("nan"), s.mag.size, flag) for s in found],
        )
    whole = _zero(0, total, np.concatenate([s.error for s in found]), limits)
    each = []
    for stars, values in zip(found, offsets, strict=True):
        if values.size < limits.ccd_least:
            flag = whole.flag | int(Flag.FEW)
            each.append(Zero(stars.ccdnum, whole.value, whole.sigma, whole.scatter, values.size, flag))
        else:
            each.append(_zero(stars.ccdnum, values, stars.error, limits))
    return whole, each


def _zero(ccdnum: int, values: Array, errors: Array, limits: Limits) -> Zero:
    middle, sigma, scatter, count = robust(values, errors, limits.floor)
    flag = int(Flag.SCATTER) if scatter > limits.scatter else 0
    return Zero(ccdnum, middle, sigma, scatter, count, flag)
