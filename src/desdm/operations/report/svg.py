"""A small plotting library: axes with ticks and units, points, steps and lines as SVG, coloured by style sheet classes.

Colours come from the page, so that a plot is as crisp and legible on a dark page as on a light one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Plot", "Scale", "hour_texts", "nice_ticks", "number_text", "tick_texts"]

Values: TypeAlias = npt.NDArray[np.float64]


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round values within a range, for ticks.

    Parameters
    ----------
    low, high
        The range.
    count
        About how many.
    """
    span = high - low
    # An axis of fewer than a billionth of its numbers is beyond what doubles can divide.
    if not (math.isfinite(span) and span > 1e-9 * max(abs(low), abs(high))):
        return [low]
    power = 10.0 ** math.floor(math.log10(span / max(1, count)))

    def ticks(step: float) -> list[float]:
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        return [float(f"{i * step:.12g}") for i in range(first, last + 1)]

    return min((ticks(m * power) for m in (1, 2, 5, 10)), key=lambda candidates: abs(len(candidates) - count))


def number_text(value: float) -> str:
    """Return a number in its shortest form, with a typographic minus sign."""
    if value == 0:
        return "0"
    if abs(value) >= 1e6 or abs(value) < 1e-3:
        mantissa, _, exponent = f"{value:.3g}".partition("e")
        text = f"{mantissa}e{int(exponent)}" if exponent else mantissa
    else:
        text = f"{value:.4g}" if abs(value) < 10_000 else f"{value:.0f}"
    return text.replace("-", "−")


def hour_texts(hours: Sequence[float]) -> list[str]:
    """Return times of the day for ticks, in hours; where these do not tell them apart, as HH:MM:SS."""
    texts = [number_text(hour % 24) for hour in hours]
    if len(set(texts)) == len(texts):
        return texts
    seconds = [round(hour * 3600) % 86400 for hour in hours]
    return [f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in seconds]


def tick_texts(ticks: Sequence[float]) -> tuple[list[str], str]:
    """Numbers of an axis with as many digits as tell them apart, and what is added to each; empty: nothing.

    Where that takes more than seven signs (a zero point of 29.0612 to 29.0614), the axis shows what is beyond the first
    tick, and the offset stands at its end.
    """
    short = [number_text(v) for v in ticks]
    if len(ticks) < 2 or len(set(short)) == len(short):
        return short, ""
    step = min(abs(b - a) for a, b in pairwise(ticks))
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    texts = [f"{v:.{digits}f}".replace("-", "−") for v in ticks]
    if max(map(len, texts)) <= 7:
        return texts, ""
    base = ticks[0]
    return [number_text(float(f"{v - base:.3g}")) for v in ticks], f"{base:.{digits}f}".replace("-", "−")


