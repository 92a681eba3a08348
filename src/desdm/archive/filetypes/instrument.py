"""Constants of the instrument: defects, amplifiers, crosstalk, linearity, distortion, throughput, pupil."""

from __future__ import annotations

import re
from collections.abc import Callable

from desdm.archive.content import Content
from desdm.archive.filetypes.filetype import (
    FileType,
    Metadata,
    Rule,
    any_content,
    begins_with,
    has_images,
    has_table,
    no_metadata,
)
from desdm.archive.filetypes.keywords import ccd_number
from desdm.survey.findings import Finding, Severity
from desdm.survey.obstime import moment, night_of

#: Bytes in which an ECSV header is looked for, and a line ``# - KEY: value`` of its meta.
_META_BYTES = 1 << 16
_META_LINE = re.compile(r"#\s*-\s*(\w+):\s*(.*?)\s*")


def _ccd(content: Content) -> Metadata:
    """Return the CCD number that ends the file's name."""
    return {"ccdnum": ccd_number(content.stem.removesuffix(".fits").rsplit("-")[-1])}


def _defects(content: Content) -> Metadata:
    """Return CCD number and first night of ECSV defects, from DETECTOR and CALIBDATE; a missing CCD is a finding."""
    meta: dict[str, str] = {}
    for line in content.head(_META_BYTES).decode("utf-8", "replace").splitlines():
        if not line.startswith("#"):
            break
        match = _META_LINE.fullmatch(line)
        if match:
            meta.setdefault(match[1], match[2].strip("'\""))
    word = meta.get("DETECTOR", "")
    ccdnum = int(word) if word.isdecimal() and len(word) < 6 else ccd_number(word)
    if not ccdnum:
        content.findings.append(
            Finding(
                Severity.WARNING,
                "DETECTOR does not identify the CCD of these defects",
                "DETECTOR",
                repr(word) if word else "",
                "no CCD is stored",
            )
        )
    # 1970 means that the defects have no first night.
    begin = moment({"DATE-OBS": meta.get("CALIBDATE", "")}, 0.0).begin
    return {"ccdnum": ccdnum or None, "nite": None if begin is None else night_of(begin)}


def _type(
    name: str,
    text: str,
    pattern: str,
    rule: Rule = any_content,
    read_metadata: Callable[[Content], Metadata] = no_metadata,
    names_repeat: bool = False,
) -> FileType:
    """Return a type of calibration of the instrument."""
    return FileType(
        name, text, "calibration", pattern, f"cal/{name}", rule, read_metadata, names_repeat=names_repeat
    )


# The names of defect files have only their date, and the CCD is in the folder: names repeat.
TYPES = (
    _type(
        "cal_defects",
        "bad-pixel boxes of one CCD from a date on",
        r"\d{8}[Tt]\d{4}\.ecsv",
        begins_with(b"# %ECSV"),
        _defects,
        names_repeat=True,
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
    _type("cal_crosstalk", "crosstalk between amplifiers", r".*xtalk[\w-]*\.txt", begins_with(b"#")),
    _type(
        "cal_linearity",
        "linearity table of one CCD's amplifiers",
        r"linearizer-\w+\.yaml",
        begins_with(b"amplifiers:"),
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
