"""Floats as integers in steps, with FITS 4.0's second subtractive dither (section 10.2), which keeps zeros exact."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from desdm.pixels.blank import NULL
from desdm.pixels.compiled import compiled

__all__ = ["NULL", "ZERO", "dequantize_box", "dequantize_rows", "dither_table", "quantize_rows"]

#: The integer that stands for an exact zero; beside `NULL`, which stands for "no value" (written as ZBLANK).
ZERO = -2147483646
_FIRST = (
    -2147483637
)  # the smallest other integer, next to those two so that a zero among values costs few bits
_COUNT = 10000
_SPAN = 4.2e9  # integers between _FIRST and the largest


@functools.cache
def dither_table() -> npt.NDArray[np.float32]:
    """The 10 000 random numbers that writer and reader share (FITS 4.0, appendix I), in [0, 1)."""
    table = np.empty(_COUNT, np.float32)
    seed = 1
    for i in range(_COUNT):
        seed = seed * 16807 % 2147483647
        table[i] = seed / 2147483647
    assert seed == 1043618065  # the check value of the standard
    table.setflags(write=False)
    return table


@compiled()
def _begin(table: npt.NDArray[np.float32], seed: int) -> int:
    """Return the first index into the random table for a seed."""
    return int(table[seed] * np.float32(500.0))


@compiled()
def quantize_rows(
    values: npt.NDArray[np.float32],
    first: int,
    step: float,
    relative: float,
    table: npt.NDArray[np.float32],
    out: npt.NDArray[np.int32],
    scales: npt.NDArray[np.float64],
    zeros: npt.NDArray[np.float64],
) -> int:
    """Quantise rows, each with its own zero point.

    Parameters
    ----------
    values
        (n, columns). NaN becomes `NULL`, 0 becomes `ZERO`.
    first
        Number (from 0) of the first of these rows in the image: the dither depends on it.
    step
        The step in units of the values; if it is not positive, ``relative`` holds.
    relative
        Step of a row as a share of its smallest positive value.
    table
        `dither_table`.
    out
        (n, columns) int32, filled.
    scales, zeros
        (n,), filled with step and zero point of each row.

    Returns
    -------
    int
        Values that are not numbers.
    """
    columns = values.shape[1]
    missing = 0
    for y in range(values.shape[0]):
        row, to = values[y], out[y]
        low, high, smallest = np.float32(np.inf), np.float32(-np.inf), np.float32(np.inf)
        for x in range(columns):
            v = row[x]
            low = min(low, v) if v == v else low
            high = max(high, v) if v == v else high
            smallest = v if (v > 0 and v < smallest) else smallest
        if low > high:
            low = high = np.float32(0)
        size = step
        if not size > 0:
            size = relative * np.float64(smallest) if smallest < np.inf else 1.0
        size = max(size, (np.float64(high) - np.float64(low)) / _SPAN)
        scales[y] = size
        zeros[y] = np.float64(low) - size * _FIRST
        seed = (first + y) % _COUNT
        at = _begin(table, seed)
        inverse, base = 1.0 / size, np.float64(low)
        x = 0
        while x < columns:
            stop = min(columns, x + _COUNT - at)
            for i in range(x, stop):
                v = row[i]
                # floor(a + random) is the nearest integer of a + random - 1/2
                level = (np.float64(v) - base) * inverse + np.float64(table[at + i - x])
                q = np.int32(np.int64(level) + _FIRST) if v == v else np.int32(NULL)
                to[i] = np.int32(ZERO) if v == 0 else q
                missing += 0 if v == v else 1
            at += stop - x
            x = stop
            if at == _COUNT:
                seed = (seed + 1) % _COUNT
                at = _begin(table, seed)
    return missing


@compiled()
def dequantize_rows(
    levels: npt.NDArray[np.int32],
    first: int,
    scales: npt.NDArray[np.float64],
    zeros: npt.NDArray[np.float64],
    blanks: npt.NDArray[np.int64],
    method: int,
    table: npt.NDArray[np.float32],
    out: npt.NDArray[np.float32],
) -> None:
    """Undo `quantize_rows`.

    Parameters
    ----------
    levels
        (n, columns) int32.
    first
        The dither number of the first row: its number in the image (from 0) plus ZDITHER0 - 1.
    scales, zeros
        (n,) ZSCALE and ZZERO.
    blanks
        (n,) the integer of each row that stands for "no value" (ZBLANK).
    method
        0 no dither, 1 and 2 the subtractive ones.
    table
        `dither_table`.
    out
        (n, columns) float32, filled.
    """
    columns = levels.shape[1]
    for y in range(levels.shape[0]):
        row, to = levels[y], out[y]
        size, base, blank = scales[y], zeros[y], blanks[y]
        seed = (first + y) % _COUNT
        at = _begin(table, seed)
        x = 0
        while x < columns:
            stop = min(columns, x + _COUNT - at)
            for i in range(x, stop):
                q = row[i]
                level = np.float64(q)
                if method > 0:
                    level = level - np.float64(table[at + i - x]) + np.float64(0.5)
                v = np.float32(level * size + base)
                v = np.float32(0) if (q == ZERO and method == 2) else v
                to[i] = np.float32(np.nan) if q == blank else v
            at += stop - x
            x = stop
            if at == _COUNT:
                seed = (seed + 1) % _COUNT
                at = _begin(table, seed)


@compiled()
def _ahead(table: npt.NDArray[np.float32], seed: int, at: int, pixels: int) -> tuple[int, int]:
    """Advance seed and index of the random sequence by a number of pixels."""
    # Where the dither stands that many pixels later.
    at += pixels
    while at >= _COUNT:
        seed = (seed + 1) % _COUNT
        at += _begin(table, seed) - _COUNT
    return seed, at


@compiled()
def dequantize_box(
    levels: npt.NDArray[np.int32],
    first: int,
    scale: float,
    zero: float,
    method: int,
    blank: int,
    table: npt.NDArray[np.float32],
    y0: int,
    x0: int,
    out: npt.NDArray[np.float32],
) -> None:
    """A box of one tile as floats; the sums are done in cfitsio's order, so that each bit is the same.

    Parameters
    ----------
    levels
        (rows, columns) int32: the tile, down to the last row of the box at least.
    first
        The dither number of the tile: its number in the image (from 0) plus ZDITHER0 - 1.
    scale, zero
        ZSCALE and ZZERO of the tile.
    method
        0 no dither, 1 and 2 the subtractive ones.
    blank
        The integer that stands for "no value" (ZBLANK).
    table
        `dither_table`.
    y0, x0
        Where the box begins in the tile.
    out
        (ny, nx) float32, filled; it may be part of a larger array.
    """
    seed = first % _COUNT
    at = _begin(table, seed)
    seed, at = _ahead(table, seed, at, y0 * levels.shape[1])
    for y in range(out.shape[0]):
        s, a = _ahead(table, seed, at, x0)
        x = 0
        while x < out.shape[1]:
            stop = min(out.shape[1], x + _COUNT - a)
            for i in range(x, stop):
                q = levels[y0 + y, x0 + i]
                level = np.float64(q)
                if method > 0:
                    level = level - np.float64(table[a + i - x]) + np.float64(0.5)
                v = np.float32(level * scale + zero)
                v = np.float32(0) if (q == ZERO and method == 2) else v
                out[y, i] = np.float32(np.nan) if q == blank else v
            s, a = _ahead(table, s, a, stop - x)
            x = stop
        seed, at = _ahead(table, seed, at, levels.shape[1])
