"""Wrapper of ``zeropoint``: the zero points of an exposure's CCDs from reference stars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from astropy.io import fits

from desdm.codes.astrometry.check import compare, joined, table
from desdm.codes.astrometry.reference import Reference, epoch_of_header, read_reference
from desdm.codes.colourterms import terms_of
from desdm.codes.detection.sextractor import objects
from desdm.codes.photocal.zeropoints import Flag, Limits, Stars, Zero, colour_slope, match, solve
from desdm.codes.provenance import stamp
from desdm.errors import ProgramFailed
from desdm.framework.wrapper import Task
from desdm.sky.spherical import angles_to
from desdm.sky.spherical import unit as direction
from desdm.survey.airmass import airmass_of
from desdm.survey.bands import CountUnit, nominal_zero, unit_complaint
from desdm.survey.headers import identity
from desdm.survey.refstars import Passband, System
from desdm.survey.refstars.colour import Standard

__all__ = ["zeropoint"]


def zeropoint(task: Task) -> None:
    """Zero points of the ``catalogs`` of an exposure against ``refcat`` (optional); output ``zeropoints``.

    Output ``check`` (astro_check), if it is declared, holds the residuals of all stars in place and magnitude.

    Without reference stars the nominal zero point stands, with its bit in FLAG, and is a finding.
    """
    paths = task.inputs_on_disk("catalogs")
    if not paths:
        raise ProgramFailed(f"{task.name}: no CCD of the exposure has a catalogue")
    heads = [fits.getheader(p, 0) for p in paths]
    band = str(heads[0].get("BAND", task.keys.get("band", "")))
    unit = _unit(task, heads, paths)
    nominal, limits = _nominal(task, heads[0], band, unit), _limits(task)
    reference, used = _reference(task, heads)
    standard = _standard(task, reference, band)
    matches = _matched(task, paths, heads, reference, standard, limits)
    whole, each = solve(matches, limits, nominal)
    _say(task, whole, each, reference, standard, paths, band)
    _report_colour(task, whole, matches, standard)
    _write(task, whole, each, heads, nominal, used, reference, standard, unit)
    if "check" in task.outputs:
        _check(task, paths, heads, each, reference, standard)
    task.set_parents("zeropoints", [*paths, *(used if not whole.flag & Flag.NOMINAL else ())])


def _standard(task: Task, reference: Reference | None, band: str) -> Standard | None:
    """Magnitudes of the reference stars in the band, of one system where that has enough of them."""
    if reference is None:
        return None
    standard = reference.standard(band, terms_of(task.settings, task.name))
    # Two systems agree to some 10 mmag by their colour terms: mixed, they would tilt the zero points across the field.
    enough = standard.direct >= task.number("star_enough", 50.0) and standard.direct < standard.known
    return reference.standard(band) if enough else standard


def _matched(
    task: Task,
    paths: Sequence[Path],
    heads: Sequence[fits.Header],
    reference: Reference | None,
    standard: Standard | None,
    limits: Limits,
) -> list[Stars]:
    """The stars of each CCD: point sources with high S/N, with lower S/N where they are few, else all of star size."""
    matches = [Stars(int(h.get("CCDNUM", 0)), *[np.zeros(0)] * 4) for h in heads]
    if reference is None or standard is None or not standard.known:
        return matches
    rows = [objects(path) for path in paths]
    for stars_only, enough in ((True, task.number("star_enough", 50.0)), (False, limits.exposure_least)):
        # Faint stars are left out where bright ones suffice: a fit weighted by the data themselves makes them some
        # mmag too faint. Where there are few, they are better than none.
        for snr in (limits.snr, task.number("star_snr_least", 20.0)):
            if sum(s.mag.size for s in matches) < enough:
                bounds = replace(limits, snr=snr)
                matches = [
                    match(r, s.ccdnum, reference, standard, bounds, stars_only=stars_only)
                    for r, s in zip(rows, matches, strict=True)
                ]
    return matches


def _limits(task: Task) -> Limits:
    """Return the limits of the match and of the solution from the settings."""
    return Limits(
        snr=task.number("star_snr", 100.0),
        bright=task.number("reference_bright", 10.0),
        faint=task.number("reference_faint", 30.0),
        radius=task.number("match_radius", 1.0),
        ccd_least=int(task.number("ccd_least", 5)),
        exposure_least=int(task.number("exposure_least", 10)),
        scatter=task.number("scatter_limit", 0.1),
        floor=task.number("reference_error", 0.005),
        spread=task.number("star_spread", 0.005),
        size=task.number("star_size", 0.15),
    )


def _unit(task: Task, heads: Sequence[fits.Header], paths: Sequence[Path]) -> CountUnit:
    """What the catalogues' fluxes count; electrons where no catalogue tells."""
    for head in heads:
        unit = CountUnit.of(head)
        if unit is not None:
            return unit
    odd = next((text for head in heads if (text := unit_complaint(head))), "")
    why = odd or "neither gain nor BUNIT in the header"
    task.finding(2 if odd else 3, f"{paths[0].name}: {why}; fluxes are taken as electrons")
    return CountUnit.ELECTRON


