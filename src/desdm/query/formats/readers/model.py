"""Limits and results of the readers of uploads, and conversions that they share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from desdm.errors import LimitExceeded, UsageError
from desdm.numbers import decimal_number
from desdm.query.formats.readers.regions import checked_regions
from desdm.query.formats.rows import arrow_type
from desdm.release.model import ReleaseColumn
from desdm.timestamps import XTYPES, timestamp_text

__all__ = ["Limits", "Table", "described", "finite_unless_inf", "table_of"]

_DATATYPES = (
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_uint8, "short"),
    (pa.types.is_int8, "short"),
    (pa.types.is_int16, "short"),
    (pa.types.is_uint16, "int"),
    (pa.types.is_int32, "int"),
    (pa.types.is_integer, "long"),
    (pa.types.is_float16, "float"),
    (pa.types.is_float32, "float"),
    (pa.types.is_floating, "double"),
    (pa.types.is_decimal, "double"),
    (pa.types.is_timestamp, "char"),
    (pa.types.is_date, "char"),
    (pa.types.is_time, "char"),
    (pa.types.is_null, "char"),
)

#: Numbers from here on are rounded to infinity in the type (IEEE 754, 4.3.1).
_TOO_LARGE = {"float": 2.0**128 - 2.0**103}
#: Largest number of columns of an uploaded table.
MOST_COLUMNS = 2000


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of an upload: rows, and bytes when decompressed."""

    rows: int
    unpacked: int

    def check_rows(self, count: int) -> None:
        """Raise if a table has more rows.

        Raises
        ------
        LimitExceeded
            There are more.
        """
        if count > self.rows:
            raise LimitExceeded(
                f"an upload may have {self.rows} rows at most; upload it in parts, or store it in mydb"
            )


@dataclass(frozen=True, slots=True)
class Table:
    """Table that a reader returns: description and rows."""

    columns: tuple[ReleaseColumn, ...]
    rows: pa.Table


def described(name: str, array: pa.ChunkedArray, about: Mapping[str, str]) -> ReleaseColumn:
    """Return the description of an Arrow column, by its type and values.

    Parameters
    ----------
    name
        Name of the column.
    array
        Its values.
    about
        Description, unit and UCD, where the file has them.

    Raises
    ------
    UsageError
        Its type has no equivalent in VOTable.
    """
    kind, arraysize = array.type, None
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        arraysize = str(kind.list_size) if pa.types.is_fixed_size_list(kind) else "*"
        kind = kind.value_type
    unit, ucd, words = about.get("unit", ""), about.get("ucd", ""), about.get("description", "")
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        if arraysize is not None:
            raise UsageError(f"column {name}: lists of text cannot be uploaded")
        ascii_only = pc.all(pc.string_is_ascii(array.cast(pa.string()))).as_py()
        datatype = "unicodeChar" if ascii_only is False else "char"
        return ReleaseColumn(name, datatype, "*", None, unit, ucd, words)
    for fits, datatype in _DATATYPES:
        if fits(kind):
            text = datatype == "char"
            xtype = "timestamp" if pa.types.is_timestamp(kind) or pa.types.is_date(kind) else None
            return ReleaseColumn(name, datatype, "*" if text else arraysize, xtype, unit, ucd, words)
    raise UsageError(
        f"column {name}: values of type {kind} cannot be uploaded; send numbers, text or truth values"
    )


def finite_unless_inf(text: str, datatype: str = "double") -> float:
    """Parse a number; `ValueError` if it overflows its type, unless the text is an infinity."""
    value = decimal_number(text)
    too_large = math.isinf(value) or abs(value) >= _TOO_LARGE.get(datatype, math.inf)
    if too_large and "inf" not in text.lower():
        raise ValueError(f"{text[:40]} is too large for a {datatype}; write Inf if infinity is meant")
    return value


