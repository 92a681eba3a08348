"""Wrappers of ``psfcat``, ``psfex`` (single images) and ``coaddpsf`` (coadds)."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.codes.coadd.swarp import inputs_of
from desdm.codes.detection.sextractor import (
    arguments,
    as_ldac,
    has_image_header,
    objects,
    options,
    rewrite,
    without_sky,
)
from desdm.codes.provenance import stamp
from desdm.codes.psf.combine import Part, combine
from desdm.codes.psf.model import PSFModel, moffat_model, read_model, read_psf_fields, write_model
from desdm.codes.psf.normalise import normalised, sharpened
from desdm.codes.psf.piff import configuration, read_piff, write_stars
from desdm.codes.psf.stars import select, size_range
from desdm.errors import FileTypeError, ProgramFailed, UsageError
from desdm.framework.wrapper import Task
from desdm.survey.headers import identity, wcs_of

__all__ = ["coaddpsf", "psfcat", "psfex"]

DATA = Path(__file__).parent / "data"


def psfcat(task: Task) -> None:
    """Catalogue ``image`` with a vignet of each object; output ``catalog`` (file type cat_psfex)."""
    image, out = task.input_on_disk("image"), task.output("catalog")
    head = fits.Header.fromfile(image)
    _vignets(task, image, out, head)
    # A catalogue that only PSFEx will read is left as PSFEx wants it.
    if "catalog" in task.archived_outputs:
        rewrite(out, _card(task, head, out))


def psfex(task: Task) -> None:
    """Fit the PSF of ``image`` from ``catalog``; output ``psf`` (file type psfex_model).

    The setting ``psf_code`` chooses the program: psfex, or piff where that is installed (the extra ``desdm[piff]``).
    With too few stars the model delivered with the exposure (``delivered_psf``, optional) is taken, and with none a round
    Moffat profile of the header's seeing; each is recorded as a finding.
    """
    image, out = task.input_on_disk("image"), task.output("psf")
    head = fits.Header.fromfile(image)
    source = task.text("psf_code", "psfex")
    if source == "piff":
        model = _fit_piff(task, image, task.input_on_disk("catalog"))
    elif source == "psfex":
        catalogue = task.input_on_disk("catalog")
        if has_image_header(catalogue):
            model = _fit(task, catalogue)
        else:
            # Written anew here: PSFEx wants the image's header inside the catalogue, which no product of ours carries.
            scratch = task.workdir / f"{out.stem}_vignets.fits"
            as_ldac(catalogue, head, scratch)
            model = _fit(task, scratch)
            scratch.unlink()
    else:
        raise UsageError(f"{task.name}: psf_code = {source}: psfex or piff")
    parents = [image, task.input("catalog")]
    if model is None:
        model, source = _delivered(task, head, parents), "delivered"
    if model is None:
        model, source = _plain(task, head), "moffat"
    task.set_parents("psf", parents)
    _finish(task, model, source, head, out, (head["NAXIS1"] / 2, head["NAXIS2"] / 2))


def coaddpsf(task: Task) -> None:
    """The PSF of the coadd ``image``; output ``psf`` (file type coadd_psfex_model).

    Fitted to the coadd's stars; with too few, combined from ``psfs``, the models of the exposures ``nwgints``.
    """
    image, out = task.input("image"), task.output("psf")
    head = fits.getheader(image, 0)
    scratch = task.workdir / f"{out.stem}_vignets.fits"
    _vignets(task, image, scratch, head)
    model, source = _fit(task, scratch), "psfex"
    scratch.unlink(missing_ok=True)
    parents = [image]
    if model is None:
        model, source = _combined(task, head), "combined"
        parents += [*task.inputs.get("nwgints", ()), *task.inputs.get("psfs", ())]
    if model is None:
        model, source = _plain(task, head), "moffat"
    task.set_parents("psf", parents)
    _finish(task, model, source, head, out, (head["NAXIS1"] / 2, head["NAXIS2"] / 2))


def _vignets(task: Task, image: Path, out: Path, head: fits.Header) -> None:
    """Write the catalogue of star vignets for PSFEx."""
    task.run(
        "sextractor",
        arguments(
            image,
            out,
            DATA / "psfcat.param",
            without_sky(task.keywords("sextractor_keys"), head),
            header=head,
        ),
    )


def _fit(task: Task, catalogue: Path) -> PSFModel | None:
    """Run PSFEx; None if there are too few stars for a reliable model."""
    model_file = task.workdir / f"{catalogue.stem}.psf"
    model_file.unlink(missing_ok=True)
    keys = task.keywords("psfex_keys")
    rows = objects(catalogue)
    keys["psfvar_degrees"] = str(_degree(task, rows, keys))
    keys |= _sizes(task, rows, keys)
    args: list[str | Path] = [
        catalogue,
        "-c",
        DATA / "default.psfex",
        "-PSF_DIR",
        task.workdir,
        "-PSF_SUFFIX",
        ".psf",
    ]
    xml_file = task.workdir / f"{catalogue.stem}_psfex.xml"
    keys |= {"write_xml": "Y", "xml_name": str(xml_file)}
    task.run("psfex", [*args, *options(keys)], check=False)
    facts = read_psf_fields(xml_file.read_text("latin-1")) if xml_file.is_file() else {}
    xml_file.unlink(missing_ok=True)
    least = task.number("min_stars", 20)
    if not model_file.is_file():
        task.finding(3, "psfex wrote no model; too few stars")
        return None
    model = read_model(model_file)
    model_file.unlink()
    task.metric("psf_stars", model.accepted, text="stars kept by PSFEx")
    task.metric("psf_chi2", model.chi2, text="reduced chi2 of the PSF fit")
    if model.accepted < least or not 0 < model.chi2 < task.number("max_chi2", 5.0):
        task.finding(
            3, f"psfex accepted {model.accepted} stars, chi2 {model.chi2:.2f}; {least:g} stars are needed"
        )
        return None
    return replace(model, fwhm_mean=facts.get("FWHM_Mean", 0.0))


def _fit_piff(task: Task, image: Path, catalogue: Path) -> PSFModel | None:
    """Run PIFF on the stars of the catalogue; None if there are too few."""
    program = str(task.keywords("exec", "piffify").get("program", "piffify"))
    if shutil.which(program) is None:
        raise ProgramFailed(
            f"{task.name}: psf_code is piff, but {program} is not installed; install the extra desdm[piff] "
            "(pip install 'desdm[piff]') or set psf_code = psfex"
        )
    rows = objects(catalogue)
    chosen = select(rows, snr=task.number("piff_snr", 40))
    least = task.number("min_stars", 20)
    if chosen.sum() < least:
        task.finding(3, f"{int(chosen.sum())} stars for PIFF; {least:g} are wanted")
        return None
    stem = task.workdir / f"{image.name.removesuffix('.fits')}_piff"
    stars, order, model_file = (
        stem.with_suffix(".stars"),
        stem.with_suffix(".yaml"),
        stem.with_suffix(".fits"),
    )
    write_stars(stars, rows, chosen)
    degree = int(task.number("piff_order", 2))
    while degree > 0 and (degree + 1) * (degree + 2) / 2 * task.number("stars_per_term", 100) > chosen.sum():
        degree -= 1
    size, stamp = int(task.number("piff_size", 25)), int(task.number("piff_stamp", 31))
    order.write_text(configuration(image, stars, model_file, degree, size, stamp), "utf-8")
    model_file.unlink(missing_ok=True)
    task.run("piffify", [order], check=False)
    for scrap in (stars, order):
        scrap.unlink()
    if not model_file.is_file():
        task.finding(2, f"{image.name}: PIFF wrote no model; see its log")
        return None
    model = read_piff(model_file)
    model_file.unlink()
    task.metric("psf_stars", model.accepted, text="stars kept by PIFF")
    task.metric("psf_chi2", model.chi2, text="reduced chi2 of the PSF fit")
    return model


def _sizes(task: Task, rows: npt.NDArray[np.void], keys: Mapping[str, str]) -> dict[str, str]:
    """SAMPLE_FWHMRANGE about the ridge of the stars, within the range that was set; empty: as it was set.

    PSFEx from 3.23 on looks for the range of sizes that is narrowest relative to the size, over all objects: among many
    galaxies it takes those (median magnitudes 0.26 too bright in a field of the NTT); 3.21 does not.
    """
    setting = [float(part) for part in keys.get("sample_fwhmrange", "").split(",") if part.strip()]
    if len(setting) != 2 or keys.get("sample_autoselect", "Y").upper() != "Y":
        return {}
    sizes = size_range(rows, (setting[0], setting[1]), task.number("ridge_share", 0.25))
    return {} if sizes is None else {"sample_fwhmrange": f"{sizes[0]:.3f},{sizes[1]:.3f}"}


def _degree(task: Task, rows: npt.NDArray[np.void], keys: Mapping[str, str]) -> int:
    """The degree of the PSF's variation that the stars can carry: each polynomial term wants its share of them."""
    useful = int(((rows["SNR_WIN"] > float(keys.get("sample_minsn", "20"))) & (rows["FLAGS"] < 2)).sum())
    degree = int(keys.get("psfvar_degrees", "0"))
    while degree > 0 and (degree + 1) * (degree + 2) / 2 * task.number("stars_per_term", 100) > useful:
        degree -= 1
    return degree


