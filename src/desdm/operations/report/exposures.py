"""A run's verdicts on exposures as its report shows them: how t_eff came about, PSF, counts, depth and zero points."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from desdm.errors import CorruptFile
from desdm.operations.current import CurrentVerdict
from desdm.operations.report.gather import RunFacts
from desdm.operations.report.plots import Figure, band_style
from desdm.operations.report.science import Document, UnreadableFile
from desdm.operations.report.skyplot import sky_field, sky_plot
from desdm.operations.report.svg import Plot, number_text
from desdm.schema.states import Verdict

__all__ = ["PSF_TITLE", "ZEROS_TITLE", "AssessedExposure", "CcdRow", "Factor", "assessed_exposures"]

#: Titles of the figures of the PSF and of the zero points.
PSF_TITLE, ZEROS_TITLE = "PSF over the field", "Zero points of the CCDs"


class Factor(NamedTuple):
    """One line of the verdict's reckoning: what was measured, and the factor that it gives."""

    name: str
    measured: str
    factor: str


class _Ccd(NamedTuple):
    """Measurements of a CCD in the document of an assessment; None where a number is missing."""

    ccdnum: int
    name: str
    objects: float | None
    fwhm_mean: float | None
    e1: float | None
    e2: float | None
    psf_stars: float | None
    psf_chi2: float | None
    mag_zero: float | None
    sigma_mag_zero: float | None
    zp_stars: float | None
    scampflg: float | None
    scamp_why: str
    scamp_stars: float | None
    scamp_rms: float | None
    #: right ascension and declination of the four corners, degrees; empty where one is missing
    corners: tuple[tuple[float, float], ...]

    @property
    def ellipticity(self) -> float | None:
        """Ellipticity of the PSF; None if it was not measured."""
        return None if self.e1 is None or self.e2 is None else math.hypot(self.e1, self.e2)


class CcdRow(NamedTuple):
    """A CCD's line of the table; None where a number is missing."""

    ccdnum: int
    name: str
    objects: float | None
    fwhm_mean: float | None
    e: float | None
    psf_stars: float | None
    psf_chi2: float | None
    zero: str
    #: error of the zero point, mmag
    sigma: float | None
    zp_stars: float | None
    wcs: str
    scamp_stars: float | None
    scamp_rms: float | None


class AssessedExposure(NamedTuple):
    """One exposure's verdict: title, badge (text and style), reason, reckoning, other numbers, figures, CCDs.

    The badge is the verdict that counts now; ``reason`` is what the program of the run said, ``current`` what stands above.
    """

    title: str
    band: str
    verdict: str
    style: str
    reason: str
    t_eff: str
    factors: tuple[Factor, ...]
    numbers: tuple[tuple[str, str], ...]
    figures: tuple[Figure, ...]
    ccds: tuple[CcdRow, ...]
    #: width (east to west) and height of the field of the CCDs, for the scale of its picture; empty: not known
    extent: str = ""
    #: what stands above the program's verdict: a person's, an exclusion, or why none counts; empty: nothing
    current: tuple[str, ...] = ()


_STYLES = {"True": ("accepted", "done"), "False": ("rejected", "failed")}


def assessed_exposures(facts: RunFacts, unread: list[UnreadableFile]) -> list[AssessedExposure]:
    """Return the verdicts of the run (file type ``qa_assess``), by exposure number."""
    records: list[Document] = []
    for file in facts.of_type("qa_assess"):
        try:
            record = json.loads(facts.path(file).read_text("utf-8"))
            if not isinstance(record, dict) or "accepted" not in record:
                raise ValueError("it holds no verdict")
        except (CorruptFile, OSError, ValueError) as err:
            unread.append(UnreadableFile(file.name, str(err).strip() or type(err).__name__))
            continue
        records.append(record)
    by_number = {int(_float(record, "expnum") or 0): _assessed(record) for record in records}
    for number in facts.current.verdicts.keys() - by_number.keys():
        by_number[number] = _without_assessment(number, facts.current.verdicts[number])
    return [
        _with_current(one, facts.current.verdicts.get(number)) for number, one in sorted(by_number.items())
    ]


