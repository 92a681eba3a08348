"""The two compiled passes over the pixels of an amplifier: raw ADU to electrons, and electrons to image and weight.

Each works row by row, so that what comes out does not depend on how the rows are shared among threads; a row of
intermediate values stays in the first cache instead of going through memory after every step.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from desdm.pixels.compiled import compiled
from desdm.pixels.maskbits import MaskBit

__all__ = ["NONE", "NO_BITS", "image_rows", "raw_rows"]

Plane = npt.NDArray[np.float32]
Bits = npt.NDArray[np.int32]

_FULL = int(MaskBit.SATURATE)

#: Stands for a plane that a step which is not done would need.
NONE = np.zeros((1, 1), np.float32)
NO_BITS = np.zeros((1, 1), np.int32)


@compiled(ieee=True)
def raw_rows(
    source: npt.NDArray[np.number],
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
    """Crosstalk, overscan, bias, linearity, bad and saturated pixels, gain of one amplifier's rows.

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
        Bit of a saturated pixel.
    sci, msk
        Filled.
    rows
        Rows of the image to work on.
    """
    value, light = np.empty(count, np.float32), np.empty(count, np.float32)
    line, beyond = np.empty(count, np.uint32), np.empty(count, np.float32)
    c, top, factor = np.float32(coefficient), np.float32(full), np.float32(gain)
    start, per_line, last = np.float32(adu0), np.float32(1.0 / adustep), shift.shape[1] - 2
    lines, end, flag = shift[0], np.float32(last), np.int32(saturated)
    # Slices of rows, not indices into planes: the compiler can then see that the loops run straight on.
    for y in rows:
        # In two parts single precision is exact: raw counts and the level's whole number are integers.
        whole, part = np.float32(np.floor(level[y])), np.float32(level[y] - np.floor(level[y]))
        bits, to = msk[y, first : first + count], sci[y, first : first + count]
        own = source[oy + y, ox : ox + count]
        for i in range(count):
            value[i] = (np.float32(own[i]) - whole) - part
        for i in range(count):
            bits[i] = flag if value[i] >= top else np.int32(0)
        if coefficient != 0.0:
            other, beside = source[oy + y, partner - count + 1 : partner + 1], np.float32(partner_level[y])
            for i in range(count):
                light[i] = np.float32(other[i]) - beside
            for i in range(count):
                value[i] -= c * light[count - 1 - i]
        if others.size > 1:
            crosstalk = others[y, first : first + count]
            for i in range(count):
                value[i] -= crosstalk[i]
        if bias.size > 1:
            zero = bias[y, first : first + count]
            for i in range(count):
                value[i] -= zero[i]
        if last >= 0:
            # Two loops: the look-up cannot be vectorised, but the rest can.
            for i in range(count):
                at = (value[i] - start) * per_line
                k = np.int32(min(max(at, np.float32(0.0)), end))
                line[i], beyond[i] = k, at - np.float32(k)
            for i in range(count):
                below, above = lines[line[i]], lines[line[i] + np.uint32(1)]
                value[i] += below + beyond[i] * (above - below)
        if bpm.size > 1:
            known = bpm[y, first : first + count]
            for i in range(count):
                bits[i] |= known[i]
        if prior.size > 1:
            had = prior[y, first : first + count]
            for i in range(count):
                bits[i] |= had[i]
        for i in range(count):
            to[i] = value[i] * factor


@compiled(ieee=True)
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
    tally: npt.NDArray[np.int64],
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
    tally
        (ny, 2): pixels with weight and full ones of each row are added.
    rows
        Rows of the image.
    """
    a, b, dead, lift = np.float32(fixed), np.float32(light), np.float32(least), np.float32(raised)
    one, zero = np.float32(1.0), np.float32(0.0)
    nulls, lost, full = np.int32(null), np.int32(bad), np.int32(saturated)
    d = np.full(count, one, np.float32)
    for y in rows:
        image, bits = sci[y, first : first + count], msk[y, first : first + count]
        weight = wgt[y, first : first + count]
        if flat.size > 1:
            response = flat[y, first : first + count]
            for i in range(count):
                # A dead pixel (or one that is not a number) keeps its value, and is marked.
                alive = response[i] > dead
                d[i] = response[i] if alive else one
                bits[i] |= np.int32(0) if alive else lost
            for i in range(count):
                image[i] /= d[i]
        if full != 0:
            for i in range(count):
                image[i] = max(image[i], lift) if (bits[i] & full) != 0 else image[i]
        for i in range(count):
            w = d[i] * d[i] / (a + b * d[i])
            weight[i] = zero if (bits[i] & nulls) != 0 else w
        weighted, filled = 0, 0
        for i in range(count):
            weighted += 1 if weight[i] > zero else 0
            filled += 1 if (bits[i] & _FULL) != 0 else 0
        tally[y, 0] += weighted
        tally[y, 1] += filled
