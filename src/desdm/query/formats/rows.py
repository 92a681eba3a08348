"""Rows of an answer: at most MAXREC, each column in the Arrow type of its VOTable data type."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from desdm.errors import FatalError
from desdm.release.model import ReleaseColumn

__all__ = ["TEXT", "Rows", "arrow_type", "distinct_names", "is_array", "size_of"]

#: Data types that are text.
TEXT = ("char", "unicodeChar")

#: Rows encoded at once: few enough for the processor's cache, and so that other answers are not delayed.
_SLICE = 8192

_SCALARS = {
    "boolean": pa.bool_(),
    "unsignedByte": pa.uint8(),
    "short": pa.int16(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "char": pa.string(),
    "unicodeChar": pa.string(),
}


def is_array(column: ReleaseColumn) -> bool:
    """Tell whether a cell holds several values; text is one value."""
    return column.datatype not in TEXT and column.arraysize not in (None, "", "1")


def size_of(column: ReleaseColumn) -> int | None:
    """Return the number of values in each cell of a fixed-length array; None for other columns."""
    return int(str(column.arraysize)) if is_array(column) and str(column.arraysize).isdigit() else None


def arrow_type(column: ReleaseColumn) -> pa.DataType:
    """Return the Arrow type of a column."""
    scalar = _SCALARS.get(column.datatype)
    if scalar is None:
        raise FatalError(f"column {column.name} has data type {column.datatype}, which VOTable does not have")
    if not is_array(column):
        return scalar
    size = size_of(column)
    return pa.list_(scalar) if size is None else pa.list_(scalar, size)


class Rows:
    """The rows of an answer, at most ``maxrec`` of them.

    Attributes
    ----------
    columns
        Columns with unique names: a number is appended to a name that occurs before, ignoring case.
    utypes
        Utype of each column, in order; empty if it has none.
    count
        Number of rows so far.
    maxrec
        Largest number of rows; None: all.
    overflow
        Whether rows were left out; if by ``maxrec``, known at the end of the iteration.
    """

    def __init__(
        self,
        columns: Sequence[ReleaseColumn],
        batches: Iterable[pa.RecordBatch],
        maxrec: int | None,
        *,
        utypes: Mapping[str, str] | None = None,
        more: bool = False,
        bytes_as_short: bool = False,
    ) -> None:
        if bytes_as_short:
            columns = [replace(c, datatype="short") if c.datatype == "unsignedByte" else c for c in columns]
        self.columns = _distinct(columns)
        self.utypes = tuple((utypes or {}).get(c.name, "") for c in columns)
        self.schema = pa.schema([pa.field(c.name, arrow_type(c)) for c in self.columns])
        self.count, self.overflow, self.maxrec = 0, more, maxrec
        self._batches = batches

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._batches:
            for start in range(0, batch.num_rows, _SLICE):
                piece = batch.slice(start, _SLICE)
                cut = self.maxrec is not None and self.count + piece.num_rows > self.maxrec
                if self.maxrec is not None and cut:
                    self.overflow = True
                    piece = piece.slice(0, self.maxrec - self.count)
                if piece.num_rows:
                    self.count += piece.num_rows
                    yield self._normal(piece)
                if cut:
                    return

    def _normal(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return a batch with the types of the schema."""
        if batch.num_columns != len(self.columns):
            raise FatalError(
                f"an answer has {batch.num_columns} columns, its description {len(self.columns)}"
            )
        arrays = [
            _cast(array, field.type, field.name)
            for array, field in zip(batch.columns, self.schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def distinct_names(names: Sequence[str]) -> list[str]:
    """Return the names with a number behind those that repeat, whatever their case.

    The first column of a name keeps it, and no number makes a name that a query gives to another column: of ``ra, ra,
    ra_2`` the second becomes ``ra_3``.
    """
    written = {name.lower() for name in names}
    used: set[str] = set()
    distinct = []
    for name in names:
        unique, number = name, 1
        while unique.lower() in used or (number > 1 and unique.lower() in written):
            number += 1
            unique = f"{name}_{number}"
        used.add(unique.lower())
        distinct.append(unique)
    return distinct


def _distinct(columns: Sequence[ReleaseColumn]) -> tuple[ReleaseColumn, ...]:
    """Return the columns with names that differ by more than case."""
    names = distinct_names([column.name for column in columns])
    return tuple(
        column if column.name == name else replace(column, name=name)
        for column, name in zip(columns, names, strict=True)
    )


def _cast(array: pa.Array, wanted: pa.DataType, name: str) -> pa.Array:
    """Convert an array to the type of its column in the answer."""
    if isinstance(array, pa.DictionaryArray):
        array = array.dictionary_decode()
    if array.type == wanted:
        return array
    if pa.types.is_string(wanted) and pa.types.is_timestamp(array.type):
        # DALI 1.1, 3.3.3: T between date and time, and no time zone.
        return pc.replace_substring(array.cast(pa.timestamp("us")).cast(pa.string()), " ", "T")
    if pa.types.is_fixed_size_list(wanted):
        # Shorter cells are padded with nulls: each cell of the column has the same number of elements.
        array = pc.list_slice(array, 0, wanted.list_size, return_fixed_size_list=True)
    if pa.types.is_floating(wanted) and pa.types.is_decimal(array.type):
        array = array.cast(pa.float64())
    try:
        return array.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as err:
        raise FatalError(f"column {name}: a value does not fit its data type: {err}") from err
