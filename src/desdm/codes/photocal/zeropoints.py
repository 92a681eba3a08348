"""Zero points of an exposure's CCDs: PSF fluxes of its stars against reference magnitudes, robustly averaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from desdm.codes.astrometry.reference import Reference
from desdm.survey.refstars.colour import Standard

__all__ = ["Flag", "Limits", "Stars", "Zero", "colour_slope", "match", "robust", "solve", "star_sized"]

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
    #: mag; least error of a reference star, and that of one whose catalogue tells none
    floor: float = 0.005
    #: mask bits that exclude a star
    reject_mask: int = 0x6DB
    spread: float = 0.005
    #: |ln| of FLUX_RADIUS over that of the stars, where the reference may hold galaxies
    size: float = 0.15


@dataclass(frozen=True, slots=True)
class Stars:
    """Matched stars of one CCD.

    ``mag`` is the instrumental magnitude of the flux in electrons, ``error`` that of the difference of both magnitudes,
    ``reference`` the reference magnitude in the band, ``colour`` that of its colour term (NaN without one).
    """

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
    rows: npt.NDArray[np.void],
    ccdnum: int,
    reference: Reference,
    standard: Standard,
    limits: Limits,
    *,
    stars_only: bool = True,
) -> Stars:
    """The stars of a catalogue that have a reference magnitude, each once.

    Parameters
    ----------
    rows
        LDAC_OBJECTS with ALPHAWIN_J2000, DELTAWIN_J2000 (deg), FLUX_PSF, FLUXERR_PSF (electrons), FLAGS, IMAFLAGS_ISO;
        SPREAD_MODEL is looked at if it is there.
    ccdnum
        The catalogue's CCD.
    reference
        Stars at the exposure's epoch.
    standard
        Their magnitudes in the band.
    limits
        What a star must be.
    stars_only
        Only stars that some catalogue lists as point sources. Otherwise all, of the size of stars by FLUX_RADIUS: the
        PSF magnitudes of galaxies change with the seeing.
    """
    flux, error = rows["FLUX_PSF"].astype(float), rows["FLUXERR_PSF"].astype(float)
    good = (flux > 0) & (error > 0) & (rows["FLAGS"] < 2) & ((rows["IMAFLAGS_ISO"] & limits.reject_mask) == 0)
    good &= flux > limits.snr * error
    if "SPREAD_MODEL" in (rows.dtype.names or ()):
        good &= np.abs(rows["SPREAD_MODEL"]) < limits.spread
    if not stars_only and "FLUX_RADIUS" in (rows.dtype.names or ()):
        good &= star_sized(rows["FLUX_RADIUS"].astype(float), good, limits.size)
    mags = standard.mag
    rows, flux, error = rows[good], flux[good], error[good]
    known = np.isfinite(mags) & (mags > limits.bright) & (mags < limits.faint)
    if stars_only:
        known &= reference.star
    if not known.any() or not len(rows):
        return Stars(ccdnum, *[np.zeros(0)] * 4)
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
    # What the catalogue tells beyond the floor, which `solve` adds to all.
    catalogue_error = np.sqrt(
        np.maximum(np.nan_to_num(standard.error[star], nan=0.0) ** 2 - limits.floor**2, 0.0)
    )
    return Stars(
        ccdnum,
        -2.5 * np.log10(flux[hit]),
        np.hypot(1.0857 * error[hit] / flux[hit], catalogue_error),
        np.asarray(mags[star], float),
        np.asarray(standard.colour[star], float),
    )


def star_sized(radius: Array, good: npt.NDArray[np.bool_], width: float) -> npt.NDArray[np.bool_]:
    """Which objects have the size of stars: within ``width`` (natural logarithm) of the densest half, over and over.

    Stars are all of one size and galaxies of many: halving a sorted sample by its densest half ends among the stars
    even where they are in the minority (half-sample mode, Bickel & Frühwirth 2006).

    Parameters
    ----------
    radius
        (n,) half-light radii, in any one unit.
    good
        (n,) true for objects that may count.
    width
        Largest distance from the stars' size, natural logarithm.

    Returns
    -------
    numpy.ndarray
        (n,) true for objects of the stars' size.
    """
    good = good & (radius > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        sizes = np.log(radius)
    values = np.sort(sizes[good])
    if not values.size:
        return good
    while values.size > 3:
        half = values.size // 2 + 1
        first = int(np.argmin(values[half - 1 :] - values[: values.size - half + 1]))
        if half == values.size:
            break
        values = values[first : first + half]
    near: npt.NDArray[np.bool_] = np.abs(sizes - np.median(values)) < width
    return good & near


def _wrap(degrees: Array) -> Array:
    """Wrap angles in degrees to [-180, 180)."""
    return (degrees + 180.0) % 360.0 - 180.0


def robust(values: Array, errors: Array, floor: float) -> tuple[float, float, float, int]:
    """Mean of values with unequal errors and some outliers: (mean, its error, scatter, number of inliers).

    Weights are 1/(error² + floor²); beyond 3.5 of the larger of a value's own error and the robust scatter it is left
    out, five times over; the mean's error is the larger of what the errors and what the scatter promise.

    Parameters
    ----------
    values
        (n,) values, mag.
    errors
        (n,) their errors, mag.
    floor
        Error that is added in quadrature to each, mag.

    Returns
    -------
    (float, float, float, int)
        Mean, its error, robust scatter, number of inliers.
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


