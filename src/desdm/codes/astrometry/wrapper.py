"""Wrappers of astrometry: ``check``, ``scamp`` of one image; ``scampcat`` … ``updatewcs`` of a whole exposure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from astropy.io import fits

from desdm.codes.astrometry.check import Residuals, compare, table
from desdm.codes.astrometry.exposure import (
    CcdCatalogue,
    CcdSolution,
    ahead_text,
    contrast,
    head_text,
    read_combined,
    read_heads,
    residuals,
    useful,
    write_combined,
)
from desdm.codes.astrometry.reference import Reference, epoch_of_header, read_reference, write_ldac
from desdm.codes.astrometry.scamp import apply_head, arguments, read_head
from desdm.codes.colourterms import terms_of
from desdm.codes.detection.sextractor import arguments as sextractor_arguments
from desdm.codes.detection.sextractor import as_ldac, objects
from desdm.codes.provenance import stamp
from desdm.errors import ProgramFailed
from desdm.framework.wrapper import Task
from desdm.sky.spherical import angles_to
from desdm.sky.spherical import unit as direction
from desdm.survey.headers import footprint, identity
from desdm.survey.images import read_planes, write_planes

__all__ = ["check", "combine_cats", "scamp", "scampcat", "scampexposure", "updatewcs"]

DATA = Path(__file__).parent / "data"


def check(task: Task) -> None:
    """Compare ``catalog`` of ``image`` with ``refcat`` (optional); output ``check`` (file type astro_check)."""
    rows, head = objects(task.input("catalog")), fits.getheader(task.input("image"), 0)
    band = str(head.get("BAND", ""))
    reference = _reference(task, head)
    if reference is None:
        task.finding(2, "no reference stars over the field: positions and magnitudes are not checked")
        residuals = Residuals(*[np.zeros(0)] * 10)
    else:
        residuals = compare(
            rows,
            reference,
            reference.standard(band, terms_of(task.settings, task.name)),
            radius=task.number("match_radius", 1.5),
            maxerr=task.number("match_maxerr", 0.1),
        )
        if residuals.ra.size < task.number("match_least", 3):
            task.finding(3, f"only {residuals.ra.size} reference stars were matched")
    numbers = residuals.numbers()
    _record(task, numbers)
    _write(task, residuals, head, numbers)
    faint = (rows["MAGERR_PSF"] > 0.08) & (rows["MAGERR_PSF"] < 0.12)
    if faint.sum() >= 5:
        task.metric(
            "depth", float(np.median(rows["MAG_PSF"][faint])), "mag", text="PSF magnitude at error 0.1"
        )


def _reference(task: Task, head: fits.Header) -> Reference | None:
    """Read the reference stars around the image, moved to its epoch; None without any."""
    reach = (
        float(head.get("PIXSCALE", 0.263)) * float(np.hypot(head["NAXIS1"], head["NAXIS2"])) / 7200.0 + 0.01
    )
    return read_reference(
        task.inputs.get("refcat", ()),
        epoch_of_header(head, partial(task.finding, 2)),
        float(head["RA_CENT"]),
        float(head["DEC_CENT"]),
        reach,
        partial(task.finding, 2),
    )


def _record(task: Task, numbers: dict[str, float]) -> None:
    """Write the numbers of the comparison as metrics."""
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


def _write(task: Task, residuals: Residuals, head: fits.Header, numbers: dict[str, float]) -> None:
    """Write the residuals of the matched stars, with identity and numbers in the primary header."""
    card = fits.Header()
    for key, value in identity(head).items():
        card[key] = value
    for key, value in numbers.items():
        card[_KEYS[key][0]] = (value, _KEYS[key][1])
    stamp(card, task.keys, task.execs, task.output("check").name)
    fits.HDUList([fits.PrimaryHDU(header=card), table(residuals)]).writeto(
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
    """Run scamp on the catalogue of one image and return the header of its solution."""
    catalogue = task.input("catalog")
    stars = task.workdir / f"{catalogue.stem}_ref.ldac"
    write_ldac(stars, reference, str(header.get("BAND", "")), terms_of(task.settings, task.name))
    local = task.workdir / f"{catalogue.stem}_scamp.cat"
    as_ldac(catalogue, header, local)
    task.run("scamp", arguments(local, stars, DATA, task.keywords("scamp_keys")))
    head = read_head(local.with_suffix(".head"))
    for scrap in (stars, local, local.with_suffix(".head")):
        scrap.unlink(missing_ok=True)
    for key, name in (("ASTRRMS1", "scamp_rms1"), ("ASTRRMS2", "scamp_rms2")):
        if key in head:
            task.metric(name, float(head[key]) * 3.6e6, "mas", text="scamp's residual against the reference")
    return head


def scampcat(task: Task) -> None:
    """Catalogue a detrended ``image`` (its sky still in it) with windowed positions; output ``catalog`` (cat_scamp)."""
    image, out = task.input_on_disk("image"), task.output("catalog")
    head = fits.Header.fromfile(image)
    keys = task.keywords("sextractor_keys")
    task.run("sextractor", sextractor_arguments(image, out, DATA / "scampcat.param", keys, header=head))
    if not out.is_file():
        raise ProgramFailed(f"{task.name}: source-extractor did not write {out.name}")
    (one,) = read_combined(out)
    count = int(useful(one).sum())
    task.metric("scamp_detections", count, text="objects with a position that scamp can use")
    if count < task.number("ccd_least", 8):
        task.finding(2, f"{image.name}, {one.name}: only {count} objects can serve for its astrometry")


def combine_cats(task: Task) -> None:
    """Bring the ``catalogs`` of an exposure's CCDs together; outputs ``catalog`` (cat_scamp), ``ahead`` (if declared)."""
    catalogues = [catalogue for path in task.inputs_on_disk("catalogs") for catalogue in read_combined(path)]
    if not catalogues:
        raise ProgramFailed(f"{task.name}: no CCD of the exposure has a catalogue")
    card = fits.Header()
    for key, value in identity(catalogues[0].header).items():
        if key not in ("CCDNUM", "CCDNAME"):
            card[key] = value
    card["NCCD"] = (len(catalogues), "CCDs in it")
    stamp(card, task.keys, task.execs, task.output("catalog").name)
    write_combined(task.output("catalog"), catalogues, card)
    if "ahead" in task.outputs:
        task.output("ahead").write_text(ahead_text(catalogues), "ascii")
    task.metric("scamp_ccds", len(catalogues), text="CCDs with a catalogue")