def _delivered(task: Task, head: fits.Header, parents: list[Path]) -> PSFModel | None:
    """The first delivered model of this exposure; it joins ``parents``, the others were only looked at."""
    who = identity(head)
    for path in task.inputs.get("delivered_psf", ()):
        try:
            model = read_model(path, who)
        except FileTypeError as err:
            task.write_log(f"{path.name} is passed over: {err}")
            continue
        task.finding(2, f"too few stars for a PSF: the delivered model {path.name} is used")
        parents.append(path)
        return model
    return None


def _plain(task: Task, head: fits.Header) -> PSFModel:
    """Return a round Moffat model of the image's seeing, with a finding."""
    fwhm = float(head.get("FWHM", 0.0)) or task.number("fwhm_default", 4.0)
    task.finding(2, f"too few stars for a PSF: a round Moffat profile of {fwhm:.2f} pixels is used")
    return moffat_model(fwhm, task.number("moffat_beta", 3.0))


def _combined(task: Task, head: fits.Header) -> PSFModel | None:
    """Combine the models of the exposures under the coadd; None without any."""
    models = {_key(fits.getheader(p, 0)): read_model(p) for p in task.inputs.get("psfs", ())}
    parts, added = [], inputs_of(head)
    for path in task.inputs.get("nwgints", ()):
        one = fits.getheader(path, 0)
        in_coadd = not added or _key(one) in added
        if _key(one) in models and in_coadd and one.get("BAND") == head.get("BAND"):
            noise = float(one.get("SKYBRITE", 1.0)) / float(one.get("GAIN", 1.0))
            weight = 1.0 / max(noise, 1e-6) / float(one["FLXSCALE"]) ** 2
            parts.append(Part(models[_key(one)], wcs_of(one), (one["NAXIS2"], one["NAXIS1"]), weight))
    model = combine(parts, wcs_of(head), ((head["NAXIS1"] + 1) / 2, (head["NAXIS2"] + 1) / 2))
    if model is not None:
        task.finding(3, f"too few stars on the coadd: its PSF is combined from {len(parts)} exposures")
    return model


