"""What the nights are like: zero points, skies and seeing by band, and what a perfect assessment must find.

The light is DECam's, in electrons: the zero points agree with the fiducial ones that LSST's obs_decam has from its own
reduction of DECam data (config/fiducialZeroPoint.py: g 25.11, r 25.35, i 25.2, z 25.0 per count, 1.5 mag more per
electron) to 0.2 mag; the sky of r is that of exposure 241238 (268 counts at 3.91 electrons each in 90 s), 1,050
electrons. The verdict is DESDM's rule with the survey's own table of bands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from desdm.survey import bands

__all__ = ["BANDS", "FILTERS", "Verdict", "assess", "magzero", "offset"]


@dataclass(frozen=True, slots=True)
class Band:
    """A band's constants.

    ``zero``: AB magnitude of one electron per second above the atmosphere; ``k``: magnitudes per airmass; ``sky``: dark
    sky in electrons/s/pixel; ``seeing`` (arcsec; good is 0.9 of it) and ``least``, the t_eff that must be exceeded, are
    DESDM's (assess_SE_products). ``fringe`` and ``ghost`` are parts of the sky, ``filter`` is DECam's FILTER keyword.
    """

    zero: float
    k: float
    sky: float
    seeing: float
    least: float
    fringe: float
    ghost: float
    filter: str


BANDS: dict[str, Band] = {
    "u": Band(26.50, 0.489, 0.8, 1.2, 0.2, 0.0, 0.01, "u DECam c0006 3500.0 1000.0"),
    "g": Band(26.93, 0.181, 4.3, 1.103, 0.2, 0.0, 0.01, "g DECam SDSS c0001 4720.0 1520.0"),
    "r": Band(27.04, 0.095, 10.8, 1.041, 0.3, 0.0, 0.01, "r DECam SDSS c0002 6415.0 1480.0"),
    "i": Band(26.92, 0.089, 31.0, 1.0, 0.3, 0.002, 0.012, "i DECam SDSS c0003 7835.0 1470.0"),
    "z": Band(26.59, 0.053, 66.0, 0.965, 0.3, 0.010, 0.015, "z DECam SDSS c0004 9260.0 1520.0"),
    "Y": Band(25.50, 0.050, 58.0, 0.95, 0.2, 0.015, 0.015, "Y DECam c0005 10095.0 1130.0"),
    "VR": Band(26.97, 0.13, 14.8, 1.04, 0.3, 0.0, 0.01, "VR DECam c0007 6300.0 2600.0"),
}
FILTERS: dict[str, str] = {name: band.filter for name, band in BANDS.items()}

#: DESDM's assessment adds this to PSFEx's FWHM_MEAN, in arcsec.
FWHM_OFFSET = 0.04


def magzero(band: str, exptime: float, airmass: float, cloud: float) -> float:
    """Return the AB magnitude of one electron of the calibrated image.

    Parameters
    ----------
    band
        Band.
    exptime
        Exposure time, s.
    airmass
        Airmass.
    cloud
        Extinction by clouds, mag.

    Returns
    -------
    float
        AB magnitude of one electron.
    """
    of = BANDS[band]
    return of.zero + 2.5 * math.log10(exptime) - of.k * airmass - cloud


def offset(band: str, airmass: float, cloud: float) -> float:
    """Return by how many magnitudes an exposure is less deep than the nominal night of DESDM.

    Parameters
    ----------
    band
        Band.
    airmass
        Airmass.
    cloud
        Extinction by clouds, mag.

    Returns
    -------
    float
        Magnitudes; an assessment measures them as clouds.
    """
    of, nominal = BANDS[band], bands.BANDS[band]
    # A count is four electrons: one electron per second is 1.505 mag fainter.
    return nominal.aterm + 2.5 * math.log10(4.0) - of.zero - (nominal.k - of.k) * airmass + cloud


@dataclass(frozen=True, slots=True)
class Verdict:
    """t_eff = F·B·C and what DESDM's rule says of it."""

    f_eff: float
    b_eff: float
    c_eff: float
    t_eff: float
    verdict: str
    reason: str


def assess(band: str, fwhm: float, sky: float, cloud: float, reference: bool = True) -> Verdict:
    """Return the verdict of a measurement without errors.

    Parameters
    ----------
    band
        Band of the exposure.
    fwhm
        What PSFEx measures in the mean over the focal plane, arcsec: FWHM of the PSF with the pixel in it.
    sky
        Electrons/s/pixel.
    cloud
        Magnitudes below the nominal zero point (`offset`).
    reference
        Whether a reference catalogue covers the field; without one the transparency is unknown.

    Notes
    -----
    DESDM's assess_SE_products: F = (0.9 K/(FWHM + 0.04″))², B = good sky/sky in counts, of which one is
    four electrons, C = 1 below 0.2 mag and 10^(-0.8 (Δm - 0.2)) above; accepted when t_eff exceeds the band's least and
    the FWHM is at most 1.6 K.
    """
    of = BANDS[band]
    wide = fwhm + FWHM_OFFSET
    f, b = (0.9 * of.seeing / wide) ** 2, 4.0 * bands.BANDS[band].sky_good / sky
    c = 1.0 if cloud < 0.2 else 10.0 ** (-0.8 * (cloud - 0.2))
    limit = BANDS["g" if band == "Y" else band].seeing * 1.6
    if not reference:
        return Verdict(f, b, 1.0, f * b, "Unknown", "unkn")
    t = f * b * c
    if wide > limit:
        return Verdict(f, b, c, t, "False", "badF")
    if t <= of.least:
        return Verdict(f, b, c, t, "False", "badT")
    return Verdict(f, b, c, t, "True", "")
