"""What a notebook shows and a file keeps: pictures (PNG) and drawings (SVG)."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path

from desdm.errors import UsageError, storage_error
from desdm.survey.bands import BANDS

__all__ = ["Drawing", "Panel", "Picture", "draw_panels", "picture_of"]

#: Panels beside each other in a drawing, pixels between them, and of the lines above them.
_COLUMNS, _GAP, _TITLE = 2, 26, 44
#: Letters of a line of text below a title.
_LINE = 74


@dataclass(frozen=True)
class Picture:
    """A picture of an image file.

    Attributes
    ----------
    title
        Title that stands in it.
    width, height
        Size in pixels.
    bits
        Mask bit → fraction of the image's pixels that have it; empty if no mask is drawn.
    png
        The picture.
    """

    title: str
    width: int
    height: int
    bits: Mapping[str, float]
    png: bytes = field(repr=False)

    def _repr_png_(self) -> bytes:
        """The picture in a notebook."""
        return self.png

    def save(self, path: str | Path) -> Path:
        """Write the picture as a PNG file, and return its path."""
        return _save(path, ".png", self.png)


@dataclass(frozen=True)
class Drawing:
    """A plot, or several, that stays sharp at every size.

    Attributes
    ----------
    title
        What is drawn.
    svg
        The document, complete with its style.
    """

    title: str
    svg: str = field(repr=False)

    def _repr_svg_(self) -> str:
        """The drawing in a notebook."""
        return self.svg

    def save(self, path: str | Path) -> Path:
        """Write the drawing as an SVG file, and return its path."""
        return _save(path, ".svg", self.svg.encode())


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot of a drawing: its title, a line of text, the SVG element, and the bands whose colours it has."""

    title: str
    text: str
    svg: str
    bands: tuple[str, ...] = ()


def picture_of(path: Path, *, mask: bool = True, size: int = 1000) -> Picture:
    """Draw an image file.

    Parameters
    ----------
    path
        The file.
    mask
        Whether to draw its mask in colours.
    size
        Longer side of the image in the picture, pixels.

    Raises
    ------
    FileTypeError
        The file holds no image.
    """
    from desdm.quality.qa.quicklook import quicklook

    with tempfile.TemporaryDirectory(prefix="desdm-look-") as folder:
        drawn = quicklook(path, Path(folder) / "picture.png", mask=mask, size=size)
        return Picture(drawn.title, drawn.width, drawn.height, drawn.bits, drawn.path.read_bytes())


def draw_panels(title: str, panels: Sequence[Panel], *, columns: int = _COLUMNS) -> Drawing:
    """Put plots beside and below each other in one document.

    Parameters
    ----------
    title
        Title of the drawing.
    panels
        The plots.
    columns
        How many stand beside each other at most.
    """
    boxes = [_view_box(panel.svg) for panel in panels]
    heads = [_wrapped(panel.text) for panel in panels]
    columns = min(columns, len(panels))
    wide = max(width for width, _ in boxes)
    rows = [range(i, min(i + columns, len(panels))) for i in range(0, len(panels), columns)]
    parts, top = [f'<text class="head" x="{_GAP}" y="32">{escape(title)}</text>'], 48.0
    for row in rows:
        head = _TITLE + 15 * max(max(0, len(heads[i]) - 1) for i in row)
        for place, i in enumerate(row):
            left = _GAP + place * (wide + _GAP)
            parts.append(f'<text class="title" x="{left}" y="{top + 18:g}">{escape(panels[i].title)}</text>')
            for k, line in enumerate(heads[i]):
                parts.append(f'<text class="tick" x="{left}" y="{top + 34 + 15 * k:g}">{escape(line)}</text>')
            parts.append(_placed(panels[i].svg, left, top + head, boxes[i]))
            parts.append(_legend(panels[i].bands, left + boxes[i][0], top + 18))
        top += head + max(boxes[i][1] for i in row) + _GAP
    width, height = _GAP + columns * (wide + _GAP), top
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="desdm-look" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}"><style>{_style()}</style>'
        f'<rect class="paper" width="{width:g}" height="{height:g}"/>{"".join(parts)}</svg>'
    )
    return Drawing(title, svg)


