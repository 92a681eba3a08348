"""The pipeline ``coadd``: calibrated images in; coadds, catalogues, picture, depth and footprint of a tile out."""

from __future__ import annotations

from desdm.framework.pipeline import Block, FileSet, Module, Pipeline

__all__ = ["COADD"]

_REGION = {"region": "${tile_ra},${tile_dec},${tile_size}"}
#: image_tag restricts the coadd to images (or runs) with that tag, for instance the accepted exposures of a night;
#: assessment (accepted, unassessed, any; accepted unless it is set) says which exposures it may use
_IMAGES = {
    "filetype": "red_immask,cp_image", "tag": "$opt{image_tag}", "assessment": "$opt{assessment}", **_REGION,
}  # fmt: skip
_COMPANION = {**_REGION, "companion_of": "image"}
_CCD = ("expnum", "ccdnum")


def _output(name: str, filetype: str, pattern: str, label: str, suffix: str = "fits") -> FileSet:
    """Return an output file set."""
    return FileSet(name, filetype, filepat=pattern, flabel=label, fsuffix=suffix)


NWGINT = Module(
    "nwgint",
    "desdm.codes.nullweight.wrapper.nwgint",
    text="one standard image: survey mask bits, nulled weights, defects interpolated, zero point",
    loop=_CCD,
    loopobj="image",
    inputs=(
        FileSet("image", query=_IMAGES),
        FileSet("mask", "cp_mask", query=_COMPANION, match=_CCD, optional=True),
        FileSet("weight", "cp_weight", query=_COMPANION, match=_CCD, optional=True),
        FileSet(
            "zeropoints", "cp_zeropoints", query={"filetype": "cp_zeropoints"}, whole=True, optional=True
        ),
    ),
    outputs=(_output("nwgint", "coadd_nwgint", "ccd", "nwgint"),),
)
PSFCAT = Module(
    "psfcat",
    "desdm.codes.psf.wrapper.psfcat",
    text="catalogue with vignets, for PSFEx",
    loop=_CCD,
    loopobj="image",
    inputs=(FileSet("image", depends="nwgint.nwgint"),),
    outputs=(_output("catalog", "cat_psfex", "ccd", "psfcat"),),
)
PSFEX = Module(
    "psfex",
    "desdm.codes.psf.wrapper.psfex",
    text="PSF of the image; the delivered one where stars are too few",
    loop=_CCD,
    loopobj="image",
    inputs=(
        FileSet("image", depends="nwgint.nwgint"),
        FileSet("catalog", depends="psfcat.catalog"),
        FileSet(
            "delivered_psf",
            "cp_psfex",
            query={"filetype": "cp_psfex", "companion_of": "nwgint.image"},
            match=_CCD,
            optional=True,
        ),
    ),
    outputs=(_output("psf", "psfex_model", "ccd", "psfex-model"),),
)
CATALOG = Module(
    "catalog",
    "desdm.codes.detection.wrapper.catalog",
    text="catalogue with PSF magnitudes",
    loop=_CCD,
    loopobj="image",
    inputs=(FileSet("image", depends="nwgint.nwgint"), FileSet("psf", depends="psfex.psf")),
    outputs=(_output("catalog", "cat_finalcut", "ccd", "cat-finalcut"),),
)
CHECK = Module(
    "check",
    "desdm.codes.astrometry.wrapper.check",
    text="positions and magnitudes against reference stars",
    loop=_CCD,
    loopobj="image",
    inputs=(
        FileSet("image", depends="nwgint.nwgint"),
        FileSet("catalog", depends="catalog.catalog"),
        FileSet("refcat", "refcat", query=_REGION, whole=True, optional=True),
    ),
    outputs=(_output("check", "astro_check", "ccd", "astro-check"),),
)

