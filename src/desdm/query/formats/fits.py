"""Writer of FITS binary tables (FITS 4.0, section 7.3); rows are in a temporary file until their number is known."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from desdm.errors import UsageError
from desdm.query.formats.binary2 import Bytes, values, variable
from desdm.query.formats.rows import TEXT, Rows, is_array, size_of
from desdm.release.model import ReleaseColumn

__all__ = ["table"]

_BLOCK = 2880
_CODES = {
    "boolean": ("L", 1),
    "short": ("I", 2),
    "int": ("J", 4),
    "long": ("K", 8),
    "float": ("E", 4),
    "double": ("D", 8),
}
#: Smallest and largest value of integer types. The null (TNULL) is a value that does not occur (FITS 4.0, section 7.3.2).
_LIMITS = {"short": (-(2**15), 2**15 - 1), "int": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}
#: Text up to this length is padded; longer text is in the heap, so that one long cell does not widen all rows.
_PADDED = 256


class _Column:
    """A column of the table, whose largest length and null are known after the last row."""

    def __init__(self, column: ReleaseColumn) -> None:
        self.column = column
        self.in_heap = is_array(column) and size_of(column) is None
        self.longest, self.heap = 0, 0
        #: of a column of integers: the null, whether there are any, and the least and greatest value
        self.null, self.has_nulls = 0, False
        self.least: int | None = None
        self.most: int | None = None

    def convert(self, array: pa.Array) -> pa.Array:
        """Return a batch's cells, text in ASCII (FITS allows no other); record lengths, nulls and range."""
        if self.column.datatype in TEXT:
            array = pc.replace_substring_regex(array, r"[^\x20-\x7e]", "?")
            lengths = pc.binary_length(array)
        elif self.in_heap:
            lengths = pc.list_value_length(array)
        else:
            if self._is_integer:
                self._note_integers(array)
            return array
        self.longest = max(self.longest, pc.max(lengths).as_py() or 0)
        self.heap += pc.sum(lengths).as_py() or 0
        return array

    @property
    def _is_integer(self) -> bool:
        """Whether its cells are one integer each."""
        return self.column.datatype in _LIMITS and not is_array(self.column)

    def _note_integers(self, array: pa.Array) -> None:
        """Record nulls and range of a batch."""
        self.has_nulls = self.has_nulls or array.null_count > 0
        bounds = pc.min_max(array).as_py()
        if bounds["min"] is not None:
            self.least = bounds["min"] if self.least is None else min(self.least, bounds["min"])
            self.most = bounds["max"] if self.most is None else max(self.most, bounds["max"])

    def finish(self, again: Callable[[], Iterator[pa.Array]]) -> None:
        """After the last row, choose between padded cells and the heap, and the null.

        Parameters
        ----------
        again
            Yields the column's batches from the beginning.

        Raises
        ------
        UsageError
            The column has nulls, and every value of its type occurs.
        """
        if self.column.datatype in TEXT:
            self.in_heap = self.longest > _PADDED
        if self._is_integer:
            low, high = _LIMITS[self.column.datatype]
            if self.least is None or self.least > low or not self.has_nulls:
                self.null = low
            elif self.most is not None and self.most < high:
                self.null = high
            else:
                self.null = self._free_value(again())

    def _free_value(self, batches: Iterator[pa.Array]) -> int:
        """Return the smallest value of the type that does not occur."""
        low, high = _LIMITS[self.column.datatype]
        present = np.unique(np.concatenate([batch.drop_null().to_numpy() for batch in batches]))
        gaps = np.flatnonzero(present[1:] != present[:-1] + 1)
        if not gaps.size:
            raise UsageError(
                f"{self.column.name}: every value from {low} to {high} occurs, so that none is left for "
                "the null of FITS; request VOTable, CSV or Parquet"
            )
        return int(present[gaps[0]]) + 1

    @property
    def needs_null(self) -> bool:
        """Whether the header needs TNULL: not if the smallest value of the type occurs and the column has no nulls."""
        return self._is_integer and (self.has_nulls or self.least is None or self.least > self.null)

    @property
    def form(self) -> str:
        """TFORM."""
        if self.column.datatype in TEXT:
            return f"1QA({self.longest})" if self.in_heap else f"{max(self.longest, 1)}A"
        code, _ = _CODES[self.column.datatype]
        return f"1Q{code}({self.longest})" if self.in_heap else f"{size_of(self.column) or 1}{code}"

    @property
    def width(self) -> int:
        """Bytes in each row."""
        if self.in_heap:
            return 16
        if self.column.datatype in TEXT:
            return max(self.longest, 1)
        return (size_of(self.column) or 1) * _CODES[self.column.datatype][1]

    @property
    def heap_bytes(self) -> int:
        """Bytes in the heap."""
        return (
            self.heap
            * (1 if self.column.datatype in TEXT else _CODES[self.column.datatype][1])
            * self.in_heap
        )

    def cells(self, array: pa.Array, at: int) -> tuple[Bytes, int]:
        """Return bytes of shape (rows, width), and the offset in the heap of the next batch's cells."""
        if not self.in_heap and self.column.datatype not in TEXT:
            cell_bytes = values(array, self.column, self.null)
            if self.column.datatype == "boolean":
                cell_bytes = np.where(cell_bytes == ord("?"), np.uint8(0), cell_bytes)
            return cell_bytes, at
        offsets, data, element = variable(array, _ascii(self.column))
        if self.in_heap:
            sizes = np.diff(offsets)
            pairs = np.stack([sizes // element, at + offsets[:-1]], axis=1).astype(">i8")
            return pairs.view(np.uint8).reshape(len(array), 16), at + int(offsets[-1])
        padded = np.zeros((len(array), self.width), np.uint8)
        lengths = np.diff(offsets)
        inside = np.arange(self.width)[None, :] < lengths[:, None]
        padded[inside] = data
        return padded, at


def table(rows: Rows, infos: Sequence[tuple[str, str, str]], title: str) -> Iterator[bytes]:
    """Yield the pieces of a FITS file with one binary table.

    Parameters
    ----------
    rows
        Rows with their columns; null integers have TNULL, null text is empty, other signs than ASCII
        are ``?``.
    infos
        Name, value and text of each line about the answer, for the header.
    title
        Title of the table.
    """
    columns = [_Column(column) for column in rows.columns]
    with tempfile.TemporaryFile(prefix="desdm-fits-") as spool:
        with pa.ipc.new_stream(spool, rows.schema) as writer:
            for batch in rows:
                arrays = [c.convert(array) for c, array in zip(columns, batch.columns, strict=True)]
                writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=rows.schema))
        for i, column in enumerate(columns):
            column.finish(partial(_column_again, spool, i))
        width, heap = sum(c.width for c in columns), sum(c.heap_bytes for c in columns)
        yield _header(columns, rows, width, heap, infos, title)
        starts, at = [], 0
        for column in columns:
            starts.append(at)
            at += column.heap_bytes
        for batch in _again(spool):
            pieces = []
            for i, (column, array) in enumerate(zip(columns, batch.columns, strict=True)):
                cells, starts[i] = column.cells(array, starts[i])
                pieces.append(cells)
            yield np.concatenate(pieces, axis=1).tobytes()
        for i, column in enumerate(columns):
            if column.in_heap:
                for batch in _again(spool):
                    yield variable(batch.columns[i], _ascii(column.column))[1].tobytes()
        yield b"\0" * (-(width * rows.count + heap) % _BLOCK)


