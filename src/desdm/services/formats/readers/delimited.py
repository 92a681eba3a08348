"""Reads CSV and TSV that a caller sent."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.csv as pcsv

from desdm.errors import UsageError
from desdm.services.formats.readers.model import Limits, Table, described, table_of

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
    columns = tuple(
        described(name.strip(), array, {})
        for name, array in zip(rows.column_names, rows.columns, strict=True)
    )
    return table_of(columns, rows.columns)


def _said(err: Exception) -> str:
    return str(err).replace("CSV parse error: ", "").split("\n", 1)[0][:200]
