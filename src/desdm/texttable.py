"""Tables of plain text: one row a line, names and numbers whole, as many columns as the terminal has room for.

On a terminal free text is cut with an ellipsis, and columns that have no room are left out and named below the table.
In a pipe or file nothing is cut: every row is one line with all of its values, two blanks apart.
"""

from __future__ import annotations

import math
import re
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

__all__ = [
    "Styled",
    "cell_width",
    "number_texts",
    "size_text",
    "table_lines",
    "terminal_width",
    "time_text",
    "without_codes",
]

_GAP = 2
#: Control sequences and strings of a terminal, and its control characters (ECMA-48, 5.4, 5.6, 8.3); lines and tabs stay.
_CODES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?"
    r"|\x1b[ -/]*[0-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
#: Free text is not cut below this; and not below the larger number while there are expendable columns to leave out.
_LEAST, _AMPLE = 12, 40


@dataclass(frozen=True, slots=True)
class Styled:
    """A cell with a colour of `click.style`."""

    text: str
    colour: str


def terminal_width() -> int | None:
    """Columns of the terminal on standard output; None where it is a pipe or a file."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def without_codes(text: str) -> str:
    """The same text without what would move the cursor of a terminal, colour it or set its title."""
    return text if text.isprintable() else _CODES.sub("", text)


def size_text(count: int | None) -> str:
    """Bytes as people read them: 9 B, 1.2 kB, 34 MB (powers of 1000)."""
    if count is None:
        return ""
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if abs(value) < 999.5:
            break
        value, unit = value / 1000.0, larger
    return f"{value:.0f} {unit}" if unit == "B" or abs(value) >= 9.95 else f"{value:.1f} {unit}"


def time_text(time: datetime | None) -> str:
    """A time to the second."""
    return "" if time is None else f"{time:%Y-%m-%d %H:%M:%S}"


def number_texts(values: Sequence[float | None]) -> list[str]:
    """Numbers of one column with the same number of decimals: four figures of the largest.

    Where they span more than five powers of ten, as numbers of different things do, each has four figures of its own.
    """
    sizes = [abs(v) for v in values if v is not None and math.isfinite(v) and v != 0]
    if not sizes:
        return ["" if v is None else f"{v:g}" for v in values]
    largest = max(sizes)
    decimals = 3 - math.floor(math.log10(largest))
    if decimals > 7 or largest >= 1e15 or largest / min(sizes) > 1e5:
        return ["" if v is None else f"{v:.4g}" for v in values]
    decimals = max(decimals, 0)
    if all(v is None or not math.isfinite(v) or v == int(v) for v in values):
        decimals = 0
    texts = ["" if v is None else f"{v:.{decimals}f}" for v in values]
    # A small negative number must not read as minus zero.
    return [t[1:] if t.startswith("-") and not t.strip("-0.") else t for t in texts]


def cell_width(text: str) -> int:
    """Columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


@dataclass(slots=True)
class _Column:
    """One column: its heading, its texts, and how it may be narrowed."""

    number: int
    head: str
    texts: list[str]
    right: bool
    free: bool  # free text, which may be cut
    width: int = 0
    last: bool = False  # nothing stands after it, so it is not padded

    def __post_init__(self) -> None:
        self.width = max(cell_width(self.head), *(cell_width(t) for t in self.texts), 0)


