"""An image of the survey, whichever of the two kinds of file holds it: DESDM's or the Community Pipeline's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits

from desdm.errors import FileTypeError
from desdm.pixels.maskbits import MaskBit, from_cp_codes
from desdm.survey.imageio import Planes, read_image, read_image_and_mask, read_planes, write_planes

__all__ = ["Planes", "has_planes", "read_community", "read_image_and_mask", "read_planes", "write_planes"]


def has_planes(path: Path) -> bool:
    """Whether a file holds the three planes by name (a DESDM file), rather than one image."""
    with fits.open(path) as hdus:
        return {"SCI", "MSK", "WGT"} <= {hdu.name for hdu in hdus}


def _is_coded(header: fits.Header) -> bool:
    """Tell whether a Community Pipeline mask has codes instead of bits."""
    # PLVER before V3.5.0 wrote bit masks; from then on one code a pixel (NOIRLab Data Handbook, DQ section).
    version = str(header.get("PLVER", "V9")).lstrip("Vv").split(".")
    digits = tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in version[:2])
    return digits >= (3, 5)


def read_community(image: Path, mask: Path | None, weight: Path | None) -> Planes:
    """Read the Community Pipeline's separate files (``ooi``, ``ood``, ``oow``) into the survey's planes.

    Parameters
    ----------
    image
        Calibrated image: keywords lie in the primary header and in the extension's.
    mask
        Data-quality plane: codes (or bits before V3.5.0, whose meaning differs: any set bit is BPM). None: no
        pixel is known to be bad.
    weight
        Inverse variance. None: one constant weight from the image's own scatter.
    """
    values, header = read_image(image, dimensions=2)
    sci = values.astype(np.float32, copy=False)
    msk = np.zeros(sci.shape, np.int32)
    if mask is not None:
        codes, _ = read_image(mask, dimensions=2, mask=True)
        msk = from_cp_codes(codes) if _is_coded(header) else (codes != 0).astype(np.int32)
    if weight is not None:
        wgt = np.nan_to_num(read_image(weight, dimensions=2)[0].astype(np.float32), copy=False)
    else:
        known = sci[np.isfinite(sci)]
        scatter = 1.4826 * float(np.median(np.abs(known - np.median(known)))) if known.size else 0.0
        wgt = np.full(sci.shape, 1.0 / max(scatter, 1e-6) ** 2, np.float32)
    if not sci.shape == msk.shape == wgt.shape:
        raise FileTypeError(f"{image.name}: its mask or weight has another shape than {sci.shape}")
    missing = ~np.isfinite(sci)
    if missing.any():
        msk[missing] |= np.int32(MaskBit.BPM)
        wgt[missing] = 0.0
    return Planes(sci, msk, wgt, header)
