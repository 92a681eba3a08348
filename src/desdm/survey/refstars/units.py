"""From the units that reference catalogues write to degrees, milliarcseconds, Julian years and AB magnitudes."""

from __future__ import annotations

import re

import numpy as np

from desdm.errors import FileTypeError
from desdm.survey.refstars.record import Array

__all__ = [
    "ab_errors",
    "ab_magnitudes",
    "degrees",
    "julian_years",
    "magnitude_unit",
    "milliarcseconds",
    "year_of_mjd",
]

_MAS = {
    "rad": 180.0 / np.pi * 3.6e6,
    "radian": 180.0 / np.pi * 3.6e6,
    "deg": 3.6e6,
    "degree": 3.6e6,
    "arcsec": 1e3,
    "arcs": 1e3,
    "as": 1e3,
    "mas": 1.0,
    "uas": 1e-3,
}
_JANSKY = {"jy": 1.0, "mjy": 1e-3, "ujy": 1e-6, "njy": 1e-9, "nanomaggy": 3.631e-6, "nanomaggies": 3.631e-6}
_AB_ZERO = (
    10.0 ** (-0.4 * 48.60) * 1e23
)  # Jy, 3630.78; Oke & Gunn 1983, ApJ 266, 713: m = -2.5 log f_nu - 48.60


def _mas_per(unit: str, default: str, column: str) -> float:
    """Milliarcseconds of one unit of angle; a rate's "per year" is taken off."""
    word = (unit or default).lower().replace(" ", "").replace(".", "/")
    for tail in ("/yr-1", "/year-1", "yr-1", "/yr", "/year", "/a"):
        word = word.removesuffix(tail)
    word = word.removesuffix("s") if word in ("degs", "degrees", "arcsecs", "radians") else word
    if word not in _MAS:
        raise FileTypeError(
            f"column {column} is in {unit!r}; known units of angle: {', '.join(sorted(_MAS))}"
        )
    return _MAS[word]


def milliarcseconds(values: Array, unit: str, default: str, column: str) -> Array:
    """Angles, or angles a year, in mas.

    Parameters
    ----------
    values
        As stored.
    unit
        TUNIT, empty if the column has none.
    default
        The unit of a column without one, by the layout's description.
    column
        Its name, for the message.

    Raises
    ------
    FileTypeError
        The unit is none of angle.
    """
    return values * _mas_per(unit, default, column)


def degrees(values: Array, unit: str, default: str, column: str) -> Array:
    """Positions in degrees; arguments as of `milliarcseconds`.

    Parameters
    ----------
    values
        Values of the column.
    unit
        Its unit as the file states it; empty without one.
    default
        Unit where the file states none.
    column
        Name of the column, for messages.
    """
    word = unit or default
    if word.startswith("rad"):
        return np.degrees(values)  # one rounding less than over milliarcseconds
    return values * (_mas_per(unit, default, column) / 3.6e6)


def year_of_mjd(mjd: Array) -> Array:
    """Julian years of modified Julian dates."""
    return 2000.0 + (mjd - 51544.5) / 365.25


def julian_years(values: Array, column: str) -> Array:
    """Epochs in Julian years: of Julian years, MJD, JD or Unix seconds, distinguished by their size; else NaN.

    The four ranges do not meet for any epoch of observation since 1859. LSST's shards have MJD (TAI), its early PS1
    shards Unix seconds, Gaia and Tycho-2 Julian years.

    Raises
    ------
    FileTypeError
        No epoch can be understood though there are some.
    """
    known = np.isfinite(values) & (values > 0)
    out = np.full(values.shape, np.nan)
    year = known & (values > 1850.0) & (values < 2200.0)
    mjd = known & (values >= 10_000.0) & (values < 100_000.0)
    jd = known & (values >= 2_410_000.0) & (values < 2_500_000.0)
    unix = known & (values >= 1e8) & (values < 5e9)
    out[year] = values[year]
    out[mjd] = year_of_mjd(values[mjd])
    out[jd] = year_of_mjd(values[jd] - 2_400_000.5)
    out[unix] = year_of_mjd(values[unix] / 86400.0 + 40587.0)
    if known.any() and not (year | mjd | jd | unix).any():
        first = float(values[known][0])
        raise FileTypeError(f"column {column} holds {first:g}, which is not a year, MJD, JD or Unix time")
    return out


_MAGNITUDE = re.compile(r"(ab|vega|st)?(m?)mag(?:nitude)?s?(ab|vega|st)?")


def magnitude_unit(unit: str) -> tuple[float, str] | None:
    """Magnitudes of one unit (``mag``, ``mmag``) and the zero point in it: ``ab``, ``vega``, ``st``, or empty if untold.

    ``ABmag``, ``mag(AB)``, ``Vega mag`` and the like are known; None: it is not a unit of magnitude.
    """
    word = re.sub(r"[\s()_.\[\]-]", "", unit.lower())
    if not word:
        return 1.0, ""
    match = _MAGNITUDE.fullmatch(word)
    if match is None:
        return None
    return 1e-3 if match[2] else 1.0, match[1] or match[3] or ""


def ab_magnitudes(flux: Array, unit: str, column: str) -> Array:
    """AB magnitudes of fluxes; NaN where the flux is not positive.

    The first LSST shards are in Jy without telling it: with no unit, fluxes whose median is below 10 are taken for
    Jy (10 nJy would be 28.9 mag, 10 Jy 6.4 mag), others for nJy.

    Parameters
    ----------
    flux
        Fluxes of the column.
    unit
        Its unit as the file states it; empty without one.
    column
        Name of the column, for messages.

    Raises
    ------
    FileTypeError
        The unit is none of flux density.
    """
    positive = np.isfinite(flux) & (flux > 0)
    word = unit.lower().replace(" ", "")
    if not word:
        word = "jy" if positive.any() and float(np.median(flux[positive])) < 10.0 else "njy"
    if word not in _JANSKY:
        raise FileTypeError(
            f"column {column} is in {unit!r}; known units of flux: {', '.join(sorted(_JANSKY))}"
        )
    out = np.full(flux.shape, np.nan)
    out[positive] = -2.5 * np.log10(flux[positive] * (_JANSKY[word] / _AB_ZERO))
    return out


def ab_errors(flux: Array, error: Array) -> Array:
    """Errors of magnitudes from those of fluxes in the same unit; NaN where unknown (not positive)."""
    out = np.full(flux.shape, np.nan)
    known = np.isfinite(flux) & (flux > 0) & np.isfinite(error) & (error > 0)
    out[known] = 2.5 / np.log(10.0) * error[known] / flux[known]
    return out
