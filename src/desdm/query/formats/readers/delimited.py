"""Reader of uploaded CSV and TSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from desdm.errors import UsageError
from desdm.query.formats.readers.model import Limits, Table, described, finite_unless_inf, table_of

__all__ = ["read"]

#: Whole numbers below this are exact as doubles.
_EXACT = 2**53
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_WHOLE = re.compile(r"[+-]?[0-9]{16,}")


def read(data: bytes, delimiter: str, limits: Limits) -> Table:
    """Read a table with a header line; empty cells are null, and the type of a column follows from its cells.

    Parameters
    ----------
    data
        The file.
    delimiter
        Character between cells.
    limits
        Largest numbers of rows and bytes.

    Raises
    ------
    UsageError
        It is not such a table; the message names the line.
    LimitExceeded
        It has too many rows.
    """
    limits.check_rows(data.count(b"\n") - 1 if b'"' not in data else 0)
    try:
        rows = _parsed(data, delimiter)
    except pa.ArrowInvalid as err:
        raise UsageError(
            f"not a valid {'TSV' if delimiter == chr(9) else 'CSV'} file: {_first_line(err)}"
        ) from err
    limits.check_rows(rows.num_rows)
    _check_names(rows.column_names, "TSV" if delimiter == "\t" else "CSV")
    for name, array in zip(rows.column_names, rows.columns, strict=True):
        if pa.types.is_binary(array.type):
            raise UsageError(f"column {name}: the text is not UTF-8; save the file in that encoding")
    rows = _with_identifiers(data, delimiter, rows)
    _refuse_inexact(data, delimiter, rows)
    columns = tuple(
        described(name.strip(), array, {})
        for name, array in zip(rows.column_names, rows.columns, strict=True)
    )
    return table_of(columns, rows.columns)


def _parsed(data: bytes, delimiter: str, texts: Sequence[str] = ()) -> pa.Table:
    """Parse a file: the columns ``texts`` as text, the types of the others by their cells."""
    return pcsv.read_csv(
        pa.BufferReader(data),
        # With several threads messages do not name the row.
        read_options=pcsv.ReadOptions(use_threads=False),
        parse_options=pcsv.ParseOptions(delimiter=delimiter, newlines_in_values=b'"' in data),
        convert_options=pcsv.ConvertOptions(
            null_values=["", "null", "NULL", "NaN", "nan"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            column_types=dict.fromkeys(texts, pa.string()),
        ),
    )


def _may_be_digits(column: pa.ChunkedArray) -> bool:
    """Tell whether the cells of a column may be digits only; integers beyond 64 bits are parsed as doubles."""
    if pa.types.is_floating(column.type):
        return bool(pc.all(pc.equal(pc.floor(column), column)).as_py())
    return bool(pa.types.is_integer(column.type))


def _with_identifiers(data: bytes, delimiter: str, rows: pa.Table) -> pa.Table:
    """Return the table with columns of digits as text if some have leading zeros, as identifiers do."""
    numbers = [name for name in rows.column_names if _may_be_digits(rows.column(name))]
    if not numbers or not re.search(rb'[\n\r" ' + delimiter.encode() + rb"]0[0-9]", data):
        return rows
    texts = _parsed(data, delimiter, numbers)
    for place, name in enumerate(rows.column_names):
        if name not in numbers:
            continue
        cells = pc.utf8_trim_whitespace(texts.column(place))
        padded = pc.any(pc.match_substring_regex(cells, "^0[0-9]+$")).as_py()
        if padded and pc.all(pc.match_substring_regex(cells, "^[0-9]+$")).as_py():
            rows = rows.set_column(place, name, cells)
    return rows


def _check_names(names: list[str], kind: str) -> None:
    """Raise if the first line is not a header: it has other delimiters, is a comment, or has numbers."""
    if len(names) == 1 and re.search(r"[;|#]|\S\s+\S", names[0].strip()):
        raise UsageError(
            f"the first line, {names[0][:60]!r}, is the name of one column; separate names and values by commas (CSV) or "
            "tabs (TSV), without comment lines"
        )
    if all(_NUMBER.fullmatch(name.strip()) for name in names):
        raise UsageError(
            f"the first line has numbers ({', '.join(names)[:60]}); a {kind} file begins with the names of its columns"
        )


def _refuse_inexact(data: bytes, delimiter: str, rows: pa.Table) -> None:
    """Raise for a finite number that became infinity and for an integer that lost digits."""
    large = [
        number
        for number, array in enumerate(rows.columns)
        if pa.types.is_floating(array.type) and pc.any(pc.greater_equal(pc.abs(array), float(_EXACT))).as_py()
    ]
    if not large:
        return
    lines = csv.reader(io.StringIO(data.decode("utf-8-sig", "replace"), newline=""), delimiter=delimiter)
    next(lines, None)
    for row in lines:
        for number in large:
            complaint = _complaint(row[number].strip() if number < len(row) else "")
            if complaint:
                name = rows.column_names[number].strip()
                raise UsageError(f"line {lines.line_num}, column {name}: {complaint}")


def _complaint(cell: str) -> str:
    """Return why a cell cannot be represented; empty if it can."""
    try:
        value = finite_unless_inf(cell) if cell else 0.0
    except ValueError as err:
        # A cell that is not a number is null.
        return str(err) if "too large" in str(err) else ""
    if _WHOLE.fullmatch(cell) and int(value) != int(cell):
        return (
            f"{cell} has more digits than this column of numbers holds (64-bit integers up to {2**63 - 1}, else doubles); "
            "put a letter before such identifiers, so that the column is text"
        )
    return ""


def _first_line(err: Exception) -> str:
    """Return the first line of a parser's message, at most 200 characters."""
    return str(err).replace("CSV parse error: ", "").split("\n", 1)[0][:200]
