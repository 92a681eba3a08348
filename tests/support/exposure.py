"""A small calibrated exposure of four CCDs whose truth is known: stars, galaxies, sky, noise; with its reference catalogue.

It stands between the truth and the catalogue codes without a pipeline: no detrending has touched these pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from desdm.pixels.maskbits import MaskBit
from desdm.simulate.psf import Moffat, gaussian_stamp
from desdm.simulate.tpv import DECAM_PV, TPV
from desdm.survey.images import Planes, write_planes

__all__ = ["NX", "NY", "Chip", "Scene", "observe", "scene"]

NX, NY = 512, 1024
PIXSCALE = 0.263
EPOCH = 2018.0
MJD = 51544.5 + (EPOCH - 2000.0) * 365.25
NAMES = {1: "S1", 2: "S2", 3: "N1", 4: "N2"}


@dataclass(frozen=True)
class Chip:
    """One CCD: its file, the true solution, and the truth of its objects (x, y in FITS pixels, flux in electrons)."""

    ccdnum: int
    path: Path
    wcs: TPV
    x: Any
    y: Any
    flux: Any
    mag: Any
    star: Any
    alone: Any


@dataclass(frozen=True)
class Scene:
    """An exposure: CCDs, reference catalogue, and what is true of it (``fwhm`` and ``beta`` of the Moffat, pixels)."""

    chips: tuple[Chip, ...]
    refcat: Path
    band: str
    magzero: float
    sky: float
    psf: Moffat
    exptime: float
    airmass: float

    @property
    def images(self) -> list[Path]:
        """The CCDs' files."""
        return [c.path for c in self.chips]


def _distortion(strength: float) -> dict[str, tuple[float, ...]]:
    """DECam's distortion as a camera a fifth of its size would have it, so that the cubic terms matter."""
    grow = (0.0, 1.0, 1.0, 0.0, 5.0, 5.0, 5.0, 25.0, 25.0, 25.0, 25.0)
    out = {}
    for axis, terms in DECAM_PV.items():
        scaled = [t * g * strength for t, g in zip(terms, grow, strict=True)]
        scaled[1] = 1.0 + (terms[1] - 1.0) * strength
        out[axis] = tuple(scaled)
    return out


def _solutions(ra: float, dec: float, strength: float) -> dict[int, TPV]:
    """Two by two CCDs around the optical axis, 30 pixels apart; rows run along declination."""
    step = PIXSCALE / 3600.0
    pv = _distortion(strength)
    found = {}
    for ccd, (column, row) in {1: (0, 0), 2: (1, 0), 3: (0, 1), 4: (1, 1)}.items():
        crpix = ((NX + 15.5) if column == 0 else -14.5, (NY + 15.5) if row == 0 else -14.5)
        found[ccd] = TPV((ra, dec), crpix, ((-step, step * 1e-3 * ccd), (step * 1e-3 * ccd, step)), pv)
    return found


@dataclass(frozen=True)
class _Sky:
    ra: Any
    dec: Any
    mag: Any
    star: Any
    size: Any


def _make_sky(rng: np.random.Generator, ra: float, dec: float, stars: int, galaxies: int) -> _Sky:
    n = stars + galaxies
    half = 340.0
    dx, dy = rng.uniform(-half, half, (2, n))
    mag = np.concatenate([16.6 + 6.4 * rng.random(stars) ** 0.75, 19.5 + 4.0 * rng.random(galaxies) ** 0.5])
    return _Sky(
        ra + dx / 3600 / np.cos(np.radians(dec)),
        dec + dy / 3600,
        mag,
        np.arange(n) < stars,
        np.where(np.arange(n) < stars, 0.0, rng.uniform(1.5, 4.0, n)),
    )


def scene(
    out: Path,
    seed: int = 1,
    *,
    band: str = "r",
    expnum: int = 700001,
    stars: int = 2800,
    galaxies: int = 300,
    fwhm: float = 3.6,
    clouds: float = 0.0,
    sky: float = 1000.0,
    pointing: tuple[float, float] = (3.0, -2.0),
    ra: float = 150.0,
    dec: float = 1.5,
    background: bool = False,
    distortion: float = 1.0,
    header: Mapping[str, Any] | None = None,
) -> Scene:
    """Observe a random field of 11 arcmin, of which the CCDs see 4.6 by 9.1.

    Parameters
    ----------
    out
        Folder for the files.
    seed
        Same seed, same pixels.
    stars, galaxies
        In the whole field; about a twelfth of them on each CCD.
    fwhm
        Of the Moffat profile, pixels.
    clouds
        Magnitudes lost.
    sky
        Electrons a pixel.
    pointing
        What the headers' CRVAL are wrong by, arcsec east and north.
    background
        Leave the sky in the pixels, as before sky subtraction.
    """
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, 77])
    objects = _make_sky(rng, ra, dec, stars, galaxies)
    psf = Moffat(fwhm, 3.5, 0.03, -0.02)
    exptime, airmass = 90.0, 1.2
    # DESDM's nominal zero point, aterm + 2.5 log10 t - k X, for electrons, of which a count is four.
    aterm, k = {"g": (25.428, 0.181), "r": (25.532, 0.095), "i": (25.413, 0.089), "z": (25.086, 0.053)}[band]
    zero = aterm + 2.5 * np.log10(4.0 * exptime) - k * airmass - clouds
    chips = []
    for ccd, wcs in _solutions(ra, dec, distortion).items():
        chips.append(
            observe(
                out / f"D{expnum:08d}_{band}_c{ccd:02d}_r1p01_immask.fits", wcs, ccd, objects, psf, zero, sky,
                rng, pointing, background,
                {"EXPNUM": expnum, "BAND": band, "FILTER": f"{band} DECam SDSS c0002 6415.0 1480.0",
                 "EXPTIME": exptime, "AIRMASS": airmass, "MJD-OBS": MJD, **(header or {})},
            )
        )  # fmt: skip
    refcat = out / f"refcat_{expnum}.fits"
    _write_refcat(refcat, objects, band, rng)
    return Scene(tuple(chips), refcat, band, zero, sky, psf, exptime, airmass)


