"""Wrappers of ``catalog`` and ``secatalog`` (single images), and ``coaddcat`` (coadds, dual image)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import fitsio
import numpy as np
from astropy.io import fits

from desdm.codes.detection.sextractor import DATA, arguments, objects, rewrite, without_sky
from desdm.codes.provenance import stamp
from desdm.errors import ProgramFailed
from desdm.framework.wrapper import Task
from desdm.survey.headers import copy_wcs, identity

__all__ = ["catalog", "coaddcat", "secatalog"]


def catalog(task: Task) -> None:
    """Catalogue ``image`` with the PSF of ``psf``; output ``catalog`` (file type cat_finalcut)."""
    image, out = task.input("image"), task.output("catalog")
    _extract(task, image, out, DATA / "catalog.param", None)


def coaddcat(task: Task) -> None:
    """Measure the coadd ``image`` at the detections of ``detection``; output ``catalog`` (coadd_cat)."""
    image, out = task.input("image"), task.output("catalog")
    _extract(task, image, out, DATA / "coaddcat.param", task.input("detection"))


def secatalog(task: Task) -> None:
    """Catalogue one CCD's ``image``, its sky taken off, with the PSF of ``psf``; output ``catalog``.

    Outputs ``bkg`` (red_bkg: what Source Extractor takes for the background that is left) and ``segmap`` (which
    object each pixel belongs to) are written if they are declared. SPREAD_MODEL is measured if the setting
    ``spread_model`` is Y: it costs thirty times all the rest.
    """
    image, out = task.input_on_disk("image"), task.output("catalog")
    head = fits.Header.fromfile(image)
    settings, segments = (
        without_sky(task.keywords("sextractor_keys"), head),
        task.workdir / f"{out.stem}_seg.fits",
    )
    if "segmap" in task.outputs:
        settings |= {"checkimage_type": "SEGMENTATION", "checkimage_name": str(segments)}
    wanted = (DATA / "secatalog.param").read_text("ascii")
    if task.text("spread_model", "N").upper().startswith("Y"):
        wanted += "SPREAD_MODEL\nSPREADERR_MODEL\n"
    parameters = task.workdir / f"{out.stem}.param"
    parameters.write_text(wanted, "ascii")
    _extract(task, image, out, parameters, None, settings)
    parameters.unlink()
    if "segmap" in task.outputs:
        _pack(task, segments, "segmap", head)
    if "bkg" in task.outputs:
        _background(task, image, head)


def _background(task: Task, image: Path, head: fits.Header) -> None:
    """The background that Source Extractor sees: a run of its own that looks for no objects."""
    scrap, none = task.workdir / f"{task.output('bkg').stem}_bkg.fits", task.workdir / "nothing.cat"
    number = task.workdir / "number.param"
    number.write_text("NUMBER\n", "ascii")
    settings = {
        **task.keywords("background_keys"),
        "checkimage_type": "BACKGROUND",
        "checkimage_name": str(scrap),
    }
    task.run("sextractor", arguments(image, none, number, settings, header=head))
    for file in (none, number):
        file.unlink(missing_ok=True)
    level = _pack(task, scrap, "bkg", head)
    task.metric("background", level, "electron", text="median background left after sky subtraction")


def _pack(task: Task, scrap: Path, output: str, head: fits.Header) -> float:
    """A check image as compressed output with the image's identity and WCS; gives its median."""
    if not scrap.is_file():
        raise ProgramFailed(f"{task.name}: source-extractor wrote no image for {output}; see its log")
    data = fitsio.read(str(scrap))
    card = fits.Header()
    for key, value in identity(head).items():
        card[key] = value
    copy_wcs(head, card)
    stamp(card, task.keys, task.execs, task.output(output).name)
    rows = [{"name": c.keyword, "value": c.value, "comment": c.comment} for c in card.cards if c.keyword]
    whole = np.issubdtype(data.dtype, np.integer)
    with fitsio.FITS(str(task.output(output)), "rw", clobber=True) as file:
        # The background is smooth: a step of 0.05 electrons is far below what it means.
        more = {} if whole else {"qlevel": -0.05, "qmethod": "SUBTRACTIVE_DITHER_1"}
        data = data.astype(np.int32) if whole else data.astype(np.float32)
        file.write(data, header=rows, compress="RICE", extname="SEG" if whole else "BKG", **more)
        file[-1].write_checksum()
    scrap.unlink()
    return float(np.median(data))


def _extract(
    task: Task,
    image: Path,
    out: Path,
    parameters: Path,
    detect: Path | None,
    settings: Mapping[str, str] | None = None,
) -> None:
    """Run source-extractor on an image."""
    head = fits.Header.fromfile(image)
    args = arguments(
        image,
        out,
        parameters,
        task.keywords("sextractor_keys") if settings is None else settings,
        detect=detect,
        psf=task.input_on_disk("psf") if task.inputs.get("psf") else None,
        header=head,
    )
    task.run("sextractor", args)
    card = fits.Header()
    for key, value in identity(head).items():
        card[key] = value
    for key in ("MAGZERO", "TILENAME", *_GAIN, "SATURATE", "FWHM", "PIXSCALE", *_OF_IMAGE, *_FOOTPRINT):
        if key in head:
            card[key] = (head[key], head.comments[key])
    rows = objects(out)
    card["NOBJECTS"] = (len(rows), "rows of LDAC_OBJECTS")
    stamp(card, task.keys, task.execs, out.name)
    rewrite(out, card)
    clean = (rows["FLAGS"] == 0) & (rows["IMAFLAGS_ISO"] == 0)
    task.metric("nobjects", len(rows), text="objects in the catalogue")
    task.metric("nclean", float(np.sum(clean)), text="objects without a flag")


#: They say whether SKYBRITE and the fluxes are in counts or in electrons (`desdm.survey.bands.CountUnit`).
_GAIN = ("BUNIT", "GAIN", "GAINA", "GAINB")
_OF_IMAGE = ("SKYBRITE", "SKYSIGMA", "SCAMPFLG", "SCAMPNUM", "SCAMPRMS")
_FOOTPRINT = (
    "RA_CENT",
    "DEC_CENT",
    "RACMIN",
    "RACMAX",
    "DECCMIN",
    "DECCMAX",
    "CROSSRA0",
    "RAC1",
    "RAC2",
    "RAC3",
    "RAC4",
    "DECC1",
    "DECC2",
    "DECC3",
    "DECC4",
)
