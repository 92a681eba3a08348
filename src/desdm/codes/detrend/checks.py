"""Checks of a detrended CCD that change nothing: its own light, charge left behind, an amplifier without light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from desdm.codes.detrend.amplifiers import State

__all__ = ["Bulb", "amplifier_balance", "charge_left", "glow"]

#: Least sky of the brightest amplifier whose ratio to the others says anything, counts.
_LEAST_SKY = 20.0


@dataclass(frozen=True, slots=True)
class Bulb:
    """A place where a CCD is known to glow now and then ("light bulb"): FITS pixel, radius in pixels.

    ``limit`` is the excess over the surroundings, as a share of the sky, from which there is a finding.
    """

    x: float
    y: float
    radius: float
    limit: float = 0.05


def glow(
    sci: npt.NDArray[np.float32], msk: npt.NDArray[np.int32], bulb: Bulb, unfit: int
) -> tuple[float, float] | None:
    """How far the median in a bulb's disk lies over that of a ring around it.

    Parameters
    ----------
    sci
        (ny, nx) counts.
    msk
        (ny, nx) mask bits.
    bulb
        Position and radius of the light bulb, pixels.
    unfit
        Bits of pixels that are left out.

    Returns
    -------
    (float, float) or None
        Excess and its uncertainty, as shares of the ring's level; None if too few good pixels are there, or no light.
    """
    ny, nx = sci.shape
    outer = 2.0 * bulb.radius
    y0, y1 = max(int(bulb.y - 1 - outer), 0), min(int(bulb.y + outer) + 1, ny)
    x0, x1 = max(int(bulb.x - 1 - outer), 0), min(int(bulb.x + outer) + 1, nx)
    y, x = np.mgrid[y0:y1, x0:x1]
    distance = np.hypot(x + 1 - bulb.x, y + 1 - bulb.y)
    good = (msk[y0:y1, x0:x1] & unfit) == 0
    inside = sci[y0:y1, x0:x1][good & (distance <= bulb.radius)]
    ring = sci[y0:y1, x0:x1][good & (distance > 1.5 * bulb.radius) & (distance <= outer)]
    if inside.size < 50 or ring.size < 50:
        return None
    level = float(np.median(ring))
    if level <= 0:
        return None
    scatter = 1.4826 * float(np.median(np.abs(ring - level)))
    error = 1.2533 * scatter * np.sqrt(1 / inside.size + 1 / ring.size)
    return (float(np.median(inside)) - level) / level, error / level


def charge_left(
    sci: npt.NDArray[np.float32], msk: npt.NDArray[np.int32], states: list[State], unfit: int
) -> dict[str, float]:
    """Correlation of the sky's noise between a pixel and the next one of its row, by amplifier.

    Where charge is left behind in the serial register each pixel hands a part of its noise to the next one: the
    correlation is about the lost share. A sound amplifier shows next to none (brighter-fatter, undone before, some 0.01).

    Parameters
    ----------
    sci
        (ny, nx) counts.
    msk
        (ny, nx) mask bits.
    states
        The amplifiers with their sections.
    unfit
        Bits of pixels that are left out.

    Returns
    -------
    dict
        Amplifier's letter → correlation; without those that have too few good pixels.
    """
    out = {}
    for state in states:
        rows, columns = state.place.slices
        # Some 250 rows of 1000 pixels give the correlation to 0.002, a small part of what is looked for.
        part = sci[rows, columns][::16]
        good = (msk[rows, columns][::16] & unfit) == 0
        # Differences over four columns take gradients and wide objects out.
        step = part[:, 4:] - part[:, :-4]
        fine = good[:, 4:] & good[:, :-4]
        if fine.sum() < 1000:
            continue
        scatter = 1.4826 * float(np.median(np.abs(step[fine])))
        fine &= np.abs(step) < 3.0 * scatter
        both = fine[:, 1:] & fine[:, :-1]
        if both.sum() < 1000 or scatter == 0:
            continue
        a, b = step[:, 1:][both].astype(float), step[:, :-1][both].astype(float)
        out[state.name] = float(np.mean(a * b) / np.mean(0.5 * (a * a + b * b)))
    return out


def amplifier_balance(
    sci: npt.NDArray[np.float32], msk: npt.NDArray[np.int32], states: list[State], unfit: int
) -> tuple[float, str] | None:
    """Return the sky of the darkest amplifier over that of the brightest, and the name of the darkest.

    The amplifiers of a CCD see the same sky: the ratio is near 1, and near 0 where one of them records no light.

    Parameters
    ----------
    sci
        (ny, nx) counts.
    msk
        (ny, nx) mask bits.
    states
        The amplifiers with their sections.
    unfit
        Bits of pixels that are left out: an amplifier that is masked as a whole is not compared.

    Returns
    -------
    (float, str) or None
        Ratio and name; None with less than two amplifiers to compare, or too little sky.
    """
    levels = {}
    for state in states:
        rows, columns = state.place.slices
        part = sci[rows, columns][::16]
        good = part[(msk[rows, columns][::16] & unfit) == 0]
        if good.size >= 1000:
            levels[state.name] = float(np.median(good))
    if len(levels) < 2 or max(levels.values()) < _LEAST_SKY:
        return None
    darkest = min(levels, key=lambda name: levels[name])
    return levels[darkest] / max(levels.values()), darkest
