"""What calibrations have in common: planes of a combination, their header, and the mask of bad pixels as a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.codes.calibrate.frames import Frame
from desdm.codes.calibrate.stack import Combined
from desdm.errors import FileTypeError
from desdm.pixels.maskbits import MaskBit
from desdm.survey.imageio import Planes

__all__ = ["about", "planes_of", "read_mask", "write_mask"]

I4 = npt.NDArray[np.int32]
_KEPT = ("INSTRUME", "TELESCOP", "NITE", "CCDNUM", "DETPOS", "BAND", "FILTER", "OBSTYPE", "DETSEC")
_FRAME = ("EXPNUM", "EXPTIME", "MJD-OBS")


def about(source: fits.Header, *, frame: bool = False, camera: bool = False) -> fits.Header:
    """What a product is of, from a frame's header.

    ``frame``: it is of this one frame, and keeps its number; ``camera``: it is of the whole camera, and of no CCD or band.

    Parameters
    ----------
    source
        Header of one of the frames.
    frame
        The product describes this one frame, and takes its number.
    camera
        The product describes the whole camera, and has neither CCD nor band.

    Returns
    -------
    astropy.io.fits.Header
        The identifying keywords.
    """
    head = fits.Header()
    for key in (*_KEPT, *(_FRAME if frame else ())):
        if camera and key in ("CCDNUM", "DETPOS", "DETSEC", "BAND", "FILTER"):
            continue
        if key in source and (key, source[key]) != ("BAND", "none"):
            head[key] = (source[key], source.comments[key])
    return head


def planes_of(combined: Combined, header: fits.Header, frames: Sequence[Frame]) -> Planes:
    """Planes of a combination: pixels without a value are BPM, have weight 0 and hold a harmless value.

    Those of an amplifier that did not work on the night of any frame are BADAMP too.

    ``header`` is completed: NEXP, NITE, NITEMIN, NITEMAX, CLIPPED.

    Parameters
    ----------
    combined
        Mean and variance of each pixel, (ny, nx).
    header
        Header of the product; completed in place.
    frames
        The frames that were combined, for their nights and their bad amplifiers.

    Returns
    -------
    Planes
        SCI, MSK and WGT (inverse variance), (ny, nx), with ``header``.
    """
    known = np.isfinite(combined.mean) & np.isfinite(combined.variance) & (combined.variance > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = np.where(known, 1.0 / combined.variance, 0.0).astype(np.float32)
    filler = np.float32(np.nanmedian(combined.mean)) if np.isfinite(combined.mean).any() else np.float32(0.0)
    sci = np.where(np.isfinite(combined.mean), combined.mean, filler).astype(np.float32)
    header["NEXP"] = (len(frames), "frames combined")
    nites = sorted({str(f.header.get("NITE", "")) for f in frames} - {""})
    if nites:
        header["NITE"] = (nites[-1], "last night of the frames")
        header["NITEMIN"] = (nites[0], "first night of the frames")
        header["NITEMAX"] = (nites[-1], "last night of the frames")
    header["CLIPPED"] = (combined.clipped, "share of values that was clipped")
    mask = np.where(known, 0, int(MaskBit.BPM)).astype(np.int32)
    for place in {place for frame in frames for place in frame.bad}:
        mask[place.slices] |= int(MaskBit.BPM | MaskBit.BADAMP)
        weight[place.slices] = 0.0
    return Planes(sci, mask, weight, header)


def write_mask(path: Path, mask: I4, header: fits.Header) -> None:
    """Write cal_bpm: HDU MSK, int32, compressed without loss.

    Parameters
    ----------
    path
        File to write.
    mask
        (ny, nx) mask bits.
    header
        Cards of primary header and image.
    """
    hdu = fits.CompImageHDU(mask, header=header, name="MSK", compression_type="RICE_1")
    fits.HDUList([fits.PrimaryHDU(header=header), hdu]).writeto(path, overwrite=True, checksum=True)


def read_mask(path: Path, shape: tuple[int, int]) -> I4:
    """HDU MSK of a cal_bpm (or cal_ramp) file; `FileTypeError` if it is missing or of another shape."""
    with fits.open(path, memmap=False) as hdus:
        if "MSK" not in hdus or hdus["MSK"].data.shape != shape:
            raise FileTypeError(f"{path.name}: no image MSK of {shape[1]} × {shape[0]} pixels")
        return np.asarray(hdus["MSK"].data, np.int32)
