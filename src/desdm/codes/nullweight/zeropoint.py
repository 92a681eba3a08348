"""Find the zero point of an image: its header's, a delivered table's, or a nominal one for its band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits

from desdm.survey.bands import BANDS, CountUnit, nominal_zero

__all__ = ["ZeroPoint", "find_zeropoint"]


@dataclass(frozen=True, slots=True)
class ZeroPoint:
    """AB magnitude of one count of an image, and where it is from: header, table or nominal."""

    value: float
    source: str


def find_zeropoint(
    header: fits.Header,
    identity: Mapping[str, str | int | float],
    tables: Sequence[Path],
) -> ZeroPoint | None:
    """The best zero point that is known.

    Parameters
    ----------
    header
        The image's merged header; MAGZERO is taken if it is there. Its gain or BUNIT says what one count is.
    identity
        EXPNUM, CCDNAME, BAND, EXPTIME (s), AIRMASS of the image.
    tables
        Tables of zero points in the Legacy Surveys' form: a row has expnum, ccdname and ``ccdzpt``, the AB magnitude of
        one count per second.

    Returns
    -------
    ZeroPoint or None
        The nominal one of the band (`desdm.survey.bands`) where neither knows the image. None: no such band.
    """
    value = header.get("MAGZERO")
    if isinstance(value, (int, float)) and np.isfinite(value) and value > 0:
        return ZeroPoint(float(value), "header")
    exptime = float(identity.get("EXPTIME", 1.0)) or 1.0
    per_second = 2.5 * float(np.log10(exptime))
    for path in tables:
        zero = _from_table(path, identity)
        if zero is not None:
            return ZeroPoint(zero + per_second, "table")
    band = str(identity.get("BAND", ""))
    if band not in BANDS:
        return None
    unit = CountUnit.of(header) or CountUnit.COUNT
    return ZeroPoint(nominal_zero(band, unit, exptime, float(identity.get("AIRMASS", 1.0))), "nominal")


def _from_table(path: Path, identity: Mapping[str, str | int | float]) -> float | None:
    """Return the zero point in a table of exposures and CCDs; None if it has no row for this one."""
    with fits.open(path, memmap=False) as hdus:
        for hdu in hdus:
            columns = getattr(hdu, "columns", None)
            if columns is None or not {"expnum", "ccdname", "ccdzpt"} <= {c.lower() for c in columns.names}:
                continue
            rows = hdu.data
            mine = (rows["expnum"] == identity.get("EXPNUM", -1)) & (
                np.char.strip(rows["ccdname"].astype(str)) == identity.get("CCDNAME", "")
            )
            values = rows["ccdzpt"][mine]
            if values.size and np.isfinite(values[0]) and values[0] > 0:
                return float(values[0])
    return None
