"""Rice coding of rows or tiles of integers, as FITS 4.0 section 10.4.1 lays it down (RICE_1).

Written are 32 bits in blocks of 32; read is every form (8, 16 and 32 bits, any block).

Written here, and not taken from cfitsio, because its Python binding holds the interpreter's lock while it works:
three planes could not be coded at once, nor one in bands. It is also several times faster.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from desdm.pixels.compiled import compiled

__all__ = ["BLOCK", "decode_rows", "decode_tile", "encode_rows", "room"]

#: Pixels that share one split of their bits.
BLOCK = 32
_CODE = np.uint64(5)  # bits that tell the split of a block
_RAW = np.uint64(25)  # a block whose differences need this many low bits is stored as it is
_ONE = np.uint64(1)
_BYTE = np.uint64(8)
_WORD = np.uint64(32)
_LAST = np.uint64(255)
#: Leading zeros of a byte.
_ZEROS = np.array([8 - int(i).bit_length() for i in range(256)], np.uint64)


def room(columns: int) -> int:
    """Bytes that the code of one row can take at most."""
    return 4 * (columns + columns // BLOCK + 4)


@compiled()
def _put(
    heap: npt.NDArray[np.uint8], at: int, bits: np.uint64, bit_count: np.uint64
) -> tuple[int, np.uint64]:
    """Write the complete 32-bit words of the bit buffer; return position and bits left."""
    # Complete words are written; fewer than 32 bits stay in the buffer.
    while bit_count >= _WORD:
        bit_count -= _WORD
        word = np.uint32(bits >> bit_count)
        heap[at] = word >> np.uint32(24)
        heap[at + 1] = (word >> np.uint32(16)) & np.uint32(255)
        heap[at + 2] = (word >> np.uint32(8)) & np.uint32(255)
        heap[at + 3] = word & np.uint32(255)
        at += 4
    return at, bit_count


@compiled()
def _low_bits(total: np.uint64, count: int) -> np.uint64:
    """Return the number of low bits that codes a block with this sum of differences best."""
    # Half the mean difference tells how many low bits are noise.
    half = (np.float64(total) - (count // 2) - 1) / count
    mean = np.uint32(0) if half < 0 else np.uint32(half) >> np.uint32(1)
    low = np.uint64(0)
    while mean > 0:
        low += _ONE
        mean >>= np.uint32(1)
    return low


@compiled()
def _encode_row(row: npt.NDArray[np.int32], heap: npt.NDArray[np.uint8], at: int) -> int:
    """Encode one row into the heap and return the position behind it."""
    difference = np.empty(BLOCK, np.uint32)
    last = row[0]
    bits, bit_count = np.uint64(np.uint32(last)), _WORD  # the first value stands before the differences
    for start in range(0, row.size, BLOCK):
        count = min(BLOCK, row.size - start)
        total = np.uint64(0)
        for i in range(count):
            step = np.int32(row[start + i] - last)
            last = row[start + i]
            folded = np.uint32((step << np.int32(1)) ^ (step >> np.int32(31)))
            difference[i] = folded
            total += np.uint64(folded)
        at, bit_count = _put(heap, at, bits, bit_count)
        low = _low_bits(total, count)
        if total == 0:
            bits, bit_count = bits << _CODE, bit_count + _CODE
            continue
        if low >= _RAW:
            bits, bit_count = (bits << _CODE) | (_RAW + _ONE), bit_count + _CODE
            for i in range(count):
                at, bit_count = _put(heap, at, bits, bit_count)
                bits, bit_count = (bits << _WORD) | np.uint64(difference[i]), bit_count + _WORD
            continue
        bits, bit_count = (bits << _CODE) | (low + _ONE), bit_count + _CODE
        mask, longest = (_ONE << low) - _ONE, np.uint64(30) - low
        for i in range(count):
            at, bit_count = _put(heap, at, bits, bit_count)
            value = np.uint64(difference[i])
            zeros = value >> low
            while zeros > longest:  # a long run of zeros goes out in pieces that the window holds
                bits, bit_count, zeros = bits << longest, bit_count + longest, zeros - longest
                at, bit_count = _put(heap, at, bits, bit_count)
            bits = (((bits << (zeros + _ONE)) | _ONE) << low) | (value & mask)
            bit_count += zeros + _ONE + low
    at, bit_count = _put(heap, at, bits, bit_count)
    while bit_count >= _BYTE:
        bit_count -= _BYTE
        heap[at] = np.uint8((bits >> bit_count) & _LAST)
        at += 1
    if bit_count > 0:
        heap[at] = np.uint8((bits << (_BYTE - bit_count)) & _LAST)
        at += 1
    return at


@compiled()
def encode_rows(
    rows: npt.NDArray[np.int32], heap: npt.NDArray[np.uint8], lengths: npt.NDArray[np.int64]
) -> int:
    """Code each row for itself, one after another.

    Parameters
    ----------
    rows
        (n, columns) int32.
    heap
        Bytes to write to, at least ``n * room(columns)``.
    lengths
        (n,), gets the bytes of each row.

    Returns
    -------
    int
        Bytes written.
    """
    at = 0
    for y in range(rows.shape[0]):
        begun = at
        at = _encode_row(rows[y], heap, at)
        lengths[y] = at - begun
    return at


@compiled()
def _fill(
    heap: npt.NDArray[np.uint8], at: int, end: int, window: np.uint64, bit_count: np.uint64
) -> tuple[int, np.uint64, np.uint64]:
    """Refill the bit window from the code, without reading beyond ``end``."""
    # The next bits of the code stand at the window's high end; at least 33 of them unless the code ends.
    if bit_count <= _WORD and at + 4 <= end:
        word = (
            (np.uint64(heap[at]) << np.uint64(24))
            | (np.uint64(heap[at + 1]) << np.uint64(16))
            | (np.uint64(heap[at + 2]) << np.uint64(8))
            | np.uint64(heap[at + 3])
        )
        return at + 4, window | (word << (_WORD - bit_count)), bit_count + _WORD
    while bit_count <= np.uint64(56) and at < end:
        window |= np.uint64(heap[at]) << (np.uint64(56) - bit_count)
        at += 1
        bit_count += _BYTE
    return at, window, bit_count


@compiled()
def _cut(value: np.int32, width: int) -> np.int32:
    """Reduce a value to the width of the pixel type, with its sign."""
    # Values of fewer bytes wrap in their own width; those of one byte have no sign.
    if width == 2:
        return np.int32(np.int16(value))
    return value & np.int32(255) if width == 1 else value


@compiled()
def _decode_row(
    heap: npt.NDArray[np.uint8], at: int, end: int, row: npt.NDArray[np.int32], block: int, width: int
) -> bool:
    """Decode one row; False if the code ends early or is invalid."""
    # The split of a block is coded in 5, 4 or 3 bits for values of 4, 2 or 1 bytes.
    bits = np.uint64(8 * width)
    code_bits = _CODE if width == 4 else (np.uint64(4) if width == 2 else np.uint64(3))
    most = _RAW if width == 4 else (np.uint64(14) if width == 2 else np.uint64(6))
    at, window, bit_count = _fill(heap, at, end, np.uint64(0), np.uint64(0))
    last = _cut(np.int32(window >> (np.uint64(64) - bits)), width)
    window, bit_count = window << bits, bit_count - bits
    for start in range(0, row.size, block):
        count = min(block, row.size - start)
        at, window, bit_count = _fill(heap, at, end, window, bit_count)
        if bit_count < code_bits:
            return False
        code = window >> (np.uint64(64) - code_bits)
        window, bit_count = window << code_bits, bit_count - code_bits
        if code == 0:
            for i in range(count):
                row[start + i] = last
            continue
        raw = code > most
        low = bits if raw else code - _ONE
        for i in range(count):
            at, window, bit_count = _fill(heap, at, end, window, bit_count)
            zeros = np.uint64(0)
            if not raw:
                while window == 0:
                    if at >= end:
                        return False
                    zeros += bit_count
                    at, window, bit_count = _fill(heap, at, end, np.uint64(0), np.uint64(0))
                top = _ZEROS[window >> np.uint64(56)]
                while top == 8:
                    zeros, window, bit_count = zeros + _BYTE, window << _BYTE, bit_count - _BYTE
                    top = _ZEROS[window >> np.uint64(56)]
                zeros += top
                window, bit_count = window << (top + _ONE), bit_count - top - _ONE
                if bit_count < low:
                    at, window, bit_count = _fill(heap, at, end, window, bit_count)
            if bit_count < low:
                return False
            folded = zeros << low if not raw else np.uint64(0)
            if low > 0:
                folded |= window >> (np.uint64(64) - low)
                window, bit_count = window << low, bit_count - low
            small = np.uint32(folded)
            last = np.int32(last + (np.int32(small >> np.uint32(1)) ^ -np.int32(small & np.uint32(1))))
            last = _cut(last, width)
            row[start + i] = last
    return True


@compiled()
def decode_rows(
    heap: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int32],
) -> int:
    """Undo `encode_rows`.

    Parameters
    ----------
    heap
        The coded bytes.
    starts, lengths
        (n,) where each row's code begins in ``heap``, and its bytes.
    rows
        (n, columns) int32, filled.

    Returns
    -------
    int
        The first row whose code is damaged (it ends too early), or -1.
    """
    for y in range(rows.shape[0]):
        end = starts[y] + lengths[y]
        if starts[y] < 0 or lengths[y] < 4 or end > heap.size:
            return y
        if not _decode_row(heap, starts[y], end, rows[y], BLOCK, 4):
            return y
    return -1


@compiled()
def decode_tile(code: npt.NDArray[np.uint8], values: npt.NDArray[np.int32], block: int, width: int) -> bool:
    """The first values of one tile, whatever its form.

    Parameters
    ----------
    code
        The tile's bytes.
    values
        (n,) int32, filled; n may be less than the tile holds, for what comes later is not needed then.
    block
        Values that share a split (BLOCKSIZE).
    width
        Bytes of a value (BYTEPIX): 1, 2 or 4.

    Returns
    -------
    bool
        False if the code ends too early: it is damaged.
    """
    return code.size >= width and _decode_row(code, 0, code.size, values, block, width)
