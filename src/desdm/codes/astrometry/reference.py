"""Reference stars: Gaia-like rows read from files, moved to an epoch, cut to a field, and written for scamp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.codes.detection.sextractor import header_table

__all__ = ["Reference", "epoch_of", "read_reference", "write_ldac"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reference:
    """Stars at one epoch: ``ra``, ``dec`` (deg), ``error`` (mas, per coordinate), magnitudes by band (``G`` for Gaia's)."""

    ra: Array
    dec: Array
    error: Array
    mags: dict[str, Array]
    epoch: float


def epoch_of(mjd: float) -> float:
    """Julian year of a modified Julian date."""
    return 2000.0 + (mjd - 51544.5) / 365.25


def read_reference(
    paths: Sequence[Path], epoch: float, ra: float, dec: float, radius: float
) -> Reference | None:
    """Rows of all files within ``radius`` degrees of (ra, dec), with proper motion brought to ``epoch``.

    A row without proper motion (Gaia's two-parameter solutions) keeps its place, with an error of 5 mas a year.

    Returns
    -------
    Reference or None
        None if no file has a row there.
    """
    parts = [part for path in paths if (part := _rows(path, epoch, ra, dec, radius)) is not None]
    if not parts:
        return None
    bands = {band for part in parts for band in part.mags}
    return Reference(
        np.concatenate([p.ra for p in parts]), np.concatenate([p.dec for p in parts]),
        np.concatenate([p.error for p in parts]),
        {b: np.concatenate([p.mags.get(b, np.full(p.ra.size, np.nan)) for p in parts]) for b in sorted(bands)}, epoch,
    )  # fmt: skip


def _rows(path: Path, epoch: float, ra: float, dec: float, radius: float) -> Reference | None:
    with fits.open(path, memmap=False) as hdus:
        for hdu in hdus[1:]:
            names = {c.lower(): c for c in getattr(getattr(hdu, "columns", None), "names", None) or ()}
            if not {"ra", "dec"} <= set(names):
                continue
            data = hdu.data

            def column(name: str, default: float, names: dict[str, str] = names, data: Any = data) -> Array:
                if name not in names:
                    return np.full(len(data), default)
                return np.asarray(data[names[name]], dtype=np.float64)

            r, d = column("ra", 0.0), column("dec", 0.0)
            near = np.hypot(((r - ra + 180.0) % 360.0 - 180.0) * np.cos(np.radians(dec)), d - dec) < radius
            if not near.any():
                return None
            years = epoch - column("ref_epoch", 2015.5)[near]
            pmra, pmdec = column("pmra", np.nan)[near], column("pmdec", np.nan)[near]
            moving = np.isfinite(pmra) & np.isfinite(pmdec)
            pmra, pmdec = np.where(moving, pmra, 0.0), np.where(moving, pmdec, 0.0)
            drift = np.hypot(
                np.where(moving, np.nan_to_num(column("pmra_error", 0.1)[near]), 5.0) * years,
                np.nan_to_num(column("ra_error", 0.5)[near], nan=1.0),
            )
            cosd = np.cos(np.radians(d[near]))
            mags = {
                b.removeprefix("mag_"): column(b, np.nan)[near]
                for b in names if b.startswith("mag_") and len(b) <= 6
            }  # fmt: skip
            if "phot_g_mean_mag" in names:
                mags["G"] = column("phot_g_mean_mag", np.nan)[near]
            moved_ra = r[near] + pmra * years / 3.6e6 / cosd
            return Reference(moved_ra, d[near] + pmdec * years / 3.6e6, drift, mags, epoch)
    return None


def write_ldac(path: Path, reference: Reference, band: str) -> None:
    """A reference catalogue in the one form that scamp reads: FITS_LDAC with a header table and an object table."""
    mag = reference.mags.get(band, reference.mags.get("G", np.full(reference.ra.size, 15.0)))
    keep = np.isfinite(mag)
    n, error = int(keep.sum()), reference.error[keep] / 3.6e6
    lines = fits.Header()
    lines["SIMPLE"], lines["BITPIX"], lines["NAXIS"] = True, 8, 0
    columns = [
        ("X_WORLD", "D", "deg", reference.ra[keep]), ("Y_WORLD", "D", "deg", reference.dec[keep]),
        ("ERRA_WORLD", "D", "deg", error), ("ERRB_WORLD", "D", "deg", error),
        ("ERRTHETA_WORLD", "D", "deg", np.zeros(n)), ("MAG", "D", "mag", mag[keep]),
        ("MAGERR", "D", "mag", np.full(n, 0.01)), ("OBSDATE", "D", "yr", np.full(n, reference.epoch)),
    ]  # fmt: skip
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column(name=name, format=form, unit=unit, array=values)
            for name, form, unit, values in columns
        ],
        name="LDAC_OBJECTS",
    )
    fits.HDUList([fits.PrimaryHDU(), header_table(lines), table]).writeto(path, overwrite=True)
