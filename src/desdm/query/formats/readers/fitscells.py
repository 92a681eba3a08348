"""Decoding of the cells of FITS binary tables (FITS 4.0, section 7.3): nulls, scales, logicals, text and arrays."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from desdm.errors import UsageError

__all__ = ["Stored", "column", "stored_columns"]

_FORM = re.compile(r"\s*(\d*)([LXBIJKAEDCMPQ])(?:([LXBIJKAEDCM])\((\d+)\))?.*", re.IGNORECASE | re.DOTALL)
_CODES = {
    "L": "u1",
    "B": "u1",
    "I": ">i2",
    "J": ">i4",
    "K": ">i8",
    "E": ">f4",
    "D": ">f8",
    "A": "u1",
    "X": "u1",
}
_TRUTH = np.frombuffer(b"Tt", np.uint8)
_FALSEHOOD = np.frombuffer(b"Ff", np.uint8)


@dataclass(frozen=True, slots=True)
class Stored:
    """Description of a column in the header of a binary table.

    Attributes
    ----------
    code
        Letter of TFORM: the type of an element.
    count
        Elements of a cell; None for variable-length arrays (P and Q).
    wide
        Whether the descriptor of a variable-length array has integers of 64 bits (Q), not of 32 (P).
    offset, width
        Position and size of a cell in the row, bytes.
    null
        TNULL: the stored integer for null.
    scale, zero
        TSCAL and TZERO.
    """

    name: str
    code: str
    count: int | None
    wide: bool
    offset: int
    width: int
    null: int | None
    scale: float
    zero: float


def stored_columns(header: Mapping[str, Any]) -> list[Stored]:
    """Return the columns that a header describes.

    Raises
    ------
    UsageError
        A TFORM is missing or invalid, a type cannot be uploaded, or the columns do not add up to NAXIS1.
    """
    columns, at = [], 0
    for n in range(1, int(header.get("TFIELDS", 0)) + 1):
        name = str(header.get(f"TTYPE{n}", "")).strip() or f"col{n}"
        form = _FORM.fullmatch(str(header.get(f"TFORM{n}", "")))
        if form is None:
            raise UsageError(
                f"column {name}: TFORM{n} = {header.get(f'TFORM{n}')!r} is not a format of FITS 4.0"
            )
        count, code, element_code = int(form[1] or 1), form[2].upper(), (form[3] or "").upper()
        wide, element = code == "Q", element_code if code in "PQ" else code
        if element not in _CODES or (element == "X" and code in "PQ"):
            raise UsageError(f"column {name}: cells of type {form[0].strip()} cannot be uploaded")
        if code in "PQ":
            if count > 1:
                raise UsageError(f"column {name}: {form[0].strip()} has more than one array in a cell")
            width, size = (16 if wide else 8) * count, None
        else:
            width, size = (
                ((count + 7) // 8 if code == "X" else count * np.dtype(_CODES[code]).itemsize),
                count,
            )
        null = header.get(f"TNULL{n}")
        columns.append(
            Stored(
                name,
                element,
                size,
                wide,
                at,
                width,
                int(null) if null is not None and element in "BIJK" else None,
                float(header.get(f"TSCAL{n}", 1.0)),
                header.get(f"TZERO{n}", 0),
            )
        )
        if size is not None and element == "A" and "TDIM" + str(n) in header:
            shape = [int(v) for v in re.findall(r"\d+", str(header[f"TDIM{n}"]))]
            if len(shape) > 1 and shape[0] != count:
                raise UsageError(f"column {name}: lists of text cannot be uploaded")
        at += width
    if at != int(header["NAXIS1"]):
        raise UsageError(f"the FITS table's columns take {at} bytes of a row, NAXIS1 says {header['NAXIS1']}")
    return columns


def column(stored: Stored, rows: npt.NDArray[np.uint8], heap: bytes) -> pa.Array | None:
    """Decode the cells of a column; None if they have no elements.

    Parameters
    ----------
    stored
        Its description.
    rows
        Bytes of the table, shape (rows, NAXIS1).
    heap
        Bytes of the heap, for variable-length arrays.

    Raises
    ------
    UsageError
        A descriptor points beyond the heap.
    """
    cells = np.ascontiguousarray(rows[:, stored.offset : stored.offset + stored.width])
    if stored.count is None:
        return _from_heap(stored, cells, heap)
    if stored.count == 0:
        return None
    if stored.code == "A":
        return _text([bytes(cell) for cell in cells])
    if stored.code == "X":
        flat = pa.array(np.unpackbits(cells, axis=1)[:, : stored.count].astype(bool).ravel())
    else:
        flat = _values(stored, cells.reshape(-1).view(_CODES[stored.code]))
    return flat if stored.count == 1 else pa.FixedSizeListArray.from_arrays(flat, stored.count)


def _from_heap(stored: Stored, cells: npt.NDArray[np.uint8], heap: bytes) -> pa.Array:
    """Decode variable-length arrays from the heap."""
    if cells.shape[1] == 0:
        return pa.nulls(len(cells), pa.string())
    pairs = cells.reshape(-1).view(">i8" if stored.wide else ">i4").reshape(-1, 2).astype(np.int64)
    size = np.dtype(_CODES[stored.code]).itemsize
    counts, starts = pairs[:, 0], pairs[:, 1]
    if len(pairs) and (
        (pairs < 0).any() or int((starts + counts * size)[counts > 0].max(initial=0)) > len(heap)
    ):
        raise UsageError(
            f"column {stored.name}: a cell lies beyond the end of the heap; the file may be truncated"
        )
    if int((counts * size).sum()) > max(len(heap), 1) * 2:
        raise UsageError(f"column {stored.name}: its cells overlap in the heap")
    parts = [heap[a : a + c * size] for a, c in zip(starts.tolist(), counts.tolist(), strict=True)]
    if stored.code == "A":
        return _text(parts)
    flat = _values(stored, np.frombuffer(b"".join(parts), _CODES[stored.code]))
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), flat)


def _text(cells: Sequence[bytes]) -> pa.Array:
    """Decode text, up to NUL and without trailing blanks; empty text is null."""
    texts = [cell.split(b"\0", 1)[0].rstrip(b" ").decode("ascii", "replace") for cell in cells]
    return pa.array([text or None for text in texts], pa.string())


def _values(stored: Stored, raw: npt.NDArray[Any]) -> pa.Array:
    """Decode and scale elements; TNULL is compared with stored integers, before TSCAL and TZERO."""
    if stored.code == "L":
        true, false = np.isin(raw, _TRUTH), np.isin(raw, _FALSEHOOD)
        return pa.array(true, mask=~(true | false))
    nulls = raw == stored.null if stored.null is not None else None
    plain = raw.astype(raw.dtype.newbyteorder("="))
    if stored.scale != 1.0 or (stored.zero and float(stored.zero) != int(stored.zero)) or stored.code in "ED":
        if stored.scale != 1.0 or stored.zero:
            plain = plain.astype(np.float64) * stored.scale + float(stored.zero)
    elif stored.zero:
        plain = _shifted(stored.code, plain, int(stored.zero))
    return pa.array(plain, mask=nulls)


def _shifted(code: str, plain: npt.NDArray[Any], zero: int) -> npt.NDArray[Any]:
    """Add an integral TZERO: signed bytes and unsigned integers (FITS 4.0, table 19), and others."""
    if code == "K":
        if zero == 2**63:
            return plain.view(np.uint64) ^ np.uint64(2**63)
        return plain.astype(np.float64) + float(zero)
    kinds = {("B", -128): np.int8, ("I", 2**15): np.uint16, ("J", 2**31): np.uint32}
    if (code, zero) in kinds:
        return (plain.astype(np.int64) + zero).astype(kinds[code, zero])
    return plain.astype(np.float64) + float(zero) if abs(zero) > 2**52 else plain.astype(np.int64) + zero
