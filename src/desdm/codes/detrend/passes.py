"""The two compiled passes over the pixels of an amplifier: raw ADU to electrons, and electrons to image and weight.

Each works row by row, so that what comes out does not depend on how the rows are shared among threads; a row of
intermediate values stays in the first cache instead of going through memory after every step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from desdm.survey.compiled import compiled

__all__ = ["NONE", "NO_BITS", "image_rows", "raw_rows"]

Plane = npt.NDArray[np.float32]
Bits = npt.NDArray[np.int32]

#: Stands for a plane that a step which is not done would need.
NONE = np.zeros((1, 1), np.float32)
NO_BITS = np.zeros((1, 1), np.int32)


@compiled()
def raw_rows(
    source: npt.NDArray[Any],
    oy: int,
    ox: int,
    first: int,
    count: int,
    level: npt.NDArray[np.float64],
    partner: int,
    partner_level: npt.NDArray[np.float64],
    coefficient: float,
    others: Plane,
    bias: Plane,
    shift: Plane,
    adu0: float,
    adustep: float,
    full: float,
    gain: float,
    bpm: Bits,
    prior: Bits,
    saturated: int,
    sci: Plane,
    msk: Bits,
    rows: npt.NDArray[np.int64],
) -> None:
    """Crosstalk, overscan, bias, linearity, bad and full pixels, gain of one amplifier's rows.

    Parameters
    ----------
    source
        Raw array (or an image that is detrended in part), ADU.
    oy, ox, first, count
        Row and column of the amplifier's first pixel in ``source``; its first column in the image; its columns.
    level
        Overscan of each row.
    partner, partner_level, coefficient
        Column of ``source`` that is read together with the amplifier's first one (the next ones run towards lower
        columns), the partner amplifier's overscan, and its crosstalk; coefficient 0: none.
    others
        Crosstalk of other CCDs, ADU, or `NONE`.
    bias
        Bias, ADU, or `NONE`.
    shift, adu0, adustep
        (1, lines) linear minus observed ADU, first line and step; one line: none.
    full
        Observed ADU from which a pixel is saturated.
    gain
        Electrons per ADU (1: keep ADU).
    bpm, prior
        Bad pixels; bits that the image has already; or `NO_BITS`.
    saturated
        Bit of a full pixel.
    sci, msk
        Filled.
    rows
        Rows of the image to work on.
    """
    value = np.empty(count, np.float32)
    bits = np.empty(count, np.int32)
    c, top, factor = np.float32(coefficient), np.float32(full), np.float32(gain)
    start, per_line, last = np.float32(adu0), np.float32(1.0 / adustep), shift.shape[1] - 2
    lines = shift[0]
    for y in rows:
        base = level[y]
        for i in range(count):
            value[i] = np.float32(np.float64(source[oy + y, ox + i]) - base)
        for i in range(count):
            bits[i] = np.int32(saturated) if value[i] >= top else np.int32(0)
        if coefficient != 0.0:
            beside = partner_level[y]
            for i in range(count):
                value[i] -= c * np.float32(np.float64(source[oy + y, partner - i]) - beside)
        if others.size > 1:
            for i in range(count):
                value[i] -= others[y, first + i]
        if bias.size > 1:
            for i in range(count):
                value[i] -= bias[y, first + i]
        if last >= 0:
            for i in range(count):
                at = (value[i] - start) * per_line
                k = min(max(int(at), 0), last)
                value[i] += lines[k] + (at - np.float32(k)) * (lines[k + 1] - lines[k])
        if bpm.size > 1:
            for i in range(count):
                bits[i] |= bpm[y, first + i]
        if prior.size > 1:
            for i in range(count):
                bits[i] |= prior[y, first + i]
        for i in range(count):
            sci[y, first + i] = value[i] * factor
            msk[y, first + i] = bits[i]


@compiled()
def image_rows(
    sci: Plane,
    msk: Bits,
    first: int,
    count: int,
    flat: Plane,
    least: float,
    fixed: float,
    light: float,
    null: int,
    bad: int,
    saturated: int,
    raised: float,
    wgt: Plane,
    rows: npt.NDArray[np.int64],
) -> None:
    """Dome flat, weight and what follows from the bits, for one amplifier's rows, in place.

    The variance is (``fixed``/D + ``light``)/D at a flat D: read noise counts twice by the division, photons once.

    Parameters
    ----------
    sci, msk
        Image and bits, changed.
    first, count
        Columns.
    flat, least
        Dome flat (or `NONE`), and the value below which a pixel of it is dead.
    fixed, light
        Variance that does not and that does go with the light, in the image's unit squared.
    null
        Bits under which the weight is 0.
    bad
        Bit for pixels where the flat is dead.
    saturated, raised
        Full pixels are raised to this value at least; minus infinity: left.
    wgt
        Filled.
    rows
        Rows of the image.
    """
    a, b, dead, lift = np.float32(fixed), np.float32(light), np.float32(least), np.float32(raised)
    one, zero = np.float32(1.0), np.float32(0.0)
    flatten = flat.size > 1
    d = np.full(count, one, np.float32)
    for y in rows:
        if flatten:
            for i in range(count):
                f = flat[y, first + i]
                # A dead pixel (or one that is no number) keeps its value, and is marked.
                d[i] = f if f > dead else zero
        for i in range(count):
            x = first + i
            m = msk[y, x] | (np.int32(bad) if d[i] == zero else np.int32(0))
            f = one if d[i] == zero else d[i]
            v = sci[y, x] / f
            sci[y, x] = max(v, lift) if (m & saturated) != 0 else v
            w = f * f / (a + b * f)
            wgt[y, x] = zero if (m & null) != 0 else w
            msk[y, x] = m
