"""Delivered by the Community Pipeline and its users: calibrated images, masks, weights, PSF models, sky, zero points.

Names are ``<camera>_<date>_<time>_oo<i|d|w>_<filter>_<version>`` with the CCD behind a dot or a hyphen;
cameras: c4d (DECam), k4m (Mosaic-3), ksb (90Prime).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache

from desdm.archive.content import Content
from desdm.archive.filetypes.filetype import FileType, Metadata, has_images, has_table
from desdm.archive.filetypes.keywords import band, ccd_number, identity, image
from desdm.survey.obstime import night_of

_EXPOSURE = r"(?:c4d|k4m|ksb|[a-z]\w\w)_\d{6}_\d{6}"
_CCD = r"[.-](?:[NS]\d{1,2}|CCD\d+)"
_NAMED = re.compile(
    _EXPOSURE + r"_oo[idw]_(?P<filter>[A-Za-z]+)_\w+?(?:[.-](?P<ccd>[NS]\d{1,2}|CCD\d+))?(?:-\w+)?\.fits"
)
_LEGACY = re.compile(r"\w+-(?P<expnum>\d{8})-(?P<ccd>[NS]\d{1,2}|CCD\d+)\.fits")


def _pattern(kind: str, tail: str) -> str:
    """Return the name pattern of a product of the Community Pipeline."""
    return rf"{_EXPOSURE}_oo{kind}_[A-Za-z]+_\w+?{tail}\.fits"


def _named(content: Content, metadata: Metadata) -> Metadata:
    """Complete metadata by what the file's name tells."""
    match = _NAMED.fullmatch(content.stem) or _LEGACY.fullmatch(content.stem)
    if match:
        parts = match.groupdict()
        if metadata.get("band") is None:
            metadata["band"] = band(parts.get("filter"))
        if metadata.get("ccdnum") is None:
            metadata["ccdnum"] = ccd_number(parts.get("ccd"))
        if metadata.get("expnum") is None and parts.get("expnum"):
            metadata["expnum"] = int(parts["expnum"])
    if metadata.get("nite") is None:
        metadata["nite"] = _nite_of_name(content.stem)
    return metadata


def _nite_of_name(stem: str) -> str | None:
    """Return the nite of the date and time in a file's name, or None."""
    match = re.match(r"\w{3}_(\d{6}_\d{6})_", stem)
    return _nite_of_moment(match.group(1)) if match else None


@lru_cache(maxsize=64)
def _nite_of_moment(text: str) -> str | None:
    """Return the nite of YYMMDD_hhmmss in UTC, by the rule of DATE-OBS; None if there is no such moment."""
    try:
        return night_of(datetime.strptime(text, "%y%m%d_%H%M%S"))
    except ValueError:
        return None


def _image(content: Content) -> Metadata:
    """Return the metadata of an image, completed by its name."""
    return _named(content, image(content))


def _product(product: str) -> Iterator[FileType]:
    """Yield the type of one product of the Community Pipeline, and of its resampled and stacked forms."""
    kind, text = {
        "image": ("i", "calibrated image (ooi)"),
        "mask": ("d", "data quality codes (ood): codes, not bits"),
        "weight": ("w", "weight (oow)"),
    }[product]
    yield FileType(
        name=f"cp_{product}",
        text=f"Community Pipeline {text}",
        table="image",
        pattern=_pattern(kind, rf"(?:{_CCD})?"),
        directory="cp/{nite}",
        rule=has_images(),
        read_metadata=_image,
    )


def _psf(content: Content) -> Metadata:
    """Return the metadata of a table of PSF models, of one CCD or of a whole exposure."""
    metadata = _named(content, identity(content))
    number, hdu = next(iter(content.tables()))
    known = content.columns(number)
    # A merged file has one row a CCD; it belongs to the exposure, and to a CCD only if it has one row.
    if metadata["expnum"] is None and "expnum" in known and hdu.shape[0]:
        expnum = int(content.cells(number, "expnum")[0])
        metadata["expnum"] = expnum if 0 < expnum < 2**31 else None
    if metadata["ccdnum"] is None and "ccdname" in known and hdu.shape[0] == 1:
        metadata["ccdnum"] = ccd_number(content.cells(number, "ccdname")[0].decode("ascii", "replace"))
    return metadata


def _sky(content: Content) -> Metadata:
    """Return the metadata of a sky file, from its header and name."""
    return _named(content, identity(content))


def _zeropoints(content: Content) -> Metadata:
    """Return the band of a table of zero points, if all rows have the same."""
    number, _ = next(iter(content.tables()))
    bands = {band(v.decode("ascii", "replace")) for v in content.cells(number, "filter")}
    return {"band": bands.pop() if len(bands) == 1 else None}


def _catalogue(content: Content) -> Metadata:
    """Return the metadata of an LDAC catalogue, with its number of objects."""
    metadata = _named(content, {"expnum": None})
    metadata["objects"] = next(hdu.shape[0] for _, hdu in content.tables() if hdu.name == "LDAC_OBJECTS")
    return metadata


def _spline_sky(content: Content) -> Iterator[str]:
    """Require a spline sky: the keyword SKYCLASS, or a table with its grid."""
    if "SKYCLASS" not in content.hdus[0].header and not any(
        {"skyclass", "gridw", "gridvals"} & content.columns(i).keys() for i, _ in content.tables()
    ):
        yield "no spline sky: neither SKYCLASS nor a grid"


PSFEX = FileType(
    name="cp_psfex",
    text="PSFEx models of one CCD or, merged, of all CCDs of an exposure",
    table="calibration",
    pattern=_pattern("i", rf"(?:{_CCD})?-psfex") + r"|decam-\d{8}-[NS]\d{1,2}\.fits",
    directory="cp/psfex",
    rule=has_table("psf_mask"),
    read_metadata=_psf,
)
SKY = FileType(
    name="cp_sky",
    text="spline model of the sky of one CCD",
    table="calibration",
    pattern=_pattern("i", rf"{_CCD}-splinesky"),
    directory="cp/sky",
    rule=_spline_sky,
    read_metadata=_sky,
)
CATALOGUE = FileType(
    name="cp_catalog",
    text="SExtractor catalogue of one CCD, FITS_LDAC",
    table="catalog",
    pattern=_pattern("i", rf"{_CCD}-se"),
    directory="cp/catalog",
    rule=has_table(name="LDAC_OBJECTS"),
    read_metadata=_catalogue,
)
ZEROPOINTS = FileType(
    name="cp_zeropoints",
    text="table of CCDs with their zero points",
    table="calibration",
    pattern=r"survey-ccds[\w.-]*\.fits",
    directory="cp/zeropoints",
    rule=has_table("image_filename", "expnum", "ccdname", "filter", "zpt"),
    read_metadata=_zeropoints,
    names_repeat=True,
)
TYPES = (PSFEX, SKY, CATALOGUE, *_product("image"), *_product("mask"), *_product("weight"), ZEROPOINTS)
