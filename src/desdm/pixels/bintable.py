"""Columns of a FITS binary table as arrays, straight from the file's bytes: what the archive and the codes both read."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from desdm.errors import FileTypeError
from desdm.pixels.cards import HDU, Column, columns

__all__ = ["BinTable"]

_KINDS = {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
_NUMBERS = frozenset(_KINDS)


class BinTable:
    """One binary table of a file.

    Parameters
    ----------
    data
        The whole file's bytes, or an mmap of them.
    hdu
        The table in it, from `desdm.pixels.cards.read_hdus`.
    known
        Its columns, where the caller has read them already.

    Raises
    ------
    FileTypeError
        A TFORM is impossible.
    """

    __slots__ = ("_columns", "_data", "hdu", "names", "rows")

    def __init__(self, data: Any, hdu: HDU, known: dict[str, Column] | None = None) -> None:
        self._data, self.hdu = data, hdu
        self._columns: dict[str, Column] = columns(hdu) if known is None else known
        self.rows: int = hdu.shape[0]
        #: names in lower case, in the order of the columns
        self.names: tuple[str, ...] = tuple(self._columns)

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    def numeric(self, name: str) -> bool:
        """Whether there is a column of that name with one number a row."""
        column = self._columns.get(name)
        return column is not None and column.code in _NUMBERS and column.repeat == 1

    def unit(self, name: str) -> str:
        """TUNIT of a column in lower case, empty if it has none."""
        return (self._keyword("TUNIT", name) or "").strip().lower()

    def cells(self, name: str) -> Any:
        """A column as stored: one element a row, big-endian, without TSCAL and TZERO.

        Raises
        ------
        FileTypeError
            There is no such column, it does not fit its row, or it has no simple type.
        """
        column = self._columns.get(name)
        if column is None:
            raise FileTypeError(f"no column {name} in its table; it has {', '.join(self.names[:30])}")
        if column.code == "A":
            kind = np.dtype(f"S{column.repeat}")
        elif column.code in _KINDS:
            kind = np.dtype(_KINDS[column.code])
        else:
            raise FileTypeError(
                f"column {name} is of format {column.repeat}{column.code}, not of numbers or text"
            )
        width = self.hdu.shape[1]
        if column.offset + kind.itemsize > width:
            raise FileTypeError(f"column {name} reaches over the end of its row of {width} bytes")
        row = np.dtype({"names": ["v"], "formats": [kind], "offsets": [column.offset], "itemsize": width})
        return np.frombuffer(self._data, row, count=self.rows, offset=self.hdu.data_start)["v"]

    def numbers(self, name: str, keep: Any = slice(None)) -> npt.NDArray[np.float64]:
        """A column's numbers in physical values (FITS 4.0, section 7.3.2: TZERO + TSCAL × stored), TNULL as NaN.

        Parameters
        ----------
        name
            The column, in lower case.
        keep
            Rows that are wanted: a slice, indices or a mask.

        Raises
        ------
        FileTypeError
            There is no such column, or it is not one of single numbers.
        """
        if name in self and not self.numeric(name):
            column = self._columns[name]
            raise FileTypeError(
                f"column {name} is of format {column.repeat}{column.code}, not one number a row"
            )
        stored = self.cells(name)[keep]
        values = np.asarray(stored, dtype=np.float64)
        null = self._number("TNULL", name)
        if null is not None and self._columns[name].code in "BIJK":
            values = np.where(stored == null, np.nan, values)
        scale, zero = self._number("TSCAL", name), self._number("TZERO", name)
        if scale is not None or zero is not None:
            values = (zero or 0.0) + (1.0 if scale is None else scale) * values
        return values

    def _position(self, name: str) -> int:
        """FITS number of a column: the first whose TTYPE is ``name`` in whatever case."""
        header = self.hdu.header
        for i in range(1, (header.integer("TFIELDS") or 0) + 1):
            if (header.text(f"TTYPE{i}") or f"col{i}").lower() == name:
                return i
        return 0

    def _keyword(self, stem: str, name: str) -> str | None:
        """A text keyword of a column."""
        return self.hdu.header.text(f"{stem}{self._position(name)}")

    def _number(self, stem: str, name: str) -> float | None:
        """A number keyword of a column."""
        return self.hdu.header.number(f"{stem}{self._position(name)}")
