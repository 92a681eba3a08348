"""Columns whose only fault is a constant offset are set level with their neighbours (DESDM's own rule)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from desdm.pixels.maskbits import MaskBit

__all__ = ["fix_columns"]

_FIXED, _BPM = int(MaskBit.FIXED), int(MaskBit.BPM)
_REACH = 4  # columns on either side that may serve as neighbours
_LEAST = 32  # rows below which an offset is not worth its noise


def fix_columns(
    sci: npt.NDArray[np.float32], msk: npt.NDArray[np.int32], unfit: int, limit: float = 1.5
) -> tuple[int, int]:
    """Subtract from each stretch of a column that has the bit FIXED its median difference to good columns beside it.

    Parameters
    ----------
    sci, msk
        Image (any unit) and bits, changed in place. A stretch that was set right loses BPM and keeps FIXED; one that is
        noisier than its neighbours by more than ``limit`` loses FIXED and gets BPM: its fault is not an offset.
    unfit
        Bits of pixels that may not serve as neighbours.
    limit
        Ratio of scatters.

    Returns
    -------
    (int, int)
        Numbers of stretches fixed and left unfixed.
    """
    marked = (msk & _FIXED) != 0
    fixed = lost = 0
    for x in np.flatnonzero(marked.any(axis=0)):
        edges = np.flatnonzero(np.diff(np.concatenate(([0], marked[:, x].view(np.int8), [0]))))
        for start, stop in edges.reshape(-1, 2):
            rows = slice(int(start), int(stop))
            offset = _offset(sci, msk, marked, int(x), rows, unfit, limit)
            if offset is None:
                msk[rows, x] = (msk[rows, x] & ~_FIXED) | _BPM
                lost += 1
            else:
                sci[rows, x] -= np.float32(offset)
                msk[rows, x] &= ~_BPM
                fixed += 1
    return fixed, lost


def _offset(
    sci: npt.NDArray[np.float32],
    msk: npt.NDArray[np.int32],
    marked: npt.NDArray[np.bool_],
    x: int,
    rows: slice,
    unfit: int,
    limit: float,
) -> float | None:
    """Return the offset of a column stretch from its neighbours; None if it is not reliable."""
    left = [c for c in range(x - 1, max(x - 1 - _REACH, -1), -1) if not marked[rows, c].any()][:2]
    right = [c for c in range(x + 1, min(x + 1 + _REACH, sci.shape[1])) if not marked[rows, c].any()][:2]
    columns = left + right
    if not columns or rows.stop - rows.start < _LEAST:
        return None
    beside = sci[rows, columns].astype(float)
    beside[(msk[rows, columns] & (unfit | _BPM)) != 0] = np.nan
    own = sci[rows, x].astype(float)
    own[(msk[rows, x] & (unfit & ~_BPM)) != 0] = np.nan
    usable = np.isfinite(own) & np.isfinite(beside).all(axis=1)
    if usable.sum() < _LEAST:
        return None
    difference = own[usable] - beside[usable].mean(axis=1)
    offset = float(np.median(difference))
    scatter = float(np.median(np.abs(difference - offset)))
    # What the neighbours differ among themselves tells what a good column would.
    between = beside[usable] - np.median(beside[usable], axis=1)[:, None]
    expected = float(np.std(_clipped(between))) / 1.4826
    n = len(columns)
    expected *= np.sqrt((1 + 1 / n) / max(1 - 1 / n, 0.5))
    if n > 1 and scatter > limit * expected:
        return None
    return offset


def _clipped(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the values within 4 σ of the median, flat."""
    flat = values.ravel()
    middle = np.median(flat)
    scatter = 1.4826 * np.median(np.abs(flat - middle))
    return flat[np.abs(flat - middle) <= 4 * scatter] if scatter > 0 else flat