def scampexposure(task: Task) -> None:
    """Solve all CCDs of an exposure at once against reference stars; outputs ``head`` and ``xml``.

    Inputs are ``catalog`` (of `combine_cats`), ``refcat`` (optional, several files) and ``ahead`` (optional). What
    cannot be solved keeps its first solution, with SCAMPFLG 1 in its part of the head, and is a finding.
    """
    catalogues = read_combined(task.input_on_disk("catalog"))
    solutions = [CcdSolution(one.header) for one in catalogues]
    task.output("xml").write_text(_NO_XML, "ascii")
    reference = _field_stars(task, catalogues)
    why = _prospect(task, catalogues, reference)
    if not why and reference is not None:
        why = _solve_exposure(task, catalogues, solutions, reference)
    source = task.input("catalog").name
    for one, solution in zip(catalogues, solutions, strict=True):
        if why:
            solution.why = why
        elif solution.why:
            task.finding(2, f"{source}, {one.name}: {solution.why}; its first WCS stands")
    if why:
        task.finding(2, f"{source}: {why}; every CCD keeps its first WCS")
    task.output("head").write_text(head_text(solutions), "ascii")
    _record_exposure(task, solutions)


def _field_stars(task: Task, catalogues: list[CcdCatalogue]) -> Reference | None:
    """Read the reference stars over all CCDs of the exposure; None without any."""
    corners = [footprint(c.header, (int(c.header["NAXIS2"]), int(c.header["NAXIS1"]))) for c in catalogues]
    ra0 = corners[0].ra_cent
    ra = np.array([(r - ra0 + 180.0) % 360.0 - 180.0 for f in corners for r in f.rac])
    dec = np.array([d for f in corners for d in f.decc])
    middle, height = (ra.min() + ra.max()) / 2, (dec.min() + dec.max()) / 2
    reach = float(np.degrees(angles_to(direction(middle, height), direction(ra, dec))).max())
    margin = float(task.keywords("scamp_retry").get("position_maxerr", "0.3")) / 60.0
    return read_reference(
        task.inputs.get("refcat", ()),
        epoch_of_header(catalogues[0].header, partial(task.finding, 2)),
        float((ra0 + middle) % 360.0),
        float(height),
        reach + margin,
        partial(task.finding, 2),
    )


