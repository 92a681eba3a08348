"""Make the survey's standard image: known header, survey bits, nulled weights, interpolated defects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.io import fits

from desdm.codes.nullweight.rowinterp import interpolate_rows
from desdm.codes.nullweight.zeropoint import ZeroPoint
from desdm.errors import FileTypeError
from desdm.pixels.maskbits import MaskBit
from desdm.survey.headers import copy_wcs, identity
from desdm.survey.images import Planes

__all__ = ["COMMON_ZERO", "Recipe", "bits_of", "make_standard_image"]

#: Magnitude of one count on the common scale of coadds (DESDM's MAG_ZERO).
COMMON_ZERO = 30.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """Which bits null the weight, and how defects are filled (``longest`` run in pixels)."""

    null_bits: int
    longest: int


def bits_of(text: str) -> int:
    """Bits of a comma list of names (``BPM,CRAY``).

    Raises
    ------
    FileTypeError
        A name is not a mask bit.
    """
    bits = 0
    for name in filter(None, (part.strip() for part in text.split(","))):
        if name not in MaskBit.__members__:
            raise FileTypeError(f"{name!r} is not a mask bit; known: {', '.join(MaskBit.__members__)}")
        bits |= int(MaskBit[name])
    return bits


def make_standard_image(
    planes: Planes, zeropoint: ZeroPoint, recipe: Recipe, *, gain: float, saturate: float, fwhm: float
) -> Planes:
    """Return the standard image: weights nulled under the bad bits, defects interpolated, header in the survey's keywords.

    Parameters
    ----------
    planes
        What was read; its arrays are changed in place.
    zeropoint
        AB magnitude of one count of ``planes.sci``.
    recipe
        Bits and lengths.
    gain, saturate, fwhm
        Electrons per count; counts; pixels (0: unknown).

    Returns
    -------
    Planes
        SCI in its own counts; INTERP set where a defect was filled; WGT 0 under every nulling bit and wherever it was not
        a positive number. FLXSCALE brings a count to the common zero point.
    """
    planes.sci[~np.isfinite(planes.sci)] = 0.0
    planes.wgt[~np.isfinite(planes.wgt) | (planes.wgt < 0)] = 0.0
    planes.msk[(planes.wgt == 0) & (planes.msk == 0)] |= int(MaskBit.BPM)
    null = (planes.msk & recipe.null_bits) != 0
    filled = interpolate_rows(planes.sci, null, recipe.longest)
    planes.msk[filled] |= int(MaskBit.INTERP)
    planes.wgt[null] = 0.0
    return Planes(
        planes.sci,
        planes.msk,
        planes.wgt,
        _header(planes, zeropoint, gain=gain, saturate=saturate, fwhm=fwhm),
    )


def _header(
    planes: Planes, zeropoint: ZeroPoint, *, gain: float, saturate: float, fwhm: float
) -> fits.Header:
    """Return the header of the standard image: identity, zero point, gain, saturation and seeing."""
    source, head = planes.header, fits.Header()
    for key, value in identity(source).items():
        head[key] = value
    for key in ("OBSTYPE", "PROPID", "FILTER", "RDNOISE", "DATE-OBS"):
        if key in source:
            head[key] = source[key]
    scale = 10.0 ** (0.4 * (COMMON_ZERO - zeropoint.value))
    good = planes.wgt > 0
    sky = float(np.median(planes.sci[good])) if good.any() else 0.0
    numbers: list[tuple[str, float | str, str]] = [
        ("GAIN", gain, "[electron/count] gain"),
        ("SATURATE", saturate, "[count] saturation"),
        ("FWHM", fwhm, "[pixel] seeing, 0 if unknown"),
        ("MAGZERO", zeropoint.value, "[mag] AB magnitude of one count"),
        ("ZPSOURC", zeropoint.source, "MAGZERO from header, table or nominal"),
        ("PHOTZERO", COMMON_ZERO, "[mag] common zero point"),
        ("FLXSCALE", scale, "factor to the common zero point"),
        ("SKYBRITE", sky, "[count] median of the good pixels"),
        ("GOODFRAC", float(good.mean()), "fraction of pixels with weight"),
        ("BUNIT", "count", "unit of SCI"),
    ]
    for key, value, text in numbers:
        head[key] = (value, text)
    copy_wcs(source, head)
    return head