def table_lines(
    heads: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    width: int | None = None,
    expendable: Sequence[str] = (),
    mixed: Collection[str] = (),
    right: Collection[int] = (),
    under: Sequence[str] = (),
    style: Callable[[str, str], str] | None = None,
    more: str = "a wider terminal, a pipe or --json has them",
) -> list[str]:
    """Lay a table out.

    Parameters
    ----------
    heads
        Headings; a column of times gets ``(UTC)`` added.
    rows
        Cells: text, numbers, times, None (empty), or `Styled`.
    width
        Columns of the terminal; None: nothing is cut or left out.
    expendable
        Headings of the columns that are left out first, in this order; after them the last ones go.
    mixed
        Headings of number columns in which every row is of something else: four figures each.
    right
        Numbers of the columns of text that stand right, as numbers do.
    under
        A second line of headings.
    style
        Colours a text: ``style(text, colour)``; colour ``bold`` is for the headings, ``dim`` for the line below.
    more
        Where the columns that were left out can be seen.

    Returns
    -------
    list of str
        Headings, rows, and a line on what was left out; no trailing blanks.
    """
    kept = [list(row) for row in rows]
    columns = [_column(i, head, [row[i] for row in kept], head in mixed) for i, head in enumerate(heads)]
    for c in columns:
        if c.number in right:
            c.right, c.free = True, False
        if under:
            c.width = max(c.width, cell_width(under[c.number]))
    gone = [] if width is None else _fit(columns, width, expendable)
    shown = [c for c in columns if c not in gone]
    paint = style or (lambda text, colour: text)
    if not shown[-1].right:
        shown[-1].last = True
    lines = [_line([paint(_pad(c.head, c), "bold") for c in shown])]
    if under:
        lines.append(_line([paint(_pad(under[c.number], c), "bold") for c in shown]))
    for n, row in enumerate(kept):
        cells = []
        for c in shown:
            text, cell = _pad(_cut(c.texts[n], c.width), c), row[c.number]
            cells.append(paint(text, cell.colour) if isinstance(cell, Styled) and style else text)
        lines.append(_line(cells))
    if gone:
        word = "column" if len(gone) == 1 else "columns"
        names = ", ".join(c.head for c in gone)
        note = f"{len(gone)} {word} left out ({names}): {more}"
        if width is not None and len(note) > width:
            note = _cut(f"{len(gone)} {word} left out: {more}", width)
        lines.append(paint(note, "dim"))
    return lines


def _line(cells: Sequence[str]) -> str:
    """One line without blanks at its end."""
    return (" " * _GAP).join(cells).rstrip()


def _pad(text: str, column: _Column) -> str:
    """Pad a cell to the width of its column; the last column is not padded."""
    if column.last:
        return text
    blanks = " " * (column.width - cell_width(text))
    return blanks + text if column.right else text + blanks


def _cut(text: str, width: int) -> str:
    """The text in so many columns, with an ellipsis where it was cut."""
    if cell_width(text) <= width:
        return text
    while text and cell_width(text) > width - 1:
        text = text[:-1]
    return text.rstrip() + "…"


def _column(number: int, head: str, cells: Sequence[Any], mixed: bool) -> _Column:
    """Format the cells of a column and classify it: numbers, times or free text."""
    real = [c for c in cells if c is not None and not (isinstance(c, str) and not c)]
    numeric = bool(real) and all(isinstance(c, int | float) and not isinstance(c, bool) for c in real)
    if numeric and any(isinstance(c, float) for c in real):
        values = [None if c in (None, "") else float(c) for c in cells]
        texts = ["" if v is None else f"{v:.4g}" for v in values] if mixed else number_texts(values)
    else:
        texts = [_text(c) for c in cells]
    if any(isinstance(c, datetime) for c in real) and "UTC" not in head:
        head = f"{head} (UTC)"
    times = any(isinstance(c, datetime) for c in real)
    free = not numeric and not times and any(" " in t and len(t) > _LEAST for t in texts)
    return _Column(number, head, texts, numeric, free)


def _text(cell: Any) -> str:
    """A cell on one line, without characters that would move the cursor."""
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return time_text(cell)
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    text = cell.text if isinstance(cell, Styled) else str(cell)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " for c in without_codes(text)).strip()


def _head(column: _Column) -> str:
    """Return a column's heading without its unit of time."""
    return column.head.removesuffix(" (UTC)")


def _fit(columns: Sequence[_Column], width: int, expendable: Sequence[str]) -> list[_Column]:
    """Cut free texts and leave columns out until the rest has room; returns the columns left out."""
    full = {c.number: c.width for c in columns}
    gone: list[_Column] = []
    # Empty columns first, then the expendable ones, then the last; the first column names the row and stays.
    rank = {head: n for n, head in enumerate(expendable)}
    order = sorted(
        columns[1:],
        key=lambda c: (any(c.texts), rank.get(_head(c), len(rank)), c.free, -c.number),
    )
    while True:
        left = [c for c in columns if c not in gone]
        for c in left:
            c.width = full[c.number]
        over = sum(c.width for c in left) + _GAP * (len(left) - 1) - width
        free = [c for c in left if c.free and c.number > 0]
        while over > 0 and (widest := max(free, key=lambda c: c.width, default=None)) is not None:
            spare = bool(order) and _head(order[0]) in rank
            least = max(_AMPLE if spare else _LEAST, cell_width(widest.head))
            if widest.width <= least:
                break
            cut = min(over, widest.width - least, max(1, widest.width // 4))
            widest.width -= cut
            over -= cut
        if over <= 0 or len(left) <= 1:
            return sorted(gone, key=lambda c: c.number)
        gone.append(order.pop(0))
