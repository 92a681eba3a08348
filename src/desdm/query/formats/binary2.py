"""BINARY2 of VOTable 1.4 (section 6.4): rows of big-endian values with a mask of nulls, in base64."""

from __future__ import annotations

import binascii
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from desdm.pixels.compiled import compiled
from desdm.query.formats.rows import is_array, size_of
from desdm.release.model import ReleaseColumn

__all__ = ["Base64", "elements", "rows", "values", "variable"]

Bytes = npt.NDArray[np.uint8]
Longs = npt.NDArray[np.int64]
_NONE: Bytes = np.empty(0, np.uint8)


@compiled()
def _put_fixed(out: Bytes, at: Longs, source: Bytes) -> None:
    """Copy cells of one width into their rows and advance ``at``."""
    # Each row's next ``source.shape[1]`` bytes; ``at`` moves on.
    width = source.shape[1]
    if width == 8:
        for i in range(source.shape[0]):
            here = at[i]
            for k in range(8):
                out[here + k] = source[i, k]
            at[i] = here + 8
    elif width == 4:
        for i in range(source.shape[0]):
            here = at[i]
            for k in range(4):
                out[here + k] = source[i, k]
            at[i] = here + 4
    else:
        for i in range(source.shape[0]):
            here = at[i]
            for k in range(width):
                out[here + k] = source[i, k]
            at[i] = here + width


@compiled()
def _put_variable(out: Bytes, at: Longs, offsets: Longs, data: Bytes, width: int) -> None:
    """Copy counts and elements of cells that differ in length into their rows and advance ``at``."""
    # A count of elements in four bytes, then the elements, ``width`` bytes each.
    for i in range(len(offsets) - 1):
        here, size = at[i], offsets[i + 1] - offsets[i]
        count = size // width
        out[here] = (count >> 24) & 255
        out[here + 1] = (count >> 16) & 255
        out[here + 2] = (count >> 8) & 255
        out[here + 3] = count & 255
        for k in range(size):
            out[here + 4 + k] = data[offsets[i] + k]
        at[i] = here + 4 + size


class Base64:
    """Encoder of a stream of bytes in base64.

    Attributes
    ----------
    rest
        Bytes after the last complete group of three; the next piece must begin with them.
    """

    def __init__(self) -> None:
        self.rest: Bytes = np.empty(0, np.uint8)

    def feed(self, piece: Bytes) -> bytes:
        """Return the base64 of the next piece, which begins with ``rest``, as one line."""
        whole = len(piece) // 3 * 3
        self.rest = piece[whole:].copy()
        return binascii.b2a_base64(piece[:whole].data)

    def end(self) -> bytes:
        """Return the base64 of the remaining bytes."""
        return binascii.b2a_base64(self.rest.data)


