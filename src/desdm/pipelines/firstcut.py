"""The pipeline ``firstcut``: one raw exposure in; calibrated images, catalogues, zero points and a verdict out.

The list at the end is DESDM's order of First Cut, to be read aloud. One job does an exposure:
images go from module to module in memory, and only what the archive keeps, or a program must read, becomes a file.
"""

from __future__ import annotations

from desdm.framework.pipeline import Block, FileSet, Module, Pipeline, Tree

__all__ = ["FIRSTCUT", "PATTERNS", "exposure_modules"]

_CCD = ("expnum", "ccdnum")
_EXP = ("expnum",)
_RAW = FileSet("raw", "raw", query={"filetype": "raw", "expnum": "${expnum}"}, match=_EXP)
_REFCAT = FileSet(
    "refcat", "refcat", query={"filetype": "refcat", "region": "${region}"}, whole=True, optional=True
)


def _calibration(name: str, filetype: str, *, ccd: bool = True, optional: bool = False) -> FileSet:
    """Return an input that the archive selects among its calibrations."""
    return FileSet(
        name, filetype, calibration=True, match=("ccdnum",) if ccd else (), whole=not ccd, optional=optional
    )


def _from(name: str, source: str, *, optional: bool = False) -> FileSet:
    """Return an input of the same CCD from an earlier module."""
    return FileSet(name, depends=source, optional=optional, match=_CCD)


def _whole(name: str, source: str, *, optional: bool = False) -> FileSet:
    """What there is of the exposure's CCDs."""
    return FileSet(name, depends=source, match=_EXP, optional=optional)


def _single(name: str, source: str, *, optional: bool = False) -> FileSet:
    """A file of the whole exposure."""
    return FileSet(name, depends=source, match=_EXP, optional=optional)


def _image(label: str) -> FileSet:
    """The image between modules: in memory, never in the archive."""
    return FileSet("image", "red_immask", filepat="ccd", flabel=label, savefiles=False)


def _output(
    name: str, filetype: str, pattern: str, label: str, suffix: str = "fits", *, save: bool = True,
    optional: bool = False,
) -> FileSet:  # fmt: skip
    """Return an output file set."""
    return FileSet(
        name, filetype, filepat=pattern, flabel=label, fsuffix=suffix, savefiles=save, optional=optional
    )


def _ccd(
    name: str,
    wrapper: str,
    text: str,
    inputs: tuple[FileSet, ...],
    outputs: tuple[FileSet, ...],
    settings: Tree | None = None,
) -> Module:
    """A module that works CCD by CCD; one that cannot be used leaves the others going."""
    loopobj = "" if inputs[0].name == "raw" else inputs[0].name
    return Module(
        name,
        f"desdm.codes.{wrapper}",
        text,
        loop=_CCD,
        loopobj=loopobj,
        inputs=inputs,
        outputs=outputs,
        settings=settings or {},
        tolerant=True,
    )


def _exposure_output(
    name: str, wrapper: str, text: str, inputs: tuple[FileSet, ...], outputs: tuple[FileSet, ...]
) -> Module:
    """A module that works on the whole exposure, with the CCDs that there are."""
    return Module(
        name, f"desdm.codes.{wrapper}", text, loop=_EXP, loopobj=inputs[0].name, inputs=inputs, outputs=outputs,
        tolerant=True,
    )  # fmt: skip


