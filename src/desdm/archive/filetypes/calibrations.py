"""Calibrations that precal and supercal make, and the constants that an instrument team hands over."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from desdm.archive.content import Content
from desdm.archive.filetypes.filetype import FileType, Metadata, Rule, begins_with, has_images, has_table
from desdm.archive.filetypes.keywords import identity, image
from desdm.archive.filetypes.products import planes

_BAND = r"(?:(?P<band>u|g|r|i|z|Y|VR)_)?"
_CCD = r"(?:c(?P<ccdnum>\d{2})_)?"


def _camera(content: Content) -> Metadata:
    """Of the whole camera: whatever CCD its first HDU is of, it is for all."""
    return {**identity(content), "ccdnum": None, "expnum": None}


def _one(content: Content) -> Metadata:
    """Return the metadata of one calibration, which belongs to no exposure."""
    if content.head(1) == b"{":
        return {}
    return {**identity(content), "expnum": None}


def _mask(content: Content) -> Iterator[str]:
    """Require an image MSK of integers."""
    if not any(hdu.name == "MSK" and hdu.bitpix > 0 for hdu in content.images()):
        yield "no integer image MSK"


def _type(
    name: str,
    text: str,
    rule: Rule,
    tail: str,
    read_metadata: Callable[[Content], Metadata] = _one,
    table: str = "calibration",
) -> FileType:
    """Return a type of calibration, with the name pattern of produced and of delivered files."""
    produced = rf"\w[\w.+-]*?_r\d+p\d+_{_BAND}{_CCD}{tail}"
    delivered = rf"[A-Za-z]+_{tail}".replace(r"\.fits", r"(?:_(?:u|g|r|i|z|Y|VR))?(?:_c\d\d)?\.fits")
    return FileType(name, text, table, f"(?:{produced}|{delivered})", name, rule, read_metadata)


TYPES = (
    _type("cal_biascor", "combined bias of one CCD, ADU", planes, r"biascor\.fits"),
    _type(
        "cal_dflatcor",
        "combined dome flat of one CCD and band, mean 1 over the focal plane",
        planes,
        r"dflatcor\.fits",
    ),
    _type("cal_bpm", "bad pixels of one CCD, mask bits", _mask, r"bpm\.fits"),
    _type(
        "cal_lintable",
        "linearity of every amplifier: observed to linear ADU",
        has_table("adu", "adu_linear_a"),
        r"lintable\.fits",
        _camera,
    ),
    _type(
        "cal_bf",
        "brighter-fatter kernels: shifts of a pixel's boundaries per electron",
        has_images(2),
        r"bf\.fits",
        _camera,
    ),
    _type("cal_starflat", "star flat of one CCD and band", has_images(), r"starflat\.fits"),
    _type(
        "cal_skytempl", "sky templates of one CCD and band, full resolution", has_images(), r"skytempl\.fits"
    ),
    _type(
        "cal_skypc",
        "sky principal components of a band over the focal plane",
        has_images(),
        r"skypc\.fits",
        _camera,
    ),
    _type(
        "minisky",
        "block medians of an exposure's sky over the focal plane",
        has_images(),
        r"minisky\.fits",
        image,
        "image",
    ),
    _type(
        "miniflat",
        "block medians of a flat over the focal plane",
        has_images(),
        r"mini(?:flat|bias)\.fits",
        image,
        "image",
    ),
    _type(
        "cal_frames",
        "frames of a calibration: which are combined, which are odd and why",
        has_table(),
        r"(?:bias|flat)?frames\.fits",
        _camera,
    ),
    _type(
        "flatnorm",
        "normalisation of the dome flats of a band",
        begins_with(b"{", b"SIMPLE"),
        r"flatnorm\.(?:json|fits)",
    ),
    _type(
        "cal_ramp",
        "levels of a CCD's amplifiers along a linearity ramp, and its non-linear pixels",
        has_table("amp", "exptime", "level", "error"),
        r"ramp\.fits",
    ),
    _type(
        "cal_starcat",
        "stars of one CCD of a star flat",
        has_table("x", "y", "ra", "dec", "mag", "magerr"),
        r"starcat\.fits",
    ),
    _type(
        "cal_starfit",
        "star flat of a band at the nodes of every CCD",
        has_images(),
        r"starfit\.fits",
        _camera,
    ),
    _type(
        "skyfit",
        "sky of one exposure: coefficients of templates, or block medians",
        has_table(),
        r"skyfit\.fits",
        _camera,
    ),
)