def _again(spool: IO[bytes]) -> Iterator[pa.RecordBatch]:
    """Yield the batches of the spool file from its beginning."""
    spool.seek(0)
    with pa.ipc.open_stream(spool) as reader:
        yield from reader


def _column_again(spool: IO[bytes], i: int) -> Iterator[pa.Array]:
    """Yield the batches of one column from the beginning."""
    return (batch.columns[i] for batch in _again(spool))


def _ascii(column: ReleaseColumn) -> ReleaseColumn:
    """Return the description of a column as FITS stores it: text is ASCII, sizes vary."""
    return ReleaseColumn(column.name, "char" if column.datatype in TEXT else column.datatype, "*")


def _header(
    columns: list[_Column],
    rows: Rows,
    width: int,
    heap: int,
    infos: Sequence[tuple[str, str, str]],
    title: str,
) -> bytes:
    """Return the primary header and that of the table, padded to blocks."""
    from astropy.io import fits

    primary = fits.Header([("SIMPLE", True, "FITS 4.0"), ("BITPIX", 8), ("NAXIS", 0), ("EXTEND", True)])
    head = fits.Header()
    head["XTENSION"] = ("BINTABLE", "binary table")
    head["BITPIX"], head["NAXIS"] = 8, 2
    head["NAXIS1"] = (width, "bytes a row")
    head["NAXIS2"] = (rows.count, "rows")
    head["PCOUNT"] = (heap, "bytes in the heap")
    head["GCOUNT"], head["TFIELDS"] = 1, len(columns)
    head["EXTNAME"] = "RESULT"
    for n, (column, utype) in enumerate(zip(columns, rows.utypes, strict=True), 1):
        about = column.column
        head[f"TTYPE{n}"] = (_plain(about.name), _plain(about.text)[:40])
        head[f"TFORM{n}"] = column.form
        if about.unit:
            head[f"TUNIT{n}"] = _plain(about.unit)
        if column.needs_null:
            head[f"TNULL{n}"] = column.null
        if about.ucd:
            head[f"TUCD{n}"] = _plain(about.ucd)
        if utype:
            head[f"TUTYP{n}"] = _plain(utype)
    head["QSTATUS"] = ("OVERFLOW" if rows.overflow else "OK", "OVERFLOW: there are more rows")
    if title:
        head.add_history(_plain(title))
    for name, value, text in infos:
        head.add_history(_plain(f"{name}: {text or value}"))
    cards: str = primary.tostring() + head.tostring()
    return cards.encode("ascii")


def _plain(text: str) -> str:
    """Return a text with ``?`` for characters that a FITS header cannot hold."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)
