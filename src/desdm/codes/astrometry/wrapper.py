"""Wrappers of ``check`` (a catalogue against reference stars) and ``scamp`` (a new solution from them)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits

from desdm.codes.astrometry.check import Residuals, compare
from desdm.codes.astrometry.reference import Reference, epoch_of, read_reference, write_ldac
from desdm.codes.astrometry.scamp import apply_head, arguments, read_head
from desdm.codes.detection.sextractor import as_ldac, objects
from desdm.codes.provenance import stamp
from desdm.framework.wrapper import Task
from desdm.survey.headers import identity
from desdm.survey.images import read_planes, write_planes

__all__ = ["check", "scamp"]


def check(task: Task) -> None:
    """Compare ``catalog`` of ``image`` with ``refcat`` (optional); output ``check`` (file type astro_check)."""
    rows, head = objects(task.input("catalog")), fits.getheader(task.input("image"), 0)
    band = str(head.get("BAND", ""))
    reference = _reference(task, head)
    if reference is None:
        task.finding(2, "no reference stars over the field: positions and magnitudes are not checked")
        found = Residuals(*[np.zeros(0)] * 10)
    else:
        found = compare(
            rows,
            reference,
            band,
            radius=task.number("match_radius", 1.5),
            maxerr=task.number("match_maxerr", 0.1),
        )
        if found.ra.size < task.number("match_least", 3):
            task.finding(3, f"only {found.ra.size} reference stars were matched")
    numbers = found.numbers()
    _record(task, numbers)
    _write(task, found, head, numbers)
    faint = (rows["MAGERR_PSF"] > 0.08) & (rows["MAGERR_PSF"] < 0.12)
    if faint.sum() >= 5:
        task.metric(
            "depth", float(np.median(rows["MAG_PSF"][faint])), "mag", text="PSF magnitude at error 0.1"
        )


def _reference(task: Task, head: fits.Header) -> Reference | None:
    mjd = float(head.get("MJD-OBS", 57388.0))
    reach = (
        float(head.get("PIXSCALE", 0.263)) * float(np.hypot(head["NAXIS1"], head["NAXIS2"])) / 7200.0 + 0.01
    )
    return read_reference(
        task.inputs.get("refcat", ()), epoch_of(mjd), float(head["RA_CENT"]), float(head["DEC_CENT"]), reach
    )


def _record(task: Task, numbers: dict[str, float]) -> None:
    for key, name, unit, text in (
        ("nmatch", "nmatch", "", "reference stars matched"),
        ("dra_median", "dra_median", "mas", "median RA offset from the reference (with cos Dec)"),
        ("ddec_median", "ddec_median", "mas", "median Dec offset from the reference"),
        ("dra_scatter", "dra_rms", "mas", "robust scatter of the RA offsets"),
        ("ddec_scatter", "ddec_rms", "mas", "robust scatter of the Dec offsets"),
        ("dmag_median", "zp_offset", "mag", "median magnitude offset from the reference"),
        ("dmag_scatter", "zp_scatter", "mag", "robust scatter of the magnitude offsets"),
    ):
        if key in numbers:
            task.metric(name, numbers[key], unit, text=text)


def _write(task: Task, found: Residuals, head: fits.Header, numbers: dict[str, float]) -> None:
    card = fits.Header()
    for key, value in identity(head).items():
        card[key] = value
    for key, value in numbers.items():
        card[_KEYS[key][0]] = (value, _KEYS[key][1])
    stamp(card, task.keys, task.execs, task.output("check").name)
    columns = [
        ("RA", found.ra, "deg"), ("DEC", found.dec, "deg"), ("X_IMAGE", found.x, "pixel"), ("Y_IMAGE", found.y, "pixel"),
        ("DRA", found.dra, "mas"), ("DDEC", found.ddec, "mas"), ("ERROR", found.error, "mas"), ("MAG", found.mag, "mag"),
        ("MAGERR", found.magerr, "mag"), ("DMAG", found.dmag, "mag"),
    ]  # fmt: skip
    table = fits.BinTableHDU.from_columns(
        [fits.Column(name=name, format="D", unit=unit, array=values) for name, values, unit in columns],
        name="RESIDUALS",
    )
    fits.HDUList([fits.PrimaryHDU(header=card), table]).writeto(
        task.output("check"), overwrite=True, checksum=True
    )


_KEYS = {
    "nmatch": ("NMATCH", "reference stars matched"),
    "dra_median": ("DRAMED", "[mas] median RA offset"),
    "dra_scatter": ("DRARMS", "[mas] scatter of RA offsets"),
    "ddec_median": ("DDECMED", "[mas] median Dec offset"),
    "ddec_scatter": ("DDECRMS", "[mas] scatter of Dec offsets"),
    "dmag_median": ("DMAGMED", "[mag] median magnitude offset"),
    "dmag_scatter": ("DMAGRMS", "[mag] scatter of magnitude offsets"),
}


def scamp(task: Task) -> None:
    """Solve the world coordinates of ``image`` from ``catalog`` and ``refcat``; output ``image`` (coadd_nwgint).

    A field with fewer than ``scamp_least`` reference stars keeps the solution that it came with, and says so.
    """
    image, out = task.input("image"), task.output("image")
    planes = read_planes(image)
    reference = _reference(task, fits.getheader(image, 0))
    count = 0 if reference is None else reference.ra.size
    if reference is None or count < task.number("scamp_least", 30):
        task.finding(2, f"{count} reference stars are too few for scamp; the solution is left as it was")
    else:
        solution = _solve(task, reference, fits.getheader(image, 0))
        apply_head(planes.header, solution)
    stamp(planes.header, task.keys, task.execs, out.name)
    write_planes(out, planes)


def _solve(task: Task, reference: Reference, header: fits.Header) -> fits.Header:
    catalogue = task.input("catalog")
    stars = task.workdir / f"{catalogue.stem}_ref.ldac"
    write_ldac(stars, reference, str(header.get("BAND", "")))
    local = task.workdir / f"{catalogue.stem}_scamp.cat"
    as_ldac(catalogue, header, local)
    task.run("scamp", arguments(local, stars, Path(__file__).parent / "data", task.section("scamp_keys")))
    head = read_head(local.with_suffix(".head"))
    for scrap in (stars, local, local.with_suffix(".head")):
        scrap.unlink(missing_ok=True)
    for key, name in (("ASTRRMS1", "scamp_rms1"), ("ASTRRMS2", "scamp_rms2")):
        if key in head:
            task.metric(name, float(head[key]) * 3.6e6, "mas", text="scamp's residual against the reference")
    return head
