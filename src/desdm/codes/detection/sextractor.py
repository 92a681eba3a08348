"""The command line of Source Extractor, and the clean-up of the catalogue it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fitsio
import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.pixels.cards import read_hdus
from desdm.pixels.fitsbytes import padded, sealed, word_sum, write
from desdm.survey.headers import lenient, merged

__all__ = [
    "DATA",
    "Planes",
    "arguments",
    "as_ldac",
    "has_image_header",
    "header_table",
    "image_header",
    "objects",
    "options",
    "rewrite",
]

#: Where parameter lists and filters lie.
DATA = Path(__file__).parent / "data"


def options(section: Mapping[str, object]) -> list[str]:
    """A settings section as ``-KEY value`` pairs, the form that all AstrOmatic programs read."""
    return [
        word
        for key, value in section.items()
        if isinstance(value, str)
        for word in (f"-{key.upper()}", value)
    ]


def without_sky(settings: Mapping[str, str], head: fits.Header) -> dict[str, str]:
    """The settings for an image whose sky our own detrending has taken off (keyword DESSKYSB): no background is sought.

    What Source Extractor would take for background there is the wings of stars: it makes every star 1 to 2 mmag too
    faint, and a PSF 0.2 per cent too small.
    """
    off = {"back_type": "MANUAL", "back_value": "0"} if "DESSKYSB" in head else {}
    return {**settings, **off}


class Planes:
    """The HDU indices by which Source Extractor names the planes of our files: SCI [0], MSK [1], WGT [2]."""

    sci, msk, wgt = "[0]", "[1]", "[2]"


def arguments(
    measure: Path,
    catalogue: Path,
    parameters: Path,
    settings: Mapping[str, str],
    *,
    detect: Path | None = None,
    psf: Path | None = None,
    header: fits.Header | None = None,
) -> list[str]:
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
        3-plane file in which objects are detected (dual-image mode); None: ``measure`` itself.
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


def rewrite(path: Path, header: fits.Header) -> fits.Header:
    """Write the catalogue anew so that it conforms to FITS, with an image's identity in its primary header.

    The table LDAC_IMHEAD goes: its column name ``Field Header Card`` is against the standard's advice, and what
    it describes is in the image. The program's own SEX keywords in it stay in the primary header; `as_ldac` makes it
    again for the programs that insist on it.

    Parameters
    ----------
    path
        FITS_LDAC file; replaced.
    header
        Cards for the primary header.

    Returns
    -------
    astropy.io.fits.Header
        The primary header as written.
    """
    data = path.read_bytes()
    hdus = {hdu.name: hdu for hdu in read_hdus(data, len(data))}
    primary = fits.PrimaryHDU().header
    primary.update(header)
    with fits.open(path, memmap=False, lazy_load_hdus=True) as old:
        for card in image_header(old["LDAC_IMHEAD"]).cards:
            if card.keyword in _SEX_KEYS:
                primary.append(card)
    table = hdus["LDAC_OBJECTS"]
    # The table's own bytes stay: thousands of values need not become Python's and FITS again.
    end = table.data_start + padded(table.data_bytes)
    unit = np.frombuffer(data, np.uint8)[table.data_start : end]
    head = fits.Header.fromstring(data[table.start : table.data_start].decode("ascii"))
    temporary = path.with_suffix(".new")
    write(temporary, (sealed(primary, 0), sealed(head, word_sum(unit)), unit))
    temporary.replace(path)
    return primary


#: What PSFEx asks of the image's header beside the image itself: noise, level and gain as the program used them.
_SEX_KEYS = ("SEXBKGND", "SEXBKDEV", "SEXATHLD", "SEXALIM", "SEXGAIN", "SEXMGZPT")


def has_image_header(catalogue: Path) -> bool:
    """Whether a catalogue carries the image's header, as Source Extractor writes it and PSFEx and scamp want it."""
    with fits.open(catalogue, memmap=True, lazy_load_hdus=True) as hdus:
        return "LDAC_IMHEAD" in hdus


def image_header(hdu: Any) -> fits.Header:
    """The image's header out of a table LDAC_IMHEAD."""
    cards = np.ravel(hdu.data.field(0)[0])
    # `header_table` writes bytes, Source Extractor strings of 80.
    text = (
        cards.tobytes().decode("ascii")
        if cards.dtype.kind == "u"
        else "".join(str(card).ljust(80) for card in cards)
    )
    return fits.Header.fromstring(text)


def catalogue_header(path: Path) -> fits.Header:
    """What a catalogue says of its image: the primary header, on top of the image's own where LDAC_IMHEAD has it.

    Catalogues of our own have all in the primary header (`rewrite`), delivered ones in LDAC_IMHEAD.
    """
    with lenient(), fits.open(path, memmap=True, lazy_load_hdus=True) as hdus:
        primary = hdus[0].header
        if "EXPNUM" in primary or "LDAC_IMHEAD" not in hdus:
            return primary.copy()
        image = image_header(hdus["LDAC_IMHEAD"])
    return merged([fits.PrimaryHDU(header=image), fits.PrimaryHDU(header=primary)])


def as_ldac(catalogue: Path, image: fits.Header, out: Path) -> None:
    """Write a catalogue as PSFEx and scamp demand it: with the image's header as table LDAC_IMHEAD.

    Parameters
    ----------
    catalogue
        As `rewrite` left it.
    image
        Header of the image that was catalogued.
    out
        File to be written.
    """
    with fits.open(catalogue, memmap=False) as hdus:
        head = image.copy()
        for key in [
            k for k in head if k in ("CHECKSUM", "DATASUM", "EXTEND") or k.startswith(("SOFT", "DESF"))
        ]:
            del head[key]
        for key in _SEX_KEYS:
            if key in hdus[0].header:
                head[key] = hdus[0].header[key]
        fits.HDUList([fits.PrimaryHDU(), header_table(head), hdus["LDAC_OBJECTS"].copy()]).writeto(
            out, overwrite=True
        )


def header_table(head: fits.Header) -> fits.BinTableHDU:
    """A header as the one-row table LDAC_IMHEAD."""
    text = head.tostring(sep="", endcard=True, padding=False)
    # Bytes under a false name: astropy ends a string with NULs, and PSFEx reads past an END card that is not padded.
    data = np.frombuffer(text.encode("ascii"), np.uint8)[None]
    column = fits.Column(name="Field Header Card", format=f"{len(text)}B", array=data)
    table = fits.BinTableHDU.from_columns([column], name="LDAC_IMHEAD")
    table.header["TFORM1"] = f"{len(text)}A"
    table.header["TDIM1"] = f"(80, {len(text) // 80})"
    return table


def objects(path: Path) -> npt.NDArray[np.void]:
    """The rows of a catalogue (HDU LDAC_OBJECTS) as a native structured array."""
    rows = fitsio.read(str(path), ext="LDAC_OBJECTS")
    kind = [(n, rows.dtype[n].base.newbyteorder("="), rows.dtype[n].shape) for n in rows.dtype.names]
    return np.asarray(rows.astype(kind, copy=False))
