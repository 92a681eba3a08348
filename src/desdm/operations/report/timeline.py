"""Draws when blocks and jobs ran: lanes of parallel jobs under each block, the modules' runs within them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape

from desdm.operations.report.gather import JobFacts, RunFacts, WrapperFacts
from desdm.operations.report.svg import nice_ticks
from desdm.schema.states import WrapperState

__all__ = ["MODULE_COLOURS", "colours_of", "duration", "timeline"]

#: Number of colours that the style sheet has for modules (classes m0 … m11).
MODULE_COLOURS = 12
_WIDTH, _LEFT, _RIGHT = 1200, 150, 16
_MOST_WRAPPERS = 4000


def duration(seconds: float | None) -> str:
    """A length of time as people say it."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def colours_of(facts: RunFacts) -> dict[str, int]:
    """A colour's number for each module, in the order of their first runs."""
    return {m: i % MODULE_COLOURS for i, m in enumerate(dict.fromkeys(w.module for w in facts.wrappers))}


def timeline(facts: RunFacts) -> str:
    """The SVG; empty if nothing ran yet."""
    begun = [job for job in facts.jobs if job.start is not None]
    if not begun:
        return ""
    zero = min(facts.row.submittime, *(job.start for job in begun if job.start))
    last = max([t for job in begun for t in (job.start, job.end) if t] + ([facts.end] if facts.end else []))
    span = max((last - zero).total_seconds(), 1e-3)
    lanes = {b.name: _lanes([j for j in begun if j.block == b.name], last) for b in facts.blocks}
    tall = max((len(rows) for rows in lanes.values()), default=1)
    lane = max(4.0, min(16.0, 220.0 / max(1, tall)))
    parts: list[str] = []
    y = 26.0
    inside: dict[int, list[WrapperFacts]] = {}
    if len(facts.wrappers) <= _MOST_WRAPPERS:
        for wrapper in facts.wrappers:
            inside.setdefault(wrapper.job, []).append(wrapper)
    scale = _Time(zero, span)
    colours = colours_of(facts)
    for block in facts.blocks:
        rows = lanes[block.name]
        height = max(26.0, len(rows) * (lane + 3) + 10)
        parts.append(_block(block.name, block.jobs, y, height))
        for i, row in enumerate(rows):
            top = y + 5 + i * (lane + 3) + max(0.0, (height - 10 - len(rows) * (lane + 3)) / 2)
            for job in row:
                parts.append(_job(job, inside.get(job.number, []), scale, last, top, lane, colours))
        y += height + 6
    return (
        f'<svg class="timeline" viewBox="0 0 {_WIDTH} {y + 2:.0f}" role="img" aria-label="Time line of blocks and jobs">'
        f"{_axis(span, scale, y)}{''.join(parts)}</svg>"
    )


class _Time:
    """The horizontal scale: times to pixels."""

    def __init__(self, zero: datetime, span: float) -> None:
        self.zero, self.span = zero, span

    def __call__(self, when: datetime) -> float:
        return self.at((when - self.zero).total_seconds())

    def at(self, seconds: float) -> float:
        """Return the position in pixels of a number of seconds after the start."""
        return _LEFT + 8 + seconds / self.span * (_WIDTH - _LEFT - _RIGHT - 8)


def _lanes(jobs: Sequence[JobFacts], last: datetime) -> list[list[JobFacts]]:
    """Jobs in as few rows as can be without overlap: as many rows as ran at once."""
    rows: list[list[JobFacts]] = []
    ends: list[datetime] = []
    for job in sorted(jobs, key=lambda j: (j.start or last, j.number)):
        start = job.start or last
        free = next((i for i, end in enumerate(ends) if end <= start), None)
        if free is None:
            rows.append([])
            ends.append(last)
            free = len(rows) - 1
        rows[free].append(job)
        ends[free] = job.end or last
    return rows


def _block(name: str, jobs: int, y: float, height: float) -> str:
    """Return the SVG of a block's name and jobs."""
    middle = y + height / 2
    return (
        f'<rect class="lane" x="0" y="{y:.1f}" width="{_WIDTH}" height="{height:.1f}" rx="6"/>'
        f'<text class="blk" x="12" y="{middle - 1:.1f}">{escape(name)}</text>'
        f'<text class="tick" x="12" y="{middle + 12:.1f}">{jobs} job{"s" * (jobs != 1)}</text>'
    )


def _job(
    job: JobFacts,
    wrappers: Sequence[WrapperFacts],
    scale: _Time,
    last: datetime,
    top: float,
    height: float,
    colours: Mapping[str, int],
) -> str:
    """Return the SVG of a job and its wrappers."""
    begin, end = scale(job.start or last), scale(job.end or last)
    text = f"job {job.number} {job.keys}: {job.state}"
    if job.start and job.end:
        text += f", {duration((job.end - job.start).total_seconds())}"
    parts = [
        f'<g><title>{escape(text)}</title><rect class="job s-{escape(job.state)}" x="{begin:.1f}" y="{top:.1f}" '
        f'width="{max(1.5, end - begin):.1f}" height="{height:.1f}" rx="2"/></g>'
    ]
    for w in wrappers:
        if w.start is None:
            continue
        a, b = scale(w.start), scale(w.end or last)
        style = "wbad" if w.state is WrapperState.FAILED else f"m{colours[w.module]}"
        words = f"{w.module} {w.keys}: {w.state}, {duration(w.seconds)}"
        parts.append(
            f'<rect class="wrap {style}" x="{a:.1f}" y="{top + 1:.1f}" width="{max(1.0, b - a):.1f}" '
            f'height="{max(2.0, height - 2):.1f}"><title>{escape(words)}</title></rect>'
        )
    return "".join(parts)


def _axis(span: float, scale: _Time, low: float) -> str:
    """Return the SVG of the time axis."""
    unit, name = next(
        (u, n)
        for u, n, most in ((1, "s", 180), (60, "min", 10_800), (3600, "h", float("inf")))
        if span <= most
    )
    parts = []
    for tick in nice_ticks(0.0, span / unit, 8):
        x = scale.at(tick * unit)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="20" y2="{low:.0f}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="14" text-anchor="middle">{tick:g} {name}</text>')
    return "".join(parts)
