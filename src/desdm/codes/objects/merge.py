"""Merge a tile's per-band catalogues into one row an object, with each column's text, unit and UCD."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from desdm.errors import FileTypeError
from desdm.sky.healpix import hpix29

__all__ = ["Column", "merge"]

Values = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: values, text, unit (VOUnit) and UCD (UCD1+)."""

    name: str
    values: Values
    text: str
    unit: str = ""
    ucd: str = ""


#: Catalogue column → (our name, text, unit, UCD), one such column for each band.
_PER_BAND: tuple[tuple[str, str, str, str, str], ...] = (
    ("FLUX_PSF", "flux_psf", "PSF-fit flux; AB magnitude 30 is one", "", "phot.flux"),
    ("FLUXERR_PSF", "fluxerr_psf", "error of flux_psf", "", "stat.error;phot.flux"),
    ("MAG_PSF", "mag_psf", "PSF-fit AB magnitude", "mag", "phot.mag"),
    ("MAGERR_PSF", "magerr_psf", "error of mag_psf", "mag", "stat.error;phot.mag"),
    ("FLUX_AUTO", "flux_auto", "Kron flux; AB magnitude 30 is one", "", "phot.flux"),
    ("FLUXERR_AUTO", "fluxerr_auto", "error of flux_auto", "", "stat.error;phot.flux"),
    ("MAG_AUTO", "mag_auto", "Kron AB magnitude", "mag", "phot.mag"),
    ("MAGERR_AUTO", "magerr_auto", "error of mag_auto", "mag", "stat.error;phot.mag"),
    ("FLUX_RADIUS", "flux_radius", "half-light radius", "pixel", "phys.angSize"),
    ("FWHM_WORLD", "fwhm", "full width at half maximum", "deg", "phys.angSize"),
    ("ALPHAWIN_J2000", "ra_win", "right ascension of the windowed centroid", "deg", "pos.eq.ra"),
    ("DELTAWIN_J2000", "dec_win", "declination of the windowed centroid", "deg", "pos.eq.dec"),
    ("ERRAWIN_WORLD", "erra_win", "error of the windowed centroid, major axis", "deg", "stat.error;pos"),
    ("ALPHAPSF_J2000", "ra_psf", "right ascension of the PSF fit", "deg", "pos.eq.ra"),
    ("DELTAPSF_J2000", "dec_psf", "declination of the PSF fit", "deg", "pos.eq.dec"),
    ("ERRAPSF_WORLD", "erra_psf", "error of the PSF fit's place, major axis", "deg", "stat.error;pos"),
    ("SPREAD_MODEL", "spread_model", "how much it is more extended than the PSF", "", "src.class.starGalaxy"),
    ("SPREADERR_MODEL", "spreaderr_model", "error of spread_model", "", "stat.error;src.class.starGalaxy"),
    ("CHI2_PSF", "chi2_psf", "reduced chi2 of the PSF fit", "", "stat.fit.chi2"),
    ("FLAGS", "flags", "Source Extractor flags", "", "meta.code"),
    ("IMAFLAGS_ISO", "imaflags_iso", "survey mask bits in the isophote", "", "meta.code"),
)

#: Catalogue column → the same, taken once, from the detections.
_SHAPE: tuple[tuple[str, str, str, str, str], ...] = (
    ("X_IMAGE", "x_image", "column on the tile, first pixel 1", "pixel", "pos.cartesian.x;instr.pixel"),
    ("Y_IMAGE", "y_image", "row on the tile, first pixel 1", "pixel", "pos.cartesian.y;instr.pixel"),
    ("A_IMAGE", "a_image", "rms length of the major axis", "pixel", "phys.angSize"),
    ("B_IMAGE", "b_image", "rms length of the minor axis", "pixel", "phys.angSize"),
    ("THETA_J2000", "theta_j2000", "position angle of the major axis, east of north", "deg", "pos.posAng"),
    ("KRON_RADIUS", "kron_radius", "Kron radius in units of a_image", "", "phys.angSize"),
)

#: Bit of FLAGS that says the object is cut off, saturated, or its data corrupt.
_REJECT_MASK = 4 | 8 | 16 | 32


