"""Wrappers of ``catalog`` (single images) and ``coaddcat`` (coadds, dual image)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits

from desdm.codes.detection.sextractor import DATA, arguments, objects, rewrite
from desdm.codes.provenance import stamp
from desdm.framework.wrapper import Task
from desdm.survey.headers import identity

__all__ = ["catalog", "coaddcat"]


def catalog(task: Task) -> None:
    """Catalogue ``image`` with the PSF of ``psf``; output ``catalog`` (file type cat_finalcut)."""
    image, out = task.input("image"), task.output("catalog")
    _extract(task, image, out, DATA / "catalog.param", None)


def coaddcat(task: Task) -> None:
    """Measure the coadd ``image`` at the detections of ``detection``; output ``catalog`` (coadd_cat)."""
    image, out = task.input("image"), task.output("catalog")
    _extract(task, image, out, DATA / "coaddcat.param", task.input("detection"))


def _extract(task: Task, image: Path, out: Path, parameters: Path, detect: Path | None) -> None:
    head = fits.getheader(image, 0)
    args = arguments(
        image,
        out,
        parameters,
        task.section("sextractor_keys"),
        detect=detect,
        psf=task.optional("psf"),
        header=head,
    )
    task.run("sextractor", args)
    card = fits.Header()
    for key, value in identity(head).items():
        card[key] = value
    for key in ("MAGZERO", "TILENAME", "GAIN", "SATURATE", "FWHM", "PIXSCALE", *_FOOTPRINT):
        if key in head:
            card[key] = (head[key], head.comments[key])
    rows = objects(out)
    card["NOBJECTS"] = (len(rows), "rows of LDAC_OBJECTS")
    stamp(card, task.keys, task.execs, out.name)
    rewrite(out, card)
    clean = (rows["FLAGS"] == 0) & (rows["IMAFLAGS_ISO"] == 0)
    task.metric("nobjects", len(rows), text="objects in the catalogue")
    task.metric("nclean", float(np.sum(clean)), text="objects without a flag")


_FOOTPRINT = (
    "RA_CENT", "DEC_CENT", "RACMIN", "RACMAX", "DECCMIN", "DECCMAX", "CROSSRA0", "RAC1", "RAC2", "RAC3", "RAC4",
    "DECC1", "DECC2", "DECC3", "DECC4",
)  # fmt: skip