@dataclass(frozen=True, slots=True)
class Scale:
    """From data to pixels along one axis; ``log`` is decimal."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    @classmethod
    def of(
        cls, values: Iterable[float], begin: float, end: float, *, log: bool = False, pad: float = 0.05
    ) -> Scale:
        """Return a scale for values.

        Parameters
        ----------
        values
            Values that must fit; those that are not finite are ignored.
        begin, end
            Pixels of its ends.
        log
            Logarithmic scale; values of 0 and less are ignored.
        pad
            Margin at each end, as a share of the range.
        """
        finite = [v for v in values if math.isfinite(v) and (not log or v > 0)]
        low, high = (min(finite), max(finite)) if finite else ((1.0, 10.0) if log else (0.0, 1.0))
        if log:
            low, high = math.log10(low), math.log10(high)
        air = (high - low) * pad
        if high == low:
            air = abs(high) * 0.1 if high and not log else 0.5
        low, high = low - air, high + air
        return cls(10**low if log else low, 10**high if log else high, begin, end, log)

    def __call__(self, value: float) -> float:
        """Pixel of a value."""
        low, high, here = self.low, self.high, value
        if self.log:
            low, high, here = math.log10(low), math.log10(high), math.log10(max(value, 1e-300))
        return self.begin + (here - low) / (high - low) * (self.end - self.begin)

    def many(self, values: Values) -> Values:
        """Pixels of values."""
        low, high = self.low, self.high
        here = np.asarray(values, np.float64)
        if self.log:
            low, high, here = math.log10(low), math.log10(high), np.log10(np.maximum(here, 1e-300))
        return self.begin + (here - low) / (high - low) * (self.end - self.begin)

    def ticks(self, count: int) -> list[float]:
        """Where ticks stand."""
        if not self.log:
            return nice_ticks(min(self.low, self.high), max(self.low, self.high), count)
        low, high = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        marks = [10.0**p for p in range(low, high + 1)]
        if len([m for m in marks if self.low <= m <= self.high]) < 2:
            marks = [m * f for m in marks for f in (1, 2, 5)]
        step = max(1, len(marks) // 8)
        return [m for m in marks[::step] if self.low <= m <= self.high]


@dataclass(slots=True)
class Plot:
    """One plot: a title, two axes with their labels, and what is drawn between them.

    Sizes are in pixels of the view box; the page scales it.
    """

    title: str
    xlabel: str
    ylabel: str
    width: int = 420
    height: int = 270
    left: int = 70
    right: int = 14
    top: int = 14
    bottom: int = 44
    x: Scale = field(init=False)
    y: Scale = field(init=False)
    body: list[str] = field(default_factory=list)
    over: list[str] = field(default_factory=list)

    def scale_x(self, values: Iterable[float], *, log: bool = False, pad: float = 0.05) -> None:
        """Set the horizontal scale.

        Parameters
        ----------
        values
            Values that must fit.
        log
            Logarithmic scale.
        pad
            Margin at each end, as a share of the range.
        """
        self.x = Scale.of(values, self.left, self.width - self.right, log=log, pad=pad)

    def scale_y(self, values: Iterable[float], *, log: bool = False, pad: float = 0.08) -> None:
        """Set the vertical scale.

        Parameters
        ----------
        values
            Values that must fit.
        log
            Logarithmic scale.
        pad
            Margin at each end, as a share of the range.
        """
        self.y = Scale.of(values, self.height - self.bottom, self.top, log=log, pad=pad)

    def points(
        self, xs: Sequence[float] | Values, ys: Sequence[float] | Values, style: str, size: float = 3.0
    ) -> None:
        """Draw points.

        Parameters
        ----------
        xs, ys
            Coordinates; points that are not finite are skipped.
        style
            CSS class.
        size
            Radius, pixels.
        """
        px, py = self.x.many(np.asarray(xs, np.float64)), self.y.many(np.asarray(ys, np.float64))
        good = np.isfinite(px) & np.isfinite(py)
        good &= (px >= self.left - 1) & (px <= self.width - self.right + 1)
        good &= (py >= self.top - 1) & (py <= self.height - self.bottom + 1)
        if good.any():
            path = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(px[good], py[good], strict=True))
            self.body.append(f'<path class="dots {escape(style)}" stroke-width="{size:g}" d="{path}"/>')

    def marker(self, x: float, y: float, style: str, text: str, radius: float = 3.6) -> None:
        """Draw one point with a hint.

        Parameters
        ----------
        x, y
            Coordinates.
        style
            CSS class.
        text
            Hint that a browser displays.
        radius
            Radius, pixels.
        """
        px, py = self.x(x), self.y(y)
        if math.isfinite(px) and math.isfinite(py):
            self.over.append(
                f'<circle class="mark {escape(style)}" cx="{px:.1f}" cy="{py:.1f}" r="{radius:g}">'
                f"<title>{escape(text)}</title></circle>"
            )

    def steps(self, edges: Values, counts: Values, style: str, floor: float) -> None:
        """Draw a histogram.

        Parameters
        ----------
        edges, counts
            Edges of the bins, one more than counts.
        style
            CSS class.
        floor
            Value of the base line.
        """
        px = self.x.many(edges)
        py = self.y.many(np.maximum(counts.astype(np.float64), floor))
        path = f"M{px[0]:.1f} {self.y(floor):.1f}"
        for left, right, level in zip(px[:-1], px[1:], py, strict=True):
            path += f"L{left:.1f} {level:.1f}H{right:.1f}"
        path += f"V{self.y(floor):.1f}"
        self.body.append(f'<path class="steps {escape(style)}" d="{path}"/>')

    def segment(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        """Draw a straight line.

        Parameters
        ----------
        x1, y1, x2, y2
            Coordinates of its ends.
        style
            CSS class.
        """
        a, b, c, d = self.x(x1), self.y(y1), self.x(x2), self.y(y2)
        self.body.append(
            f'<line class="{escape(style)}" x1="{a:.1f}" y1="{b:.1f}" x2="{c:.1f}" y2="{d:.1f}"/>'
        )

    def note(self, x: float, y: float, text: str, style: str = "", anchor: str = "start") -> None:
        """Write a text.

        Parameters
        ----------
        x, y
            Position, pixels.
        text
            The text.
        style
            CSS class.
        anchor
            SVG text anchor: start, middle or end.
        """
        self.over.append(
            f'<text class="note {escape(style)}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
        )

    def render(self, *, xticks: Sequence[tuple[float, str]] | None = None) -> str:
        """The SVG element; ``xticks`` replaces the numbers under the horizontal axis."""
        low, right = self.height - self.bottom, self.width - self.right
        parts = [
            f'<svg class="plot" viewBox="0 0 {self.width} {self.height}" role="img" '
            f'aria-label="{escape(self.title)}">',
            f'<rect class="field" x="{self.left}" y="{self.top}" width="{right - self.left}" height="{low - self.top}"/>',
        ]
        marks = self.y.ticks(5)
        texts, offset = ([number_text(v) for v in marks], "") if self.y.log else tick_texts(marks)
        if offset:
            parts.append(_text(self.left, self.top - 3, f"+ {offset}", "start"))
        for value, text in zip(marks, texts, strict=True):
            y = self.y(value)
            parts.append(f'<line class="grid" x1="{self.left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(_text(self.left - 7, y + 3.8, text, "end"))
        along = self.x.ticks(6)
        texts, offset = ([number_text(v) for v in along], "") if self.x.log else tick_texts(along)
        numbers = list(zip(along, texts, strict=True)) if xticks is None else xticks
        if offset and xticks is None:
            parts.append(_text(right, self.height - 7, f"+ {offset}", "end"))
        for value, text in numbers:
            x = self.x(value)
            if xticks is None:
                parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{self.top}" y2="{low}"/>')
            parts.append(_text(x, low + 16, text, "middle"))
        parts += [*self.body, *self.over]
        parts.append(_text((self.left + right) / 2, self.height - 7, self.xlabel, "middle", "axis"))
        middle = (self.top + low) / 2
        parts.append(
            f'<text class="axis" text-anchor="middle" transform="translate(13 {middle:.1f}) rotate(-90)">'
            f"{escape(self.ylabel)}</text></svg>"
        )
        return "".join(parts)


def _text(x: float, y: float, text: str, anchor: str, style: str = "tick") -> str:
    """Return an SVG text element."""
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
