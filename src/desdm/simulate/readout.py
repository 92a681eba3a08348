"""Reads a CCD out: crosstalk, bias, overscan, read noise, digits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from desdm.simulate import pixels
from desdm.simulate.instrument import CCD
from desdm.simulate.render import Charge, Renderer, Stage
from desdm.simulate.shots import Shot
from desdm.simulate.sky import generator

__all__ = ["JUNK", "OVERSCAN", "PRESCAN", "bias_level", "read_out", "without_signal"]

Plane = npt.NDArray[np.float32]

PRESCAN, JUNK, OVERSCAN = 50, 6, 50  # rows below the data; columns outside and inside of either side


def bias_level(renderer: Renderer, shot: Shot, ccd: CCD) -> Plane:
    """Return the bias level of each amplifier and raw row; it drifts by some ADU, also from shot to shot.

    Parameters
    ----------
    renderer, shot, ccd
        The renderer, the exposure and the CCD.

    Returns
    -------
    numpy.ndarray
        Level (2, ny + 50), ADU.
    """
    rng = generator(renderer.plan.seed, Stage.LEVEL, shot.expnum, ccd.ccdnum)
    y = np.linspace(0.0, 1.0, renderer.camera.ny + PRESCAN)
    rows = []
    for amp in ccd.amps:
        shift, tilt, wave, phase, settle = rng.normal(size=5)
        drift = 2.0 * tilt * (y - 0.5) + 0.8 * wave * np.sin(2 * np.pi * (1.3 * y + phase))
        rows.append(amp.level + 3.0 * shift + drift + 3.0 * settle * np.exp(-y / 0.04))
    return np.array(rows, np.float32)


def read_out(renderer: Renderer, shot: Shot, ccdnum: int, lit: dict[int, Charge]) -> npt.NDArray[np.int32]:
    """Read one CCD.

    Parameters
    ----------
    renderer, shot, ccdnum
        Which.
    lit
        Charges of this CCD and of all that disturb it (`Camera.sources`).

    Returns
    -------
    numpy.ndarray
        Raw frame (ny + 50, nx + 112), ADU.
    """
    camera, ccd = renderer.camera, renderer.camera[ccdnum]
    nx, ny = camera.nx, camera.ny
    adu = _disturbed(renderer, ccdnum, lit)
    width, height = nx + 2 * (JUNK + OVERSCAN), ny + PRESCAN
    rng = generator(renderer.plan.seed, Stage.READ, shot.expnum, ccdnum)
    normal = rng.standard_normal((height, width), np.float32)
    raw = np.empty((height, width), np.int32)
    level, bias, edge = bias_level(renderer, shot, ccd), renderer.response.bias(ccd), JUNK + OVERSCAN
    for a, amp in enumerate(ccd.amps):
        # The read noise that one measures has the noise of the digits in it; here they add it themselves.
        noise = float(np.sqrt(max(amp.rdnoise**2 - amp.gain**2 / 12.0, 0.01)) / amp.gain)
        first, last = a * nx // 2, (a + 1) * nx // 2
        border = slice(0, edge) if a == 0 else slice(edge + nx, width)
        data = slice(edge + first, edge + last)
        for rows, columns in ((slice(None), border), (slice(0, PRESCAN), data)):
            raw[rows, columns] = np.rint(level[a][rows, None] + np.float32(noise) * normal[rows, columns])
        pixels.read_half(raw, edge + first, adu, bias, first, last, level[a], normal, noise, PRESCAN)
    # The first six columns of either side are clocked while the serial register settles: they are not used.
    raw[:, :JUNK] += 40
    raw[:, -JUNK:] += 40
    return raw


def _disturbed(renderer: Renderer, ccdnum: int, lit: dict[int, Charge]) -> Plane:
    """Return the ADU of a CCD with crosstalk."""
    adu = lit[ccdnum].adu.copy()
    for source, pairs in renderer.camera.sources(ccdnum).items():
        for pair in pairs:
            victim, origin = "AB".index(pair.victim[-1]), "AB".index(pair.source[-1])
            pixels.add_crosstalk(adu, lit[source].adu, victim, origin, pair.coefficient)
    return adu


def without_signal(frame: npt.NDArray[np.generic], nx: int, amplifier: str) -> npt.NDArray[np.generic]:
    """Return a raw frame one of whose amplifiers is dead: its data are like its overscan.

    Parameters
    ----------
    frame
        Raw frame (ny + 50, nx + 112), ADU.
    nx
        Columns of the CCD.
    amplifier
        A (left) or B.

    Returns
    -------
    numpy.ndarray
        The frame.
    """
    edge, half = JUNK + OVERSCAN, nx // 2
    begin = edge if amplifier == "A" else edge + half
    overscan = frame[:, JUNK:edge] if amplifier == "A" else frame[:, edge + nx : edge + nx + OVERSCAN]
    dead = frame.copy()
    # Rows are taken in another order each time, so that no pattern repeats along a row.
    for place, start in enumerate(range(begin, begin + half, OVERSCAN)):
        stop = min(start + OVERSCAN, begin + half)
        dead[:, start:stop] = np.roll(overscan, place + 1, axis=0)[:, : stop - start]
    return dead
