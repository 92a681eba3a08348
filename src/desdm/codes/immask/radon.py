"""Sums along all straight lines of a small image at once: the fast discrete Radon transform.

After Brady (1998, SIAM J. Comput. 27, 107) and its use for satellite trails by Nir, Zackay & Ofek (2018, AJ 156,
229): sums over 2m rows consist of two sums over m rows, so that all lines of an N × N image cost
N² log N additions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from desdm.pixels.compiled import compiled

__all__ = ["Line", "strongest_line"]


class Line(NamedTuple):
    """A line through an image: its ends (x, y) in pixels from 0, and the S/N of the mean along it."""

    x1: float
    y1: float
    x2: float
    y2: float
    snr: float


@compiled(fast=True)
def _transform(image: npt.NDArray[np.float32], rows: int) -> npt.NDArray[np.float32]:
    """Return the sums over all ``rows`` (a power of two) along lines that move by 0 … rows-1 columns to the right.

    Shape (rows, nx + rows): [s, x + rows - 1] is the sum of the line that begins in row 0 at column x and ends at x + s;
    x may be as low as 1 - rows.
    """
    ny, nx = image.shape
    width = nx + rows
    sums = np.zeros((rows, 1, width), np.float32)
    sums[:ny, 0, rows - 1 : rows - 1 + nx] = image
    m = 1
    while m < rows:
        half = sums.shape[0] // 2
        new = np.empty((half, 2 * m, width), np.float32)
        for b in range(half):
            for s in range(2 * m):
                low, high, out = sums[2 * b, s // 2], sums[2 * b + 1, s // 2], new[b, s]
                shift = (s + 1) // 2
                for x in range(width - shift):
                    out[x] = low[x] + high[x + shift]
                for x in range(width - shift, width):
                    out[x] = low[x]
        sums = new
        m *= 2
    lines: npt.NDArray[np.float32] = sums[0]
    return lines


@compiled()
def _most_significant(
    total: npt.NDArray[np.float32], count: npt.NDArray[np.float32], min_count: float
) -> tuple[float, int, int]:
    """Return the largest total/√count where count ≥ min_count, and its two indices."""
    best, bs, bx = 0.0, 0, 0
    for s in range(total.shape[0]):
        for x in range(total.shape[1]):
            n = count[s, x]
            t = total[s, x]
            if n >= min_count and t > 0.0 and t * t > best * best * n:
                best, bs, bx = t / np.sqrt(n), s, x
    return best, bs, bx


def strongest_line(
    values: npt.NDArray[np.float32], valid: npt.NDArray[np.bool_], min_count: float
) -> Line | None:
    """Return the line along which the mean of ``values`` is most significant.

    Parameters
    ----------
    values
        (ny, nx) S/N of each pixel: mean 0, scatter 1 without a streak.
    valid
        (ny, nx) false where a pixel is masked.
    min_count
        Smallest number of valid pixels of a line.

    Returns
    -------
    Line or None
        The line within the image; None if no line has enough pixels.
    """
    image = np.where(valid, values, np.float32(0)).astype(np.float32)
    weight = valid.astype(np.float32)
    best: Line | None = None
    for transposed in (False, True):
        for mirrored in (False, True):
            a, n = (image.T, weight.T) if transposed else (image, weight)
            if mirrored:
                a, n = a[:, ::-1], n[:, ::-1]
            ny, nx = a.shape
            rows = 1 << max(ny - 1, 1).bit_length()
            total = _transform(np.ascontiguousarray(a), rows)
            count = _transform(np.ascontiguousarray(n), rows)
            snr, s, at = _most_significant(total, count, min_count)
            if snr <= (best.snr if best else 0.0):
                continue
            x0 = float(at - rows + 1)
            x1 = x0 + s * (ny - 1) / (rows - 1)
            ends = _clip(x0, 0.0, x1, float(ny - 1), nx)
            if mirrored:
                ends = (nx - 1 - ends[0], ends[1], nx - 1 - ends[2], ends[3])
            if transposed:
                ends = (ends[1], ends[0], ends[3], ends[2])
            best = Line(*ends, snr)
    return best


def _clip(x0: float, y0: float, x1: float, y1: float, nx: int) -> tuple[float, float, float, float]:
    """Cut a line that runs from row y0 to y1 > y0 to the columns 0 … nx-1."""
    if x1 == x0:
        return x0, y0, x1, y1
    t = sorted(((0.0 - x0) / (x1 - x0), (nx - 1.0 - x0) / (x1 - x0)))
    low, high = max(t[0], 0.0), min(t[1], 1.0)
    return x0 + low * (x1 - x0), y0 + low * (y1 - y0), x0 + high * (x1 - x0), y0 + high * (y1 - y0)
