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


@compiled()
def room(columns: int) -> int:
    """Bytes that the code of one row can take at most."""
    return 4 * (columns + columns // BLOCK + 4)


@compiled()
def _big_endian(bits: np.uint64) -> np.uint32:
    """Return the low 32 bits, their bytes in the order of FITS (on a little-endian machine)."""
    word = np.uint32(bits)
    return (
        (word << np.uint32(24))
        | ((word & np.uint32(0xFF00)) << np.uint32(8))
        | ((word >> np.uint32(8)) & np.uint32(0xFF00))
        | (word >> np.uint32(24))
    )


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
def _encode_row(
    row: npt.NDArray[np.int32], words: npt.NDArray[np.uint32], difference: npt.NDArray[np.uint32]
) -> int:
    """Encode one row into ``words`` and return its length in bytes."""
    # Fewer than 32 bits wait in ``bits`` before each value: a word is written as soon as it is complete. The lines
    # that write it stand here four times, since a function that returns position and bits costs twice the time.
    at, last = 0, row[0]
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
        if bit_count >= _WORD:
            bit_count -= _WORD
            words[at] = _big_endian(bits >> bit_count)
            at += 1
        low = _low_bits(total, count)
        if total == 0:
            bits, bit_count = bits << _CODE, bit_count + _CODE
            continue
        if low >= _RAW:
            bits, bit_count = (bits << _CODE) | (_RAW + _ONE), bit_count + _CODE
            for i in range(count):
                if bit_count >= _WORD:
                    bit_count -= _WORD
                    words[at] = _big_endian(bits >> bit_count)
                    at += 1
                bits, bit_count = (bits << _WORD) | np.uint64(difference[i]), bit_count + _WORD
            continue
        bits, bit_count = (bits << _CODE) | (low + _ONE), bit_count + _CODE
        stop, mask, longest = _ONE << low, (_ONE << low) - _ONE, np.uint64(30) - low
        for i in range(count):
            if bit_count >= _WORD:
                bit_count -= _WORD
                words[at] = _big_endian(bits >> bit_count)
                at += 1
            value = np.uint64(difference[i])
            zeros = value >> low
            while zeros > longest:  # a long run of zeros goes out in pieces that the window holds
                bits, bit_count, zeros = bits << longest, bit_count + longest, zeros - longest
                if bit_count >= _WORD:
                    bit_count -= _WORD
                    words[at] = _big_endian(bits >> bit_count)
                    at += 1
            length = zeros + low + _ONE
            bits, bit_count = (bits << length) | stop | (value & mask), bit_count + length
    if bit_count >= _WORD:
        bit_count -= _WORD
        words[at] = _big_endian(bits >> bit_count)
        at += 1
    if bit_count > 0:
        words[at] = _big_endian(bits << (_WORD - bit_count))
    return 4 * at + (int(bit_count) + 7) // 8


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
    words = np.empty(room(rows.shape[1]) // 4, np.uint32)
    coded, difference = words.view(np.uint8), np.empty(BLOCK, np.uint32)
    at = 0
    for y in range(rows.shape[0]):
        length = _encode_row(rows[y], words, difference)
        heap[at : at + length] = coded[:length]
        lengths[y] = length
        at += length
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
        if code > most:
            for i in range(count):
                at, window, bit_count = _fill(heap, at, end, window, bit_count)
                if bit_count < bits:
                    return False
                small = np.uint32(window >> (np.uint64(64) - bits))
                window, bit_count = window << bits, bit_count - bits
                last = np.int32(last + (np.int32(small >> np.uint32(1)) ^ -np.int32(small & np.uint32(1))))
                last = _cut(last, width)
                row[start + i] = last
            continue
        low = code - _ONE
        for i in range(count):
            # As `_fill`, which costs more as a function that returns three values; this loop is most of the time.
            if bit_count <= _WORD and at + 4 <= end:
                word = (
                    (np.uint64(heap[at]) << np.uint64(24))
                    | (np.uint64(heap[at + 1]) << np.uint64(16))
                    | (np.uint64(heap[at + 2]) << np.uint64(8))
                    | np.uint64(heap[at + 3])
                )
                window |= word << (_WORD - bit_count)
                at, bit_count = at + 4, bit_count + _WORD
            elif bit_count <= _WORD:
                at, window, bit_count = _fill(heap, at, end, window, bit_count)
            top = _ZEROS[window >> np.uint64(56)]
            zeros = top
            if top == 8:
                while window == 0:
                    if at >= end:
                        return False
                    zeros += bit_count
                    at, window, bit_count = _fill(heap, at, end, np.uint64(0), np.uint64(0))
                zeros -= top
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
            # A shift by 64 bits is not defined; by one and then the rest it gives 0 where no low bits are.
            small = np.uint32((zeros << low) | ((window >> _ONE) >> (np.uint64(63) - low)))
            window, bit_count = window << low, bit_count - low
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