def _prospect(task: Task, catalogues: list[CcdCatalogue], reference: Reference | None) -> str:
    """Reason why no solution can be expected; empty: one can."""
    least = task.number("scamp_least", 20)
    if reference is None:
        return "no reference stars over the field"
    if reference.ra.size < least:
        return f"only {reference.ra.size} reference stars over the field"
    total = sum(int(useful(one).sum()) for one in catalogues)
    return f"only {total} objects can serve for its astrometry" if total < least else ""


def _solve_exposure(
    task: Task, catalogues: list[CcdCatalogue], solutions: list[CcdSolution], reference: Reference
) -> str:
    """Fill ``solutions``; what is wrong with the whole exposure is returned."""
    least = task.number("ccd_least", 8)
    able = [i for i, one in enumerate(catalogues) if useful(one).sum() >= least]
    for i, one in enumerate(catalogues):
        if i not in able:
            solutions[i].why = f"only {int(useful(one).sum())} objects can serve for its astrometry"
    if not able:
        return "no CCD has enough stars"
    why = ""
    # The first try matches on a coarse grid near the pointing, at a fiftieth of the cost of scamp's own choice.
    for overlay in ({}, task.keywords("scamp_retry")):
        heads, xy_contrast = _run_scamp(task, [catalogues[i] for i in able], reference, overlay)
        if len(heads) != len(able):
            why = f"scamp solved {len(heads)} of {len(able)} CCDs"
            continue
        for i, head in zip(able, heads, strict=True):
            _judge(task, catalogues[i], solutions[i], head, reference)
        if xy_contrast < task.number("contrast_least", 2.5):
            why = f"scamp does not converge: contrast {xy_contrast:.1f}"
        elif not any(solutions[i].good for i in able):
            why = f"scamp does not converge: {solutions[able[0]].why}"
        else:
            task.metric("scamp_contrast", xy_contrast, text="contrast of the pattern match")
            return ""
    return why


def _judge(
    task: Task, one: CcdCatalogue, solution: CcdSolution, head: fits.Header, reference: Reference
) -> None:
    """Accept or reject scamp's solution of one CCD by its matches and scatter against the reference."""
    trial = one.header.copy()
    apply_head(trial, head)
    radius = float(task.keywords("scamp_keys").get("crossid_radius", "1.0"))
    solution.matched, solution.rms = residuals(one, trial, reference, radius)
    solution.cards, limit = head, task.number("rms_limit", 100.0)
    solution.why = ""
    if solution.matched < task.number("ccd_least", 8):
        solution.why = f"only {solution.matched} reference stars matched"
    elif not solution.rms <= limit:
        solution.why = f"{solution.rms:.0f} mas from the reference"


