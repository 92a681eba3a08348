"""What strikes a CCD besides the sky's still light: cosmic rays and satellites."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["cosmics", "streak_light"]

Plane = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]

#: Hits a second and pixel: DECam's thick CCDs see some 250 tracks in 90 s (about 3 a second and CCD).
RATE = 3.3e-7


def cosmics(rng: np.random.Generator, ny: int, nx: int, seconds: float) -> tuple[Array, Array, Array]:
    """Charge of cosmic rays: muons in straight tracks, and electrons that wander ("worms").

    Parameters
    ----------
    rng
        The CCD's generator of this stage.
    ny, nx
        Size of the CCD.
    seconds
        Exposure and read-out.

    Returns
    -------
    tuple
        Row, column and electrons of each pixel hit (a pixel may come twice).
    """
    rows, columns, charges = [], [], []
    for _ in range(rng.poisson(RATE * nx * ny * seconds)):
        x, y = rng.random() * nx, rng.random() * ny
        angle = rng.random() * 2 * np.pi
        if rng.random() < 0.75:
            # 250 µm of silicon under a zenith angle θ: projected length 17 pixels · tan θ, intensity ∝ cos² θ.
            tilt = np.arccos((1.0 - rng.random()) ** (1.0 / 3.0))
            length = min(16.7 * np.tan(tilt), 80.0)
            steps = int(4 * length) + 2
            along = np.linspace(0.0, length, steps)
            px, py = x + along * np.cos(angle), y + along * np.sin(angle)
            # 80 electron-hole pairs a µm of the path, with straggling.
            total = 80.0 * 250.0 / np.cos(tilt) * (length / (16.7 * np.tan(tilt) + 1e-9))
            dose = total / steps * (0.6 + rng.exponential(0.4, steps))
        else:
            steps = int(rng.integers(12, 120))
            turn = angle + np.cumsum(rng.normal(scale=0.35, size=steps))
            px, py = x + np.cumsum(0.25 * np.cos(turn)), y + np.cumsum(0.25 * np.sin(turn))
            dose = rng.uniform(150.0, 700.0) * (0.5 + rng.exponential(0.5, steps))
        # Diffusion on the way to the gates spreads a point over a third of a pixel.
        for part in range(4):
            spread = rng.normal(scale=0.3, size=(2, steps))
            rows.append(np.floor(py + spread[0] + 0.5))
            columns.append(np.floor(px + spread[1] + 0.5))
            charges.append(dose / 4)
            del part
    if not rows:
        return np.zeros(0, int), np.zeros(0, int), np.zeros(0)
    row, column, charge = (np.concatenate(v) for v in (rows, columns, charges))
    inside = (row >= 0) & (row < ny) & (column >= 0) & (column < nx)
    return row[inside].astype(int), column[inside].astype(int), charge[inside]


def streak_light(
    rng: np.random.Generator,
    origin: tuple[float, float],
    ny: int,
    nx: int,
    radius: float,
    peak: float,
    sigma: float,
) -> tuple[Array, Array, Array]:
    """Light of one satellite in one CCD: a straight line over the whole focal plane, Gaussian across.

    Parameters
    ----------
    rng
        The exposure's generator of this streak: the same for all its CCDs.
    origin
        Focal-plane pixel coordinates of the CCD's first pixel.
    ny, nx, radius
        Size of the CCD, and of the focal plane, in pixels.
    peak
        Electrons a pixel at the crest.
    sigma
        Width of the PSF in pixels.

    Returns
    -------
    tuple
        Row, column and electrons (before response and noise) of each pixel touched.
    """
    angle, offset = rng.uniform(0, np.pi), rng.uniform(-0.45, 0.45) * radius
    crest = peak * rng.uniform(0.6, 1.6)
    normal = np.array([-np.sin(angle), np.cos(angle)])
    rows, columns, light = [], [], []
    reach = 4.5 * sigma
    for row in range(ny):
        y = origin[1] + row
        # |normal · (x, y) - offset| < reach
        if abs(normal[0]) < 1e-6:
            low, high = (0, nx) if abs(normal[1] * y - offset) < reach else (0, 0)
        else:
            ends = sorted((offset + s * reach - normal[1] * y) / normal[0] - origin[0] for s in (-1, 1))
            low, high = max(int(ends[0]), 0), min(int(ends[1]) + 1, nx)
        if low < high:
            x = np.arange(low, high)
            d = normal[0] * (origin[0] + x) + normal[1] * y - offset
            columns.append(x)
            rows.append(np.full(x.size, row))
            light.append(crest * np.exp(-0.5 * (d / sigma) ** 2))
    if not rows:
        return np.zeros(0, int), np.zeros(0, int), np.zeros(0)
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(light)
