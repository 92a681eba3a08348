"""Layout of rows on a terminal: as a table, or one column a line."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pyarrow as pa

from desdm.texttable import table_lines

__all__ = ["expanded_lines", "row_lines"]


def row_lines(
    rows: pa.Table, null: str, width: int | None, style: Callable[[str, str], str] | None = None
) -> list[str]:
    """Lay rows out as a table: names, units, numbers set right.

    Parameters
    ----------
    rows
        The rows.
    null
        Text of a null.
    width
        Columns of the terminal; columns of the answer that have no room are omitted. None: all are printed.
    style
        Colours a text, as of `table_lines`.

    Returns
    -------
    list of str
        The lines.
    """
    units = [_unit(field) for field in rows.schema]
    right = [n for n, field in enumerate(rows.schema) if _number(field)]
    heads = list(rows.column_names)
    if width is None:
        heads = [f"{head} [{unit}]" if unit else head for head, unit in zip(heads, units, strict=True)]
    return table_lines(
        heads,
        _cells(rows, null),
        width=width,
        right=right,
        under=[f"[{unit}]" if unit else "" for unit in units] if width is not None and any(units) else (),
        style=style,
        more="\\x shows one column a line, '; > file.csv' writes all",
    )


def expanded_lines(rows: pa.Table, null: str) -> Iterator[str]:
    """Lay rows out with one column a line."""
    wide = max((len(name) for name in rows.column_names), default=0)
    units = [_unit(field) for field in rows.schema]
    for number, cells in enumerate(_cells(rows, null), 1):
        yield f"-- row {number}"
        for name, cell, unit in zip(rows.column_names, cells, units, strict=True):
            yield f"{name:{wide}s}  {cell}{f' {unit}' if unit and cell != null else ''}".rstrip()


def _number(field: pa.Field) -> bool:
    """Tell whether a column has numbers."""
    return bool(pa.types.is_integer(field.type) or pa.types.is_floating(field.type))


def _unit(field: pa.Field) -> str:
    """Return the unit of a column."""
    unit: str = (field.metadata or {}).get(b"unit", b"").decode()
    return unit


def _cells(rows: pa.Table, null: str) -> Iterator[list[str]]:
    """Yield the cells of each row as text."""
    digits = [7 if pa.types.is_float32(field.type) else 10 for field in rows.schema]
    for row in rows.to_pylist():
        yield [_cell(value, null, d) for value, d in zip(row.values(), digits, strict=True)]


def _cell(value: object, null: str, digits: int) -> str:
    """Return a value as text."""
    if value is None:
        return null
    if isinstance(value, float):
        return str(value) if not math.isfinite(value) else f"{value:.{digits}g}"
    return "".join(c if c.isprintable() else "\ufffd" for c in str(value))
