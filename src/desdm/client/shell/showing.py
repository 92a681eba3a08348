"""How rows stand on a terminal."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["show"]


def show(console: Console, rows: pa.Table, most: int, null: str) -> None:
    """Print the first ``most`` rows with names, units and numbers set right."""
    table = Table(
        box=None, header_style="bold", pad_edge=False, row_styles=("", "dim") if console.is_terminal else ()
    )
    for field in rows.schema:
        unit = (field.metadata or {}).get(b"unit", b"").decode()
        number = pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
        head = Text(field.name + (f"\n[{unit}]" if unit else ""))
        table.add_column(head, justify="right" if number else "left", overflow="fold")
    single = [pa.types.is_float32(field.type) for field in rows.schema]
    for row in rows.slice(0, most).to_pylist():
        table.add_row(
            *(_cell(value, null, 7 if s else 10) for value, s in zip(row.values(), single, strict=True))
        )
    console.print(table)


def _cell(value: Any, null: str, digits: int) -> Text:
    if value is None:
        return Text(null, style="dim")
    if isinstance(value, float):
        return Text(str(value) if not math.isfinite(value) else f"{value:.{digits}g}")
    text = str(value)
    return Text("".join(c if c.isprintable() else "\ufffd" for c in text))