def _key(head: fits.Header) -> tuple[int, int]:
    """Return exposure and CCD number of a header."""
    return int(head.get("EXPNUM", 0)), int(head.get("CCDNUM", 0))


def _finish(
    task: Task, model: PSFModel, source: str, head: fits.Header, out: Path, centre: tuple[float, float]
) -> None:
    """Normalise the model and write it with size, ellipticity and provenance in its header."""
    model = normalised(sharpened(model) if source == "psfex" else model)
    card = _card(task, head, out)
    size, e1, e2 = model.moments(*centre)
    scale = float(head.get("PIXSCALE", 0.263))
    card["PSFSOURC"] = (source, "psfex, piff, delivered, combined or moffat")
    card["FWHM"] = (size, "[pixel] adaptive-moment FWHM at the centre")
    mean = model.fwhm_mean or model.fwhm_from_area(*centre)
    card["FWHMMEAN"] = (mean, "[pixel] FWHM_MEAN of PSFEx (else at half peak)")
    card["PSFCHI2"] = (model.chi2, "reduced chi2 of the fit")
    card["PSF_E1"] = (e1, "ellipticity along x")
    card["PSF_E2"] = (e2, "ellipticity along the diagonal")
    card["NSTARS"] = (model.accepted, "stars kept")
    write_model(out, model, card)
    task.metric("fwhm", size * scale, "arcsec", text="PSF FWHM at the centre")
    task.metric("fwhm_mean", mean * scale, "arcsec", text="PSFEx FWHM_MEAN: half width of a Moffat fit")
    task.metric("ellipticity", (e1**2 + e2**2) ** 0.5, text="PSF ellipticity at the centre")


def _card(task: Task, head: fits.Header, out: Path) -> fits.Header:
    """Return the primary header of a model: identity, tile, zero point."""
    card = fits.Header()
    for key, value in identity(head).items():
        card[key] = value
    for key in ("TILENAME", "MAGZERO"):
        if key in head:
            card[key] = (head[key], head.comments[key])
    stamp(card, task.keys, task.execs, out.name)
    return card