def _without_assessment(number: int, current: CurrentVerdict) -> AssessedExposure:
    """An exposure that the run has judged, but whose assessment (``qa_assess``) is not in the archive any more."""
    verdict, style = _STYLES.get(current.verdict.value, ("an analyst decides", "flagged"))
    reason = "the file of its assessment (qa_assess) is not in the archive: deleted, or damaged"
    return AssessedExposure(f"D{number:08d}", "", verdict, style, reason, "–", (), (), (), ())


def _with_current(one: AssessedExposure, current: CurrentVerdict | None) -> AssessedExposure:
    """Put the verdict that counts now in the place of the program's, where they are not the same."""
    if current is None or not current.words:
        return one
    said = f"the program of this run: {one.verdict}{', ' if one.reason else ''}{one.reason}"
    verdict, style = _STYLES.get(current.verdict.value, (one.verdict, "flagged"))
    if current.verdict is Verdict.UNKNOWN:
        verdict, style = "no verdict counts", "flagged"
    if current.excluded:
        verdict, style = "excluded", "failed"
    return one._replace(verdict=verdict, style=style, reason=said, current=current.words)


def _assessed(record: Document) -> AssessedExposure:
    """Return the record of an exposure for its section of the report, with the program's verdict."""
    verdict, style = _STYLES.get(str(record["accepted"]), ("an analyst decides", "flagged"))
    band = str(record.get("band") or "")
    entries = record.get("ccds")
    ccds = tuple(_ccd(c) for c in entries if isinstance(c, dict)) if isinstance(entries, list) else ()
    reason = str(record.get("words") or "")
    if record.get("reason"):
        reason = f"{record['reason']}: {reason}" if reason else str(record["reason"])
    title = f"{record.get('exposurename', '')}"
    if record.get("object"):
        title += f"  ·  {record['object']}"
    figures = tuple(f for f in (_psf(ccds, band), _counts(record, band), _zeros(ccds, band)) if f is not None)
    return AssessedExposure(
        title,
        band,
        verdict,
        style,
        reason,
        _text(record.get("t_eff"), 3),
        _factors(record),
        _numbers(record),
        figures,
        tuple(map(_row, ccds)),
        _extent(ccds),
    )


def _extent(ccds: Sequence[_Ccd]) -> str:
    """Width and height of the field in arcmin; empty where no CCD's corners are known."""
    placed = _with_position(ccds)
    field = sky_field([c.corners for c in placed])
    if field is None:
        return ""
    flat = np.array([p for four in field.corners for p in four])
    wide, high = np.ptp(flat, axis=0)
    return f"{wide:.1f}′ × {high:.1f}′"


def _ccd(entry: Document) -> _Ccd:
    """Return the measurements of a CCD from its entry in the document."""
    points = entry.get("corners")
    corners = [_point(p) for p in points] if isinstance(points, list) else []
    return _Ccd(
        ccdnum=int(_float(entry, "ccdnum") or 0),
        name=str(entry.get("name") or ""),
        objects=_float(entry, "objects"),
        fwhm_mean=_float(entry, "fwhm_mean"),
        e1=_float(entry, "e1"),
        e2=_float(entry, "e2"),
        psf_stars=_float(entry, "psf_stars"),
        psf_chi2=_float(entry, "psf_chi2"),
        mag_zero=_float(entry, "mag_zero"),
        sigma_mag_zero=_float(entry, "sigma_mag_zero"),
        zp_stars=_float(entry, "zp_stars"),
        scampflg=_float(entry, "scampflg"),
        scamp_why=str(entry.get("scamp_why") or ""),
        scamp_stars=_float(entry, "scamp_stars"),
        scamp_rms=_float(entry, "scamp_rms"),
        corners=tuple(p for p in corners if p is not None) if None not in corners else (),
    )


def _float(entry: Document, key: str) -> float | None:
    """Return a number of a document, as it stands there; None if there is none."""
    value = entry.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _point(value: object) -> tuple[float, float] | None:
    """Return a position of a document, degrees; None if a coordinate is missing."""
    match value:
        case [int() | float() as ra, int() | float() as dec]:
            return ra, dec
        case _:
            return None