def _nominal(task: Task, head: fits.Header, band: str, unit: CountUnit) -> float:
    """The zero point of a photometric night, for one ``unit`` of the image."""
    exptime, airmass = float(head.get("EXPTIME", 0.0)), airmass_of(head.get)
    if "EXPTIME" not in head:
        raise ProgramFailed(f"{task.name}: the exposure has no EXPTIME that can be; correct the header")
    if exptime <= 0:
        raise ProgramFailed(f"{task.name}: a catalogue of the exposure has EXPTIME {exptime:g}")
    if airmass is None:
        task.finding(
            2, f"no AIRMASS that can be ({head.get('AIRMASS')}): the nominal zero point is that of air mass 1"
        )
        airmass = 1.0
    return nominal_zero(band, unit, exptime, airmass)


def _reference(task: Task, heads: Sequence[fits.Header]) -> tuple[Reference | None, list[Path]]:
    """Read the reference stars over the exposure's CCDs, and the files they are from."""
    files = list(task.inputs.get("refcat", ()))
    centres = [(float(h["RA_CENT"]), float(h["DEC_CENT"])) for h in heads if "RA_CENT" in h]
    if not files or not centres:
        return None, []
    ra0, dec0 = centres[0]
    away = np.degrees(angles_to(direction(ra0, dec0), direction(*np.transpose(centres))))
    size = max(float(h.get("DECCMAX", dec0)) - float(h.get("DECCMIN", dec0)) for h in heads)
    reach = float(away.max()) + size + 0.05
    epoch = epoch_of_header(heads[0], partial(task.finding, 2))
    return read_reference(files, epoch, ra0, dec0, reach, partial(task.finding, 2)), files


def _say(
    task: Task,
    whole: Zero,
    each: Sequence[Zero],
    reference: Reference | None,
    standard: Standard | None,
    paths: Sequence[Path],
    band: str,
) -> None:
    """Report how the zero point was determined: findings and metrics."""
    if whole.flag & Flag.NOMINAL:
        if reference is None or standard is None:
            why = "no reference stars over the field"
        elif not standard.known:
            bands = sorted({f"{p.system} {p.band}" for p in reference.mags})
            why = (
                f"no reference magnitudes in {band}: the catalogues have {', '.join(bands) or 'none'}, and no colour term "
                f"leads from them to {band} (add one to colour_terms)"
            )
        else:
            why = f"only {whole.count} stars matched with reference magnitudes in {band}"
        task.finding(
            2, f"{paths[0].name} and the exposure's other CCDs: {why}; the nominal zero point stands"
        )
        return
    for zero, path in zip(each, paths, strict=True):
        if zero.flag & Flag.FEW:
            task.finding(
                3,
                f"{path.name}, CCD {zero.ccdnum}: {zero.count} stars for its zero point, the exposure's stands",
            )
        elif zero.flag & Flag.SCATTER:
            task.finding(2, f"{path.name}, CCD {zero.ccdnum}: its stars scatter by {zero.scatter:.3f} mag")
    task.metric("zeropoint", whole.value, "mag", text="AB magnitude of one electron, whole exposure")
    task.metric("zeropoint_sigma", whole.sigma, "mag", text="error of the zero point")
    task.metric("zeropoint_rms", whole.scatter, "mag", text="scatter of the stars about it")
    task.metric("zeropoint_nstars", whole.count, text="stars of the zero point")


def _report_colour(task: Task, whole: Zero, matches: Sequence[Stars], standard: Standard | None) -> None:
    """Metric of what is left of the colour term, where there is one."""
    if standard is None or whole.flag & Flag.NOMINAL or not standard.terms:
        return
    slope, _ = colour_slope(matches, whole.value)
    if np.isfinite(slope):
        task.metric("zeropoint_colour", slope, text="slope of the residuals with colour, mag a mag")