def colour_slope(matches: Sequence[Stars], zero: float) -> tuple[float, int]:
    """How the residuals about a zero point change with colour, mag a mag, and of how many stars; NaN of fewer than 20.

    The slope is Theil's and Sen's median of pairs (Sen 1968) over stars in the order of colour, a half apart: outliers do
    not change it. It shows whether a colour term is right.
    """
    colour = np.concatenate([np.zeros(0), *(s.colour for s in matches)])
    values = np.concatenate([np.zeros(0), *(s.offset - zero for s in matches)])
    good = np.isfinite(colour) & np.isfinite(values)
    colour, values = colour[good], values[good]
    if colour.size < 20:
        return float("nan"), int(colour.size)
    order = np.argsort(colour)
    half = colour.size // 2
    low, high = order[:half], order[-half:]
    run = colour[high] - colour[low]
    if not (run > 0.05).any():
        return float("nan"), int(colour.size)
    slopes = (values[high] - values[low])[run > 0.05] / run[run > 0.05]
    return float(np.median(slopes)), int(colour.size)


def solve(matches: Sequence[Stars], limits: Limits, nominal: float) -> tuple[Zero, list[Zero]]:
    """The exposure's zero point and each CCD's.

    Parameters
    ----------
    matches
        Stars of each CCD.
    limits
        Least numbers, scatter and error.
    nominal
        What stands where nothing can be measured: aterm + 2.5 log10 t - k X.

    Returns
    -------
    tuple
        The exposure's (``ccdnum`` 0) and those of the CCDs in their order. A CCD with fewer than ``ccd_least`` stars has
        the exposure's.
    """
    offsets = [s.offset for s in matches]
    total = np.concatenate(offsets) if offsets else np.zeros(0)
    if total.size < limits.exposure_least:
        flag = int(Flag.NOMINAL)
        return (
            Zero(0, nominal, float("nan"), float("nan"), int(total.size), flag),
            [Zero(s.ccdnum, nominal, float("nan"), float("nan"), s.mag.size, flag) for s in matches],
        )
    whole = _zero(0, total, np.concatenate([s.error for s in matches]), limits)
    each = []
    for stars, values in zip(matches, offsets, strict=True):
        if values.size < limits.ccd_least:
            flag = whole.flag | int(Flag.FEW)
            each.append(Zero(stars.ccdnum, whole.value, whole.sigma, whole.scatter, values.size, flag))
        else:
            each.append(_zero(stars.ccdnum, values, stars.error, limits))
    return whole, each


def _zero(ccdnum: int, values: Array, errors: Array, limits: Limits) -> Zero:
    """Return the zero point of one CCD (or of the exposure, number 0) with its error and flag."""
    middle, sigma, scatter, count = robust(values, errors, limits.floor)
    flag = int(Flag.SCATTER) if scatter > limits.scatter else 0
    return Zero(ccdnum, middle, sigma, scatter, count, flag)