def _row(ccd: _Ccd) -> CcdRow:
    """Return a CCD's line of the table."""
    solution = "scamp" if ccd.scampflg == 0 else f"first: {ccd.scamp_why or 'not solved'}"
    return CcdRow(
        ccdnum=ccd.ccdnum,
        name=ccd.name,
        objects=ccd.objects,
        fwhm_mean=ccd.fwhm_mean,
        e=ccd.ellipticity,
        psf_stars=ccd.psf_stars,
        psf_chi2=ccd.psf_chi2,
        zero="–" if ccd.mag_zero is None else f"{ccd.mag_zero:.4f}",
        sigma=None if ccd.sigma_mag_zero is None else 1e3 * ccd.sigma_mag_zero,
        zp_stars=ccd.zp_stars,
        wcs="–" if ccd.scampflg is None else solution,
        scamp_stars=ccd.scamp_stars,
        scamp_rms=ccd.scamp_rms,
    )


def _text(value: object, digits: int = 3, unit: str = "") -> str:
    """Return a number as text with its unit; "not measured" for anything else."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return "not measured"
    digits_text = f"{float(value):.{digits}f}".replace("-", "−")
    return f"{digits_text} {unit}".replace(" ″", "″").rstrip()


def _factors(record: Document) -> tuple[Factor, ...]:
    """Return the factors of t_eff with what they were derived from."""
    return (
        Factor(
            "Seeing F",
            _text(record.get("fwhm_asec"), 3, "″ (median FWHM_MEAN + offset)"),
            _text(record.get("f_eff")),
        ),
        Factor("Sky B", _text(record.get("skybrightness"), 3, "e⁻/s/pixel"), _text(record.get("b_eff"))),
        Factor("Clouds C", _text(record.get("cloud"), 3, "mag"), _text(record.get("c_eff"))),
    )


def _numbers(record: Document) -> tuple[tuple[str, str], ...]:
    """Return the other numbers of an assessment, without missing ones."""
    rows = (
        ("Depth (error 0.1)", _text(record.get("depth"), 2, "mag")),
        ("Ellipticity of the PSF", _text(record.get("ellipticity"), 4)),
        ("Astrometric scatter", _text(record.get("astrom_rms"), 1, "mas")),
        ("Zero point", _text(record.get("magzero"), 4, "mag")),
        ("Stars matched", _text(record.get("n_match"), 0)),
        ("Time", _text(record.get("exptime"), 0, "s")),
        ("Airmass", _text(record.get("airmass"), 3)),
        ("CCDs", _text(record.get("n_ccd"), 0)),
    )
    return tuple((name, value) for name, value in rows if value != "not measured")


def _with_position(ccds: Sequence[_Ccd]) -> list[_Ccd]:
    """Return the CCDs whose corners are known."""
    return [c for c in ccds if c.corners]


def _psf(ccds: Sequence[_Ccd], band: str) -> Figure | None:
    """FWHM as the size of a ring and ellipticity as a whisker along the stars' long axis, CCD by CCD."""
    measured = [
        (c, c.fwhm_mean, c.e1, c.e2)
        for c in _with_position(ccds)
        if c.fwhm_mean and c.e1 is not None and c.e2 is not None
    ]
    field = sky_field([c.corners for c, *_ in measured])
    if field is None:
        return None
    plot = sky_plot(PSF_TITLE, field)
    widths = np.array([fwhm for _, fwhm, _, _ in measured])
    sizes = np.hypot([e1 for *_, e1, _ in measured], [e2 for *_, e2 in measured])
    # The longest whisker spans a third of a CCD; rings differ as the widths do, five times exaggerated.
    side = min(math.dist(four[0], four[1]) for four in field.corners)
    side = min(side, *(math.dist(four[1], four[2]) for four in field.corners))
    scale = 0.36 * side / max(float(sizes.max()), 0.02)
    for (ccd, fwhm, e1, e2), four, e in zip(measured, field.corners, sizes, strict=True):
        x, y = (sum(p[k] for p in four) / 4 for k in (0, 1))
        along, up = (_unit(four[0], four[1]), _unit(four[0], four[3]))
        angle = 0.5 * math.atan2(e2, e1)
        dx = (math.cos(angle) * along[0] + math.sin(angle) * up[0]) * scale * e
        dy = (math.cos(angle) * along[1] + math.sin(angle) * up[1]) * scale * e
        plot.segment(x - dx, y - dy, x + dx, y + dy, f"whisker {band_style(band)}")
        grown = 1.0 + 5.0 * (fwhm / float(np.median(widths)) - 1.0)
        words = f"CCD {ccd.ccdnum} {ccd.name}: FWHM_MEAN {fwhm:.3f}″, e {e:.3f}"
        plot.marker(
            x, y, f"open {band_style(band)}", words, (7.0 if len(measured) < 12 else 3.2) * max(grown, 0.3)
        )
        if len(measured) < 12:
            plot.note(plot.x(x) + 12, plot.y(y) + 18, f"{fwhm:.3f}″")
    text = (
        f"ring: FWHM_MEAN of PSFEx at 0.263″ per pixel, {number_text(round(float(widths.min()), 3))} to "
        f"{number_text(round(float(widths.max()), 3))}″ "
        f"(differences drawn 5 times larger); bar: ellipticity along the long axis, at most "
        f"{number_text(round(float(sizes.max()), 3))}"
    )
    return Figure(PSF_TITLE, text, plot.render())


