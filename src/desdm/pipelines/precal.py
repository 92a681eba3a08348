"""The pipeline ``precal``: a night's biases and dome flats in; combined biases and normalised flats of each CCD out.

Steps and order are DESDM's. The flats' one number a band is found on the mini focal planes of
the frames that are combined, which add up to that of the combination, so that no flat is written twice.
"""

from __future__ import annotations

from dataclasses import replace

from desdm.framework.pipeline import Block, FileSet, Module, Pipeline
from desdm.pipelines.calframes import NOT_REJECTED

__all__ = [
    "BIAS",
    "DFLAT_BAND",
    "DFLAT_NORM",
    "PATTERNS",
    "PRECAL",
    "archive_calibration",
    "bias_ccd",
    "dflat_exp",
    "flat_ccd",
    "from_module",
    "output_file",
]

_CODE = "desdm.codes.calibrate.wrapper."
_EXP = ("expnum",)
_CCD = ("ccdnum",)
_BAND = ("band",)
_CCDBAND = ("ccdnum", "band")

ZERO = FileSet(
    "raw", "raw", query={"filetype": "raw", "expnum": "${zero_expnums}", **NOT_REJECTED}, optional=True
)
DFLAT = FileSet(
    "raw", "raw", query={"filetype": "raw", "expnum": "${dflat_expnums}", **NOT_REJECTED}, optional=True
)


def output_file(
    name: str, filetype: str, pattern: str, label: str, suffix: str = "fits", *, save: bool = True
) -> FileSet:
    """Return an output; with too few frames it is missing, and modules that need it are omitted.

    Parameters
    ----------
    name, filetype
        Name in the module, and file type.
    pattern
        Filename pattern.
    label, suffix
        Label and suffix in the name.
    save
        Whether it goes into the archive.
    """
    return FileSet(
        name, filetype, filepat=pattern, flabel=label, fsuffix=suffix, savefiles=save, optional=True
    )


def archive_calibration(name: str, filetype: str, *, ccd: bool = True) -> FileSet:
    """Return an input that the archive selects among its calibrations; without one its step is omitted.

    Parameters
    ----------
    name, filetype
        Name in the module, and file type.
    ccd
        Whether there is one for each CCD.
    """
    return FileSet(name, filetype, calibration=True, match=_CCD if ccd else (), whole=not ccd, optional=True)


def from_module(name: str, source: str, *match: str) -> FileSet:
    """Return an input from an earlier module, possibly missing; ``match`` selects by these keys, none: all of it."""
    return FileSet(name, depends=source, match=match, whole=not match, optional=True)


MINIBIAS = Module(
    "minibias",
    _CODE + "minibias",
    text="overscan of one bias, block medians over the focal plane",
    loop=_EXP,
    loopobj="raw",
    inputs=(ZERO,),
    outputs=(output_file("mini", "miniflat", "exp", "minibias"),),
    tolerant=True,
)
SIFT_BIASES = Module(
    "sift_biases",
    _CODE + "sift_biases",
    text="odd biases out",
    inputs=(from_module("minis", "minibias.mini"),),
    outputs=(output_file("frames", "cal_frames", "unit", "biasframes"),),
)
#: The biases up to the list of the good ones.
BIAS = (
    Block("bias-exp", (MINIBIAS,), divide_jobs_by=_EXP, text="each bias by itself"),
    Block("bias-sift", (SIFT_BIASES,), text="all biases side by side"),
)


def bias_ccd() -> Module:
    """The combined bias of a CCD."""
    return Module(
        "mkbiascor",
        _CODE + "mkbiascor",
        text="combined bias of one CCD",
        loop=_CCD,
        inputs=(ZERO, from_module("frames", "sift_biases.frames")),
        outputs=(output_file("biascor", "cal_biascor", "ccd", "biascor"),),
    )


def dflat_exp(lintable: FileSet) -> Block:
    """The dome flats' block medians."""
    miniflat = Module(
        "miniflat",
        _CODE + "miniflat",
        text="overscan, linearity and gain of one dome flat, block medians over the focal plane",
        loop=_EXP,
        loopobj="raw",
        inputs=(DFLAT, lintable),
        outputs=(output_file("mini", "miniflat", "exp", "miniflat"),),
        tolerant=True,
    )
    return Block("dflat-exp", (miniflat,), divide_jobs_by=_EXP, text="each dome flat by itself")