def _save(path: str | Path, suffix: str, content: bytes) -> Path:
    """Write a file whose suffix is the one of its format."""
    path = Path(path)
    if path.suffix.lower() != suffix:
        raise UsageError(f"{path}: it is written as {suffix[1:].upper()}; give it the suffix {suffix}")
    try:
        path.write_bytes(content)
    except OSError as err:
        raise storage_error(err, path) from err
    return path


def _view_box(svg: str) -> tuple[float, float]:
    """Return width and height of an SVG element."""
    match = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert match, "plots have a view box"
    return float(match[1]), float(match[2])


def _placed(svg: str, x: float, y: float, box: tuple[float, float]) -> str:
    """Return an SVG element for its place in another."""
    return svg.replace("<svg ", f'<svg x="{x:g}" y="{y:g}" width="{box[0]:g}" height="{box[1]:g}" ', 1)


def _legend(bands: Sequence[str], right: float, y: float) -> str:
    """Return the names of bands in their colours, to the left of a place."""
    texts = (
        f'<text class="band b-{escape(band)}" x="{right - 22 * i:g}" y="{y:g}" text-anchor="end">{escape(band)}</text>'
        for i, band in enumerate(reversed(bands))
    )
    return "".join(texts)


def _wrapped(text: str) -> list[str]:
    """Return a text in lines that fit a panel."""
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + len(word) >= _LINE:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, line] if line else lines


@cache
def _style() -> str:
    """Return the style of drawings: the rules of the reports' style sheet, with the light colours written out.

    Every rule is confined to the drawing, since a notebook puts it into its page; and without variables, which programs
    that edit SVG do not know.
    """
    sheet = (files("desdm.operations.report") / "templates" / "style.css").read_text("utf-8")
    colours = dict(re.findall(r"--(\w+): (#\w+);", sheet.partition("}")[0]))
    values = {
        name: colours[name] for name in ("card", "ink", "soft", "faint", "line", "field", "accent", "bad")
    }
    rules = [
        (".paper", "fill:{card}"),
        ("text", "font-family:system-ui,'DejaVu Sans',Arial,sans-serif"),
        (".head", "fill:{ink};font-size:17px;font-weight:600"),
        (".title", "fill:{ink};font-size:14px;font-weight:600"),
        (".field,.lane", "fill:{field};stroke:{line}"),
        (".grid", "stroke:{line};stroke-width:1;fill:none"),
        (".tick,.note", "fill:{soft};font-size:11px"),
        (".note.value,.blk", "fill:{ink};font-size:12px;font-weight:600"),
        (".axis", "fill:{ink};font-size:12px"),
        (".zero", "stroke:{faint};stroke-dasharray:4 4;stroke-width:1"),
        (".dots", "fill:none;stroke-linecap:round;opacity:.55"),
        (".mark", "stroke:{card};stroke-width:1"),
        (".mark.open", "fill:{card};stroke-width:2"),
        (".median", "stroke-width:2;opacity:.45;stroke-linecap:round"),
        (".range", "stroke-width:6;opacity:.3;stroke-linecap:round"),
        (".ccd", "stroke:{faint};stroke-width:1;opacity:.6"),
        (".whisker", "stroke-width:2.4;stroke-linecap:round"),
        (".cell", "stroke:{card};stroke-width:1"),
        (".cell.empty", "fill:none;stroke:{faint}"),
        (".on-dark", "fill:#ffffff;font-size:11px;font-weight:600"),
        (".on-light", "fill:#14181f;font-size:11px;font-weight:600"),
        (".bad", "stroke:{bad};stroke-width:1.6;fill:none"),
        (".band", "font-size:14px;font-weight:700"),
    ]
    for band in (*BANDS, "none"):
        colour = colours.get(band, colours["none"])
        line = f".dots.b-{band},.median.b-{band},.range.b-{band},.whisker.b-{band},.mark.open.b-{band}"
        rules += [(line, f"stroke:{colour}"), (f".mark.b-{band}:not(.open),.band.b-{band}", f"fill:{colour}")]
        rules.append((f".steps.b-{band}", f"fill:{colour}1a;stroke:{colour};stroke-width:1.8"))
    return "".join(
        ",".join(f".desdm-look {one}" for one in selector.split(",")) + "{" + text.format(**values) + "}"
        for selector, text in rules
    )
