"""Images and catalogues that our own pipelines make: three planes SCI, MSK, WGT; coadds; tables; PSF models."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from desdm.archive.content import Content
from desdm.archive.filetypes.filetype import FileType, Metadata, Rule, begins_with, has_images, has_table
from desdm.archive.filetypes.keywords import identity, image

# <unit>_<band>_c<ccd>_r<request>p<attempt>; the unit is an exposure or a tile.
_EXPOSURE = r"D(?P<expnum>\d{8})_(?P<band>u|g|r|i|z|Y|VR)_c(?P<ccdnum>\d{2})_r\w+?p\d+"
_TILE = r"(?P<tilename>[A-Za-z]\w*?[+-]?\w*?)_r\d+p\d+"


def planes(content: Content) -> Iterator[str]:
    """Rule: images SCI, MSK and WGT of one shape, the mask of integers."""
    by_name = {hdu.name: hdu for hdu in content.images()}
    lacking = [name for name in ("SCI", "MSK", "WGT") if name not in by_name]
    if lacking:
        yield f"no plane {', '.join(lacking)}"
        return
    shapes = {name: by_name[name].shape for name in ("SCI", "MSK", "WGT")}
    if len(set(shapes.values())) != 1:
        yield f"its planes differ in shape: {shapes}"
    if by_name["MSK"].bitpix < 0:
        yield "its mask is not of integers"


def _objects(content: Content) -> Metadata:
    """Return the metadata of a catalogue, with its number of objects."""
    tables = [hdu for _, hdu in content.tables()]
    named = [hdu for hdu in tables if hdu.name == "LDAC_OBJECTS"] or tables[-1:]
    return {**identity(content), "objects": named[0].shape[0]}


def _whole(content: Content) -> Metadata:
    """Of a whole exposure, whatever CCD stands first."""
    return {**_objects(content), "ccdnum": None}


#: Produced from the bands of a tile together: objects are detected on all and measured on each.
_ALL_BANDS = ("coadd_det", "coadd_cat")


def _type(
    name: str, text: str, table: str, rule: Rule, read_metadata: Callable[[Content], Metadata], tail: str
) -> FileType:
    """Return a type of pipeline products, by the end of their names."""
    # A product of a tile claims no file of an exposure: D…_cat.fits is a CCD's catalogue, not a coadd's.
    apart = r"(?!D\d{8}_)" if name.startswith("coadd") and name != "coadd_nwgint" else ""
    return FileType(
        name=name,
        text=text,
        table=table,
        pattern=rf"{apart}(?:{_EXPOSURE}|.+?_r\d+p\d+)(?:_(?P<band2>u|g|r|i|z|Y|VR|det))?_{tail}".replace(
            "(?P<band2>", "(?:"
        ),
        directory=name,
        rule=rule,
        read_metadata=read_metadata,
        all_bands=name in _ALL_BANDS,
    )


_TABLE = has_table()
_PSF = has_table("psf_mask")
TYPES = (
    _type(
        "red_immask",
        "reduced image of one CCD: SCI, MSK, WGT",
        "image",
        planes,
        image,
        r"(?:red[-_])?immask\.fits",
    ),
    _type(
        "coadd_nwgint", "image ready for the coadd: SCI, MSK, WGT", "image", planes, image, r"nwgint\.fits"
    ),
    _type(
        "coadd_det",
        "detection image of a tile: SCI, MSK, WGT",
        "image",
        planes,
        image,
        r"(?:coadd[-_])?det\.fits",
    ),
    _type("coadd", "coadd of one band: SCI, MSK, WGT", "image", planes, image, r"coadd\.fits"),
    _type(
        "red_bkg",
        "sky background under the objects of one CCD",
        "image",
        has_images(),
        image,
        r"(?:red[-_])?bkg\.fits",
    ),
    _type(
        "cat_scamp",
        "catalogue of a whole exposure for scamp",
        "catalog",
        _TABLE,
        _whole,
        r"(?:cat[-_])?scamp\.fits",
    ),
    _type(
        "cat_firstcut",
        "First Cut catalogue of one CCD",
        "catalog",
        _TABLE,
        _objects,
        r"cat[-_]firstcut\.fits",
    ),
    _type(
        "zeropoints",
        "zero points of an exposure's CCDs",
        "catalog",
        has_table("mag_zero"),
        _whole,
        r"zeropoints\.fits",
    ),
    _type(
        "hpix_map",
        "HEALPix cells that an exposure covers",
        "catalog",
        has_table("pixel"),
        _whole,
        r"hpix[-_]map\.fits",
    ),
    _type("streaks", "streaks of an exposure", "catalog", _TABLE, _whole, r"streaks?\.fits"),
    _type("segmap", "segmentation map", "image", has_images(), image, r"segmap\.fits"),
    _type(
        "cat_psfex",
        "catalogue of stars for PSFEx",
        "catalog",
        _TABLE,
        _objects,
        r"(?:cat[-_]psfex|psf(?:ex)?cat)\.fits",
    ),
    _type(
        "cat_finalcut",
        "final catalogue of one CCD",
        "catalog",
        _TABLE,
        _objects,
        r"(?:cat[-_]finalcut|(?:red[-_])?fullcat)\.fits",
    ),
    _type(
        "coadd_cat", "coadd catalogue of one band", "catalog", _TABLE, _objects, r"(?:coadd[-_])?cat\.fits"
    ),
    _type(
        "psfex_model",
        "PSFEx model of one CCD",
        "calibration",
        _PSF,
        identity,
        r"(?:psfex(?:[-_]?model)?\.(?:psf|fits)|psf(?:ex)?cat\.psf)",
    ),
    _type(
        "coadd_psfex_model",
        "PSFEx model of a coadd",
        "calibration",
        _PSF,
        identity,
        r"coadd[-_]psfex(?:[-_]model)?\.(?:psf|fits)",
    ),
    FileType(
        "astro_check",
        "astrometric residuals of one CCD",
        "miscfile",
        r".+_astro[-_]check\.\w+",
        "astro_check",
    ),
    FileType(
        "scamp_head", "astrometric solution of an exposure", "miscfile", r".+_scamp\.head", "scamp_head"
    ),
    FileType(
        "scamp_xml",
        "what scamp says of its solution",
        "miscfile",
        r".+_scamp\.xml",
        "scamp_xml",
        begins_with(b"<"),
    ),
    FileType(
        "qa_assess",
        "verdict on an exposure with its numbers",
        "miscfile",
        r".+_assess\.json",
        "qa_assess",
        begins_with(b"{"),
    ),
    FileType(
        "qa_plot",
        "picture for quality assurance",
        "miscfile",
        r".+_(?:focalplane|plot)\.png",
        "qa_plot",
        begins_with(b"\x89PNG"),
    ),
    FileType(
        "coadd_objects",
        "objects of a tile, one row an object",
        "catalog",
        r".+_objects?\.parquet",
        "coadd_objects",
        begins_with(b"PAR1"),
        all_bands=True,
    ),
    FileType(
        "coadd_color",
        "colour picture of a tile",
        "miscfile",
        r".+_colou?r\.png",
        "coadd_color",
        begins_with(b"\x89PNG"),
        all_bands=True,
    ),
    FileType(
        "coadd_depth",
        "depth of a tile by band",
        "miscfile",
        r".+?(?:_(?P<band>u|g|r|i|z|Y|VR))?_depth\.json",
        "coadd_depth",
        begins_with(b"{", b"["),
    ),
    _type(
        "coadd_footprint",
        "HealSparse map of a coadd: depth, exposures, good area",
        "catalog",
        has_table("depth", "nexp", "fraction", name="SPARSE"),
        identity,
        r"footprint\.fits",
    ),
)
