"""One simulated CCD image: optics, sky, stars, noise, defects, and its three planes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.pixels.maskbits import MaskBit
from desdm.simulate.psf import Moffat, gaussian_stamp
from desdm.simulate.sky import Sky, generator
from desdm.simulate.tpv import TPV
from desdm.survey.images import Planes

__all__ = ["Exposure", "expose"]

Array = npt.NDArray[np.float64]

#: Exponential profile as Gaussians: (weight, σ²/r_half²), Hogg & Lang (2013, PASP 125, 719), four terms refitted.
_DISK = ((0.0970, 0.0455), (0.3050, 0.245), (0.4200, 0.820), (0.1780, 2.10))


@dataclass(frozen=True, slots=True)
class Exposure:
    """What is true of one exposure of one CCD.

    ``magzero``: AB magnitude of one electron; ``sky`` in electrons a pixel; ``readnoise`` in electrons;
    ``mjd`` at the start; ``exptime`` in s.
    """

    expnum: int
    ccdnum: int
    band: str
    wcs: TPV
    psf: Moffat
    magzero: float
    sky: float
    readnoise: float
    saturate: float
    exptime: float
    mjd: float
    airmass: float
    size: int

    @property
    def name(self) -> str:
        """File name, as DESDM names a detrended image."""
        return f"D{self.expnum:08d}_{self.band}_c{self.ccdnum:02d}_r0000p00_immask.fits"

    @property
    def epoch(self) -> float:
        """Julian year."""
        return 2000.0 + (self.mjd - 51544.5) / 365.25

    @property
    def background(self) -> float:
        """Variance of a pixel without objects, electrons²."""
        return self.sky + self.readnoise**2


def expose(exposure: Exposure, sky: Sky, seed: int) -> Planes:
    """Render the sky, add noise and defects, and mask them as detrending would have.

    Parameters
    ----------
    exposure
        Conditions and geometry of the exposure.
    sky
        The objects.
    seed
        Seed of noise and defects.

    Returns
    -------
    Planes
        Image, mask and weight.
    """
    truth = _render(exposure, sky)
    rng = generator(seed, 2, exposure.expnum, exposure.ccdnum)
    image = rng.poisson(truth).astype(np.float64) + rng.normal(scale=exposure.readnoise, size=truth.shape)
    mask = np.zeros(truth.shape, np.int32)
    _columns(image, mask, rng)
    _cosmics(image, mask, rng)
    mask[image > exposure.saturate] |= int(MaskBit.SATURATE)
    np.minimum(image, exposure.saturate * 1.02, out=image)
    weight = np.full(image.shape, 1.0 / exposure.background, np.float32)
    weight[mask != 0] = 0.0
    return Planes(image.astype(np.float32), mask, weight, _header(exposure))


def _render(exposure: Exposure, sky: Sky) -> Array:
    """Render the expected charge: sky and objects."""
    out = np.full((exposure.size, exposure.size), exposure.sky)
    x, y = exposure.wcs.pixel(*sky.at(exposure.epoch))
    flux = 10.0 ** (0.4 * (exposure.magzero - sky.mags[exposure.band]))
    scale = 0.263
    for i in np.flatnonzero((x > -60) & (y > -60) & (x < exposure.size + 60) & (y < exposure.size + 60)):
        if sky.star[i]:
            # The stamp ends where the profile has sunk below 1/20 of the sky noise.
            size = 61 if flux[i] < 2e4 else 81 if flux[i] < 4e5 else 161
            stamp, x0, y0 = exposure.psf.stamp(x[i], y[i], size)
        else:
            stamp, x0, y0 = _galaxy(exposure.psf, x[i], y[i], sky.size[i] / scale, sky.e1[i], sky.e2[i])
        _add(out, flux[i] * stamp, x0, y0)
    return out


def _galaxy(psf: Moffat, x: float, y: float, half: float, e1: float, e2: float) -> tuple[Array, int, int]:
    """Return the stamp of a galaxy, and its first column and row."""
    shape = np.array([[1 + e1, e2], [e2, 1 - e1]]) * half**2
    parts = [(wd * wp, vd * shape + vp * np.eye(2)) for wd, vd in _DISK for wp, vp in psf.gaussians]
    return gaussian_stamp(x, y, 61, parts)


def _add(image: Array, stamp: Array, x0: int, y0: int) -> None:
    """Add a stamp to an image."""
    ny, nx = image.shape
    size = stamp.shape[0]
    left, right, low, high = max(x0, 0), min(x0 + size, nx), max(y0, 0), min(y0 + size, ny)
    if left < right and low < high:
        image[low:high, left:right] += stamp[low - y0 : high - y0, left - x0 : right - x0]


def _columns(image: Array, mask: npt.NDArray[np.int32], rng: np.random.Generator) -> None:
    """Add bad columns."""
    for column in rng.integers(20, image.shape[1] - 20, 2):
        top = int(rng.integers(image.shape[0] // 4, image.shape[0]))
        image[:top, column] = rng.normal(50.0, 5.0, top)
        mask[:top, column] |= int(MaskBit.BPM)


def _cosmics(image: Array, mask: npt.NDArray[np.int32], rng: np.random.Generator) -> None:
    """Add cosmic rays."""
    ny, nx = image.shape
    for _ in range(rng.poisson(12.0 * nx * ny / 1024**2)):
        x, y, angle = rng.random() * nx, rng.random() * ny, rng.random() * np.pi
        for step in np.arange(0.0, 4.0 + 20.0 * rng.random(), 0.5):
            column, row = int(x + step * np.cos(angle)), int(y + step * np.sin(angle))
            if 0 <= column < nx and 0 <= row < ny:
                image[row, column] += 1500.0 * (1.0 + rng.random())
                mask[row, column] |= int(MaskBit.CRAY)


def _header(exposure: Exposure) -> fits.Header:
    """Return the header of an exposure."""
    head = fits.Header()
    cards: list[tuple[str, str | float | int, str]] = [
        ("INSTRUME", "simcam", "the simulator's camera"),
        ("TELESCOP", "desdm simulator", "no telescope: simulated data"),
        ("EXPNUM", exposure.expnum, "exposure number"),
        ("CCDNUM", exposure.ccdnum, "CCD number"),
        ("BAND", exposure.band, "band"),
        ("FILTER", f"{exposure.band} simulated", "filter"),
        ("NITE", _nite(exposure.mjd), "night of observation"),
        ("OBJECT", "simulated patch", "field"),
        ("OBSTYPE", "object", "type of observation"),
        ("PROPID", "SIM-0001", "proposal"),
        ("EXPTIME", exposure.exptime, "[s] exposure time"),
        ("MJD-OBS", exposure.mjd, "[d] start of exposure"),
        ("AIRMASS", exposure.airmass, "airmass"),
        ("GAIN", 1.0, "electrons per count"),
        ("RDNOISE", exposure.readnoise, "[electron] read noise"),
        ("SATURATE", exposure.saturate, "[count] saturation"),
        ("MAGZERO", exposure.magzero, "[mag] AB magnitude of one count"),
        ("FWHM", exposure.psf.fwhm, "[pixel] seeing"),
        ("SKYBRITE", exposure.sky, "[count] sky level"),
        ("BUNIT", "electron", "unit of SCI"),
        ("PRODTYPE", "image", "kind of product"),
        ("PROCTYPE", "simulated", "how it was made"),
    ]
    for key, value, comment in cards:
        head[key] = (value, comment)
    for key, value in exposure.wcs.cards().items():
        head[key] = value
    return head


def _nite(mjd: float) -> str:
    """Return the night of a time (MJD)."""
    # DESDM's night is the civil date of its local noon: UTC day minus half a day covers Chile's nights.
    from datetime import date, timedelta

    return (date(1858, 11, 17) + timedelta(days=int(mjd - 0.5))).strftime("%Y%m%d")
