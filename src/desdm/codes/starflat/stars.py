"""Stars of one CCD, measured in an aperture that follows the seeing, and matches of the same stars in other exposures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from scipy.spatial import cKDTree

from desdm.codes.starflat.fit import REFERENCE, Measured
from desdm.errors import FileTypeError
from desdm.survey.airmass import airmass_of
from desdm.survey.headers import wcs_of

__all__ = ["Stars", "align", "good_stars", "join", "read_stars", "write_stars"]

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
_COLUMNS = ("X", "Y", "RA", "DEC", "MAG", "MAGERR")


@dataclass(frozen=True, slots=True)
class Stars:
    """Stars of one CCD of one exposure.

    Attributes
    ----------
    x, y
        FITS pixel coordinates.
    ra, dec
        Degrees, by the image's own WCS.
    mag, error
        Magnitude -2.5 log10(electrons/s) outside the atmosphere, as far as extinction is known, and its error.
    header
        EXPNUM, CCDNUM, BAND; NAXIS1, NAXIS2 of the image.
    """

    x: F8
    y: F8
    ra: F8
    dec: F8
    mag: F8
    error: F8
    header: fits.Header


def good_stars(
    rows: npt.NDArray[np.void],
    header: fits.Header,
    apertures: Sequence[float],
    *,
    widths: float = 5.0,
    snr: float = 50.0,
    extinction: float = 0.0,
    edge: float = 15.0,
) -> Stars:
    """The isolated, unmasked, bright stars of a catalogue.

    Parameters
    ----------
    rows
        Table with the columns of ``data/stars.param``.
    header
        Of the image: EXPTIME, AIRMASS, WCS.
    apertures
        Diameters of FLUX_APER, pixels.
    widths
        Diameter of the aperture that counts in units of the CCD's FWHM: so that poor seeing loses no more light than good.
    snr
        Least signal to noise.
    extinction
        Magnitudes an airmass.
    edge
        Stars nearer than this to the image's edge are left out, pixels.
    """
    radius = np.asarray(rows["FLUX_RADIUS"], float)
    flux, error = (np.asarray(rows[k], float).reshape(len(rows), -1) for k in ("FLUX_APER", "FLUXERR_APER"))
    x, y = np.asarray(rows["XWIN_IMAGE"], float), np.asarray(rows["YWIN_IMAGE"], float)
    clean = (rows["FLAGS"] == 0) & (rows["IMAFLAGS_ISO"] == 0) & (flux > 0).all(axis=1)
    clean &= flux[:, 0] > snr * error[:, 0]
    clean &= (x > edge) & (y > edge) & (x < header["NAXIS1"] - edge) & (y < header["NAXIS2"] - edge)
    size = float(np.median(radius[clean])) if clean.any() else 0.0
    clean &= (np.abs(radius - size) < 0.15 * size) & (np.asarray(rows["ELONGATION"]) < 1.3)
    # FLUX_RADIUS holds half the light: half the FWHM and some tenths, whatever the profile.
    wanted = float(np.clip(widths * 2.0 * size / 1.1, apertures[0], apertures[-1]))
    light, noise = (
        np.array([np.interp(wanted, apertures, one) for one in of[clean]]) if clean.any() else np.zeros(0)
        for of in (flux, error)
    )
    ra, dec = (
        wcs_of(header).all_pix2world(x[clean], y[clean], 1) if clean.any() else (np.zeros(0), np.zeros(0))
    )
    zero = 2.5 * np.log10(float(header["EXPTIME"])) - extinction * (airmass_of(header.get) or 1.0)
    mag = -2.5 * np.log10(light) + zero
    return Stars(x[clean], y[clean], np.mod(ra, 360.0), dec, mag, 1.0857 * noise / light, header)


def write_stars(path: Path, stars: Stars, header: fits.Header) -> None:
    """Write cal_starcat: table STARS with X, Y [pixel], RA, DEC [deg], MAG, MAGERR [mag].

    Parameters
    ----------
    path
        File to write.
    stars
        Measured stars of one CCD.
    header
        Cards of the primary header.
    """
    names = (("X", "pixel"), ("Y", "pixel"), ("RA", "deg"), ("DEC", "deg"), ("MAG", "mag"), ("MAGERR", "mag"))
    values = (stars.x, stars.y, stars.ra, stars.dec, stars.mag, stars.error)
    columns = [fits.Column(n, "D", unit=u, array=v) for (n, u), v in zip(names, values, strict=True)]
    hdu = fits.BinTableHDU.from_columns(columns, name="STARS")
    fits.HDUList([fits.PrimaryHDU(header=header), hdu]).writeto(path, overwrite=True, checksum=True)


def read_stars(path: Path) -> Stars:
    """Read what `write_stars` wrote; `FileTypeError` if it is something else."""
    with fits.open(path, memmap=False) as hdus:
        if "STARS" not in hdus:
            raise FileTypeError(f"{path.name}: no table STARS; it is not a catalogue of a star flat")
        rows = hdus["STARS"].data
        x, y, ra, dec, mag, error = (np.array(rows[k], np.float64) for k in _COLUMNS)
        return Stars(x, y, ra, dec, mag, error, hdus[0].header.copy())


def align(ra: F8, dec: F8, to: cKDTree, middle: tuple[float, float], reach: float) -> tuple[float, float]:
    """By how much a list lies off another, arcsec east and north: where most pairs agree.

    ``reach`` is the largest offset looked for, arcsec; (0, 0) where no offset stands out.

    Parameters
    ----------
    ra, dec
        (n,) positions, degrees.
    to
        Tree of the positions to align to, arcsec from ``middle``.
    middle
        (ra, dec) of the projection's centre, degrees.
    reach
        Largest offset considered, arcsec.

    Returns
    -------
    (float, float)
        Offset east and north, arcsec; (0, 0) where no offset is significant.
    """
    # A thousand stars tell it as well as all of a large camera.
    places = _plane(ra, dec, middle)[:: max(1, len(ra) // 1000)]
    pairs = to.query_ball_point(places, reach)
    steps = [to.data[j] - places[i] for i, near in enumerate(pairs) for j in near]
    if len(steps) < 3:
        return 0.0, 0.0
    cloud = np.array(steps)
    tree = cKDTree(cloud)
    count = np.array([len(near) for near in tree.query_ball_point(cloud, 0.7)])
    best = tree.query_ball_point(cloud[int(count.argmax())], 0.7)
    east, north = np.median(cloud[best], axis=0)
    return float(east), float(north)


def join(
    catalogues: Sequence[Stars],
    reference: tuple[F8, F8, F8, F8] | None = None,
    *,
    radius: float = 1.2,
    reach: float = 20.0,
) -> tuple[Measured, dict[int, int]]:
    """Number the stars of many catalogues: the same star, the same number.

    Parameters
    ----------
    catalogues
        Of one band; several CCDs of an exposure share its pointing error.
    reference
        ra, dec (deg), mag, error of a reference catalogue, or None.
    radius
        Within which two are one star, arcsec.
    reach
        Largest pointing error, arcsec.

    Returns
    -------
    Measured, dict
        The measurements, and exposure number → its number in them. A reference catalogue is one exposure more.
    """
    some = [c for c in catalogues if len(c.ra)]
    if not some:
        empty = np.zeros(0)
        none = empty.astype(np.int64)
        return Measured(none, none, none, empty, empty, empty, empty), {}
    # On the plane about one star of the field an angle that wraps at 360° wraps no more.
    middle = (float(some[0].ra[0]), float(np.median(some[0].dec)))
    expnums = sorted({int(c.header["EXPNUM"]) for c in some})
    known = np.zeros((0, 2))
    if reference is not None:
        known = _plane(reference[0], reference[1], middle)
    parts = []
    for number, expnum in enumerate(expnums):
        mine = [c for c in some if int(c.header["EXPNUM"]) == expnum]
        ra, dec = np.concatenate([c.ra for c in mine]), np.concatenate([c.dec for c in mine])
        places = _plane(ra, dec, middle)
        if len(known):
            places = places + align(ra, dec, cKDTree(known), middle, reach)
        star, known = _numbered(places, known, radius)
        ccd = np.concatenate([np.full(len(c.ra), int(c.header["CCDNUM"])) for c in mine])
        columns = [np.concatenate([getattr(c, k) for c in mine]) for k in ("x", "y", "mag", "error")]
        parts.append([star, np.full(len(star), number), ccd, *columns])
    numbers = {e: i for i, e in enumerate(expnums)}
    if reference is not None and len(reference[0]):
        n = len(reference[0])
        zeros = np.zeros(n)
        where = np.full(n, len(expnums))
        parts.append([np.arange(n), where, np.full(n, REFERENCE), zeros, zeros, reference[2], reference[3]])
    star, exposure, ccd, x, y, mag, error = (np.concatenate(c) for c in zip(*parts, strict=True))
    whole = Measured(star.astype(np.int64), exposure.astype(np.int64), ccd.astype(np.int64), x, y, mag, error)
    return _unique(whole), numbers


def _plane(ra: F8, dec: F8, middle: tuple[float, float]) -> F8:
    """Arcsec east and north of the middle."""
    east = ((ra - middle[0] + 180.0) % 360.0 - 180.0) * np.cos(np.radians(dec)) * 3600.0
    return np.column_stack([east, (dec - middle[1]) * 3600.0])


def _numbered(places: F8, known: F8, radius: float) -> tuple[I8, F8]:
    """Match positions to known stars within a radius; new ones are appended and numbered."""
    star = np.full(len(places), -1, np.int64)
    if len(known):
        distance, nearest = cKDTree(known).query(places)
        star = np.where(distance < radius, nearest, -1).astype(np.int64)
    new = star < 0
    star[new] = len(known) + np.arange(int(new.sum()))
    return star, np.concatenate([known, places[new]])


def _unique(m: Measured) -> Measured:
    """Without stars that an exposure has twice: two neighbours that cannot be distinguished."""
    key = m.star * (int(m.exposure.max()) + 1) + m.exposure
    _, inverse, count = np.unique(key, return_inverse=True, return_counts=True)
    alone = count[inverse] == 1
    return Measured(
        m.star[alone],
        m.exposure[alone],
        m.ccdnum[alone],
        m.x[alone],
        m.y[alone],
        m.mag[alone],
        m.error[alone],
    )
