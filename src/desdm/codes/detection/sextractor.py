"""The command line of Source Extractor, and the clean-up of the catalogue it leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

__all__ = ["DATA", "Planes", "arguments", "objects", "options", "rewrite"]

#: Where parameter lists and filters lie.
DATA = Path(__file__).parent / "data"


def options(section: Mapping[str, Any]) -> list[str]:
    """A settings section as ``-KEY value`` pairs, the form that all AstrOmatic programs read."""
    return [
        word for key, value in section.items() if isinstance(value, str) for word in (f"-{key.upper()}", value)
    ]


class Planes:
    """The HDU indices by which Source Extractor names the planes of our files: SCI [0], MSK [1], WGT [2]."""

    sci, msk, wgt = "[0]", "[1]", "[2]"


def arguments(
    measure: Path, catalogue: Path, parameters: Path, settings: Mapping[str, Any], *, detect: Path | None = None,
    psf: Path | None = None, header: Mapping[str, Any] | None = None,
) -> list[str]:  # fmt: skip
    """Arguments to catalogue a 3-plane image, or to measure it at the detections of another.

    Parameters
    ----------
    measure
        3-plane file whose fluxes are wanted.
    catalogue
        FITS_LDAC file to be written.
    parameters
        List of the quantities wanted.
    settings
        Section of Source Extractor keywords.
    detect
        3-plane file in which objects are found (dual-image mode); None: ``measure`` itself.
    psf
        PSFEx model for PSF photometry.
    header
        Keywords of ``measure``; MAGZERO, GAIN and SATURATE are handed over.
    """
    image, weight = f"{measure}{Planes.sci}", f"{measure}{Planes.wgt}"
    kinds = "MAP_WEIGHT"
    if detect is not None:
        image, weight = f"{detect}{Planes.sci},{image}", f"{detect}{Planes.wgt},{weight}"
        kinds = "MAP_WEIGHT,MAP_WEIGHT"
    args = [image, "-c", str(DATA / "default.sex")]
    args += ["-PARAMETERS_NAME", str(parameters), "-FILTER_NAME", str(DATA / "gauss_fwhm3_7x7.conv")]
    args += ["-CATALOG_TYPE", "FITS_LDAC", "-CATALOG_NAME", str(catalogue)]
    args += ["-WEIGHT_TYPE", kinds, "-WEIGHT_IMAGE", weight, "-FLAG_IMAGE", f"{measure}{Planes.msk}"]
    head = header or {}
    for key, word in (("MAGZERO", "MAG_ZEROPOINT"), ("GAIN", "GAIN"), ("SATURATE", "SATUR_LEVEL")):
        if key in head:
            args += [f"-{word}", f"{float(head[key]):.8g}"]
    if psf is not None:
        args += ["-PSF_NAME", str(psf)]
    return args + options(settings)


def rewrite(path: Path, header: fits.Header, *, drop: Sequence[str] = ()) -> fits.Header:
    """Write the catalogue anew so that it conforms to FITS, with an image's identity in its primary header.

    Parameters
    ----------
    path
        FITS_LDAC file; replaced.
    header
        Cards for the primary header.
    drop
        Columns to leave out.

    Returns
    -------
    astropy.io.fits.Header
        The primary header as written.
    """
    with fits.open(path, memmap=False) as hdus:
        primary = fits.PrimaryHDU()
        primary.header.update(header)
        out: list[Any] = [primary]
        for hdu in hdus[1:]:
            columns = [c for c in hdu.columns if c.name not in drop]
            made = fits.BinTableHDU.from_columns(columns, nrows=len(hdu.data), name=hdu.name)
            for i, column in enumerate(columns, 1):
                if f"TTYPE{i}" in made.header and hdu.header.comments[f"TTYPE{i}"]:
                    made.header.comments[f"TTYPE{i}"] = hdu.header.comments[f"TTYPE{i}"]
            out.append(made)
        fits.HDUList(out).writeto(path, overwrite=True, checksum=True)
    return primary.header


def objects(path: Path) -> np.ndarray[Any, Any]:
    """The rows of a catalogue (HDU LDAC_OBJECTS) as a native structured array."""
    with fits.open(path, memmap=False) as hdus:
        data = hdus["LDAC_OBJECTS"].data
        kind = [(n, data.dtype[n].newbyteorder("=")) for n in data.dtype.names]
        return np.array(data, dtype=kind)
