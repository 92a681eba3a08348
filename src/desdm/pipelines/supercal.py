"""The pipeline ``supercal``: calibration frames of a range of nights in; the calibrations of an epoch out.

The order is that in which each step finds what it needs: biases; linearity and crosstalk, which need biases; flats, which
need all of these; bad pixels, which need biases, flats and the ramp; then exposures of the sky, detrended with what was
just made: star flats from dithered stars, and the sky's components and templates, fringes among them.
"""

from __future__ import annotations

from dataclasses import replace

from desdm.framework.pipeline import Block, FileSet, Module, Pipeline
from desdm.pipelines.calframes import NOT_REJECTED
from desdm.pipelines.precal import (
    BIAS,
    DFLAT_BAND,
    DFLAT_NORM,
    PATTERNS,
    archive_calibration,
    bias_ccd,
    dflat_exp,
    flat_ccd,
    from_module,
    output_file,
)

__all__ = ["SUPERCAL"]

_CODE = "desdm.codes."
_CCD = ("ccdnum",)
_BAND = ("band",)


def _raw_input(kind: str) -> FileSet:
    """Return an input of raw exposures of a kind."""
    return FileSet(
        "raw",
        "raw",
        query={"filetype": "raw", "expnum": f"${{{kind}_expnums}}", **NOT_REJECTED},
        optional=True,
    )


RAMP = Module(
    "ramp",
    _CODE + "calibrate.wrapper.ramp",
    text="levels of one CCD along the linearity ramps, and its non-linear pixels",
    loop=_CCD,
    inputs=(replace(_raw_input("ramp"), whole=True), from_module("biascor", "mkbiascor.biascor", "ccdnum")),
    outputs=(output_file("ramp", "cal_ramp", "ccd", "ramp"),),
    tolerant=True,
)
MKLINTABLE = Module(
    "mklintable",
    _CODE + "calibrate.wrapper.mklintable",
    text="linearity of every amplifier, one shutter for all",
    inputs=(from_module("ramps", "ramp.ramp"),),
    outputs=(output_file("lintable", "cal_lintable", "unit", "lintable"),),
)
MKCROSSTALK = Module(
    "mkcrosstalk",
    _CODE + "calibrate.wrapper.mkcrosstalk",
    text="what each amplifier shows of the others",
    inputs=(_raw_input("crosstalk"), from_module("biascors", "mkbiascor.biascor")),
    outputs=(output_file("crosstalk", "cal_crosstalk", "unit", "xtalk", "txt"),),
)
LINTABLE = from_module("lintable", "mklintable.lintable")
CROSSTALK = from_module("crosstalk", "mkcrosstalk.crosstalk")
MKBPM = Module(
    "mkbpm",
    _CODE + "calibrate.wrapper.mkbpm",
    text="bad pixels of one CCD, from bias, flats and ramp",
    loop=_CCD,
    inputs=(
        from_module("biascor", "mkbiascor.biascor", "ccdnum"),
        from_module("flatcors", "mkflatcor.flatcor", "ccdnum"),
        from_module("ramp", "ramp.ramp", "ccdnum"),
    ),
    outputs=(output_file("bpm", "cal_bpm", "ccd", "bpm"),),
)

_EXPBAND = ("expnum", "band")
_EACH = ("expnum", "band", "ccdnum")
_BANDCCD = ("band", "ccdnum")


def _image_output(label: str) -> FileSet:
    """Return an output with an image of each CCD and exposure."""
    return FileSet("image", "red_immask", filepat="expccd", flabel=label, savefiles=False)


def _output(name: str, filetype: str, pattern: str, label: str, *, save: bool = True) -> FileSet:
    """Return an output file set."""
    return FileSet(name, filetype, filepat=pattern, flabel=label, savefiles=save)


def _input_from(name: str, source: str, *match: str, optional: bool = False) -> FileSet:
    """Return an input from an earlier module of the run."""
    return FileSet(name, depends=source, match=match, optional=optional)


def _detrend(name: str, kind: str) -> Module:
    """Detrends every CCD of the exposures of one kind with this run's own calibrations, up to the dome flat."""
    return Module(
        name,
        _CODE + "detrend.wrapper.detrend",
        text="one CCD, detrended with what was just made, up to the dome flat",
        loop=_EACH,
        loopobj="raw",
        inputs=(
            replace(_raw_input(kind), match=("expnum",)),
            from_module("biascor", "mkbiascor.biascor", "ccdnum"),
            from_module("dflatcor", "scale_flat.dflatcor", *_BANDCCD),
            from_module("bpm", "mkbpm.bpm", "ccdnum"),
            LINTABLE,
            CROSSTALK,
            archive_calibration("bf", "cal_bf", ccd=False),
        ),
        outputs=(_image_output(name),),
        tolerant=True,
    )