def observe(
    path: Path, wcs: TPV, ccd: int, objects: Any, psf: Moffat, zero: float, sky: float, rng: np.random.Generator,
    pointing: tuple[float, float], background: bool, cards: Mapping[str, Any],
) -> Chip:  # fmt: skip
    """One CCD of the field, written as three planes."""
    x, y = wcs.pixel(objects.ra, objects.dec)
    here = (x > -30) & (x < NX + 30) & (y > -30) & (y < NY + 30)
    x, y, mag, star, size = x[here], y[here], objects.mag[here], objects.star[here], objects.size[here]
    flux = 10.0 ** (0.4 * (zero - mag))
    truth = np.full((NY, NX), sky)
    sigma2 = (psf.fwhm / 2.3548) ** 2
    for i in range(x.size):
        if star[i]:
            stamp, x0, y0 = psf.stamp(x[i], y[i], 121 if flux[i] > 2e5 else 61)
        else:
            stamp, x0, y0 = gaussian_stamp(x[i], y[i], 61, [(1.0, (size[i] ** 2 + sigma2) * np.eye(2))])
        _add(truth, flux[i] * stamp, x0, y0)
    noise = 7.0
    image = rng.poisson(truth) + rng.normal(scale=noise, size=truth.shape)
    mask = np.zeros(image.shape, np.int32)
    full = 150000.0
    mask[image > full] |= int(MaskBit.SATURATE)
    weight = np.full(image.shape, 1.0 / (sky + noise**2), np.float32)
    weight[mask != 0] = 0.0
    np.minimum(image, full * 1.01, out=image)
    if not background:
        image -= sky
    off = replace(wcs, crval=(wcs.crval[0] + pointing[0] / 3600, wcs.crval[1] + pointing[1] / 3600))
    write_planes(
        path,
        Planes(
            image.astype(np.float32), mask, weight, _header({**cards, "CCDNUM": ccd, "SKYBRITE": sky}, off)
        ),
    )
    far = np.hypot(x[:, None] - x[None, :], y[:, None] - y[None, :])
    np.fill_diagonal(far, np.inf)
    alone = far.min(axis=1) if x.size > 1 else np.full(x.size, np.inf)
    inside = (x > 1) & (x < NX) & (y > 1) & (y < NY)
    return Chip(ccd, path, wcs, x[inside], y[inside], flux[inside], mag[inside], star[inside], alone[inside])


def _add(image: Any, stamp: Any, x0: int, y0: int) -> None:
    ny, nx = image.shape
    size = stamp.shape[0]
    left, right, low, high = max(x0, 0), min(x0 + size, nx), max(y0, 0), min(y0 + size, ny)
    if left < right and low < high:
        image[low:high, left:right] += stamp[low - y0 : high - y0, left - x0 : right - x0]


def _header(cards: Mapping[str, Any], wcs: TPV) -> fits.Header:
    head = fits.Header()
    head["INSTRUME"], head["TELESCOP"] = "MINICAM", "no telescope: simulated data"
    for key, value in cards.items():
        head[key] = value
    head["DETPOS"] = NAMES[int(cards["CCDNUM"])]
    head["NITE"], head["OBSTYPE"], head["OBJECT"] = "20180101", "object", "DES survey hex 1"
    head["GAIN"], head["BUNIT"], head["SATURATE"], head["PIXSCALE"] = 1.0, "electrons", 150000.0, PIXSCALE
    for key, value in wcs.cards().items():
        head[key] = value
    return head


def _write_refcat(path: Path, objects: Any, band: str, rng: np.random.Generator) -> None:
    keep = objects.star & (objects.mag < 21.0)
    n = int(keep.sum())
    error = 1.0 / 3.6e6
    pmra, pmdec = rng.normal(scale=8.0, size=(2, n))
    years = EPOCH - 2016.0
    cosd = np.cos(np.radians(objects.dec[keep]))
    columns = {
        "ra": objects.ra[keep] + (rng.normal(scale=error, size=n) - pmra * years / 3.6e6) / cosd,
        "dec": objects.dec[keep] + rng.normal(scale=error, size=n) - pmdec * years / 3.6e6,
        "ra_error": np.full(n, 1.0),
        "pmra": pmra,
        "pmdec": pmdec,
        "ref_epoch": np.full(n, 2016.0),
    }
    for other in "griz":
        columns[f"mag_{other}"] = objects.mag[keep] + rng.normal(scale=0.005, size=n) + (other != band) * 0.3
        columns[f"magerr_{other}"] = np.full(n, 0.005)
    table = fits.BinTableHDU.from_columns(
        [fits.Column(name=k, format="D", array=v) for k, v in columns.items()], name="REFCAT"
    )
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, overwrite=True, checksum=True)
