"""Crosstalk coefficients: what each amplifier shows of the bright sources that another one reads at the same moment.

All amplifiers are read in step, so a source appears in a victim at the same place counted from the output. For
every victim the pixels at which some source is bright are gathered over all frames, and the victim's excess over its
local background is fitted by all sources at once: pairs that share bright stars by chance are told apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from desdm.codes.calibrate.bpm import smooth_background
from desdm.errors import ProgramFailed

__all__ = ["Coefficient", "Excess", "fit_crosstalk", "gather", "write_crosstalk"]

F4 = npt.NDArray[np.float32]
F8 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Coefficient:
    """``value`` ± ``error`` of what ``victim`` sees of ``source`` (amplifiers as ``ccd25A``), ADU an ADU."""

    victim: str
    source: str
    value: float
    error: float


@dataclass(frozen=True, slots=True)
class Excess:
    """Pixels of one frame at which some amplifier is bright.

    Attributes
    ----------
    names
        Amplifiers, in order.
    values
        Excess of each amplifier over its local background, ADU, shape (amplifiers, pixels); NaN: not to be used.
    noise
        Scatter of each amplifier's background, ADU.
    """

    names: tuple[str, ...]
    values: F4
    noise: F8


def gather(
    amps: Mapping[str, F4],
    *,
    bright: float = 2000.0,
    saturate: Mapping[str, float] | None = None,
    block: int = 32,
    most: int = 400_000,
) -> Excess:
    """The bright pixels of one frame.

    Parameters
    ----------
    amps
        Amplifier → its data in ADU after overscan (and bias), not linearised, shape (ny, nx/2), the first column
        the one that is read first: amplifier B is flipped.
    bright
        Excess from which a pixel is a source, ADU.
    saturate
        Observed ADU at which an amplifier saturates: above it no pixel is a source or a victim.
    block
        Side of the blocks of the local background.
    most
        Pixels kept at most, the brightest.
    """
    names = tuple(sorted(amps))
    limits = saturate or {}
    excess = {}
    peak: F4 | None = None
    for name in names:
        image = np.where(amps[name] < 0.98 * limits.get(name, np.inf), amps[name], np.nan).astype(np.float32)
        excess[name] = image - smooth_background(image, block)
        # A pixel beside a saturated one holds no true source level either, but as a source it is all the same.
        top = np.nan_to_num(excess[name], nan=0.0)
        peak = top if peak is None else np.maximum(peak, top)
    if peak is None:
        raise ProgramFailed("crosstalk: no amplifier was given")
    places = np.flatnonzero(peak > bright)
    if places.size > most:
        places = places[np.argsort(peak.ravel()[places])[-most:]]
    noise = np.array([_scatter(excess[n]) for n in names])
    values = np.stack([excess[n].ravel()[places] for n in names])
    return Excess(names, values, noise)


def fit_crosstalk(
    frames: Sequence[Excess],
    *,
    own: float = 200.0,
    nsigma: float = 4.0,
    rounds: int = 5,
    significant: float = 3.0,
) -> list[Coefficient]:
    """Coefficients of all pairs that are significant.

    Parameters
    ----------
    frames
        Bright pixels of each frame; all of one camera.
    own
        Where the victim itself has more than this excess, ADU, it has an object of its own and the pixel is left
        out: above any crosstalk that can be.
    nsigma
        Clip of the residuals, by which fainter objects of the victim's own go.
    significant
        Pairs below so many errors are not told: a table of noise would add noise.

    Raises
    ------
    ProgramFailed
        No frame holds a bright pixel.
    """
    if not frames or not sum(f.values.shape[1] for f in frames):
        raise ProgramFailed(
            "crosstalk: no bright source in any frame; take frames of a field with bright stars"
        )
    names = frames[0].names
    values = np.concatenate([f.values for f in frames], axis=1).astype(np.float64)
    noise = np.concatenate([np.tile(f.noise[:, None], f.values.shape[1]) for f in frames], axis=1)
    sources = np.nan_to_num(values, nan=0.0)
    # An unusable source pixel spoils the pixel for all victims that see this source; leaving it out costs little.
    usable = np.isfinite(values).all(axis=0)
    found = []
    for v, victim in enumerate(names):
        others = [i for i in range(len(names)) if i != v]
        kept = usable & (np.abs(values[v]) < own)
        fit, error = _victim(sources[others], values[v], noise[v], kept, nsigma, rounds)
        for i, value, sigma in zip(others, fit, error, strict=True):
            if np.isfinite(sigma) and abs(value) > significant * sigma:
                found.append(Coefficient(victim, names[i], float(value), float(sigma)))
    return found


def _victim(
    sources: F8, target: F8, noise: F8, kept: npt.NDArray[np.bool_], nsigma: float, rounds: int
) -> tuple[F8, F8]:
    n = len(sources)
    fit, error = np.zeros(n), np.full(n, np.inf)
    level = 0.0
    for _ in range(rounds):
        # Sources that are nowhere bright have no say; their coefficient stays 0 with an infinite error.
        design = sources[:, kept] / noise[kept]
        power = (design**2).sum(axis=1)
        there = np.flatnonzero(power > 1e4)
        if not there.size or kept.sum() < 5 * (there.size + 1):
            break
        # The last term is the level about the sources, which a background of blocks knows only so well.
        full = np.vstack([design[there], 1.0 / noise[kept]])
        covariance = np.linalg.pinv(full @ full.T, rcond=1e-12, hermitian=True)
        solution = covariance @ (full @ (target[kept] / noise[kept]))
        fit[:], error[:] = 0.0, np.inf
        fit[there], level = solution[:-1], float(solution[-1])
        residual = (target - level - fit @ sources) / noise
        scatter = max(1.4826 * float(np.median(np.abs(residual[kept]))), 0.1)
        error[there] = scatter * np.sqrt(np.diag(covariance)[:-1])
        new = np.isfinite(residual) & (np.abs(residual) < nsigma * scatter) & (np.abs(target) < np.inf)
        if np.array_equal(new & kept, kept):
            break
        kept = new & kept
    return fit, error


def _scatter(excess: F4) -> float:
    values = excess[np.isfinite(excess)]
    values = values[:: max(1, values.size // 50_000)]
    return max(1.4826 * float(np.median(np.abs(values - np.median(values)))), 0.3) if values.size else np.inf


def write_crosstalk(path: Path, coefficients: Sequence[Coefficient], comments: Sequence[str]) -> None:
    """Write cal_crosstalk as DECam's own file: victim, source, coefficient, error, onset of non-linearity (none), terms."""
    lines = [f"# {c}" for c in comments]
    lines += ["# victim source  x   x_err    src_nl      poly_coeff"]
    for c in coefficients:
        lines.append(
            f"{c.victim}   {c.source}   {c.value:12.6e}   {c.error:9.3e}   1.000000e+10  "
            "0.000000e+00  0.000000e+00  0.000000e+00"
        )
    path.write_text("\n".join(lines) + "\n", "utf-8")
