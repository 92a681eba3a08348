"""Lays out a directed graph in layers from left to right (Sugiyama, Tagawa & Toda 1981, in its simplest form)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Box", "arrange", "depths"]

_SWEEPS = 12


@dataclass(slots=True)
class Box:
    """A node: its height, its layer, and where its top comes to lie. Boxes without a name are bends of long edges."""

    name: str
    height: float
    layer: int
    y: float = 0.0
    before: list[Box] = field(default_factory=list)
    after: list[Box] = field(default_factory=list)

    @property
    def middle(self) -> float:
        """Height of its middle."""
        return self.y + self.height / 2


def depths(nodes: Sequence[str], edges: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Layer of each node: the longest way to it. An edge that would close a circle is passed over."""
    before: dict[str, set[str]] = {n: set() for n in nodes}
    for origin, to in edges:
        if origin != to:
            before[to].add(origin)
    depth_of: dict[str, int] = {}
    active: set[str] = set()

    def depth(node: str) -> int:
        if node in depth_of:
            return depth_of[node]
        active.add(node)
        depth_here = max((depth(b) + 1 for b in sorted(before[node]) if b not in active), default=0)
        active.discard(node)
        depth_of[node] = depth_here
        return depth_here

    for node in nodes:
        depth(node)
    return depth_of


def arrange(layers: Mapping[int, list[Box]], gap: float) -> float:
    """Order the boxes of each layer so that few edges cross, and give each its ``y``; returns the whole height."""
    order = [layers[i] for i in sorted(layers)]
    for boxes in order:
        _stack(boxes, gap)
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        for boxes in order if forward else reversed(order):
            wish = {id(b): _wish(b, forward) for b in boxes}
            boxes.sort(key=lambda b: wish[id(b)])
            _stack(boxes, gap)
    tallest = max((_height(boxes, gap) for boxes in order), default=0.0)
    for boxes in order:
        shift = (tallest - _height(boxes, gap)) / 2
        for box in boxes:
            box.y += shift
    for sweep in range(2 * _SWEEPS):
        for boxes in order if sweep % 2 == 0 else reversed(order):
            _relax(boxes, gap, tallest)
    top = min((b.y for boxes in order for b in boxes), default=0.0)
    for boxes in order:
        for box in boxes:
            box.y -= top
    return max((b.y + b.height for boxes in order for b in boxes), default=0.0)


def _wish(box: Box, forward: bool) -> float:
    """Return the mean height of the neighbours of a box in the layer before or after it."""
    near = box.before if forward else box.after
    return sum(b.middle for b in near) / len(near) if near else box.middle


def _height(boxes: Sequence[Box], gap: float) -> float:
    """Return the height of a layer."""
    return sum(b.height for b in boxes) + gap * max(0, len(boxes) - 1)


def _stack(boxes: Sequence[Box], gap: float) -> None:
    """Place boxes below each other."""
    y = 0.0
    for box in boxes:
        box.y = y
        y += box.height + gap


def _relax(boxes: Sequence[Box], gap: float, tallest: float) -> None:
    """Move each box towards the middle of its neighbours, as far as the next boxes let it."""
    for i, box in enumerate(boxes):
        near = [*box.before, *box.after]
        if not near:
            continue
        wish = sum(b.middle for b in near) / len(near) - box.height / 2
        low = boxes[i - 1].y + boxes[i - 1].height + gap if i else 0.0
        high = boxes[i + 1].y - gap - box.height if i + 1 < len(boxes) else tallest - box.height
        box.y = min(max(wish, low), max(low, high))
