"""Delivered DES files around the PSF and difference imaging: catalogues, star lists, PSF models, kernels, headers.

DESDM's releases and the packages that test with them name these files in many ways (``DECam_00241238_01_cat.fits``,
``D00240560_r_c01_r2362p01_piff.fits``, ``psfcat.psf``), so the content decides what a file is, and its name tells, where
it does, exposure, CCD and band.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from desdm.archive.content import Content
from desdm.archive.filetypes.filetype import FileType, Metadata, Rule, has_images, has_table, no_metadata
from desdm.archive.filetypes.keywords import identity, image

_NAMES = (
    re.compile(r"DECam_(?P<expnum>\d{8})_(?P<ccdnum>\d{2})(?:[_.].*)?"),
    re.compile(r"D(?P<expnum>\d{8})(?:_(?P<band>u|g|r|i|z|Y|VR))?(?:_c(?P<ccdnum>\d{2}))?(?:[_.].*)?"),
)
_PREFIX = r"(?:.+[_.-])?"


def _identity(content: Content) -> Metadata:
    """Exposure, CCD, band and night: by the headers, else by the name."""
    metadata = identity(content)
    for pattern in _NAMES:
        match = pattern.fullmatch(content.stem)
        if match:
            for key, value in match.groupdict().items():
                if value is not None and metadata.get(key) is None:
                    metadata[key] = value if key == "band" else int(value)
    return metadata


def _objects(content: Content) -> Metadata:
    """Return the metadata of a catalogue, with its number of objects."""
    tables = [hdu for _, hdu in content.tables()]
    named = [hdu for hdu in tables if hdu.name == "LDAC_OBJECTS"] or tables[-1:]
    return {**_identity(content), "objects": named[0].shape[0]}


def _header(content: Content) -> Iterator[str]:
    """Rule: no pixels and no table, but the cards of an image."""
    if content.images() or any(True for _ in content.tables()):
        yield "it has pixels or a table; a header alone has neither"
    elif not any(key in content.hdus[0].header for key in ("CTYPE1", "EXPNUM", "FILTER")):
        yield "its header is not an image's: neither CTYPE1 nor EXPNUM nor FILTER"


def _both(*rules: Rule) -> Rule:
    """Rule: all of several; the first that does not hold speaks."""

    def rule(content: Content) -> Iterator[str]:
        for one in rules:
            complaints = list(one(content))
            if complaints:
                yield from complaints
                return

    return rule


def _kernel(content: Content) -> Iterator[str]:
    """Require a first image of at most 101 pixels a side."""
    images = content.images()
    if not images or max(images[0].shape) > 101:
        yield "no small image"


def _type(
    name: str,
    text: str,
    table: str,
    pattern: str,
    rule: Rule,
    read_metadata: Callable[[Content], Metadata] = no_metadata,
) -> FileType:
    """Return a type of delivered files."""
    return FileType(name, text, table, pattern, f"delivered/{name}", rule, read_metadata)


_LDAC = _both(has_table(name="LDAC_IMHEAD"), has_table("number", name="LDAC_OBJECTS"))
_USED = has_table("source_number", "norm_psf", "chi2_psf", name="LDAC_OBJECTS")
_STARS = has_table("id", "x", "y", "star_flag")
TYPES = (
    _type(
        "cat_sextractor",
        "SExtractor catalogue of one image, FITS_LDAC",
        "catalog",
        r".+\.(?:fits?|cat|ldac)",
        _LDAC,
        _objects,
    ),
    _type("psfex_used", "stars that PSFEx used", "catalog", r".+\.(?:fits?|used|cat)", _USED, _objects),
    _type(
        "psf_use_stars",
        "star list for PIFF",
        "catalog",
        r".+\.fits?",
        has_table("id", "x", "y", "star_flag", "use"),
        _objects,
    ),
    _type("psf_stars", "stars chosen by size and magnitude", "catalog", r".+\.fits?", _STARS, _objects),
    _type(
        "psfex_psf",
        "PSFEx model as PSFEx wrote it",
        "calibration",
        r".+\.(?:psf|fits?)",
        has_table("psf_mask", name="PSF_DATA"),
        _identity,
    ),
    _type(
        "psf_shapelets",
        "shapelet PSF model",
        "calibration",
        r".+\.fits?",
        has_table("psf_order", "ave_psf", "interp_matrix"),
        _identity,
    ),
    _type(
        "piff_model",
        "PIFF model of one CCD or more",
        "calibration",
        r".+\.(?:fits?|piff)",
        _both(has_table("type", name="PSF"), has_table(name="PSF_STARS")),
        _identity,
    ),
    _type(
        "header",
        "header of an image without its pixels",
        "miscfile",
        _PREFIX + r"header\.fits?",
        _header,
        _identity,
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
