"""The compiled loops of one CCD: light to charge, charge that bleeds and is read out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from desdm.pixels.compiled import compiled

__all__ = ["add_crosstalk", "collect", "poisson", "read_half", "saturate", "to_adu"]

Plane = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]


@compiled()
def poisson(mean: float, normal: float) -> float:
    """A Poisson number from one normal deviate, as a real number.

    Above 20 the expansion of Cornish & Fisher (1937) to the skewness: mean and variance are exact to 1/(18 mean)
    of a part; below, the distribution is summed up to the deviate's probability, which gives whole numbers.
    """
    if mean <= 0.0:
        return 0.0
    if mean > 20.0:
        return float(mean + np.sqrt(mean) * normal + (normal * normal - 1.0) / 6.0)
    z = abs(normal)
    # Abramowitz & Stegun (1964), 26.2.17: error below 8e-8.
    t = 1.0 / (1.0 + 0.2316419 * z)
    tail = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    tail *= 0.3989422804014327 * np.exp(-0.5 * z * z)
    goal = 1.0 - tail if normal > 0 else tail
    term, total, k = np.exp(-mean), np.exp(-mean), 0
    while total < goal and k < 200:
        k += 1
        term *= mean / k
        total += term
    return float(k)


@compiled()
def collect(
    light: Plane, response: Plane, ghost: Plane, fringe: Plane, normal: Plane, sky: Array, place: Array
) -> None:
    """Turn light into charge, in place.

    Parameters
    ----------
    light
        Electrons that the objects would give at response 1; becomes the charge collected.
    response, ghost, fringe
        Maps of the CCD.
    normal
        One normal deviate a pixel.
    sky
        Mean sky (electrons), its relative slope along u and v, relative amplitudes of ghost and fringes.
    place
        Focal-plane position u, v of the first pixel and the step of a pixel.
    """
    ny, nx = light.shape
    level, slope_u, slope_v, of_ghost, of_fringe = (
        np.float32(sky[0]),
        np.float32(sky[1]),
        np.float32(sky[2]),
        np.float32(sky[3]),
        np.float32(sky[4]),
    )
    one, sixth, least = np.float32(1.0), np.float32(1.0 / 6.0), np.float32(20.0)
    for row in range(ny):
        base = np.float32(1.0 + slope_v * (place[1] + row * place[2]) + slope_u * place[0])
        step = np.float32(slope_u * place[2])
        for col in range(nx):
            extra = base + step * np.float32(col) + of_ghost * ghost[row, col] + of_fringe * fringe[row, col]
            mean = response[row, col] * (light[row, col] + level * extra)
            n = normal[row, col]
            if mean > least:
                light[row, col] = mean + np.sqrt(mean) * n + (n * n - one) * sixth
            else:
                light[row, col] = np.float32(poisson(mean, n))


@compiled()
def saturate(charge: Plane, first: int, last: int, well: float, bits: npt.NDArray[np.int32]) -> None:
    """Bleed along the columns ``first`` … ``last`` - 1: charge beyond the well fills the pixels above and below.

    None is lost: half of a run's excess goes each way; what reaches the end of the column is lost there. Bits:
    2 (SATURATE) at full pixels, 64 (TRAIL) besides where charge came from elsewhere.

    Parameters
    ----------
    charge
        Charge of the CCD, electrons; changed in place.
    first, last
        Columns.
    well
        Full well, electrons.
    bits
        Mask; changed in place.
    """
    ny = charge.shape[0]
    full = np.float32(well)
    full_columns = np.zeros(charge.shape[1], np.bool_)
    for y in range(ny):
        for x in range(first, last):
            if charge[y, x] > full:
                full_columns[x] = True
    for x in range(first, last):
        y = 0 if full_columns[x] else ny
        while y < ny:
            if charge[y, x] <= full:
                y += 1
                continue
            low, excess = y, 0.0
            while y < ny and charge[y, x] > full:
                excess += charge[y, x] - well
                charge[y, x] = full
                bits[y, x] |= 2
                y += 1
            up = _pour(charge, bits, x, y, 1, excess / 2, well)
            _pour(charge, bits, x, low - 1, -1, excess / 2, well)
            y = max(y, up)


@compiled()
def _pour(
    charge: Plane, bits: npt.NDArray[np.int32], x: int, y: int, step: int, amount: float, well: float
) -> int:
    """Move charge along a column until its excess is used up; return the last row."""
    ny = charge.shape[0]
    while amount > 0.0 and 0 <= y < ny:
        room = well - charge[y, x]
        if room < 0.0:
            # Another star's excess lies here: it flows on with ours.
            amount -= room
            charge[y, x] = np.float32(well)
            bits[y, x] |= 2
        elif room <= amount:
            amount -= room
            charge[y, x] = np.float32(well)
            bits[y, x] |= 2 | 64
        else:
            charge[y, x] += np.float32(amount)
            bits[y, x] |= 64
            return y
        y += step
    return y


@compiled()
def to_adu(charge: Plane, first: int, last: int, gain: float, observed: Plane, step: float) -> None:
    """Convert charge to observed ADU above the overscan, in place, by the inverse linearity.

    Parameters
    ----------
    charge
        Charge, electrons; becomes ADU.
    first, last
        Columns of the amplifier.
    gain
        Electrons an ADU.
    observed
        Observed ADU at the true ADU k·step.
    step
        Step of the table, ADU.
    """
    scale, over = np.float32(1.0 / gain), np.float32(1.0 / step)
    end = observed.size - 2
    zero = np.float32(0.0)
    for y in range(charge.shape[0]):
        for x in range(first, last):
            adu = charge[y, x] * scale
            if adu > zero:
                at = adu * over
                k = min(int(at), end)
                charge[y, x] = observed[k] + (at - np.float32(k)) * (observed[k + 1] - observed[k])
            else:
                charge[y, x] = adu


@compiled()
def add_crosstalk(out: Plane, source: Plane, victim: int, origin: int, coefficient: float) -> None:
    """Add one amplifier's ADU (``origin`` 0 for A, 1 for B) times the coefficient to the ``victim`` half of ``out``.

    A is read towards the left and B towards the right: between unlike amplifiers the image is mirrored.

    Parameters
    ----------
    out
        ADU of the victim CCD; changed in place.
    source
        ADU of the source CCD.
    victim, origin
        Amplifiers, 0 for A and 1 for B.
    coefficient
        Fraction of the ADU.
    """
    ny, nx = out.shape
    half = nx // 2
    c = np.float32(coefficient)
    for y in range(ny):
        for x in range(half):
            to = x if victim == 0 else nx - 1 - x
            of = x if origin == 0 else nx - 1 - x
            out[y, to] += c * source[y, of]


@compiled()
def read_half(
    raw: npt.NDArray[np.int32],
    column: int,
    adu: Plane,
    bias: Plane,
    first: int,
    last: int,
    level: Plane,
    normal: Plane,
    noise: float,
    prescan: int,
) -> None:
    """Write one amplifier's data columns: ADU, bias structure, level of the row and read noise, digitised.

    Parameters
    ----------
    raw
        Raw image; changed in place.
    column
        Raw column of data column ``first``.
    adu, bias
        ADU above the overscan, and bias structure.
    first, last
        Data columns of the amplifier.
    level
        Bias level of each raw row, ADU.
    normal
        A normal deviate for every raw pixel.
    noise
        Read noise, ADU.
    prescan
        Prescan rows.
    """
    sigma, zero, most = np.float32(noise), np.float32(0.0), np.float32(65535.0)
    half = np.float32(0.5)
    for y in range(adu.shape[0]):
        row = y + prescan
        for x in range(first, last):
            c = column + x - first
            value = adu[y, x] + bias[y, x] + level[row] + sigma * normal[row, c]
            raw[row, c] = np.int32(np.floor(min(max(value, zero), most) + half))
