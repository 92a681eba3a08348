"""What is to be done to a CCD, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from desdm.codes.detrend.checks import Bulb
from desdm.codes.detrend.overscan import Recipe as Overscan
from desdm.pixels.maskbits import MaskBit
from desdm.survey.images import Planes

__all__ = ["BAD", "Recipe", "Result"]

#: Bits of pixels that tell nothing of the sky.
BAD = int(MaskBit.BPM | MaskBit.BADAMP)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Which steps, and how.

    Attributes
    ----------
    steps
        In order (`steps.chosen`).
    overscan
        How the overscan becomes a level.
    crosstalk_min
        Coefficients between CCDs below this are left out.
    null_bits
        Bits under which the weight is 0.
    flat_min
        Value of the dome flat below which a pixel is dead.
    bulbs
        CCD number → places that may glow.
    cti_limit
        Correlation of neighbouring pixels from which charge is left behind.
    balance_limit
        Sky of an amplifier over that of the brightest one of its CCD below which it records no light.
    bad_amps
        Amplifiers that do not work; all their pixels get the bits BPM and BADAMP.
    """

    steps: tuple[str, ...]
    overscan: Overscan = field(default_factory=Overscan)
    crosstalk_min: float = 1e-5
    null_bits: int = BAD
    flat_min: float = 0.05
    bulbs: Mapping[int, tuple[Bulb, ...]] = field(default_factory=dict)
    cti_limit: float = 0.1
    balance_limit: float = 0.5
    bad_amps: tuple[str, ...] = ()


@dataclass(slots=True)
class Result:
    """The image, what an operator should know (level, text), and QA numbers (name → value, unit, text)."""

    planes: Planes
    findings: list[tuple[int, str]] = field(default_factory=list)
    metrics: dict[str, tuple[float, str, str]] = field(default_factory=dict)