def _unit(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    """Return the unit vector from one point to another."""
    length = math.dist(start, end) or 1.0
    return (end[0] - start[0]) / length, (end[1] - start[1]) / length


def _counts(record: Document, band: str) -> Figure | None:
    """Return the figure of counts by magnitude, with the depth."""
    counts = record.get("counts")
    if not isinstance(counts, dict) or not counts.get("counts"):
        return None
    edges, numbers = np.array(counts["edges"], float), np.array(counts["counts"], float)
    plot = Plot("Counts", f"PSF magnitude {band}", "objects a bin", height=330)
    plot.scale_x([float(edges[0]), float(edges[-1])], pad=0.01)
    peak = float(numbers.max())
    plot.scale_y([0.0, peak * 1.12], pad=0.0)
    plot.steps(edges, numbers, band_style(band), 0.0)
    depth = record.get("depth")
    text = f"{int(numbers.sum())} objects in bins of {edges[1] - edges[0]:g} mag"
    if isinstance(depth, int | float):
        plot.segment(depth, 0.0, depth, peak * 1.12, "zero")
        plot.note(plot.x(depth) - 6, plot.y(peak * 1.06), f"error 0.1 at {depth:.2f}", anchor="end")
        text += "; dashed: depth, where the median error is 0.1 mag"
    return Figure("Magnitudes and depth", text, plot.render())


def _zeros(ccds: Sequence[_Ccd], band: str) -> Figure | None:
    """Zero points of the CCDs about their median, with errors."""
    measured = [
        (c, c.mag_zero, c.sigma_mag_zero)
        for c in ccds
        if c.mag_zero is not None and c.sigma_mag_zero is not None
    ]
    if len(measured) < 2:
        return None
    values = np.array([zero for _, zero, _ in measured])
    errors = np.array([sigma for *_, sigma in measured])
    middle = float(np.median(values))
    plot = Plot("Zero points", "CCD", "zero point − median [mmag]", height=330, bottom=44)
    off = (values - middle) * 1e3
    plot.scale_x([0.4, len(measured) + 0.6], pad=0.0)
    plot.scale_y([*(off - 1e3 * errors), *(off + 1e3 * errors), -3.0, 3.0], pad=0.1)
    plot.segment(0.4, 0.0, len(measured) + 0.6, 0.0, "zero")
    for i, ((ccd, zero, _), offset, error) in enumerate(zip(measured, off, errors, strict=True), 1):
        plot.segment(i, offset - 1e3 * error, i, offset + 1e3 * error, f"range {band_style(band)}")
        stars = f"{0 if ccd.zp_stars is None else ccd.zp_stars} stars"
        words = f"CCD {ccd.ccdnum} {ccd.name}: {zero:.4f} ± {error:.4f} mag, {stars}"
        plot.marker(i, float(offset), band_style(band), words, 5.0 if len(measured) < 20 else 2.8)
    step = max(1, len(measured) // 16)
    ticks = [
        (float(i), c.name or str(c.ccdnum)) for i, (c, *_) in enumerate(measured, 1) if (i - 1) % step == 0
    ]
    scatter = number_text(round(float(np.std(off)), 1))
    text = f"median {middle:.4f} mag; the CCDs scatter by {scatter} mmag; bars are their errors"
    return Figure(ZEROS_TITLE, text, plot.render(xticks=ticks))