def _run_scamp(
    task: Task, catalogues: list[CcdCatalogue], reference: Reference, overlay: Mapping[str, str]
) -> tuple[list[fits.Header], float]:
    """scamp's headers, and the contrast of its match; no headers if it failed."""
    stars, local = task.workdir / f"{task.name}_ref.ldac", task.workdir / f"{task.name}_all.cat"
    band = str(catalogues[0].header.get("BAND", ""))
    write_ldac(stars, reference, band, terms_of(task.settings, task.name))
    write_combined(local, catalogues)
    head, xml = local.with_suffix(".head"), task.output("xml")
    head.unlink(missing_ok=True)
    xml.write_text(_NO_XML, "ascii")
    keys = {**task.keywords("scamp_keys"), **overlay, "write_xml": "Y", "xml_name": str(xml)}
    keys["distort_degrees"] = str(_degree(task, catalogues, int(keys.get("distort_degrees", "1"))))
    ahead = task.optional("ahead")
    # An ahead file is read extension by extension: with a CCD left out its parts would fall on the wrong ones.
    if ahead is not None and len(catalogues) == ahead.read_text("ascii").count("\nEND"):
        keys["aheader_name"] = str(ahead)
    task.run("scamp", arguments(local, stars, DATA, keys), check=False)
    heads = read_heads(head) if head.is_file() else []
    xy_contrast = contrast(xml.read_text("latin-1"))
    for scrap in (stars, local, head):
        scrap.unlink(missing_ok=True)
    return heads, xy_contrast


def _degree(task: Task, catalogues: list[CcdCatalogue], most: int) -> int:
    """The degree of each CCD's own polynomial that its stars can carry; the focal plane's is shared by all."""
    stars = float(np.median([useful(one).sum() for one in catalogues]))
    degree = max(most, 1)
    while degree > 1 and (degree + 1) * (degree + 2) / 2 * task.number("stars_per_term", 100) > stars:
        degree -= 1
    return degree


def _record_exposure(task: Task, solutions: list[CcdSolution]) -> None:
    """Write metrics of the accepted solutions of the exposure."""
    good = [s for s in solutions if s.good]
    task.metric("scamp_solved", len(good), text="CCDs with a new astrometric solution")
    task.metric("scamp_nmatch", sum(s.matched for s in good), text="reference stars matched")
    if good:
        rms = float(np.sqrt(np.mean([s.rms**2 for s in good])))
        task.metric("astrom_rms", rms, "mas", text="scatter of bright stars against the reference")
        for key, name in (("ASTIRMS1", "astrom_internal1"), ("ASTIRMS2", "astrom_internal2")):
            if float(good[0].cards.get(key, 0.0)) > 0:
                task.metric(name, float(good[0].cards[key]) * 3.6e6, "mas", text="scamp's internal scatter")


_NO_XML = '<?xml version="1.0"?>\n<VOTABLE version="1.1"><INFO name="scamp" value="not run"/></VOTABLE>\n'


def updatewcs(task: Task) -> None:
    """Give ``image`` the solution that ``head`` (scamp_head, optional) holds for its CCD; output ``image``.

    Without one the first WCS stays and SCAMPFLG is 1. Corners and pixel scale are computed again.
    """
    planes = task.read_input("image", read_planes)
    header, path = planes.header, task.optional("head")
    ccd = int(header.get("CCDNUM", 0))
    mine = [h for h in (read_heads(path) if path else []) if h.get("CCDNUM") == ccd]
    solved = bool(mine) and mine[0].get("SCAMPFLG", 1) == 0
    if solved:
        apply_head(header, mine[0])
    elif not mine:
        task.finding(2, f"{task.input('image').name}, CCD {ccd}: no solution of scamp; its first WCS stands")
    header["SCAMPFLG"] = (0 if solved else 1, "0: WCS by scamp, 1: first WCS stands")
    for key, text in (
        ("SCAMPNUM", "reference stars matched"),
        ("SCAMPRMS", "[mas] scatter against the reference"),
    ):
        if mine and key in mine[0]:
            header[key] = (mine[0][key], text)
    for key, value, comment in footprint(header, planes.shape).cards():
        header[key] = (value, comment)
    task.write_output("image", planes, write_planes)