def table_of(columns: tuple[ReleaseColumn, ...], arrays: list[pa.ChunkedArray]) -> Table:
    """Build a table from columns, each converted to the Arrow type of its data type.

    Raises
    ------
    UsageError
        Two names are equal, there are too many columns, or a value does not fit.
    """
    if len(columns) > MOST_COLUMNS:
        raise UsageError(f"a table may have {MOST_COLUMNS} columns at most")
    names: dict[str, str] = {}
    for column in columns:
        if not column.name:
            raise UsageError("a column has no name; name every column")
        key = column.name.lower()
        if key in names:
            raise UsageError(f"two columns are called {names[key]}; names must differ by more than case")
        names[key] = column.name
    if not columns:
        raise UsageError("the table has no column")
    pairs = [_with_null_elements(c, array) for c, array in zip(columns, arrays, strict=True)]
    columns = tuple(column for column, _ in pairs)
    schema = pa.schema([pa.field(c.name, arrow_type(c)) for c in columns])
    cast = []
    for (column, array), field in zip(pairs, schema, strict=True):
        try:
            fitting = _with_utc(column, _fitting(array, field.type), array.type)
            cast.append(checked_regions(column, fitting))
        except pa.ArrowException as err:
            raise UsageError(f"column {field.name}: a value does not fit its type {field.type}") from err
    return Table(columns, pa.Table.from_arrays(cast, schema=schema))


def _fitting(array: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """Convert an array to the type of its column; raise if values would change."""
    if array.type == wanted:
        return array
    if pa.types.is_string(wanted) and pa.types.is_timestamp(array.type):
        # The cast without time zone gives UTC; the engines have microseconds.
        utc = array.cast(pa.timestamp(array.type.unit))
        whole = pc.floor_temporal(utc, unit="microsecond") if array.type.unit == "ns" else utc
        return pc.replace_substring(whole.cast(pa.timestamp("us")).cast(pa.string()), " ", "T")
    if pa.types.is_decimal(array.type):
        _refuse_inexact(array)
        array = array.cast(pa.float64())
    return array.cast(wanted)


def _with_utc(column: ReleaseColumn, array: pa.ChunkedArray, source: pa.DataType) -> pa.ChunkedArray:
    """Return the timestamps of a column in UTC; blank text is null, and other text is an error."""
    if column.xtype not in XTYPES:
        return array
    if pa.types.is_temporal(source):
        common = pc.match_substring_regex(array, "^[0-9]{4}-")
        if pc.all(common).as_py() is False:
            number = pc.index(common, pa.scalar(False)).as_py()
            raise UsageError(f"row {number + 1}, column {column.name}: a year from 0001 to 9999 is required")
        return array
    if not pa.types.is_string(array.type):
        raise UsageError(
            f"column {column.name}: a timestamp (xtype) is text: the datatype must be char, not {column.datatype}"
        )
    times: list[str | None] = []
    for number, text in enumerate(array.to_pylist()):
        try:
            times.append(timestamp_text(text) if text and not text.isspace() else None)
        except ValueError as err:
            raise UsageError(f"row {number + 1}, column {column.name}: {err}") from err
    return pa.chunked_array([pa.array(times, pa.string())])


def _refuse_inexact(decimals: pa.ChunkedArray) -> None:
    """Raise for integral decimals that a double cannot represent exactly: identifiers would change."""
    for number, value in enumerate(decimals.to_pylist()):
        if value is not None and value == value.to_integral_value() and int(float(value)) != int(value):
            raise UsageError(
                f"row {number + 1}: {value} has more digits than a double holds; send such identifiers as text"
            )


def _with_null_elements(
    column: ReleaseColumn, array: pa.ChunkedArray
) -> tuple[ReleaseColumn, pa.ChunkedArray]:
    """Convert integer arrays with null elements to doubles with NaN.

    No format of answers has a null for an element of an integer array; it would be written as 0.
    """
    kind = array.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return column, array
    if not pa.types.is_integer(kind.value_type) or not any(c.flatten().null_count for c in array.chunks):
        return column, array
    values = array.to_pylist()
    for number, value in enumerate(values):
        for element in value or ():
            if element is not None and int(float(element)) != element:
                raise UsageError(
                    f"row {number + 1}, column {column.name}: an array with null elements holds {element}, which has more "
                    "digits than a double; send no nulls, or smaller numbers"
                )
    doubles = (
        pa.list_(pa.float64(), kind.list_size)
        if pa.types.is_fixed_size_list(kind)
        else pa.list_(pa.float64())
    )
    return replace(column, datatype="double"), pa.chunked_array([pa.array(values, doubles)])
