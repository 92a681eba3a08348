"""The last numbers of a reduced image: its zero point, its seeing, and how much of it has weight."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.io import fits

from desdm.survey.images import Planes

__all__ = ["Zero", "complete", "zero_of"]


class Zero(NamedTuple):
    """Zero point of one CCD: AB magnitude of one electron, its error, stars behind it, flag (0: good)."""

    value: float
    sigma: float
    nstars: int
    flag: int


def zero_of(table: Path, ccdnum: int) -> Zero | None:
    """The row of a CCD in an exposure's table of zero points; None: there is none."""
    with fits.open(table, memmap=False) as hdus:
        rows = next(h for h in hdus if getattr(h, "columns", None) is not None).data
        for row in rows[rows["CCDNUM"] == ccdnum]:
            if np.isfinite(row["MAG_ZERO"]):
                return Zero(
                    float(row["MAG_ZERO"]), float(row["SIGMA_MAG_ZERO"]), int(row["NSTARS"]), int(row["FLAG"])
                )
    return None


def complete(planes: Planes, zero: Zero | None, fwhm: float | None) -> None:
    """Write what is known at the end of the pipeline into the image's header (``fwhm`` in pixels).

    Parameters
    ----------
    planes
        The image; its header is changed in place.
    zero
        Zero point with its error, mag; None: the header keeps its own.
    fwhm
        Seeing, pixels; None: the header keeps its own.
    """
    head = planes.header
    if zero is not None:
        head["MAGZERO"] = (zero.value, "[mag] AB magnitude of one electron")
        head["MAGZSIG"] = (zero.sigma if np.isfinite(zero.sigma) else -1.0, "[mag] its error, -1 unknown")
        head["MAGZNUM"] = (zero.nstars, "stars behind it")
        head["MAGZFLG"] = (zero.flag, "0: good; see the table of zero points")
    if fwhm is not None:
        head["FWHM"] = (round(fwhm, 4), "[pixel] FWHM of the PSF model at the centre")
    good = planes.wgt > 0
    head["GOODFRAC"] = (round(float(good.mean()), 5), "fraction of pixels with weight")
