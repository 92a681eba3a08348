"""Delivered DES files around the PSF and difference imaging: catalogues, star lists, PSF models, kernels, headers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from desdm.archive.content import Content
from desdm.archive.filetypes.keywords import identity, image
from desdm.archive.filetypes.kind import FileType, Metadata, Rule, anything, has_images, has_table, nothing

_DECAM = r"DECam_(?P<expnum>\d{8})_(?P<ccdnum>\d{2})"
_DES = r"D(?P<expnum>\d{8})_(?P<band>u|g|r|i|z|Y|VR)_c(?P<ccdnum>\d{2})_r\d+p\d+"


def _objects(content: Content) -> Metadata:
    tables = [hdu for _, hdu in content.tables()]
    return {"objects": tables[-1].shape[0]}


def _kernel(content: Content) -> Iterator[str]:
    images = content.images()
    if not images or max(images[0].shape) > 101:
        yield "no small image"


def _type(
    name: str,
    text: str,
    table: str,
    pattern: str,
    rule: Rule,
    describe: Callable[[Content], Metadata] = nothing,
) -> FileType:
    return FileType(name, text, table, pattern, f"delivered/{name}", rule, describe)


_LDAC = has_table(name="LDAC_OBJECTS")
_STARS = has_table("id", "x", "y", "star_flag")
TYPES = (
    _type(
        "cat_sextractor",
        "SExtractor catalogue of one CCD, FITS_LDAC",
        "catalog",
        _DECAM + r"_cat\.fits",
        _LDAC,
        _objects,
    ),
    _type("psfex_used", "stars that PSFEx used", "catalog", _DECAM + r"_psfcat\.used\.fits", _LDAC, _objects),
    _type(
        "psf_stars",
        "stars chosen by size and magnitude",
        "catalog",
        rf"(?:{_DECAM}_findstars)\.fits",
        _STARS,
        _objects,
    ),
    _type("psf_use_stars", "star list for PIFF", "catalog", _DES + r"_use_stars\.fits", _STARS, _objects),
    _type(
        "psfex_psf",
        "PSFEx model as PSFEx wrote it",
        "calibration",
        _DECAM + r"_psfcat\.psf",
        has_table("psf_mask"),
    ),
    _type(
        "psf_shapelets",
        "shapelet PSF model",
        "calibration",
        _DECAM + r"_fitpsf\.fits",
        has_table("psf_order"),
    ),
    _type(
        "piff_model",
        "PIFF model of one CCD",
        "calibration",
        _DES + r"_piff\.fits",
        has_table(name="PSF_STARS"),
    ),
    _type(
        "header",
        "header of an image without its pixels",
        "miscfile",
        _DECAM + r"_header\.fits",
        anything,
        identity,
    ),
    _type(
        "diff_input",
        "exposure on the common grid of a difference",
        "image",
        r".+\.mini\.fits",
        has_images(),
        image,
    ),
    _type("diff_kernel", "convolution kernel of a difference", "calibration", r".*Kernel\.fits", _kernel),
    _type(
        "diff_stack", "stack of exposures for a difference", "image", r"Stack-.+\.fits", has_images(), image
    ),
    _type("diff_image", "difference image", "image", r".*Difference[\w.-]*\.fits", has_images(), image),
)
