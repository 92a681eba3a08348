"""mini_compare: finds the odd frames of a set of calibration frames by their mini focal planes.

A mini focal plane holds one number a block of pixels of every CCD. Frames of one kind and band look alike; what differs
from the median of all was taken with the lamp off, with stray light, through another filter or with broken electronics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["BiasLimits", "FlatLimits", "Verdict", "compare_biases", "compare_flats", "first_good"]

F8 = npt.NDArray[np.float64]
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class FlatLimits:
    """What a dome flat may differ from the median of its fellows.

    Attributes
    ----------
    min_level
        Electrons a pixel below which the lamp is taken to be off.
    max_level
        Electrons a pixel above which pixels saturate.
    max_gradient
        Largest change across the focal plane, as a fraction.
    max_rms
        Largest rms of the blocks' ratios, as a fraction.
    max_missing
        Largest share of blocks without a value.
    nsigma
        Where the frames themselves scatter more, so many times their typical rms is allowed.
    """

    min_level: float = 1000.0
    max_level: float = 150_000.0
    max_gradient: float = 0.005
    max_rms: float = 0.0015
    max_missing: float = 0.5
    nsigma: float = 5.0


@dataclass(frozen=True, slots=True)
class BiasLimits:
    """What a bias may differ from the median of its fellows, in ADU (level and rms of the blocks' differences)."""

    max_level: float = 2.0
    max_rms: float = 1.0
    max_missing: float = 0.5
    nsigma: float = 5.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the comparison says of one frame.

    ``level`` is the median of its blocks (electrons for flats, ADU for biases); ``rms`` and ``gradient`` are of the
    ratio to the others (flats) or of the difference (biases, gradient 0); ``reason`` is empty for a good frame.
    """

    level: float
    rms: float
    gradient: float
    reason: str = ""

    @property
    def good(self) -> bool:
        """Whether the frame may be combined."""
        return not self.reason


def first_good(verdicts: Sequence[Verdict], most: int) -> list[int]:
    """Indices of the first ``most`` good frames, in the order of the frames."""
    return [i for i, v in enumerate(verdicts) if v.good][:most]


def compare_flats(minis: F8, x: F8, y: F8, limits: FlatLimits) -> list[Verdict]:
    """Compare dome flats of one band by the ratio of each to the median of all.

    Parameters
    ----------
    minis
        Shape (frames, blocks), electrons; NaN where a block has no value.
    x, y
        Place of each block on the focal plane, shape (blocks,), any unit.
    limits
        What is still alike.

    Returns
    -------
    list of Verdict
        One a frame, in order. With fewer than three usable frames nothing can be derived from the others' median, and
        only levels and missing blocks are judged.
    """
    levels = _medians(minis)
    reasons = [_flat_level(minis[i], levels[i], limits) for i in range(len(minis))]
    rms, gradient = np.zeros(len(minis)), np.zeros(len(minis))
    usable = np.isfinite(levels) & (levels > 0)
    scaled = np.full(minis.shape, np.nan)
    scaled[usable] = minis[usable] / levels[usable, None]
    plane = _Plane(x, y)
    for _ in range(_ROUNDS):
        good = [i for i, r in enumerate(reasons) if not r]
        if len(good) < 3:
            break
        reference = _columns(scaled[good])
        for i in np.flatnonzero(usable).tolist():
            ratio = scaled[i] / reference - 1.0
            gradient[i] = plane.slope(ratio)
            rms[i] = _rms(ratio - np.nanmedian(ratio)) if np.isfinite(ratio).any() else np.inf
        floor_rms = limits.nsigma * float(np.median(rms[good]))
        floor_slope = limits.nsigma * float(np.median(gradient[good]))
        new = []
        for i in good:
            text = ""
            if gradient[i] > max(limits.max_gradient, floor_slope):
                text = f"gradient of {100 * gradient[i]:.2f} % across the focal plane against the others"
            elif rms[i] > max(limits.max_rms, floor_rms):
                text = f"pattern differs by {100 * rms[i]:.2f} % rms from the others (another filter, or stray light)"
            new.append(text)
        if not any(new):
            break
        for i, text in zip(good, new, strict=True):
            reasons[i] = text
    return [Verdict(float(levels[i]), float(rms[i]), float(gradient[i]), r) for i, r in enumerate(reasons)]


def compare_biases(minis: F8, limits: BiasLimits) -> list[Verdict]:
    """Compare biases by the difference of each to the median of all.

    Parameters
    ----------
    minis
        Shape (frames, blocks), ADU after overscan; NaN where a block has no value.
    """
    levels = _medians(minis)
    rms = np.zeros(len(minis))
    reasons = [_missing(m, limits.max_missing) for m in minis]
    for _ in range(_ROUNDS):
        good = [i for i, r in enumerate(reasons) if not r]
        if len(good) < 3:
            break
        reference = _columns(minis[good])
        offsets = np.zeros(len(minis))
        for i in range(len(minis)):
            delta = minis[i] - reference
            if np.isfinite(delta).any():
                offsets[i] = np.nanmedian(delta)
                rms[i] = _rms(delta - offsets[i])
        floor = limits.nsigma * float(np.median(rms[good]))
        new = []
        for i in good:
            text = ""
            if abs(offsets[i]) > limits.max_level:
                text = f"level differs by {offsets[i]:+.2f} ADU from the others"
            elif rms[i] > max(limits.max_rms, floor):
                text = f"pattern differs by {rms[i]:.2f} ADU rms from the others"
            new.append(text)
        if not any(new):
            break
        for i, text in zip(good, new, strict=True):
            reasons[i] = text
    return [Verdict(float(levels[i]), float(rms[i]), 0.0, r) for i, r in enumerate(reasons)]


def _flat_level(mini: F8, level: float, limits: FlatLimits) -> str:
    """Return why the level of a flat disqualifies it; empty if it does not."""
    text = _missing(mini, limits.max_missing)
    if text:
        return text
    if level < limits.min_level:
        return f"level of {level:.0f} electrons, below {limits.min_level:.0f}: the lamp was off or dim"
    if level > limits.max_level:
        return f"level of {level:.0f} electrons, above {limits.max_level:.0f}: it saturates"
    return ""


def _missing(mini: F8, most: float) -> str:
    """Return a reason if more than the share ``most`` of the mini focal plane has no value; else an empty text."""
    share = 1.0 - float(np.isfinite(mini).mean())
    return f"{100 * share:.0f} % of the focal plane has no value" if share > most else ""


def _medians(minis: F8) -> F8:
    """Return the median of each mini focal plane (n,), NaN for one without values."""
    return np.array([np.nanmedian(m) if np.isfinite(m).any() else np.nan for m in minis])


def _columns(minis: F8) -> F8:
    """Return the median over the frames at each block, NaN where no frame has a value."""
    # A block that no frame has stays NaN without numpy's warning of an empty slice.
    out = np.full(minis.shape[1], np.nan)
    some = np.isfinite(minis).any(axis=0)
    out[some] = np.nanmedian(minis[:, some], axis=0)
    return out


def _rms(values: F8) -> float:
    """Return the root mean square of the finite values, 0 without any."""
    finite = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(finite**2))) if finite.size else 0.0


class _Plane:
    """Fits a plane to the blocks; its slope is the largest change across the focal plane."""

    def __init__(self, x: F8, y: F8) -> None:
        def unit(v: F8) -> F8:
            half = max((v.max() - v.min()) / 2.0, 1e-9)
            out: F8 = (v - v.min()) / half - 1.0
            return out

        self.design = np.stack([np.ones(len(x)), unit(x), unit(y)], axis=1)

    def slope(self, ratio: F8) -> float:
        """Return the largest change of a plane fitted to the ratios, outliers rejected; 0 for fewer than 10 ratios."""
        finite = np.isfinite(ratio)
        if finite.sum() < 10:
            return 0.0
        design, values = self.design[finite], ratio[finite]
        for _ in range(2):
            fit, *_ = np.linalg.lstsq(design, values, rcond=None)
            off = np.abs(values - design @ fit)
            inside = off <= 4.0 * max(1.4826 * float(np.median(off)), 1e-9)
            design, values = design[inside], values[inside]
            if len(values) < 10:
                break
        return 2.0 * float(np.hypot(fit[1], fit[2]))
