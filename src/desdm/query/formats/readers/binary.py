"""Reader of the BINARY and BINARY2 serialisations of VOTable (VOTable 1.4, 6.3 and 6.4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from desdm.errors import UsageError
from desdm.pixels.compiled import compiled
from desdm.query.formats.readers.model import Limits
from desdm.query.formats.rows import TEXT, is_array, size_of
from desdm.release.model import ReleaseColumn

__all__ = ["columns_of"]

Bytes = npt.NDArray[np.uint8]
Longs = npt.NDArray[np.int64]

_WIDTHS = {
    "bit": 1,
    "boolean": 1,
    "unsignedByte": 1,
    "short": 2,
    "int": 4,
    "long": 8,
    "float": 4,
    "double": 8,
    "char": 1,
    "unicodeChar": 2,
}
_KINDS = {"unsignedByte": "u1", "short": ">i2", "int": ">i4", "long": ">i8", "float": ">f4", "double": ">f8"}


@compiled()
def _find_cells(data: Bytes, mask: int, sizes: Longs, widths: Longs, starts: Longs, lengths: Longs) -> int:
    """Find start and length of each cell; return the number of rows, or -1 for bytes that end within one."""
    # With empty ``starts`` it only counts rows.
    at, row, end = 0, 0, len(data)
    while at < end:
        at += mask
        for j in range(len(sizes)):
            length = sizes[j]
            if length < 0:
                if at + 4 > end:
                    return -1
                count = (
                    (np.int64(data[at]) << 24)
                    | (np.int64(data[at + 1]) << 16)
                    | (np.int64(data[at + 2]) << 8)
                    | np.int64(data[at + 3])
                )
                at += 4
                length = count * widths[j]
            if at + length > end:
                return -1
            if len(starts):
                starts[row, j] = at
                lengths[row, j] = length
            at += length
        row += 1
    return row


@compiled()
def _gather(data: Bytes, starts: Longs, lengths: Longs, out: Bytes) -> None:
    """Copy cells one after another into ``out``."""
    to = 0
    for i in range(len(starts)):
        for k in range(lengths[i]):
            out[to] = data[starts[i] + k]
            to += 1


def columns_of(
    data: bytes,
    columns: Sequence[ReleaseColumn],
    sizes: Sequence[int | None],
    limits: Limits,
    *,
    masked: bool,
) -> list[pa.Array]:
    """Return the columns of a stream of rows.

    Parameters
    ----------
    data
        The stream, decoded from base64.
    columns, sizes
        Descriptions; elements in each cell, None for variable-length cells.
    masked
        BINARY2: each row begins with a mask of nulls.

    Raises
    ------
    UsageError
        The bytes end in the middle of a row.
    LimitExceeded
        There are too many rows.
    """
    buffer = np.frombuffer(data, np.uint8)
    widths = np.array([_WIDTHS[c.datatype] for c in columns], np.int64)
    fixed = np.array([-1 if s is None else s * w for s, w in zip(sizes, widths, strict=True)], np.int64)
    mask = (len(columns) + 7) // 8 if masked else 0
    none = np.empty((0, 0), np.int64)
    if mask + int(np.where(fixed < 0, 4, fixed).sum()) == 0:
        raise UsageError("the table's rows have no bytes")
    count = _find_cells(buffer, mask, fixed, widths, none, none)
    if count < 0:
        raise UsageError("the table's stream ends in the middle of a row; it may be truncated")
    limits.check_rows(count)
    starts, lengths = np.empty((count, len(columns)), np.int64), np.empty((count, len(columns)), np.int64)
    _find_cells(buffer, mask, fixed, widths, starts, lengths)
    nulls = np.zeros((count, len(columns)), bool)
    if masked and count:
        first = starts[:, 0] - mask - (4 if fixed[0] < 0 else 0)
        bits = np.unpackbits(buffer[first[:, None] + np.arange(mask)], axis=1)
        nulls = bits[:, : len(columns)].astype(bool)
    return [
        _column(buffer, column, starts[:, j].copy(), lengths[:, j].copy(), int(widths[j]), nulls[:, j])
        for j, column in enumerate(columns)
    ]


def _column(
    buffer: Bytes,
    column: ReleaseColumn,
    starts: Longs,
    lengths: Longs,
    width: int,
    nulls: npt.NDArray[np.bool_],
) -> pa.Array:
    """Return the Arrow array of one column from the starts and lengths of its cells."""
    data = np.empty(int(lengths.sum()), np.uint8)
    _gather(buffer, starts, lengths, data)
    if column.datatype in TEXT:
        ends = np.concatenate(([0], np.cumsum(lengths)))
        coding = "utf-8" if width == 1 else "utf-16-be"
        whole = data.tobytes()
        text = [
            whole[a:b].decode(coding, "replace").split("\0", 1)[0]
            for a, b in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)
        ]
        return pa.array(text, pa.string(), mask=nulls)
    if column.datatype == "bit":
        # The standard's bit is the byte's highest; astropy writes another one.
        flat = pa.array(data != 0)
    elif column.datatype == "boolean":
        odd = ~np.isin(data, np.frombuffer(b"TtFf10", np.uint8))
        flat = pa.array(np.isin(data, np.frombuffer(b"Tt1", np.uint8)), mask=odd)
    else:
        kind = np.dtype(_KINDS[column.datatype])
        flat = pa.array(data.view(kind).astype(kind.newbyteorder("=")))
    if not is_array(column):
        return _masked(flat, nulls)
    size = size_of(column)
    if size is not None:
        return pa.FixedSizeListArray.from_arrays(flat, size, mask=pa.array(nulls))
    offsets = np.concatenate(([0], np.cumsum(lengths // width))).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), flat, mask=pa.array(nulls))


def _masked(flat: pa.Array, nulls: npt.NDArray[np.bool_]) -> pa.Array:
    """Return an array with null where ``nulls`` is set."""
    return pc.if_else(pa.array(nulls), pa.scalar(None, flat.type), flat) if nulls.any() else flat