def exposure_modules(cat: str, *, late: bool) -> tuple[Module, ...]:
    """The modules of a single exposure.

    ``cat`` is the file type of its catalogues (cat_firstcut, cat_finalcut); ``late`` adds what only Final Cut makes: maps
    of background and segmentation and the HEALPix coverage, and makes a must of the calibrations of a supercal.
    """
    maps = (
        _output("bkg", "red_bkg", "ccd", "bkg", "fits.fz"),
        _output("segmap", "segmap", "ccd", "segmap", "fits.fz"),
    )
    coverage = _exposure_output(
        "hpixmap", "coverage.wrapper.hpixmap", "HEALPix cells that the exposure covers",
        (_whole("images", "finish.image"),), (_output("map", "hpix_map", "exp", "hpix-map"),),
    )  # fmt: skip
    maybe = not late
    modules = (
        _ccd(
            "detrend", "detrend.wrapper.detrend",
            "crosstalk, overscan, bias, linearity, bad pixels, saturation, gain, columns, brighter-fatter, dome flat",
            (
                _RAW, _calibration("biascor", "cal_biascor"), _calibration("dflatcor", "cal_dflatcor"),
                _calibration("bpm", "cal_bpm", optional=maybe),
                _calibration("lintable", "cal_lintable", ccd=False, optional=maybe),
                _calibration("crosstalk", "cal_crosstalk", ccd=False, optional=maybe),
                _calibration("bf", "cal_bf", ccd=False, optional=maybe),
            ),
            (_image("detrend"),),
        ),
        _ccd(
            "scampcat", "astrometry.wrapper.scampcat", "catalogue for the astrometry",
            (_from("image", "detrend.image"),), (_output("catalog", "cat_scamp", "ccd", "ccdscamp", save=False),),
        ),
        _exposure_output(
            "combine_cats", "astrometry.wrapper.combine_cats", "the CCDs' catalogues in one file",
            (_whole("catalogs", "scampcat.catalog"),), (_output("catalog", "cat_scamp", "exp", "scamp"),),
        ),
        _exposure_output(
            "scamp", "astrometry.wrapper.scampexposure", "world coordinates of every CCD against reference stars",
            (_single("catalog", "combine_cats.catalog"), _REFCAT),
            (_output("head", "scamp_head", "exp", "scamp", "head"), _output("xml", "scamp_xml", "exp", "scamp", "xml")),
        ),
        _ccd(
            "updatewcs", "astrometry.wrapper.updatewcs", "the solution goes into the image",
            (_from("image", "detrend.image"), _single("head", "scamp.head", optional=True)), (_image("wcs"),),
        ),
        _ccd(
            "bleedmask", "immask.wrapper.bleedmask", "bleed trails of saturated stars",
            (_from("image", "updatewcs.image"),), (_image("bleedmask"),),
        ),
        _ccd(
            "skycompress", "sky.wrapper.skycompress", "block medians of the sky",
            (_from("image", "bleedmask.image"),), (_output("mini", "minisky", "ccd", "ccdminisky", save=False),),
        ),
        _exposure_output(
            "skycombine", "sky.wrapper.skycombine", "the sky over the focal plane",
            (_whole("minis", "skycompress.mini"),), (_output("minisky", "minisky", "exp", "minisky"),),
        ),
        _exposure_output(
            "skyfit", "sky.wrapper.skyfit", "sky templates fitted to it",
            (_single("minisky", "skycombine.minisky"), _calibration("skypc", "cal_skypc", ccd=False, optional=True)),
            (_output("skyfit", "skyfit", "exp", "skyfit"),),
        ),
        _ccd(
            "skysubtract", "detrend.wrapper.skysubtract", "sky off, star flat, weight",
            (
                _from("image", "bleedmask.image"), _single("skyfit", "skyfit.skyfit"),
                _calibration("skytempl", "cal_skytempl", optional=True),
                _calibration("starflat", "cal_starflat", optional=maybe),
            ),
            (_image("skysub"),),
        ),
        _ccd(
            "immask", "immask.wrapper.immask", "cosmic rays and streaks",
            (_from("image", "skysubtract.image"),),
            (_image("craymask"), _output("streaks", "streaks", "ccd", "ccdstreaks", save=False)),
        ),
        _exposure_output(
            "connect_streaks", "immask.wrapper.connect_streaks", "streaks followed from CCD to CCD",
            (_whole("streaks", "immask.streaks"),), (_output("connected", "streaks", "exp", "streaks"),),
        ),
        _ccd(
            "streakmask", "immask.wrapper.streakmask", "faint remains of streaks",
            (_from("image", "immask.image"), _single("connected", "connect_streaks.connected")), (_image("streakmask"),),
        ),
        _ccd(
            "rowinterp_nullweight", "nullweight.wrapper.rowinterp_nullweight", "defects interpolated, weights nulled",
            (_from("image", "streakmask.image"),), (_image("nullwt"),),
        ),
        _ccd(
            "psfcat", "psf.wrapper.psfcat", "catalogue with vignets, for PSFEx",
            (_from("image", "rowinterp_nullweight.image"),),
            (_output("catalog", "cat_psfex", "ccd", "psfcat", save=False),),
        ),
        _ccd(
            "psfex", "psf.wrapper.psfex", "PSF of the image",
            (_from("image", "rowinterp_nullweight.image"), _from("catalog", "psfcat.catalog")),
            (_output("psf", "psfex_model", "ccd", "psfex-model"),),
        ),
        _ccd(
            "catalog", "detection.wrapper.secatalog",
            "catalogue with PSF magnitudes" + ("; SPREAD_MODEL, background and segmentation maps" if late else ""),
            (_from("image", "rowinterp_nullweight.image"), _from("psf", "psfex.psf")),
            (_output("catalog", cat, "ccd", cat.replace("_", "-")), *(maps if late else ())),
            {"spread_model": "Y" if late else "N"},
        ),
        _exposure_output(
            "zeropoint", "photocal.wrapper.zeropoint", "zero points against reference stars",
            (_whole("catalogs", "catalog.catalog"), _REFCAT), (
                _output("zeropoints", "zeropoints", "exp", "zeropoints"),
                _output("check", "astro_check", "exp", "astro-check"),
            ),
        ),
        _ccd(
            "finish", "compress.wrapper.finish", "the reduced image, compressed",
            (
                _from("image", "streakmask.image"), _from("psf", "psfex.psf", optional=True),
                _single("zeropoints", "zeropoint.zeropoints", optional=True),
            ),
            (_output("image", "red_immask", "ccd", "immask", "fits.fz"),),
        ),
        _exposure_output(
            "assess", "assess.wrapper.assess", "t_eff and the verdict",
            (
                    _whole("catalogs", "catalog.catalog", optional=True),
                    _single("zeropoints", "zeropoint.zeropoints", optional=True),
                    _whole("psfs", "psfex.psf", optional=True), _single("skyfit", "skyfit.skyfit", optional=True),
                    _single("head", "scamp.head", optional=True),
                ),
                (_output("assess", "qa_assess", "exp", "assess", "json"),),
        ),
        _exposure_output(
            "focalplane", "assess.wrapper.focalplane", "picture of the focal plane",
            (_whole("images", "finish.image"),), (_output("picture", "qa_plot", "exp", "focalplane", "png"),),
        ),
    )  # fmt: skip
    return (*modules, coverage) if late else modules


PATTERNS = {
    "ccd": "${unitname}_${band}_c${ccdnum:2}_r${reqnum}p${attnum:2}_${flabel}.${fsuffix}",
    "exp": "${unitname}_${band}_r${reqnum}p${attnum:2}_${flabel}.${fsuffix}",
}

FIRSTCUT = Pipeline(
    name="firstcut",
    text="one raw exposure, calibrated with the night's own calibrations as soon as it arrives, and judged",
    unit="exposure",
    blocks=(
        Block(
            "exposure",
            exposure_modules("cat_firstcut", late=False),
            divide_jobs_by=_EXP,
            text="one exposure, all CCDs",
        ),
    ),
    filename_patterns=PATTERNS,
    inclfunc="desdm.pipelines.exposure.exposure",
)
