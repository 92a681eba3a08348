"""The graph of a run: its blocks in series, the jobs of each side by side, as SVG whose nodes are links."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise

from markupsafe import Markup

from desdm.operations.desk.store import JobNode
from desdm.schema.states import JobState

__all__ = ["job_graph"]

#: Size of a node, gap, nodes above each other, room for the name of a block, gap between blocks; pixels.
_WIDTH, _HEIGHT, _GAP, _ROWS, _TOP, _BETWEEN = 46, 24, 6, 10, 40, 44
#: A state is a sign too, so that nobody depends on colours.
_SIGNS = {
    JobState.DONE: ("✓", "good"),
    JobState.RUNNING: ("▸", "busy"),
    JobState.QUEUED: ("…", "busy"),
    JobState.FAILED: ("✕", "bad"),
    JobState.LOST: ("?", "bad"),
    JobState.CANCELLED: ("–", "off"),
    JobState.PLANNED: ("", "plain"),
}


def job_graph(jobs: Sequence[JobNode]) -> Markup:
    """Return the graph of jobs; empty for none."""
    blocks: dict[int, list[JobNode]] = {}
    for job in jobs:
        blocks.setdefault(job.block, []).append(job)
    parts: list[str] = []
    x, height = 8.0, 0.0
    ends: list[tuple[float, float]] = []
    for number in sorted(blocks):
        nodes = blocks[number]
        columns = -(-len(nodes) // _ROWS)
        rows = min(len(nodes), _ROWS)
        wide: float = columns * (_WIDTH + _GAP) - _GAP
        high = rows * (_HEIGHT + _GAP) - _GAP
        name = nodes[0].block_name
        wide = max(wide, 8.0 * len(name))
        parts.append(
            f"<g><title>{escape(f'block {number}: {nodes[0].modules}')}</title>"
            f'<text class="block" x="{x:g}" y="20">{escape(name)}</text></g>'
            f'<rect class="block" x="{x - 6:g}" y="{_TOP - 8}" width="{wide + 12:g}" height="{high + 16:g}" rx="6"/>'
        )
        parts += [_node(job, x, place) for place, job in enumerate(nodes)]
        ends.append((x - 6, x + wide + 6))
        height = max(height, _TOP + high + 16)
        x += wide + _BETWEEN
    middle = _TOP + _HEIGHT / 2
    for (_, left), (right, _) in pairwise(ends):
        parts.append(f'<path class="edge" d="M{left:g} {middle:g}H{right - 3:g}m-5 -5l5 5l-5 5"/>')
    if not parts:
        return Markup()
    width = x - _BETWEEN + 14
    text = (
        f'<svg class="jobs" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" '
        f'role="group" aria-label="Blocks and jobs">{"".join(parts)}</svg>'
    )
    return Markup(text)  # noqa: S704 - our own drawing; texts within are escaped


def _node(job: JobNode, x: float, place: int) -> str:
    """Return the node of a job."""
    column, row = divmod(place, _ROWS)
    left, top = x + column * (_WIDTH + _GAP), _TOP + row * (_HEIGHT + _GAP)
    sign, look = _SIGNS[job.state]
    words = f"job {job.number}: {job.state.value}" + (f", {job.keys}" if job.keys else "")
    words += f": {job.comment}" if job.comment else ""
    return (
        f'<a href="#job-{job.number}" aria-label="{escape(words)}"><title>{escape(words)}</title>'
        f'<rect class="node {look}" x="{left:g}" y="{top:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="4"/>'
        f'<text class="{look}" x="{left + _WIDTH / 2:g}" y="{top + 16:g}" text-anchor="middle">'
        f"{job.number}{' ' + sign if sign else ''}</text></a>"
    )
