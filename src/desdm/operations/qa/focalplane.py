"""A QA number over the focal plane: one value a CCD, as a table and as an SVG picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from statistics import median

from sqlalchemy import Connection

from desdm.archive.catalog import attempt_number
from desdm.errors import NotFoundError
from desdm.quality.qa.model import Number
from desdm.quality.qa.store import numbers_of

__all__ = ["focal_plane", "focal_plane_svg"]

#: CCDs in each column of DECam's focal plane, CCD 1 first (Flaugher et al. 2015, AJ 150, 150, figure 6); by the keyword
#: DETSEC of its files the columns go from left to right, and within each the numbers from below.
_DECAM = (3, 4, 5, 6, 6, 7, 7, 6, 6, 5, 4, 3)
_WIDTH, _HEIGHT, _GAP = 58, 112, 6
#: From blue over white to red: no meaning is told by red and green alone.
_LOW, _MIDDLE, _HIGH = (33, 102, 172), (247, 247, 247), (178, 24, 43)


def focal_plane(conn: Connection, metric: str, run: str) -> list[Number]:
    """Return a QA number of a run by CCD, one a CCD.

    Parameters
    ----------
    conn
        Connection to the database.
    metric, run
        Names of the number and the run.

    Raises
    ------
    NotFoundError
        There is no such run, or it has no such number of a CCD.
    """
    numbers = numbers_of(conn, [attempt_number(conn, run)])
    found = {n.ccdnum: n for n in numbers if n.metric == metric and n.ccdnum}
    if not found:
        known = sorted({n.metric for n in numbers if n.ccdnum})
        hint = f"it has {', '.join(known)}" if known else "it has no number of single CCDs"
        raise NotFoundError(f"{run} has no number {metric} of single CCDs; {hint}")
    return [found[ccdnum] for ccdnum in sorted(found)]


def focal_plane_svg(numbers: Sequence[Number]) -> str:
    """Draw a number of each CCD at its place; the colour is the difference from the median over the scatter."""
    values = {n.ccdnum: n.value for n in numbers}
    finite = [v for v in values.values() if math.isfinite(v)]
    middle = median(finite) if finite else 0.0
    spread = 1.4826 * median(abs(v - middle) for v in finite) if finite else 0.0
    places = _places(max(values, default=1))
    width = max(x for x, _ in places.values()) + _WIDTH + _GAP
    height = max(y for _, y in places.values()) + _HEIGHT + _GAP + 40
    first = numbers[0]
    title = f"{first.metric} of {first.run}" + (f", {first.unit}" if first.unit else "")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" font-family="sans-serif" '
        f'font-size="12" role="img"><title>{escape(title)}</title>',
        f'<text x="{_GAP}" y="18" font-size="15">{escape(title)}; median {middle:.5g}</text>',
    ]
    parts += [_cell(ccdnum, *place, values, middle, spread) for ccdnum, place in places.items()]
    return "\n".join([*parts, "</svg>", ""])


def _places(largest: int) -> dict[int, tuple[float, float]]:
    """Return the corner of each CCD, as DETSEC has them: of DECam's, or of a camera of few CCDs in two columns."""
    columns = _DECAM if largest > 4 else (2, 2)
    places: dict[int, tuple[float, float]] = {}
    ccdnum = 1
    for column, count in enumerate(columns):
        top = 30 + (max(columns) - count) / 2 * (_HEIGHT + _GAP)
        for row in range(count):
            places[ccdnum] = (_GAP + column * (_WIDTH + _GAP), top + (count - 1 - row) * (_HEIGHT + _GAP))
            ccdnum += 1
    return places


def _cell(ccdnum: int, x: float, y: float, values: Mapping[int, float], middle: float, spread: float) -> str:
    """Return one CCD: its number, its value, and a colour; hollow without a value."""
    value = values.get(ccdnum)
    fill, text = "none", ""
    if value is not None:
        place = (value - middle) / (3 * spread) if spread and math.isfinite(value) else 0.0
        fill, text = _colour(place), f"{value:.4g}"
    return (
        f'<g><rect x="{x:g}" y="{y:g}" width="{_WIDTH}" height="{_HEIGHT}" fill="{fill}" stroke="#888"/>'
        f'<text x="{x + 4:g}" y="{y + 16:g}" fill="#555">{ccdnum}</text>'
        f'<text x="{x + _WIDTH / 2:g}" y="{y + _HEIGHT / 2:g}" text-anchor="middle">{escape(text)}</text></g>'
    )


def _colour(place: float) -> str:
    """Return the colour of a place between -1 and 1."""
    share = min(1.0, abs(place)) * 0.8
    goal = _HIGH if place > 0 else _LOW
    return "#" + "".join(f"{round(m + (g - m) * share):02x}" for m, g in zip(_MIDDLE, goal, strict=True))