def merge(catalogues: Mapping[str, Values], tilename: str) -> list[Column]:
    """One table of all bands, sorted by ``hpix29``.

    Parameters
    ----------
    catalogues
        Rows by band, all measured at the same detections (dual-image mode), so that equal rows are equal objects.
    tilename
        For the column of that name.

    Returns
    -------
    list of Column
        ``ra``, ``dec`` are the mean of the bands' windowed centroids, weighted by their errors: on simulated
        coadds these reach the photon limit, where PSF fits stay 1.2 to 1.5 times above it. Where no band has
        one, the barycentre of the detection.

    Raises
    ------
    FileTypeError
        The catalogues are not of the same detections.
    """
    bands = list(catalogues)
    first = catalogues[bands[0]]
    for band in bands:
        if len(catalogues[band]) != len(first) or not np.array_equal(
            catalogues[band]["NUMBER"], first["NUMBER"]
        ):
            raise FileTypeError(
                f"the catalogue of band {band} was not made at the same detections as {bands[0]}'s"
            )
    ra, dec, error = _position(catalogues)
    pixel = hpix29(ra, dec)
    order = np.argsort(pixel, kind="stable")
    columns = [
        Column("hpix29", pixel, "HEALPix number, order 29, nested; rows are sorted by it", "", "pos.healpix"),
        Column(
            "coadd_object_id",
            _identity(pixel),
            "identifier of the object: its hpix29, or the next number where two share one",
            "",
            "meta.id;meta.main",
        ),
        Column("tilename", np.full(len(ra), tilename), "tile", "", "meta.id;obs.field"),
        Column("number", first["NUMBER"].astype(np.int32), "row of the tile's catalogues", "", "meta.number"),
        Column("ra", ra, "right ascension (ICRS)", "deg", "pos.eq.ra;meta.main"),
        Column("dec", dec, "declination (ICRS)", "deg", "pos.eq.dec;meta.main"),
        Column(
            "pos_error", error.astype(np.float32), "error of each coordinate", "arcsec", "stat.error;pos.eq"
        ),
    ]
    for source, name, text, unit, ucd in _SHAPE:
        columns.append(Column(name, first[source], text, unit, ucd))
    for band in bands:
        rows = catalogues[band]
        for source, name, text, unit, ucd in _PER_BAND:
            if source in (rows.dtype.names or ()):
                columns.append(
                    Column(f"{name}_{band}", _clean(rows[source], name), f"{text}, band {band}", unit, ucd)
                )
    return [Column(c.name, c.values[order], c.text, c.unit, c.ucd) for c in columns]


def _identity(pixel: Values) -> npt.NDArray[np.int64]:
    """Return ascending unique 64-bit numbers from the cell numbers; equal ones count up."""
    # Two objects of one tile never share 0.4 mas; should it happen, the later one takes the next number.
    out = np.asarray(pixel, np.int64).copy()
    order = np.argsort(out, kind="stable")
    for before, here in pairwise(order):
        if out[here] <= out[before]:
            out[here] = out[before] + 1
    return out


def _clean(values: Values, name: str) -> Values:
    """Replace the catalogue's mark 99 of a missing magnitude by NaN."""
    if not name.startswith("mag"):
        return values
    # Source Extractor writes 99 for "no magnitude"; a table should hold none.
    return np.where(values > 90, np.nan, values).astype(np.float32)


def _position(catalogues: Mapping[str, Values]) -> tuple[Values, Values, Values]:
    """Return the weighted mean position over the bands, degrees, and its error, arcsec."""
    first = next(iter(catalogues.values()))
    ra0, dec0 = first["ALPHA_J2000"].astype(float), first["DELTA_J2000"].astype(float)
    cosd = np.cos(np.radians(dec0))
    east, north, total = np.zeros(len(first)), np.zeros(len(first)), np.zeros(len(first))
    for rows in catalogues.values():
        error = np.hypot(rows["ERRAWIN_WORLD"], rows["ERRBWIN_WORLD"]).astype(float) / np.sqrt(2.0)
        dra = (rows["ALPHAWIN_J2000"] - ra0 + 180.0) % 360.0 - 180.0
        ddec = rows["DELTAWIN_J2000"] - dec0
        # A centroid that wandered more than 2″ from the detection is of something else.
        good = (
            (error > 0) & np.isfinite(error) & (rows["FLUX_AUTO"] > 0) & ((rows["FLAGS"] & _REJECT_MASK) == 0)
        )
        good &= np.hypot(dra * cosd, ddec) < 2.0 / 3600.0
        weight = np.where(good, 1.0 / np.where(good, error, 1.0) ** 2, 0.0)
        east, north, total = east + weight * dra, north + weight * ddec, total + weight
    known = total > 0
    safe = np.where(known, total, 1.0)
    error = np.where(known, 3600.0 / np.sqrt(safe), np.nan)
    return (ra0 + np.where(known, east / safe, 0.0)) % 360.0, dec0 + np.where(known, north / safe, 0.0), error