def rows(batch: pa.RecordBatch, columns: Sequence[ReleaseColumn], before: Bytes = _NONE) -> Bytes:
    """Encode the rows of a batch.

    Parameters
    ----------
    batch
        Rows in the types of `rows.arrow_type`.
    columns
        Their description.
    before
        Bytes in front of the rows: `Base64.rest`; this saves a copy of all rows.

    Returns
    -------
    array of uint8
        Row after row: a mask with one bit a column, highest bit first, then the cells.
    """
    count = batch.num_rows
    mask = np.zeros((count, (len(columns) + 7) // 8), np.uint8)
    fixed: dict[int, Bytes] = {-1: mask}
    variable_columns: dict[int, tuple[Longs, Bytes, int]] = {}
    for j, (array, column) in enumerate(zip(batch.columns, columns, strict=True)):
        if array.null_count:
            nulls = array.is_null().to_numpy(zero_copy_only=False)
            mask[:, j >> 3] |= nulls.astype(np.uint8) << np.uint8(7 - (j & 7))
        if column.datatype in ("char", "unicodeChar") or (is_array(column) and size_of(column) is None):
            variable_columns[j] = variable(array, column)
        else:
            fixed[j] = values(array, column)
    length = np.full(
        count, sum(piece.shape[1] for piece in fixed.values()) + 4 * len(variable_columns), np.int64
    )
    for offsets, _, _ in variable_columns.values():
        length += np.diff(offsets)
    at = np.full(count, len(before), np.int64)
    at[1:] += np.cumsum(length[:-1])
    out = np.empty(len(before) + int(length.sum()), np.uint8)
    out[: len(before)] = before
    for j in range(-1, len(columns)):
        if j in fixed:
            _put_fixed(out, at, fixed[j])
        else:
            offsets, data, width = variable_columns[j]
            _put_variable(out, at, offsets, data, width)
    return out


def values(array: pa.Array, column: ReleaseColumn, null: int = 0) -> Bytes:
    """Return cells of one size, big-endian, as bytes.

    Parameters
    ----------
    array
        Arrow array of the column.
    column
        Its description, with type and size.
    null
        Value of null integers; null floats are NaN, null booleans ``?``.

    Returns
    -------
    ndarray of uint8, shape (rows, bytes a cell)
        Bytes of the cells.
    """
    count = len(array)
    if size_of(column) is not None:
        return values(elements(array), _scalar(column), null).reshape(count, -1)
    if column.datatype == "boolean":
        text = np.where(_plain(array, False), np.uint8(ord("T")), np.uint8(ord("F")))
        if array.null_count:
            text[array.is_null().to_numpy(zero_copy_only=False)] = ord("?")
        return text.reshape(count, 1)
    data = _plain(array, float("nan") if pa.types.is_floating(array.type) else null)
    swapped = np.ascontiguousarray(data).byteswap() if data.itemsize > 1 else np.ascontiguousarray(data)
    return swapped.view(np.uint8).reshape(count, data.itemsize)


def variable(array: pa.Array, column: ReleaseColumn) -> tuple[Longs, Bytes, int]:
    """Return offsets (rows + 1, bytes), data and element size of variable-length cells; nulls are empty."""
    if array.null_count:
        empty = pa.scalar("" if pa.types.is_string(array.type) else [], array.type)
        array = array.fill_null(empty) if pa.types.is_string(array.type) else pc.coalesce(array, empty)
    if column.datatype == "unicodeChar":
        encoded = [text.encode("utf-16-be") for text in array.to_pylist()]
        array = pa.array(encoded, pa.binary())
    offsets = np.frombuffer(array.buffers()[1], np.int32, len(array) + 1, array.offset * 4).astype(np.int64)
    first, last = int(offsets[0]), int(offsets[-1])
    offsets -= first
    if column.datatype in ("char", "unicodeChar"):
        buffer = array.buffers()[2]
        data = np.frombuffer(buffer, np.uint8)[first:last] if buffer is not None else np.empty(0, np.uint8)
        return offsets, data, 2 if column.datatype == "unicodeChar" else 1
    cells = values(array.values.slice(first, last - first), _scalar(column))
    width = cells.shape[1]
    return offsets * width, cells.reshape(-1), width


def _plain(array: pa.Array, null: float | bool) -> npt.NDArray[np.generic]:
    """Return the values of an Arrow array with ``null`` for nulls."""
    if array.null_count:
        array = array.fill_null(pa.scalar(null, array.type))
    data: npt.NDArray[np.generic] = array.to_numpy(zero_copy_only=False)
    return data


def _scalar(column: ReleaseColumn) -> ReleaseColumn:
    """Return the description of an array column's elements."""
    return ReleaseColumn(column.name, column.datatype)


def elements(array: pa.Array) -> pa.Array:
    """Return the elements of fixed-length cells as one array; those of a null cell are null."""
    if array.null_count:
        array = pc.if_else(array.is_valid(), array, pa.scalar([None] * array.type.list_size, array.type))
    return array.flatten()
