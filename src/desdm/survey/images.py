"""An image of the survey: three planes SCI, MSK, WGT and one header, read from either kind of file and written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.errors import FileTypeError
from desdm.survey.headers import copy_wcs, footprint, merged
from desdm.survey.maskbits import from_cp_codes

__all__ = ["Planes", "read_community", "read_planes", "write_planes"]


@dataclass(slots=True)
class Planes:
    """Three planes of one shape (ny, nx), and their header.

    ``sci`` in the image's own units (counts), ``msk`` in survey bits, ``wgt`` inverse variance in counts⁻²
    (0: no information).
    """

    sci: npt.NDArray[np.float32]
    msk: npt.NDArray[np.int32]
    wgt: npt.NDArray[np.float32]
    header: fits.Header = field(default_factory=fits.Header)

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) in pixels."""
        return int(self.sci.shape[0]), int(self.sci.shape[1])


def _image_hdu(hdus: fits.HDUList, name: str, path: Path) -> Any:
    for hdu in hdus:
        if hdu.name == name and hdu.header.get("NAXIS", 0) == 2:
            return hdu
    if not name:
        for hdu in hdus:
            if hdu.header.get("NAXIS", 0) == 2 and hdu.is_image:
                return hdu
    raise FileTypeError(f"{path.name}: no two-dimensional image HDU {name or '(any)'}")


def has_planes(path: Path) -> bool:
    """Whether a file holds the three planes by name (a DESDM file), rather than one image."""
    with fits.open(path) as hdus:
        return {"SCI", "MSK", "WGT"} <= {hdu.name for hdu in hdus}


def read_planes(path: Path) -> Planes:
    """Read a DESDM 3-plane file (HDUs SCI, MSK, WGT in any order, plain or fpacked).

    Raises
    ------
    FileTypeError
        A plane is missing, or the planes differ in shape.
    """
    with fits.open(path, memmap=False) as hdus:
        sci, msk, wgt = (_image_hdu(hdus, name, path) for name in ("SCI", "MSK", "WGT"))
        # An fpacked file has an empty primary HDU that may hold keywords of its own.
        header = merged([hdus[0], sci] if sci is not hdus[0] else [sci])
        planes = Planes(
            sci.data.astype(np.float32), msk.data.astype(np.int32), wgt.data.astype(np.float32), header
        )
    if not planes.sci.shape == planes.msk.shape == planes.wgt.shape:
        raise FileTypeError(f"{path.name}: planes SCI, MSK, WGT differ in shape")
    return planes


def _is_coded(header: fits.Header) -> bool:
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
    with fits.open(image, memmap=False) as hdus:
        hdu = _image_hdu(hdus, "", image)
        header = merged([hdus[0], hdu] if hdu is not hdus[0] else [hdu])
        sci = hdu.data.astype(np.float32)
    msk = np.zeros(sci.shape, np.int32)
    if mask is not None:
        with fits.open(mask, memmap=False) as hdus:
            codes = _image_hdu(hdus, "", mask).data
            msk = from_cp_codes(codes) if _is_coded(header) else (codes != 0).astype(np.int32)
    if weight is not None:
        with fits.open(weight, memmap=False) as hdus:
            wgt = _image_hdu(hdus, "", weight).data.astype(np.float32)
    else:
        scatter = 1.4826 * float(np.median(np.abs(sci - np.median(sci))))
        wgt = np.full(sci.shape, 1.0 / max(scatter, 1e-6) ** 2, np.float32)
    if not sci.shape == msk.shape == wgt.shape:
        raise FileTypeError(f"{image.name}: its mask or weight has another shape than {sci.shape}")
    return Planes(sci, msk, wgt, header)


def write_planes(path: Path, planes: Planes) -> None:
    """Write SCI (primary HDU), MSK and WGT, each with the WCS, EXTNAME and checksums.

    The header goes to SCI as it stands, apart from structural keywords and a footprint made anew.
    """
    head = fits.Header()
    for card in planes.header.cards:
        if card.keyword and not _structural(card.keyword):
            head.append(card)
    for key, value, comment in footprint(planes.header, planes.shape).cards():
        head[key] = (value, comment)
    sci = fits.PrimaryHDU(np.ascontiguousarray(planes.sci, np.float32), head)
    sci.header["EXTNAME"] = ("SCI", "calibrated image")
    hdus = [sci]
    for name, data, text in (
        ("MSK", planes.msk.astype(np.int32, copy=False), "mask bits of the survey"),
        ("WGT", planes.wgt.astype(np.float32, copy=False), "inverse variance, 0 where masked"),
    ):
        hdu = fits.ImageHDU(np.ascontiguousarray(data), name=name)
        hdu.header.comments["EXTNAME"] = text
        copy_wcs(planes.header, hdu.header)
        hdus.append(hdu)
    fits.HDUList(hdus).writeto(path, overwrite=True, checksum=True)


def _structural(key: str) -> bool:
    return key in (
        "SIMPLE", "XTENSION", "BITPIX", "EXTEND", "PCOUNT", "GCOUNT", "BSCALE", "BZERO", "EXTNAME", "EXTVER",
        "CHECKSUM", "DATASUM", "INHERIT", "BLANK", "ZIMAGE",
    ) or key.startswith("NAXIS")  # fmt: skip
