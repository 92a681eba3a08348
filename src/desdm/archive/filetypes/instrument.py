"""Constants of the instrument: defects, amplifiers, crosstalk, linearity, distortion, throughput, pupil."""

from __future__ import annotations

from collections.abc import Callable

from desdm.archive.content import Content
from desdm.archive.filetypes.keywords import ccd_number
from desdm.archive.filetypes.kind import (
    FileType,
    Metadata,
    Rule,
    anything,
    has_images,
    has_table,
    magic,
    nothing,
)


def _ccd(content: Content) -> Metadata:
    """Return the CCD number that ends the file's name."""
    return {"ccdnum": ccd_number(content.stem.removesuffix(".fits").rsplit("-")[-1])}


def _type(
    name: str,
    text: str,
    pattern: str,
    rule: Rule = anything,
    describe: Callable[[Content], Metadata] = nothing,
    repeats: bool = False,
) -> FileType:
    """Return a type of calibration of the instrument."""
    return FileType(name, text, "calibration", pattern, f"cal/{name}", rule, describe, repeats=repeats)


# Defect files carry only their date in their name, the CCD stands in the folder: the name comes again and again.
TYPES = (
    _type(
        "cal_defects",
        "bad-pixel boxes of one CCD from a date on",
        r"\d{8}[Tt]\d{4}\.ecsv",
        magic(b"# %ECSV"),
        repeats=True,
    ),
    _type(
        "cal_defects_fits",
        "bad-pixel boxes of one CCD, FITS",
        r"defects[\w-]*\.fits",
        has_table("x", "y", "shape", "r"),
    ),
    _type(
        "cal_amplifiers",
        "geometry of a CCD's amplifiers",
        r"[NS]\d{1,2}\.fits",
        has_table("bbox_min_x", "readnoise"),
        _ccd,
    ),
    _type("cal_crosstalk", "crosstalk between amplifiers", r".*xtalk[\w-]*\.txt", magic(b"#")),
    _type(
        "cal_linearity",
        "linearity table of one CCD's amplifiers",
        r"linearizer-\w+\.yaml",
        magic(b"amplifiers:"),
        lambda c: {"ccdnum": ccd_number(c.stem[11:-5])},
    ),
    _type(
        "cal_astrometry",
        "astrometric model: distortion, tree rings, edges, affine terms",
        r"astro(?:rings|edges)\d*\.yaml|\w+\.guts\.astro|\w+\.ahead",
    ),
    _type(
        "cal_affine",
        "affine astrometric terms by exposure",
        r"\w+\.affine\.fits",
        has_table("x0", "y0", "rot", "detpos"),
    ),
    _type(
        "cal_throughput",
        "throughput by detector",
        r"(?P<band>u|g|r|i|z|Y|VR)_band_\w*throughput\.fits",
        has_table("lambda", "throughput_ccd"),
    ),
    _type("cal_pupil", "picture of the pupil", r"\w*pupil\w*\.fits", has_images()),
)
