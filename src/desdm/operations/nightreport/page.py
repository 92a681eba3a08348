"""The page on a night: tables, and plots of seeing, sky, t_eff and zero point over the night."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from desdm.operations.nightreport.model import ExposureOfNight, NightReport
from desdm.operations.report.pageparts import own_markup, render_page, write_page
from desdm.operations.report.plots import Figure, band_style
from desdm.operations.report.svg import Plot, hour_texts, number_text
from desdm.schema.states import Verdict
from desdm.survey.bands import band_order

__all__ = ["render_night", "write_night_report"]

#: Attribute, title, unit, what it is.
_NUMBERS = (
    ("fwhm_asec", "Seeing", "arcsec", "median over the CCDs, as the verdict takes it"),
    ("skybrightness", "Sky", "electron/(s pixel)", "as the verdict takes it"),
    ("t_eff", "t_eff", "", "effective exposure time over the real one"),
    ("magzero", "Zero point", "mag", "magnitude of one electron"),
)


def write_night_report(report: NightReport, out: Path) -> Path:
    """Write the page on a night, and return its absolute path; a `DesdmError` if it cannot be written."""
    return write_page(render_night(report), out)


def render_night(report: NightReport) -> str:
    """Return the page on a night as HTML."""
    figures = [
        figure
        for name, title, unit, text in _NUMBERS
        if (figure := _figure(report.exposures, name, title, unit, text)) is not None
    ]
    return render_page(
        "night.html",
        {
            "r": report,
            "figures": [figure._replace(svg=own_markup(figure.svg)) for figure in figures],
            "losses": [(loss.cause, loss.hours) for loss in report.times.losses],
        },
    )


def _figure(
    exposures: Sequence[ExposureOfNight], name: str, title: str, unit: str, text: str
) -> Figure | None:
    """Return the plot of a number over the night, a colour a band; None without two values.

    Parameters
    ----------
    exposures
        Exposures of the night.
    name, title, unit, text
        The number: attribute, title, unit, and what it is.
    """
    points = [
        (
            one,
            (one.begin - one.begin.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds() / 3600,
            value,
        )
        for one in exposures
        if one.begin is not None and isinstance(value := asdict(one)[name], float)
    ]
    if len(points) < 2:
        return None
    # The night begins in the afternoon, UTC: hours go on beyond midnight.
    hours = [hour if hour >= 12 else hour + 24 for _, hour, _ in points]
    plot = Plot(title, "UT [h]", f"{title} [{unit}]" if unit else title)
    plot.scale_x(hours)
    plot.scale_y([value for *_, value in points])
    for (one, _, value), hour in zip(points, hours, strict=True):
        accepted = one.accepted == Verdict.ACCEPTED.value
        hint = f"{one.expnum} {one.band}: {number_text(value)} {unit}, {one.accepted} {one.reason}".strip()
        plot.marker(hour, value, band_style(one.band), hint, 4.0 if accepted else 2.2)
    bands = tuple(sorted({one.band for one, *_ in points}, key=band_order))
    places = plot.x.ticks(6)
    ticks = list(zip(places, hour_texts(places), strict=True))
    return Figure(title, text, plot.render(xticks=ticks), bands)