MINI_COMPARE = Module(
    "mini_compare",
    _CODE + "sift_flats",
    text="odd flats of a band out",
    loop=_BAND,
    inputs=(from_module("minis", "miniflat.mini", "band"),),
    outputs=(output_file("frames", "cal_frames", "band", "flatframes"),),
)
FIND_NORM = Module(
    "find_flat_normalization",
    _CODE + "find_norm",
    text="one number that makes a band's flats one flat of the focal plane",
    loop=_BAND,
    inputs=(
        from_module("minis", "miniflat.mini", "band"),
        from_module("frames", "mini_compare.frames", "band"),
    ),
    outputs=(output_file("flatnorm", "flatnorm", "band", "flatnorm", "json"),),
)
#: Which dome flats are good, and their norm.
DFLAT_BAND = Block(
    "dflat-sift", (MINI_COMPARE, FIND_NORM), divide_jobs_by=_BAND, text="a band's flats side by side"
)


def flat_ccd(lintable: FileSet, crosstalk: FileSet, *between: Module, bpm: FileSet) -> tuple[Module, ...]:
    """Return the module that combines the dome flats of a CCD and a band.

    Parameters
    ----------
    lintable, crosstalk, bpm
        Inputs with linearity table, crosstalk matrix and bad-pixel mask.
    """
    return (
        Module(
            "mkflatcor",
            _CODE + "mkflatcor",
            text="crosstalk, overscan, bias, linearity, gain, brighter-fatter; combined flat of one CCD and band",
            loop=_CCDBAND,
            inputs=(
                DFLAT,
                from_module("frames", "mini_compare.frames", "band"),
                from_module("biascor", "mkbiascor.biascor", "ccdnum"),
                replace(archive_calibration("old_biascor", "cal_biascor"), fallback=True),
                lintable,
                crosstalk,
                archive_calibration("bf", "cal_bf", ccd=False),
            ),
            outputs=(output_file("flatcor", "cal_dflatcor", "ccdband", "flatcor", save=False),),
        ),
        *between,
        Module(
            "scale_flat",
            _CODE + "scale_flat",
            text="divided by the band's number, bad pixels marked",
            loop=_CCDBAND,
            inputs=(
                from_module("flatcor", "mkflatcor.flatcor", *_CCDBAND),
                from_module("flatnorm", "find_flat_normalization.flatnorm", "band"),
                bpm,
            ),
            outputs=(output_file("dflatcor", "cal_dflatcor", "ccdband", "dflatcor"),),
        ),
    )


NORMCOMBINE = Module(
    "norm_combine",
    _CODE + "normcombine",
    text="mini focal plane of the normalised flats",
    loop=_BAND,
    inputs=(from_module("dflatcors", "scale_flat.dflatcor", "band"),),
    outputs=(output_file("mini", "miniflat", "band", "normminiflat"),),
)
DFLAT_NORM = Block(
    "dflat-band", (NORMCOMBINE,), divide_jobs_by=_BAND, text="what the focal plane's flat looks like"
)

PATTERNS = {
    "unit": "${unitname}_r${reqnum}p${attnum:2}_${flabel}.${fsuffix}",
    "exp": "D${expnum:8}_r${reqnum}p${attnum:2}_${flabel}.${fsuffix}",
    "ccd": "${unitname}_r${reqnum}p${attnum:2}_c${ccdnum:2}_${flabel}.${fsuffix}",
    "band": "${unitname}_r${reqnum}p${attnum:2}_${band}_${flabel}.${fsuffix}",
    "ccdband": "${unitname}_r${reqnum}p${attnum:2}_${band}_c${ccdnum:2}_${flabel}.${fsuffix}",
}

PRECAL = Pipeline(
    name="precal",
    text="a night's combined biases and normalised dome flats",
    unit="nite",
    blocks=(
        *BIAS,
        Block("bias-ccd", (bias_ccd(),), divide_jobs_by=_CCD, text="each CCD's bias"),
        dflat_exp(archive_calibration("lintable", "cal_lintable", ccd=False)),
        DFLAT_BAND,
        Block(
            "dflat-ccd",
            flat_ccd(
                archive_calibration("lintable", "cal_lintable", ccd=False),
                archive_calibration("crosstalk", "cal_crosstalk", ccd=False),
                bpm=archive_calibration("bpm", "cal_bpm"),
            ),
            divide_jobs_by=_CCD,
            text="each CCD's flats",
        ),
        DFLAT_NORM,
    ),
    filename_patterns=PATTERNS,
    inclfunc="desdm.pipelines.calframes.night",
)
