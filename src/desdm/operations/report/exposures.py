"""A run's verdicts on exposures as its report shows them: how t_eff came about, PSF, counts, depth and zero points."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from desdm.errors import CorruptFile
from desdm.operations.report.gather import RunFacts
from desdm.operations.report.plots import Figure, band_style
from desdm.operations.report.science import UnreadableFile
from desdm.operations.report.svg import Plot, Scale, number_text

__all__ = ["AssessedExposure", "Factor", "assessed_exposures"]


class Factor(NamedTuple):
    """One line of the verdict's reckoning: what was measured, and the factor that it gives."""

    name: str
    measured: str
    factor: str


class AssessedExposure(NamedTuple):
    """One exposure's verdict: title, badge (text and style), reason, reckoning, other numbers, figures, CCDs."""

    title: str
    band: str
    verdict: str
    style: str
    reason: str
    t_eff: str
    factors: tuple[Factor, ...]
    numbers: tuple[tuple[str, str], ...]
    figures: tuple[Figure, ...]
    ccds: tuple[Mapping[str, Any], ...]
    #: width (east to west) and height of the field of the CCDs, for the scale of its picture; empty: not known
    extent: str = ""


_STYLES = {"True": ("accepted", "done"), "False": ("rejected", "failed")}


def assessed_exposures(facts: RunFacts, unread: list[UnreadableFile]) -> list[AssessedExposure]:
    """Return the verdicts of the run (file type ``qa_assess``), by exposure number."""
    records: list[dict[str, Any]] = []
    for file in facts.of_type("qa_assess"):
        try:
            record = json.loads(facts.path(file).read_text("utf-8"))
            if not isinstance(record, dict) or "accepted" not in record:
                raise ValueError("it holds no verdict")
        except (CorruptFile, OSError, ValueError) as err:
            unread.append(UnreadableFile(file.name, str(err).strip() or type(err).__name__))
            continue
        records.append(record)
    return [_assessed(record) for record in sorted(records, key=lambda t: int(t.get("expnum") or 0))]


def _assessed(record: Mapping[str, Any]) -> AssessedExposure:
    """Return the record of an exposure for its section of the report."""
    verdict, style = _STYLES.get(str(record["accepted"]), ("an analyst decides", "flagged"))
    band = str(record.get("band") or "")
    ccds = tuple(c for c in record.get("ccds") or () if isinstance(c, dict))
    reason = str(record.get("words") or "")
    if record.get("reason"):
        reason = f"{record['reason']}: {reason}" if reason else str(record["reason"])
    title = f"{record.get('exposurename', '')}"
    if record.get("object"):
        title += f"  ·  {record['object']}"
    figures = tuple(f for f in (_psf(ccds, band), _counts(record, band), _zeros(ccds, band)) if f is not None)
    return AssessedExposure(
        title, band, verdict, style, reason, _text(record.get("t_eff"), 3), _factors(record), _numbers(record), figures,
        tuple(map(_row, ccds)), _extent(ccds),
    )  # fmt: skip


def _extent(ccds: Sequence[Mapping[str, Any]]) -> str:
    """Width and height of the field in arcmin; empty where no CCD's corners are known."""
    placed = _with_position(ccds)
    field = _field(placed) if placed else None
    if field is None:
        return ""
    flat = np.array([p for four in field.corners for p in four])
    wide, high = np.ptp(flat, axis=0)
    return f"{wide:.1f}′ × {high:.1f}′"


def _row(ccd: Mapping[str, Any]) -> dict[str, Any]:
    """A CCD's line of the table; None where a number is not known."""
    names = (
        "ccdnum",
        "name",
        "objects",
        "fwhm_mean",
        "psf_stars",
        "psf_chi2",
        "zp_stars",
        "scamp_stars",
        "scamp_rms",
    )
    zero, sigma = ccd.get("mag_zero"), ccd.get("sigma_mag_zero")
    known = ccd.get("e1") is not None and ccd.get("e2") is not None
    flag = ccd.get("scampflg")
    return {name: ccd.get(name) for name in names} | {
        "e": math.hypot(ccd["e1"], ccd["e2"]) if known else None,
        "zero": f"{zero:.4f}" if isinstance(zero, float) else "–",
        "sigma": 1e3 * sigma if isinstance(sigma, float) else None,
        "wcs": "–"
        if flag is None
        else "scamp"
        if flag == 0
        else f"first: {ccd.get('scamp_why') or 'not solved'}",
    }


def _text(value: Any, digits: int = 3, unit: str = "") -> str:
    """Return a number as text with its unit; "not measured" for anything else."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return "not measured"
    digits_text = f"{float(value):.{digits}f}".replace("-", "−")
    return f"{digits_text} {unit}".replace(" ″", "″").rstrip()


def _factors(record: Mapping[str, Any]) -> tuple[Factor, ...]:
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


def _numbers(record: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
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


class _Field(NamedTuple):
    """CCDs on a plane: east and north offsets in arcmin of corners, by CCD, and half the width that holds them."""

    corners: list[list[tuple[float, float]]]
    reach: float


def _field(ccds: Sequence[Mapping[str, Any]]) -> _Field | None:
    """Return the corners of CCDs on a plane tangent at the first; None if a corner is not finite."""
    every = [c["corners"] for c in ccds]
    ra0, dec0 = every[0][0]
    cosd = math.cos(math.radians(dec0))
    planes = [
        [(((r - ra0 + 180) % 360 - 180) * cosd * 60, (d - dec0) * 60) for r, d in four] for four in every
    ]
    flat = np.array([p for four in planes for p in four])
    middle = (flat.min(axis=0) + flat.max(axis=0)) / 2
    if not np.isfinite(flat).all():
        return None
    moved = [[(float(x - middle[0]), float(y - middle[1])) for x, y in four] for four in planes]
    return _Field(moved, float(np.abs(flat - middle).max()))


def _with_position(ccds: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the CCDs whose corners are known."""
    return [c for c in ccds if c.get("corners") and all(None not in p for p in c["corners"])]


