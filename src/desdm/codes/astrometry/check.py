"""How well an exposure's catalogue agrees with reference stars, in position and in magnitude."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from scipy.spatial import cKDTree

from desdm.codes.astrometry.reference import Reference
from desdm.survey.refstars.colour import Standard

__all__ = ["Residuals", "compare", "joined", "table"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Residuals:
    """Matched stars: places (deg), ``dra`` (with cos δ) and ``ddec`` in mas as catalogue minus reference, their
    error in mas, the catalogue's magnitude, error, and magnitude minus reference (NaN where the star has none in the band).
    """

    ra: Array
    dec: Array
    x: Array
    y: Array
    dra: Array
    ddec: Array
    error: Array
    mag: Array
    magerr: Array
    dmag: Array

    def numbers(self) -> dict[str, float]:
        """Medians and robust scatters (1.4826 × median absolute deviation) in mas and mag."""
        out = {"nmatch": float(self.ra.size)}
        for name, values in (("dra", self.dra), ("ddec", self.ddec), ("dmag", self.dmag)):
            good = values[np.isfinite(values)]
            if good.size:
                middle = float(np.median(good))
                out[f"{name}_median"] = middle
                if good.size > 2:
                    out[f"{name}_scatter"] = 1.4826 * float(np.median(np.abs(good - middle)))
        return out


def compare(
    rows: npt.NDArray[np.void],
    reference: Reference,
    standard: Standard,
    *,
    radius: float = 1.5,
    maxerr: float = 0.1,
) -> Residuals:
    """Match a catalogue with reference stars, nearest within ``radius`` arcsec, each star once.

    Where at least ten matches are known to be point sources, the others are left out.

    Parameters
    ----------
    rows
        Structured rows with ALPHAWIN_J2000, DELTAWIN_J2000, MAG_PSF …; saturated or cut-off ones (FLAGS ≥ 4), and
        those under mask bits that spoil a star, are left out.
    reference
        Stars at the exposure's epoch.
    standard
        Their magnitudes in the exposure's band.
    radius
        Arcsec.
    maxerr
        Largest MAGERR_PSF.
    """
    good = (rows["FLAGS"] < 4) & (rows["MAGERR_PSF"] > 0) & (rows["MAGERR_PSF"] < maxerr)
    good &= (rows["IMAFLAGS_ISO"] & 0x2) == 0
    rows = rows[good]
    empty = np.zeros(0)
    if len(rows) == 0 or reference.ra.size == 0:
        return Residuals(*[empty] * 10)
    ra, dec = rows["ALPHAWIN_J2000"].astype(float), rows["DELTAWIN_J2000"].astype(float)
    cosd = float(np.cos(np.radians(np.median(dec))))
    plane = np.column_stack([_wrap(ra - ra[0]) * cosd, dec])
    stars = np.column_stack([_wrap(reference.ra - ra[0]) * cosd, reference.dec])
    far, index = cKDTree(stars).query(plane, distance_upper_bound=radius / 3600.0)
    _, home = cKDTree(plane).query(stars, distance_upper_bound=radius / 3600.0)
    hit = np.flatnonzero(np.isfinite(far))
    hit = hit[home[index[hit]] == hit]
    star = index[hit]
    # Positions and magnitudes of galaxies, which PS1 lists as well, depend on the seeing.
    if reference.star[star].sum() >= 10:
        hit = hit[reference.star[star]]
        star = index[hit]
    scale = 3.6e6
    rows = rows[hit]
    return Residuals(
        ra[hit],
        dec[hit],
        rows["XWIN_IMAGE"].astype(float),
        rows["YWIN_IMAGE"].astype(float),
        (plane[hit, 0] - stars[star, 0]) * scale,
        (plane[hit, 1] - stars[star, 1]) * scale,
        np.hypot(rows["ERRAWIN_WORLD"].astype(float) * scale, reference.error[star]),
        rows["MAG_PSF"].astype(float),
        rows["MAGERR_PSF"].astype(float),
        rows["MAG_PSF"] - standard.mag[star],
    )


def _wrap(degrees: Array) -> Array:
    """Wrap angles in degrees to [-180, 180)."""
    return (degrees + 180.0) % 360.0 - 180.0


def joined(parts: Sequence[Residuals]) -> Residuals:
    """The residuals of several catalogues in one; none of none."""
    names = [f.name for f in fields(Residuals)]
    return Residuals(*(np.concatenate([np.zeros(0), *(getattr(p, name) for p in parts)]) for name in names))


def table(residuals: Residuals) -> fits.BinTableHDU:
    """The table RESIDUALS of a file of type astro_check."""
    columns = [
        ("RA", residuals.ra, "deg"),
        ("DEC", residuals.dec, "deg"),
        ("X_IMAGE", residuals.x, "pixel"),
        ("Y_IMAGE", residuals.y, "pixel"),
        ("DRA", residuals.dra, "mas"),
        ("DDEC", residuals.ddec, "mas"),
        ("ERROR", residuals.error, "mas"),
        ("MAG", residuals.mag, "mag"),
        ("MAGERR", residuals.magerr, "mag"),
        ("DMAG", residuals.dmag, "mag"),
    ]
    return fits.BinTableHDU.from_columns(
        [fits.Column(name=name, format="D", unit=unit, array=values) for name, values, unit in columns],
        name="RESIDUALS",
    )
