"""Mask bits of the survey, and the Community Pipeline's codes translated into them.

DESDM's MSK planes hold bits (after the ``mask_bits.h`` of imsupport); the Community
Pipeline's ``ood`` planes hold one integer code a pixel (NOIRLab Data Handbook, table of DQ codes for
Community Pipeline V3.5 and later). Inside desdm there is one convention: the survey's bits.
"""

from __future__ import annotations

from enum import IntFlag

import numpy as np
import numpy.typing as npt

__all__ = ["CP_CODES", "MaskBit", "from_cp_codes", "names"]


class MaskBit(IntFlag):
    """One bit of a MSK plane."""

    BPM = 1
    SATURATE = 2
    INTERP = 4
    BADAMP = 8
    CRAY = 16
    STAR = 32
    TRAIL = 64
    EDGEBLEED = 128
    SSXTALK = 256
    EDGE = 512
    STREAK = 1024
    SUSPECT = 2048
    FIXED = 4096
    NEAREDGE = 8192
    TAPEBUMP = 16384


#: Community Pipeline code → survey bits.
CP_CODES: dict[int, MaskBit] = {
    0: MaskBit(0),
    1: MaskBit.BPM,  # detector bad pixel, or no data
    2: MaskBit.BPM,  # no value (only in stacks)
    3: MaskBit.SATURATE,
    4: MaskBit.TRAIL,  # bleed trail
    5: MaskBit.CRAY,
    6: MaskBit.SUSPECT,  # low weight
    7: MaskBit.STREAK,  # difference detect: transients and satellite trails in a stack of one field
    8: MaskBit.STREAK,  # long streak
}


def from_cp_codes(codes: npt.NDArray[np.number]) -> npt.NDArray[np.int32]:
    """Survey bits for a plane of Community Pipeline codes.

    Parameters
    ----------
    codes
        Integer plane, any shape. An unknown code becomes SUSPECT, for its meaning cannot be trusted.

    Returns
    -------
    numpy.ndarray
        int32 plane of the same shape.
    """
    table = np.full(max(CP_CODES) + 2, int(MaskBit.SUSPECT), dtype=np.int32)
    for code, bits in CP_CODES.items():
        table[code] = int(bits)
    clipped = np.where((codes < 0) | (codes > max(CP_CODES)), max(CP_CODES) + 1, codes)
    return table[clipped.astype(np.intp)]


def names(bits: int) -> list[str]:
    """Names of the bits set in ``bits``, lowest first."""
    return [bit.name for bit in MaskBit if bits & bit and bit.name]
