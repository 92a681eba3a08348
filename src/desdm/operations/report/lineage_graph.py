"""Draw the lineage of a run as one graph: input files, modules with their programs, and their outputs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from desdm.operations.report.gather import RunFacts
from desdm.operations.report.layers import Box, arrange, depths
from desdm.operations.report.store import Flow, OutputFiles
from desdm.operations.report.timeline import colours_of
from desdm.schema.states import WrapperState

__all__ = ["lineage_graph", "size_text"]

_WIDE, _STEP, _LINE, _HEAD, _GAP = 126.0, 152.0, 13.0, 20.0, 20.0
_BEND = 6.0
_MOST_PROGRAMS = 4


def size_text(size: float) -> str:
    """Bytes as people say them."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError


@dataclass(frozen=True, slots=True)
class _Card:
    """A node: a module with its outputs, or input files (``module`` is empty)."""

    title: str
    lines: tuple[str, ...]
    rows: tuple[tuple[str, str], ...]
    colour: int | None
    hint: str

    @property
    def height(self) -> float:
        """Height in pixels."""
        return _HEAD + _LINE * len(self.lines) + (2 * _LINE + 4) * len(self.rows) + 8

    def port(self, row: int) -> float:
        """Height, from the card's top, at which the edges of an output begin."""
        return _HEAD + _LINE * len(self.lines) + (2 * _LINE + 4) * row + _LINE + 6


def lineage_graph(facts: RunFacts) -> str:
    """The SVG; empty if there are no outputs. Parallel files of one module and type are one row: "9 files"."""
    # Logs and the like are no lineage of data.
    outputs = [output for output in facts.outputs if output.filetype not in ("log", "wcl", "junktar")]
    flows = [f for f in facts.flows if f.filetype not in ("log", "wcl", "junktar")]
    if not outputs:
        return ""
    cards = _cards(facts, outputs, flows)
    edges = _edges(outputs, flows)
    layer = _layers(cards, edges)
    return _Drawing(cards, layer, edges).svg()


@dataclass(frozen=True, slots=True)
class _Edge:
    """Files of one output that a module reads: the curve between two cards."""

    origin: str
    row: int
    to: str
    files: int
    hint: str


def _source(flow: Flow) -> str:
    """Return the key of the card that a flow from outside the run comes from."""
    return f"<{flow.run or 'archive'}:{flow.filetype}"


def _cards(facts: RunFacts, outputs: Sequence[OutputFiles], flows: Sequence[Flow]) -> dict[str, _Card]:
    """Return the cards of the graph: modules, and files from outside the run."""
    cards: dict[str, _Card] = {}
    flows_by_source: dict[str, list[Flow]] = defaultdict(list)
    for flow in flows:
        if flow.maker is None:
            flows_by_source[_source(flow)].append(flow)
    for key, flows_of_source in flows_by_source.items():
        # One file may go to several modules; the largest set is the best that one can say without naming each.
        most = max(flows_of_source, key=lambda f: f.files)
        origin = f"run {most.run}" if most.run else "archive"
        cards[key] = _Card(
            most.filetype, (_files(most.files), size_text(most.bytes)), (), None, f"from {origin}"
        )
    files_by_module: dict[str, list[OutputFiles]] = defaultdict(list)
    for output in outputs:
        files_by_module[output.module].append(output)
    runs: dict[str, int] = defaultdict(int)
    for w in facts.wrappers:
        runs[w.module] += w.state in (WrapperState.DONE, WrapperState.REUSED)
    colours = colours_of(facts)
    for module in colours:
        if not files_by_module[module] and not any(f.module == module for f in flows):
            continue
        lines = _programs(facts.programs.get(module, ()))
        rows = tuple(
            (output.filetype, f"{_files(output.files)} · {size_text(output.bytes)}")
            for output in files_by_module[module]
        )
        words = ", ".join(f"{name} {version}" for name, version in facts.programs.get(module, ()))
        hint = f"{module}: {runs[module]} runs; {words}"
        cards[module] = _Card(f"{module} × {runs[module]}", lines, rows, colours[module], hint)
    return cards


def _files(count: int) -> str:
    """Return a number of files as text."""
    return f"{count} file{'s' * (count != 1)}"


