"""Make a whole little survey of one patch: exposures in some bands, a reference catalogue and the truth."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.simulate.camera import Exposure, expose
from desdm.simulate.limits import information
from desdm.simulate.psf import Moffat
from desdm.simulate.sky import Sky, generator, make_sky
from desdm.simulate.tpv import TPV
from desdm.survey.images import write_planes

__all__ = ["Truth", "make", "plan"]

Array = npt.NDArray[np.float64]

#: Of a 90 s exposure with DECam: AB magnitude of one electron, sky in electrons a pixel, seeing in arcsec.
CONDITIONS: dict[str, tuple[float, float, float]] = {
    "u": (29.6, 300.0, 1.20),
    "g": (31.4, 900.0, 1.11),
    "r": (31.5, 2700.0, 0.95),
    "i": (31.4, 5500.0, 0.88),
    "z": (31.1, 8500.0, 0.83),
    "Y": (29.8, 9000.0, 0.90),
}
PIXSCALE = 0.263


@dataclass(frozen=True, slots=True)
class Truth:
    """Files of a simulated patch, and their truth.

    ``images`` are the exposures' files (type red_immask); ``refcat`` the reference catalogue; ``table`` the truth of each
    object (FITS: id, ra, dec, star, mag_*, snr_*, sigpos_* …); ``json`` the truth of each exposure.
    """

    images: tuple[Path, ...]
    refcat: Path
    table: Path
    json: Path
    exposures: tuple[Exposure, ...]
    sky: Sky
    ra: float
    dec: float


def plan(
    seed: int, bands: tuple[str, ...], nexp: int, size: int, ra: float, dec: float
) -> tuple[Exposure, ...]:
    """Plan the exposures: dithers of some arcsec, with changing seeing, sky and transparency.

    Parameters
    ----------
    seed
        Seed.
    bands, nexp
        Bands, and exposures a band.
    size
        Pixels a side.
    ra, dec
        Centre, degrees.

    Returns
    -------
    tuple of Exposure
        The exposures.
    """
    out = []
    for b, band in enumerate(bands):
        for k in range(nexp):
            expnum = 900001 + b * nexp + k
            rng = generator(seed, 3, expnum)
            magzero, sky, seeing = CONDITIONS[band]
            fwhm = seeing * float(rng.uniform(0.95, 1.15)) / PIXSCALE
            out.append(
                Exposure(
                    expnum,
                    34,
                    band,
                    _pointing(rng, ra, dec, size),
                    Moffat(fwhm, 3.5, float(rng.normal(scale=0.03)), float(rng.normal(scale=0.03))),
                    magzero - float(rng.uniform(0.0, 0.25)),
                    sky * float(rng.uniform(0.9, 1.2)),
                    6.5,
                    170000.0,
                    90.0,
                    58150.1 + 0.004 * (b * nexp + k),
                    1.2,
                    size,
                )
            )
    return tuple(out)


def _pointing(rng: np.random.Generator, ra: float, dec: float, size: int) -> TPV:
    """Return a WCS centred on (ra, dec), dithered up to 12″ and rotated by at most 0.1°.

    The CCD sits where DECam's CCD 34 does, away from the optical axis, so that the cubic terms matter.
    """
    step = PIXSCALE / 3600.0
    angle = np.radians(90.0 + float(rng.normal(scale=0.05)))
    cd = (
        (float(-step * np.cos(angle)), float(step * np.sin(angle))),
        (float(-step * np.sin(angle)), float(-step * np.cos(angle))),
    )
    crpix = (-1222.2 + (1024 - size) / 2, 3716.3 + (1024 - size) / 2)
    dra, ddec = (rng.random(2) - 0.5) * 24.0 / 3600.0
    middle = np.array([(size + 1) / 2])
    here = TPV((ra, dec), crpix, cd)
    goal = np.array([ra + dra / np.cos(np.radians(dec)), dec + ddec])
    for _ in range(6):
        # Move the tangent point by what the CCD's centre misses the goal.
        lon, lat = here.world(middle, middle)
        miss_ra = (goal[0] - lon[0] + 180.0) % 360.0 - 180.0
        here = TPV((here.crval[0] + float(miss_ra), here.crval[1] + float(goal[1] - lat[0])), crpix, cd)
    return here


def make(
    out: Path,
    seed: int = 1,
    bands: tuple[str, ...] = ("g", "r", "z"),
    nexp: int = 3,
    size: int = 1024,
    *,
    ra: float = 30.0,
    dec: float = -5.0,
    bright: int | None = None,
    faint: int | None = None,
    galaxies: int | None = None,
) -> Truth:
    """Make a patch into the folder ``out``.

    Parameters
    ----------
    out
        Made if it is not there.
    seed
        Same seed, same bytes.
    bands, nexp, size
        Bands, exposures in each, and pixels a side of the one CCD.
    ra, dec
        Centre in degrees.
    bright, faint, galaxies
        Numbers of objects; by default as many as fit the area (200, 70, 50 for 1024 pixels).

    Returns
    -------
    Truth
        Files and truth.
    """
    out.mkdir(parents=True, exist_ok=True)
    area = (size / 1024.0) ** 2
    sky = make_sky(
        seed,
        ra,
        dec,
        size * PIXSCALE + 10.0,
        bands,
        bright=round(200 * area) if bright is None else bright,
        faint=round(70 * area) if faint is None else faint,
        galaxies=round(50 * area) if galaxies is None else galaxies,
    )
    exposures = plan(seed, bands, nexp, size, ra, dec)
    images = []
    for exposure in exposures:
        images.append(out / exposure.name)
        write_planes(images[-1], expose(exposure, sky, seed))
    refcat, table, facts = out / "refcat_sim.fits", out / "truth_sim.fits", out / "truth_sim.json"
    _write_refcat(refcat, sky, seed)
    _write_truth(table, sky, exposures)
    _write_facts(facts, exposures, seed, ra, dec)
    return Truth(tuple(images), refcat, table, facts, exposures, sky, ra, dec)


def _table(path: Path, name: str, columns: dict[str, tuple[npt.NDArray[np.generic], str]]) -> None:
    """Write a table of columns with units."""
    formats = {"f": "D", "i": "J", "b": "L"}
    fits_columns = [
        fits.Column(name=key, array=values, format=formats[values.dtype.kind], unit=unit or None)
        for key, (values, unit) in columns.items()
    ]
    hdu = fits.BinTableHDU.from_columns(fits_columns, name=name)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True, checksum=True)


def _write_refcat(path: Path, sky: Sky, seed: int) -> None:
    """Write a catalogue such as Gaia with magnitudes: stars with r below 21, errors of 0.3 mas and 2 mmag."""
    rng = generator(seed, 4)
    first = next(iter(sky.mags.values())) if "r" not in sky.mags else sky.mags["r"]
    keep = sky.star & (first < 21.0)
    n = int(keep.sum())
    error = 0.3 / 3.6e6
    columns: dict[str, tuple[npt.NDArray[np.generic], str]] = {
        "source_id": (np.flatnonzero(keep).astype(np.int32), ""),
        "ra": (sky.ra[keep] + rng.normal(scale=error, size=n) / np.cos(np.radians(sky.dec[keep])), "deg"),
        "dec": (sky.dec[keep] + rng.normal(scale=error, size=n), "deg"),
        "ra_error": (np.full(n, 0.3), "mas"),
        "dec_error": (np.full(n, 0.3), "mas"),
        "pmra": (sky.pmra[keep] + rng.normal(scale=0.05, size=n), "mas/yr"),
        "pmdec": (sky.pmdec[keep] + rng.normal(scale=0.05, size=n), "mas/yr"),
        "ref_epoch": (np.full(n, sky.epoch), "yr"),
    }
    for band, mags in sky.mags.items():
        columns[f"mag_{band}"] = (mags[keep] + rng.normal(scale=0.002, size=n), "mag")
        columns[f"magerr_{band}"] = (np.full(n, 0.002), "mag")
    _table(path, "REFCAT", columns)


def _write_truth(path: Path, sky: Sky, exposures: tuple[Exposure, ...]) -> None:
    """Write the true positions, magnitudes and limits."""
    ra, dec = sky.at(exposures[0].epoch)
    columns: dict[str, tuple[npt.NDArray[np.generic], str]] = {
        "id": (np.arange(ra.size).astype(np.int32), ""),
        "ra": (ra, "deg"),
        "dec": (dec, "deg"),
        "star": (sky.star, ""),
        "size": (sky.size, "arcsec"),
        "isolation": (sky.isolation, "arcsec"),
    }
    for band in dict.fromkeys(e.band for e in exposures):
        columns[f"mag_{band}"] = (sky.mags[band], "mag")
        total, east, north, visits, clean = _limits(sky, [e for e in exposures if e.band == band])
        flux = 10.0 ** (-0.4 * (sky.mags[band] - 30.0))
        columns[f"nexp_{band}"] = (visits, "")
        columns[f"unsaturated_{band}"] = (clean, "")
        with np.errstate(divide="ignore"):
            columns[f"snr_{band}"] = (flux * np.sqrt(total), "")
            columns[f"sigra_{band}"] = (1.0 / np.sqrt(east), "mas")
            columns[f"sigdec_{band}"] = (1.0 / np.sqrt(north), "mas")
    _table(path, "TRUTH", columns)


def _limits(
    sky: Sky, exposures: list[Exposure]
) -> tuple[Array, Array, Array, npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """Summed Fisher information: flux at zero point 30, east and north (mas⁻²), number of exposures, never saturated."""
    n = sky.ra.size
    total, east, north = np.zeros(n), np.zeros(n), np.zeros(n)
    visits, clean = np.zeros(n, np.int32), np.ones(n, bool)
    for exposure in exposures:
        x, y = exposure.wcs.pixel(*sky.at(exposure.epoch))
        inside = (x > 12) & (y > 12) & (x < exposure.size - 11) & (y < exposure.size - 11)
        flux = 10.0 ** (-0.4 * (sky.mags[exposure.band] - exposure.magzero))
        of_flux, of_x, of_y = information(exposure.psf, flux, exposure.background)
        peak = flux * float(exposure.psf.stamp(500.0, 500.0, 5)[0].max()) + exposure.sky
        to30 = 10.0 ** (0.4 * (exposure.magzero - 30.0))
        step = PIXSCALE * 1000.0
        (_, c12), (c21, _) = exposure.wcs.cd
        # The camera is turned by 90°: x runs along declination when CD2_1 is the larger.
        along_x, along_y = (of_y, of_x) if abs(c12) > abs(c21) * 0.5 else (of_x, of_y)
        total += inside * of_flux * to30**2
        east += inside * along_x / step**2
        north += inside * along_y / step**2
        visits += inside
        clean &= ~inside | (peak < 0.9 * exposure.saturate)
    return total, east, north, visits, clean & (visits > 0)


def _write_facts(path: Path, exposures: tuple[Exposure, ...], seed: int, ra: float, dec: float) -> None:
    """Write the conditions of the exposures."""
    rows = [
        {
            "filename": e.name,
            "expnum": e.expnum,
            "ccdnum": e.ccdnum,
            "band": e.band,
            "magzero": e.magzero,
            "sky": e.sky,
            "readnoise": e.readnoise,
            "fwhm": e.psf.fwhm,
            "beta": e.psf.beta,
            "e1": e.psf.e1,
            "e2": e.psf.e2,
            "exptime": e.exptime,
            "mjd": e.mjd,
            "crval": e.wcs.crval,
            "crpix": e.wcs.crpix,
            "cd": e.wcs.cd,
        }
        for e in exposures
    ]
    path.write_text(json.dumps({"seed": seed, "ra": ra, "dec": dec, "exposures": rows}, indent=1) + "\n")
