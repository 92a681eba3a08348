"""Reads CSV and TSV that a caller sent."""

from __future__ import annotations

import csv
import io

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from desdm.errors import UsageError
from desdm.query.formats.readers.model import Limits, Table, described, finite_or_said, table_of

__all__ = ["read"]


def read(data: bytes, delimiter: str, limits: Limits) -> Table:
    """A table with a line of names; empty cells are null, and what a column holds is found from its cells.

    Raises
    ------
    UsageError
        If it is no such table; the text names the line.
    LimitExceeded
        If it has too many rows.
    """
    limits.check_rows(data.count(b"\n") - 1 if b'"' not in data else 0)
    try:
        rows = pcsv.read_csv(
            pa.BufferReader(data),
            # One thread: only then a message names its row.
            read_options=pcsv.ReadOptions(use_threads=False),
            parse_options=pcsv.ParseOptions(delimiter=delimiter, newlines_in_values=b'"' in data),
            convert_options=pcsv.ConvertOptions(
                null_values=["", "null", "NULL", "NaN", "nan"],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as err:
        raise UsageError(f"it is no {'TSV' if delimiter == chr(9) else 'CSV'}: {_said(err)}") from err
    limits.check_rows(rows.num_rows)
    for name, array in zip(rows.column_names, rows.columns, strict=True):
        if pa.types.is_binary(array.type):
            raise UsageError(f"column {name}: its text is not UTF-8; save the file in that encoding")
    _refuse_too_large(data, delimiter, rows)
    columns = tuple(
        described(name.strip(), array, {})
        for name, array in zip(rows.column_names, rows.columns, strict=True)
    )
    return table_of(columns, rows.columns)


def _refuse_too_large(data: bytes, delimiter: str, rows: pa.Table) -> None:
    """Refuse a finite number that no double holds: it has become infinity, which nobody wrote."""
    infinite = [
        number
        for number, array in enumerate(rows.columns)
        if pa.types.is_floating(array.type) and pc.any(pc.is_inf(array)).as_py()
    ]
    if not infinite:
        return
    lines = csv.reader(io.StringIO(data.decode("utf-8-sig", "replace"), newline=""), delimiter=delimiter)
    next(lines, None)
    for row in lines:
        for number in infinite:
            cell = row[number].strip() if number < len(row) else ""
            try:
                if cell:
                    finite_or_said(cell)
            except ValueError as err:
                # A cell that is no number at all stands for null.
                if "too large" in str(err):
                    name = rows.column_names[number].strip()
                    raise UsageError(f"line {lines.line_num}, column {name}: {err}") from err


def _said(err: Exception) -> str:
    return str(err).replace("CSV parse error: ", "").split("\n", 1)[0][:200]