def _programs(programs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Return the lines that name the programs of a module."""
    # A code of our own is named by its package: its dotted name is the module's, which stands above.
    short = dict.fromkeys(f"{name.partition('.')[0]} {version}" for name, version in programs)
    lines = list(short)
    if len(lines) > _MOST_PROGRAMS:
        lines = [*lines[: _MOST_PROGRAMS - 1], f"and {len(lines) - _MOST_PROGRAMS + 1} more"]
    return tuple(lines)


def _edges(outputs: Sequence[OutputFiles], flows: Sequence[Flow]) -> list[_Edge]:
    """Return the edges of the graph, from outputs and sources to the modules that used them."""
    rows: dict[tuple[str, str], int] = {}
    counts: dict[str, int] = defaultdict(int)
    for output in outputs:
        rows[output.module, output.filetype] = counts[output.module]
        counts[output.module] += 1
    edges = []
    for flow in flows:
        origin = _source(flow) if flow.maker is None else flow.maker
        row = -1 if flow.maker is None else rows.get((flow.maker, flow.filetype), -1)
        words = f"{_files(flow.files)} {flow.filetype}, {flow.maker or flow.run or 'archive'} → {flow.module}"
        edges.append(_Edge(origin, row, flow.module, flow.files, words))
    return edges


def _layers(cards: Mapping[str, _Card], edges: Sequence[_Edge]) -> dict[str, int]:
    """Return the layer of each card; sources stand just before their first user."""
    pairs = [(e.origin, e.to) for e in edges if e.origin in cards and e.to in cards]
    layers = depths(list(cards), pairs)
    # Files taken in stand just before their first use, not all in the first column.
    for name in cards:
        first = min((layers[to] for origin, to in pairs if origin == name), default=1)
        if name.startswith("<"):
            layers[name] = max(0, first - 1)
    return layers


class _Drawing:
    """The cards and edges of the graph, arranged in layers."""

    def __init__(self, cards: Mapping[str, _Card], layer: Mapping[str, int], edges: Sequence[_Edge]) -> None:
        self.cards = cards
        self.edges = [
            e for e in edges if e.origin in cards and e.to in cards and layer[e.origin] < layer[e.to]
        ]
        self.boxes = {name: Box(name, card.height, layer[name]) for name, card in cards.items()}
        self.bends: dict[tuple[str, int, int], Box] = {}
        self.layers: dict[int, list[Box]] = defaultdict(list)
        for box in self.boxes.values():
            self.layers[box.layer].append(box)
        for edge in self.edges:
            self._add_edge(edge)
        self.height = arrange(self.layers, _GAP)

    def _add_edge(self, edge: _Edge) -> None:
        """Add an edge to the layers, with a bend in each layer that it crosses."""
        # All edges of one output share their bends, as a bus does: six uses of one file are one line with six exits.
        box, goal = self.boxes[edge.origin], self.boxes[edge.to]
        for layer in range(box.layer + 1, goal.layer):
            key = edge.origin, edge.row, layer
            if key not in self.bends:
                self.bends[key] = Box("", _BEND, layer)
                self.layers[layer].append(self.bends[key])
                self._connect(box, self.bends[key])
            box = self.bends[key]
        self._connect(box, goal)

    @staticmethod
    def _connect(origin: Box, to: Box) -> None:
        """Record that two boxes are neighbours."""
        if to not in origin.after:
            origin.after.append(to)
            to.before.append(origin)

    def svg(self) -> str:
        """Return the drawing as an SVG element."""
        columns = 1 + max((b.layer for b in self.boxes.values()), default=0)
        width = (columns - 1) * _STEP + _WIDE + 8
        parts = [self._lines()]
        parts += [self._card(box, self.cards[name]) for name, box in self.boxes.items()]
        height = self.height + 8
        wide = " wide" if width > 1000 else ""
        return (
            f'<svg class="lineage{wide}" viewBox="-4 -4 {width:.0f} {height:.0f}" width="{width:.0f}" '
            f'height="{height:.0f}" role="img" aria-label="Lineage of the files">{"".join(parts)}</svg>'
        )

    def _lines(self) -> str:
        """Return the SVG of the edges."""
        entry = self._entries()
        drawn: dict[str, tuple[int, str]] = {}
        for edge in self.edges:
            box = self.boxes[edge.origin]
            card = self.cards[edge.origin]
            at = box.y + (card.port(edge.row) if edge.row >= 0 else box.height / 2)
            x, y = box.layer * _STEP + _WIDE, at
            goal = self.boxes[edge.to]
            for layer in range(box.layer + 1, goal.layer):
                bend = self.bends[edge.origin, edge.row, layer]
                left, middle = layer * _STEP, bend.middle
                drawn.setdefault(_curve(x, y, left, middle) + f"H{left + _WIDE:.1f}", (edge.files, edge.hint))
                x, y = left + _WIDE, middle
            path = _curve(x, y, goal.layer * _STEP - 5, entry[edge.origin, edge.row, edge.to])
            drawn.setdefault(path + "~", (edge.files, edge.hint))
        parts = [
            '<defs><marker id="tip" viewBox="0 0 6 6" refX="1" refY="3" markerWidth="6" markerHeight="6" '
            'markerUnits="userSpaceOnUse" orient="auto"><path class="tip" d="M0 0L6 3L0 6z"/></marker></defs>'
        ]
        for path, (_, hint) in drawn.items():
            end = ' marker-end="url(#tip)"' if path.endswith("~") else ""
            parts.append(
                f'<path class="edge"{end} d="{path.rstrip("~")}"><title>{escape(hint)}</title></path>'
            )
        return "".join(parts)

    def _entries(self) -> dict[tuple[str, int, str], float]:
        """Where each edge enters its module: one below the other, in the order of where they come from."""
        coming: dict[str, list[tuple[float, _Edge]]] = defaultdict(list)
        for edge in self.edges:
            goal, origin = self.boxes[edge.to], self.boxes[edge.origin]
            near = self.bends.get((edge.origin, edge.row, goal.layer - 1), origin)
            coming[edge.to].append((near.middle, edge))
        entry: dict[tuple[str, int, str], float] = {}
        for name, incoming in coming.items():
            incoming.sort(key=lambda pair: pair[0])
            box = self.boxes[name]
            room = min(12.0, (box.height - 16) / max(1, len(incoming)))
            first = box.y + min(box.height / 2, 8 + _HEAD) - room * (len(incoming) - 1) / 2
            first = max(first, box.y + 8)
            for i, (_, edge) in enumerate(incoming):
                entry[edge.origin, edge.row, name] = first + i * room
        return entry

    def _card(self, box: Box, card: _Card) -> str:
        """Return the SVG of a card."""
        x, y = box.layer * _STEP, box.y
        kind = "input" if card.colour is None else "module"
        parts = [
            f'<g class="card {kind}"><title>{escape(card.hint)}</title>'
            f'<rect class="body" x="{x:.1f}" y="{y:.1f}" width="{_WIDE:.0f}" height="{box.height:.1f}" rx="7"/>'
        ]
        if card.colour is not None:
            parts.append(
                f'<rect class="wrap m{card.colour}" x="{x:.1f}" y="{y:.1f}" width="4" height="{box.height:.1f}" rx="2"/>'
            )
        parts.append(_text_element("name", x + 11, y + 15, card.title, 19))
        for i, line in enumerate(card.lines):
            parts.append(_text_element("tick", x + 11, y + _HEAD + 8 + i * _LINE, line, 20))
        for i, (filetype, text) in enumerate(card.rows):
            base = y + _HEAD + _LINE * len(card.lines) + (2 * _LINE + 4) * i
            parts.append(
                f'<rect class="made" x="{x + 8:.1f}" y="{base + 2:.1f}" width="{_WIDE - 12:.1f}" '
                f'height="{2 * _LINE + 1:.1f}" rx="4"/>'
            )
            parts.append(_text_element("type", x + 12, base + 13, filetype, 18))
            parts.append(_text_element("tick", x + 12, base + 25, text, 22))
        return "".join(parts) + "</g>"


def _text_element(style: str, x: float, y: float, text: str, most: int) -> str:
    """Return an SVG text, cut to ``most`` characters."""
    label = text if len(text) <= most else text[: most - 1] + "…"
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{escape(label)}</text>'


def _curve(x1: float, y1: float, x2: float, y2: float) -> str:
    """Return the SVG path of an edge."""
    middle = (x1 + x2) / 2
    return f"M{x1:.1f} {y1:.1f}C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