DETREND_STARFLAT = _detrend("detrend_starflat", "starflat")
STARCAT = Module(
    "starcat",
    _CODE + "starflat.wrapper.starcat",
    text="stars of one CCD of a star flat",
    loop=_EACH,
    loopobj="image",
    inputs=(_input_from("image", "detrend_starflat.image", *_EACH),),
    outputs=(_output("stars", "cal_starcat", "expccd", "starcat"),),
    tolerant=True,
)
STARFIT = Module(
    "starfit",
    _CODE + "starflat.wrapper.starfit",
    text="response to stars over response to the dome, of one band",
    loop=_BAND,
    loopobj="stars",
    inputs=(
        _input_from("stars", "starcat.stars", *_BAND, optional=True),
        FileSet("refcat", "refcat", query={"filetype": "refcat"}, whole=True, optional=True),
    ),
    outputs=(output_file("fit", "cal_starfit", "band", "starfit"),),
    tolerant=True,
)
MKSTARFLAT = Module(
    "mkstarflat",
    _CODE + "starflat.wrapper.mkstarflat",
    text="star flat of one CCD and band",
    loop=_BANDCCD,
    loopobj="fit",
    inputs=(from_module("fit", "starfit.fit", "band"),),
    outputs=(output_file("starflat", "cal_starflat", "ccdband", "starflat"),),
    tolerant=True,
)

DETREND_SKY = _detrend("detrend_sky", "sky")
SKYCOMPRESS = Module(
    "skycompress",
    _CODE + "sky.wrapper.skycompress",
    text="block medians of one CCD's sky",
    loop=_EACH,
    loopobj="image",
    inputs=(_input_from("image", "detrend_sky.image", *_EACH),),
    outputs=(_output("mini", "minisky", "expccd", "ccdminisky", save=False),),
    tolerant=True,
)
SKYCOMBINE = Module(
    "skycombine",
    _CODE + "sky.wrapper.skycombine",
    text="the sky of one exposure over the focal plane",
    loop=_EXPBAND,
    loopobj="minis",
    inputs=(_input_from("minis", "skycompress.mini", *_EXPBAND),),
    outputs=(_output("minisky", "minisky", "expband", "minisky"),),
    tolerant=True,
)
SKYPCA = Module(
    "skypca",
    _CODE + "sky.wrapper.skypca",
    text="components of a band's sky: its level, gradients, ghost and fringes",
    loop=_BAND,
    loopobj="minisky",
    inputs=(_input_from("minisky", "skycombine.minisky", *_BAND, optional=True),),
    outputs=(_output("skypc", "cal_skypc", "band", "skypc"),),
    tolerant=True,
)
DETREND_TEMPL = _detrend("detrend_templ", "sky")
SKYTEMPLATE = Module(
    "skytemplate",
    _CODE + "sky.wrapper.skytemplate",
    text="the components on one CCD at full resolution, fringes among them",
    loop=_BANDCCD,
    loopobj="image",
    inputs=(
        _input_from("image", "detrend_templ.image", *_BANDCCD, optional=True),
        _input_from("skypc", "skypca.skypc", *_BAND),
    ),
    outputs=(_output("skytempl", "cal_skytempl", "ccdband", "skytempl"),),
    tolerant=True,
)

SUPERCAL = Pipeline(
    name="supercal",
    text="the calibrations of an epoch, from the frames of a range of nights",
    unit="nites",
    blocks=(
        *BIAS,
        Block(
            "bias-ccd",
            (bias_ccd(), RAMP),
            divide_jobs_by=_CCD,
            text="each CCD's bias, and its linearity ramp",
        ),
        Block("camera", (MKLINTABLE, MKCROSSTALK), text="linearity and crosstalk of the whole camera"),
        dflat_exp(LINTABLE),
        DFLAT_BAND,
        Block(
            "dflat-ccd",
            flat_ccd(LINTABLE, CROSSTALK, MKBPM, bpm=from_module("bpm", "mkbpm.bpm", "ccdnum")),
            divide_jobs_by=_CCD,
            text="each CCD's flats and bad pixels",
        ),
        DFLAT_NORM,
        Block(
            "starflat-exp",
            (DETREND_STARFLAT, STARCAT),
            divide_jobs_by=("expnum",),
            text="stars of each star flat",
        ),
        Block("starflat-band", (STARFIT,), divide_jobs_by=_BAND, text="each band's star flat"),
        Block("starflat-ccd", (MKSTARFLAT,), divide_jobs_by=_CCD, text="star flats of each CCD"),
        Block(
            "sky-exp",
            (DETREND_SKY, SKYCOMPRESS, SKYCOMBINE),
            divide_jobs_by=("expnum",),
            text="the sky of each exposure",
        ),
        Block("sky-band", (SKYPCA,), divide_jobs_by=_BAND, text="each band's sky"),
        Block(
            "sky-ccd", (DETREND_TEMPL, SKYTEMPLATE), divide_jobs_by=_BANDCCD, text="sky templates of each CCD"
        ),
    ),
    filename_patterns={
        **PATTERNS,
        "expband": "D${expnum:8}_r${reqnum}p${attnum:2}_${band}_${flabel}.${fsuffix}",
        "expccd": "D${expnum:8}_r${reqnum}p${attnum:2}_${band}_c${ccdnum:2}_${flabel}.${fsuffix}",
    },
    inclfunc="desdm.pipelines.calframes.nights",
)