def _write(
    task: Task,
    whole: Zero,
    each: Sequence[Zero],
    heads: Sequence[fits.Header],
    nominal: float,
    used: Sequence[Path],
    reference: Reference | None,
    standard: Standard | None,
    unit: CountUnit,
) -> None:
    """Write the zero points of the exposure and its CCDs as a table."""
    card = fits.Header()
    for key, value in identity(heads[0]).items():
        if key not in ("CCDNUM", "CCDNAME"):
            card[key] = value
    card["MAGZERO"] = (whole.value, f"[mag] AB magnitude of one {unit.value}")
    card["ZPUNIT"] = (unit.value, "what MAGZERO and MAG_ZERO are the magnitude of")
    if np.isfinite(whole.sigma):
        card["ZPSIGMA"] = (whole.sigma, "[mag] its error")
        card["ZPRMS"] = (whole.scatter, "[mag] scatter of the stars")
    card["ZPNSTARS"] = (whole.count, "stars")
    card["ZPNOM"] = (nominal, "[mag] nominal, on a photometric night")
    if used and not whole.flag & Flag.NOMINAL:
        card["REFCAT"] = _photometric(reference, standard, used).removesuffix(".fits")[:60]
        for key, value, comment in _photometry_cards(standard):
            card[key] = (value, comment)
    card["ZPFLAG"] = (whole.flag, "0: good")
    stamp(card, task.keys, task.execs, task.output("zeropoints").name)
    flags = [
        z.flag | (int(Flag.WCS) if h.get("SCAMPFLG", 0) else 0) for z, h in zip(each, heads, strict=True)
    ]
    band, version = (
        str(heads[0].get("BAND", "")),
        f"r{task.keys.get('reqnum', '')}p{task.keys.get('attnum', '')}",
    )
    n = len(each)
    columns = [
        fits.Column("EXPNUM", "J", array=[int(h.get("EXPNUM", 0)) for h in heads]),
        fits.Column("CCDNUM", "I", array=[z.ccdnum for z in each]),
        fits.Column("BAND", "2A", array=[band] * n),
        fits.Column("MAG_ZERO", "D", unit="mag", array=[z.value for z in each]),
        fits.Column("SIGMA_MAG_ZERO", "D", unit="mag", array=[z.sigma for z in each]),
        fits.Column("RMS", "D", unit="mag", array=[z.scatter for z in each]),
        fits.Column("NSTARS", "J", array=[z.count for z in each]),
        fits.Column("SOURCE", "8A", array=["nominal" if z.flag & Flag.NOMINAL else "nightly" for z in each]),
        fits.Column("VERSION", "16A", array=[version] * n),
        fits.Column("FLAG", "J", array=flags),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="ZEROPOINTS")
    fits.HDUList([fits.PrimaryHDU(header=card), table]).writeto(
        task.output("zeropoints"), overwrite=True, checksum=True
    )


def _photometric(reference: Reference | None, standard: Standard | None, used: Sequence[Path]) -> str:
    """Name of the (first) file whose magnitudes the zero point rests on; beside PS1, Gaia's is of none."""
    if reference is None or standard is None:
        return used[0].name
    if standard.direct:
        passband = Passband(System.DES, standard.band)
    else:
        passband = Passband(standard.terms[0].system, standard.terms[0].base)
    return reference.files.get(passband, used[0].name)


def _photometry_cards(standard: Standard | None) -> Iterator[tuple[str, str | int, str]]:
    """Whose magnitudes the zero point rests on, and by which colour terms."""
    if standard is None:
        return
    yield "REFNDES", standard.direct, "reference stars with magnitudes of the band"
    for number, term in enumerate(standard.terms, 1):
        series = " ".join(f"{c:g}" for c in term.coefficients)
        colour = f"{term.first}-{term.second}"
        yield (
            f"CTERM{number}",
            f"{term.system.value} {term.base} {colour}: {series}"[:68],
            "",
        )
        yield f"CTRNG{number}", f"{term.bluest:g} {term.reddest:g}", f"[mag] its range of {colour}"
        yield f"CTSRC{number}", term.source[:68], ""


def _check(
    task: Task,
    paths: Sequence[Path],
    heads: Sequence[fits.Header],
    each: Sequence[Zero],
    reference: Reference | None,
    standard: Standard | None,
) -> None:
    """The residuals of the exposure's stars against the reference, positions by the final WCS."""
    parts = []
    for path, zero in zip(paths, each, strict=True):
        rows = objects(path)
        rows = rows[rows["FLUX_PSF"] > 0]
        rows["MAG_PSF"] = zero.value - 2.5 * np.log10(rows["FLUX_PSF"])
        if reference is not None and standard is not None:
            parts.append(compare(rows, reference, standard, radius=task.number("match_radius", 1.0)))
    matches = joined(parts)
    card = fits.Header()
    for key, value in identity(heads[0]).items():
        if key not in ("CCDNUM", "CCDNAME"):
            card[key] = value
    card["NMATCH"] = (matches.ra.size, "reference stars matched")
    stamp(card, task.keys, task.execs, task.output("check").name)
    fits.HDUList([fits.PrimaryHDU(header=card), table(matches)]).writeto(
        task.output("check"), overwrite=True, checksum=True
    )
    task.set_parents("check", [*paths, *task.inputs.get("refcat", ())])