SWARP = Module(
    "swarp",
    "desdm.codes.coadd.wrapper.swarp",
    text="coadd of one band",
    loop=("band",),
    loopobj="nwgints",
    inputs=(
        FileSet("nwgints", depends="nwgint.nwgint"),
        FileSet("catalogs", depends="catalog.catalog", optional=True),
    ),
    outputs=(_output("coadd", "coadd", "band", "coadd"),),
)
DETECTION = Module(
    "detection",
    "desdm.codes.coadd.wrapper.detection",
    text="the image on which objects are found",
    inputs=(FileSet("coadds", depends="swarp.coadd", whole=True),),
    outputs=(_output("detection", "coadd_det", "tile", "coadd_det"),),
)
COADDPSF = Module(
    "coaddpsf",
    "desdm.codes.psf.wrapper.coaddpsf",
    text="PSF of the coadd; combined from the exposures' where stars are too few",
    loop=("band",),
    loopobj="image",
    inputs=(
        FileSet("image", depends="swarp.coadd"),
        FileSet("nwgints", depends="nwgint.nwgint"),
        FileSet("psfs", depends="psfex.psf"),
    ),
    outputs=(_output("psf", "coadd_psfex_model", "band", "coadd-psfex-model"),),
)
COADDCAT = Module(
    "coaddcat",
    "desdm.codes.detection.wrapper.coaddcat",
    text="the detected objects measured on one band",
    loop=("band",),
    loopobj="image",
    inputs=(
        FileSet("image", depends="swarp.coadd"),
        FileSet("detection", depends="detection.detection", whole=True),
        FileSet("psf", depends="coaddpsf.psf"),
    ),
    outputs=(_output("catalog", "coadd_cat", "band", "coadd-cat"),),
)
OBJECTS = Module(
    "objects",
    "desdm.codes.objects.wrapper.objects",
    text="one table of all bands, ordered on the sky",
    inputs=(FileSet("catalogs", depends="coaddcat.catalog", whole=True),),
    outputs=(_output("objects", "coadd_objects", "tile", "objects", "parquet"),),
)
COLOR = Module(
    "color",
    "desdm.codes.coadd.wrapper.color",
    text="colour picture",
    inputs=(FileSet("coadds", depends="swarp.coadd", whole=True),),
    outputs=(_output("color", "coadd_color", "tile", "color", "png"),),
)
DEPTH = Module(
    "depth",
    "desdm.codes.coadd.wrapper.depth",
    text="how deep the coadd is",
    loop=("band",),
    loopobj="image",
    inputs=(FileSet("image", depends="swarp.coadd"), FileSet("catalog", depends="coaddcat.catalog")),
    outputs=(_output("depth", "coadd_depth", "band", "depth", "json"),),
)

FOOTPRINT = Module(
    "footprint",
    "desdm.codes.footprint.wrapper.footprint",
    text="good area, depth and exposures of each HEALPix cell",
    loop=("band",),
    loopobj="image",
    inputs=(
        FileSet("image", depends="swarp.coadd"),
        FileSet("depth", depends="depth.depth"),
        FileSet("nwgints", depends="nwgint.nwgint"),
    ),
    outputs=(_output("footprint", "coadd_footprint", "band", "footprint"),),
)

COADD = Pipeline(
    name="coadd",
    text="coadds, catalogues, colour picture, depth and footprint of a tile, from calibrated images",
    unit="tile",
    blocks=(
        Block(
            "exposure",
            (NWGINT, PSFCAT, PSFEX, CATALOG, CHECK),
            divide_jobs_by=_CCD,
            text="each CCD image by itself",
        ),
        Block("coadd", (SWARP, COADDPSF), divide_jobs_by=("band",), text="the images of each band together"),
        Block("detect", (DETECTION, COLOR), text="the bands together: what is there, and how it looks"),
        Block(
            "measure",
            (COADDCAT, DEPTH, FOOTPRINT),
            divide_jobs_by=("band",),
            text="the detected objects in each band, how deep it is, and where",
        ),
        Block("tile", (OBJECTS,), text="one table of the tile"),
    ),
    filename_patterns={
        "ccd": "${unitname}_r${reqnum}p${attnum:2}_D${expnum:8}_${band}_c${ccdnum:2}_${flabel}.${fsuffix}",
        "band": "${unitname}_r${reqnum}p${attnum:2}_${band}_${flabel}.${fsuffix}",
        "tile": "${unitname}_r${reqnum}p${attnum:2}_${flabel}.${fsuffix}",
    },
    inclfunc="desdm.pipelines.tile.cover",
)
