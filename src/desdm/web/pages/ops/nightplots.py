"""Plots of a night: seeing, sky, t_eff and zero point, as SVG for readers without scripts and as numbers for uPlot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC
from typing import NamedTuple

from markupsafe import Markup

from desdm.operations.nightreport.model import ExposureOfNight
from desdm.operations.report.plots import band_style
from desdm.operations.report.svg import Plot, hour_texts
from desdm.schema.states import Verdict
from desdm.survey.bands import band_order

__all__ = ["NightPlot", "night_data", "night_plots"]


class NightPlot(NamedTuple):
    """A plot: name of the number, title, unit, what it is, and its SVG."""

    name: str
    title: str
    unit: str
    text: str
    svg: Markup


_NUMBERS = (
    ("fwhm_asec", "Seeing", "arcsec", "median over the CCDs"),
    ("skybrightness", "Sky", "electron/(s pixel)", "background of the exposure"),
    ("t_eff", "t_eff", "", "effective exposure time over the real one"),
    ("magzero", "Zero point", "mag", "magnitude of one electron"),
)


def _value(one: ExposureOfNight, name: str) -> float | None:
    """Return a number of an exposure."""
    value = getattr(one, name)
    return value if isinstance(value, float) else None


def night_plots(exposures: Sequence[ExposureOfNight]) -> list[NightPlot]:
    """Return the plots of those numbers that at least two exposures have."""
    plots = []
    for name, title, unit, text in _NUMBERS:
        having = [one for one in exposures if one.begin is not None and _value(one, name) is not None]
        if len(having) > 1:
            plots.append(NightPlot(name, title, unit, text, _svg(having, name, title, unit)))
    return plots


def _svg(exposures: Sequence[ExposureOfNight], name: str, title: str, unit: str) -> Markup:
    """Return the SVG of a plot, a path for each band and verdict."""
    points = [(one, _hour(one), _value(one, name) or 0.0) for one in exposures]
    plot = Plot(title, "UT [h]", f"{title} [{unit}]" if unit else title, width=560)
    plot.scale_x([hour for _, hour, _ in points])
    plot.scale_y([value for *_, value in points])
    for band in sorted({one.band for one, *_ in points}, key=band_order):
        for accepted, size in ((True, 6.0), (False, 3.5)):
            chosen = [
                (hour, value)
                for one, hour, value in points
                if one.band == band and (one.accepted == Verdict.ACCEPTED.value) == accepted
            ]
            if chosen:
                plot.points([x for x, _ in chosen], [y for _, y in chosen], band_style(band), size)
    places = plot.x.ticks(6)
    ticks = list(zip(places, hour_texts(places), strict=True))
    return Markup(plot.render(xticks=ticks))  # noqa: S704 - our own drawing; texts within are escaped


def _hour(one: ExposureOfNight) -> float:
    """Return the hour of an exposure; the night begins in the afternoon, UTC, and goes on beyond 24 h."""
    assert one.begin is not None
    hour = (one.begin - one.begin.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds() / 3600
    return hour if hour >= 12 else hour + 24


def night_data(exposures: Sequence[ExposureOfNight]) -> Markup:
    """Return the numbers of the exposures as JSON that may stand in a page."""
    having = [one for one in exposures if one.begin is not None]
    document = {
        "time": [int(one.begin.replace(tzinfo=UTC).timestamp()) for one in having if one.begin],
        "expnum": [one.expnum for one in having],
        "band": [one.band for one in having],
        "accepted": [int(one.accepted == Verdict.ACCEPTED.value) for one in having],
        **{name: [_rounded(_value(one, name)) for one in having] for name, *_ in _NUMBERS},
    }
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    # Within a script element nothing but its end tag ends the text; a band is a word from a header.
    return Markup(text.replace("<", "\\u003c"))  # noqa: S704


def _rounded(value: float | None) -> float | None:
    """Return a number with five significant digits, None if it is not finite."""
    return None if value is None or value != value or abs(value) == float("inf") else float(f"{value:.5g}")
