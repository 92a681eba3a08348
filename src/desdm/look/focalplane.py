"""Draws a number of each CCD over the field of an exposure, north up and east left."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from desdm.errors import NotFoundError
from desdm.look.display import Drawing, Panel, draw_panels
from desdm.look.numbers import CcdOutline
from desdm.operations.report.skyplot import sky_field, sky_plot
from desdm.operations.report.svg import Plot, nice_ticks, number_text, tick_texts

__all__ = ["draw_focalplane"]

#: Colours from low to high that differ in lightness for every eye: viridis (matplotlib) at nine places.
_COLOURS = (
    (68, 1, 84),
    (71, 44, 122),
    (59, 81, 139),
    (44, 113, 142),
    (33, 144, 141),
    (39, 173, 129),
    (92, 200, 99),
    (170, 220, 50),
    (253, 231, 37),
)
#: Margin on the right for the scale of colours, and the height of one of its steps, pixels.
_MARGIN, _STEPS = 92, 48
#: Fewer CCDs than these have their values written on them.
_FEW = 12


def draw_focalplane(
    title: str, outlines: Sequence[CcdOutline], values: Mapping[int, float], label: str
) -> Drawing:
    """Draw the CCDs of an exposure in the colours of a number.

    Parameters
    ----------
    title
        Title of the drawing.
    outlines
        The CCDs on the sky; one without a value is drawn empty.
    values
        CCD → value.
    label
        Name of the number, with its unit.

    Raises
    ------
    NotFoundError
        No CCD has an outline.
    """
    field = sky_field([one.corners for one in outlines])
    if field is None:
        raise NotFoundError(f"{title}: the places of the CCDs on the sky are not known")
    plot = sky_plot(title, field, right=_MARGIN)
    finite = [v for v in values.values() if math.isfinite(v)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    for one, corners in zip(outlines, field.corners, strict=True):
        _draw_ccd(plot, one, corners, values.get(one.ccdnum), low, high, len(outlines))
    if finite:
        _draw_scale(plot, low, high)
    text = _summary(values, outlines)
    return draw_panels(title, [Panel(label, text, plot.render())], columns=1)


def _summary(values: Mapping[int, float], outlines: Sequence[CcdOutline]) -> str:
    """Return the line below the title: the range, the median, and which CCDs have no value."""
    if not values:
        return "no CCD has a value"
    least, most = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
    middle = float(np.median(list(values.values())))
    text = (
        f"{len(values)} CCDs; median {number_text(middle)}, from {number_text(values[least])} (CCD {least}) "
        f"to {number_text(values[most])} (CCD {most})"
    )
    missing = [str(one.ccdnum) for one in outlines if one.ccdnum not in values]
    return text + (f"; without a value: CCD {', '.join(missing)}" if missing else "")


def _draw_ccd(
    plot: Plot,
    one: CcdOutline,
    corners: Sequence[tuple[float, float]],
    value: float | None,
    low: float,
    high: float,
    count: int,
) -> None:
    """Draw a CCD as a filled outline with its number, and with its value where there are few."""
    path = "M" + "L".join(f"{plot.x(x):.1f} {plot.y(y):.1f}" for x, y in corners) + "Z"
    x, y = (sum(axis) / len(corners) for axis in zip(*corners, strict=True))
    words = f"CCD {one.ccdnum} {one.name}: {'no value' if value is None else number_text(value)}"
    style, shade = ("cell empty", "") if value is None else ("cell", f' fill="{_colour(value, low, high)}"')
    plot.over.append(f'<path class="{style}"{shade} d="{path}"><title>{escape(words)}</title></path>')
    dark = value is not None and (value - low) < 0.6 * (high - low)
    ink = "tick" if value is None else "on-dark" if dark else "on-light"
    few = count < _FEW
    lines = [str(one.ccdnum)] if value is None or not few else [f"CCD {one.ccdnum}", number_text(value)]
    for i, text in enumerate(lines):
        down = plot.y(y) + 4 + 15 * (i - (len(lines) - 1) / 2)
        size = "" if few else ' style="font-size:9px"'
        plot.over.append(
            f'<text class="{ink}"{size} x="{plot.x(x):.1f}" y="{down:.1f}" text-anchor="middle">{escape(text)}</text>'
        )


def _draw_scale(plot: Plot, low: float, high: float) -> None:
    """Draw the scale of colours on the right."""
    left, top, bottom = plot.width - plot.right + 16, plot.top, plot.height - plot.bottom
    high = high if high > low else low + (abs(low) or 1.0) * 1e-3
    step = (bottom - top) / _STEPS
    for i in range(_STEPS):
        colour = _colour(i + 0.5, 0, _STEPS)
        y = bottom - (i + 1) * step
        plot.over.append(
            f'<rect x="{left}" y="{y:.2f}" width="13" height="{step + 0.4:.2f}" fill="{colour}"/>'
        )
    ticks = nice_ticks(low, high, 5)
    texts, offset = tick_texts(ticks)
    for value, text in zip(ticks, texts, strict=True):
        y = bottom - (value - low) / (high - low) * (bottom - top)
        plot.over.append(f'<text class="tick" x="{left + 18}" y="{y + 3.8:.1f}">{escape(text)}</text>')
    if offset:
        plot.over.append(f'<text class="tick" x="{left}" y="{top - 3}">+ {escape(offset)}</text>')


def _colour(value: float, low: float, high: float) -> str:
    """Return the colour of a value."""
    share = 0.5 if high <= low else min(1.0, max(0.0, (value - low) / (high - low)))
    place = share * (len(_COLOURS) - 1)
    i = min(int(place), len(_COLOURS) - 2)
    mixed = (round(a + (b - a) * (place - i)) for a, b in zip(_COLOURS[i], _COLOURS[i + 1], strict=True))
    return "#" + "".join(f"{part:02x}" for part in mixed)
