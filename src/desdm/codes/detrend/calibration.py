"""The calibrations of one CCD, each checked to be of this CCD, band and shape before it touches a pixel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.codes.detrend.bf import Kernels
from desdm.codes.detrend.crosstalk import Matrix
from desdm.codes.detrend.linearity import Table
from desdm.errors import FileTypeError
from desdm.pixels.maskbits import MaskBit
from desdm.survey.imageio import read_image
from desdm.survey.images import Planes

__all__ = ["Calibrations", "Subject", "bias_variance", "check_pair", "flat_variance", "read_plane"]


@dataclass(frozen=True, slots=True)
class Subject:
    """What a calibration must fit: the image's file name, CCD, band (empty if none) and trimmed shape."""

    name: str
    ccdnum: int
    band: str
    shape: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Calibrations:
    """What there is to calibrate one CCD with; None where the step is not wanted.

    ``names`` has the file name under each input's name, for the header.
    """

    crosstalk: Matrix | None = None
    lintable: Table | None = None
    biascor: Planes | None = None
    bpm: npt.NDArray[np.int32] | None = None
    bf: Kernels | None = None
    dflatcor: Planes | None = None
    names: Mapping[str, str] = field(default_factory=dict)


def check_pair(header: fits.Header, shape: tuple[int, ...], name: str, image: Subject, *, band: bool) -> None:
    """Refuse a calibration that is not this image's.

    Parameters
    ----------
    header, shape, name
        Of the calibration: its header, the shape of its plane, its file name.
    image
        What it must fit.
    band
        Whether it depends on the band.

    Raises
    ------
    FileTypeError
        Another CCD, band or shape, or the calibration does not say its CCD or band; both files are named.
    """
    ccdnum = header.get("CCDNUM")
    if ccdnum is None or int(ccdnum) != image.ccdnum:
        of = "does not say its CCDNUM" if ccdnum is None else f"is of CCD {int(ccdnum)}"
        raise FileTypeError(f"{name} {of}, but {image.name} is CCD {image.ccdnum}: they do not go together")
    if tuple(shape) != image.shape:
        raise FileTypeError(
            f"{name} has {shape[1]}×{shape[0]} pixels, but CCD {image.ccdnum} of {image.name} has "
            f"{image.shape[1]}×{image.shape[0]}"
        )
    if band:
        own = str(header.get("BAND", "")).strip()
        if own != image.band:
            of = f"is of band {own}" if own else "does not say its BAND"
            raise FileTypeError(
                f"{name} {of}, but {image.name} CCD {image.ccdnum} is of band {image.band or '(none)'}"
            )


def read_plane(path: Path, extname: str) -> tuple[npt.NDArray[Any], fits.Header]:
    """One plane of a calibration file and its header.

    Raises
    ------
    FileTypeError
        There is no such HDU.
    """
    data, keywords = read_image(path, extname)
    header = fits.Header()
    for key in ("CCDNUM", "BAND", "FILETYPE", "INSTRUME", "SKYPC"):
        if key in keywords:
            header[key] = keywords[key]
    return data, header


def _variance(planes: Planes) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return sampled values and variances of the good pixels of a calibration."""
    # Some sixty rows are enough for a median.
    every = (
        slice(None, None, max(1, planes.shape[0] // 61)),
        slice(None, None, max(1, planes.shape[1] // 512)),
    )
    sci, wgt, msk = planes.sci[every], planes.wgt[every], planes.msk[every]
    good = (wgt > 0) & (msk & int(MaskBit.BPM) == 0) & (sci == sci)
    return sci[good], wgt[good]


def bias_variance(planes: Planes) -> float:
    """Variance of the combined bias itself in a typical pixel, ADU²; 0 if its weight does not tell."""
    _, weight = _variance(planes)
    return float(1.0 / np.median(weight)) if weight.size else 0.0


def flat_variance(planes: Planes) -> float:
    """Variance of the flat in a typical pixel over its value; 0 if its weight does not tell.

    Photon noise makes a flat's variance go with its value, so that the ratio holds for the whole CCD.
    """
    value, weight = _variance(planes)
    good = value > 0.2
    return float(np.median(1.0 / (weight[good] * value[good]))) if good.any() else 0.0