def _plane(title: str, field: _Field) -> Plot:
    """A plot of the sky, north up and east left, one scale for both axes, with the CCDs' outlines."""
    plot = Plot(title, "east of the centre [arcmin]", "north of the centre [arcmin]", height=330)
    ratio = (plot.width - plot.left - plot.right) / (plot.height - plot.top - plot.bottom)
    reach = field.reach * 1.06
    plot.scale_x([-reach * ratio, reach * ratio], pad=0.0)
    plot.x = Scale(plot.x.high, plot.x.low, plot.x.begin, plot.x.end)
    plot.scale_y([-reach, reach], pad=0.0)
    for four in field.corners:
        for one, other in zip(four, [*four[1:], four[0]], strict=True):
            plot.segment(*one, *other, "ccd")
    return plot


def _psf(ccds: Sequence[Mapping[str, Any]], band: str) -> Figure | None:
    """FWHM as the size of a ring and ellipticity as a whisker along the stars' long axis, CCD by CCD."""
    known = [
        c
        for c in _with_position(ccds)
        if c.get("fwhm_mean") and c.get("e1") is not None and c.get("e2") is not None
    ]
    field = _field(known) if known else None
    if field is None:
        return None
    plot = _plane("PSF over the field", field)
    widths = np.array([c["fwhm_mean"] for c in known])
    sizes = np.hypot([c["e1"] for c in known], [c["e2"] for c in known])
    # The longest whisker spans a third of a CCD; rings differ as the widths do, five times exaggerated.
    side = min(math.dist(four[0], four[1]) for four in field.corners)
    side = min(side, *(math.dist(four[1], four[2]) for four in field.corners))
    scale = 0.36 * side / max(float(sizes.max()), 0.02)
    for ccd, four, e in zip(known, field.corners, sizes, strict=True):
        x, y = (sum(p[k] for p in four) / 4 for k in (0, 1))
        along, up = (_unit(four[0], four[1]), _unit(four[0], four[3]))
        angle = 0.5 * math.atan2(ccd["e2"], ccd["e1"])
        dx = (math.cos(angle) * along[0] + math.sin(angle) * up[0]) * scale * e
        dy = (math.cos(angle) * along[1] + math.sin(angle) * up[1]) * scale * e
        plot.segment(x - dx, y - dy, x + dx, y + dy, f"whisker {band_style(band)}")
        grown = 1.0 + 5.0 * (ccd["fwhm_mean"] / float(np.median(widths)) - 1.0)
        words = f"CCD {ccd['ccdnum']} {ccd.get('name', '')}: FWHM_MEAN {ccd['fwhm_mean']:.3f}″, e {e:.3f}"
        plot.marker(
            x, y, f"open {band_style(band)}", words, (7.0 if len(known) < 12 else 3.2) * max(grown, 0.3)
        )
        if len(known) < 12:
            plot.note(plot.x(x) + 12, plot.y(y) + 18, f"{ccd['fwhm_mean']:.3f}″")
    text = (
        f"ring: FWHM_MEAN of PSFEx, {number_text(round(float(widths.min()), 3))} to "
        f"{number_text(round(float(widths.max()), 3))}″ "
        f"(differences drawn 5 times larger); bar: ellipticity along the long axis, at most "
        f"{number_text(round(float(sizes.max()), 3))}"
    )
    return Figure("PSF over the field", text, plot.render())


def _unit(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    """Return the unit vector from one point to another."""
    length = math.dist(start, end) or 1.0
    return (end[0] - start[0]) / length, (end[1] - start[1]) / length


def _counts(record: Mapping[str, Any], band: str) -> Figure | None:
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


def _zeros(ccds: Sequence[Mapping[str, Any]], band: str) -> Figure | None:
    """Zero points of the CCDs about their median, with errors."""
    known = [c for c in ccds if c.get("mag_zero") is not None and c.get("sigma_mag_zero") is not None]
    if len(known) < 2:
        return None
    values = np.array([c["mag_zero"] for c in known])
    errors = np.array([c["sigma_mag_zero"] for c in known])
    middle = float(np.median(values))
    plot = Plot("Zero points", "CCD", "zero point − median [mmag]", height=330, bottom=44)
    off = (values - middle) * 1e3
    plot.scale_x([0.4, len(known) + 0.6], pad=0.0)
    plot.scale_y([*(off - 1e3 * errors), *(off + 1e3 * errors), -3.0, 3.0], pad=0.1)
    plot.segment(0.4, 0.0, len(known) + 0.6, 0.0, "zero")
    for i, (ccd, here, error) in enumerate(zip(known, off, errors, strict=True), 1):
        plot.segment(i, here - 1e3 * error, i, here + 1e3 * error, f"range {band_style(band)}")
        stars = f"{ccd.get('zp_stars', 0)} stars"
        words = f"CCD {ccd['ccdnum']} {ccd.get('name', '')}: {ccd['mag_zero']:.4f} ± {error:.4f} mag, {stars}"
        plot.marker(i, float(here), band_style(band), words, 5.0 if len(known) < 20 else 2.8)
    step = max(1, len(known) // 16)
    ticks = [
        (float(i), str(c.get("name") or c["ccdnum"])) for i, c in enumerate(known, 1) if (i - 1) % step == 0
    ]
    scatter = number_text(round(float(np.std(off)), 1))
    text = f"median {middle:.4f} mag; the CCDs scatter by {scatter} mmag; bars are their errors"
    return Figure("Zero points of the CCDs", text, plot.render(xticks=ticks))
