"""Crosstalk coefficients: what each amplifier shows of the bright stars that another one reads at the same moment.

All amplifiers are read in step, so a source appears in a victim at the same place counted from the output. The frame is
cut into small cells; in each cell that holds a bright star of some amplifier, the pixels of every other amplifier are
fitted by a level and the star, a coefficient and its error for each pair. A cell where the victim has a star
of its own gives a wild one; the coefficient of a pair is the mean of its cells with the wild ones left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from desdm.errors import ProgramFailed

__all__ = ["Cells", "Coefficient", "fit_crosstalk", "gather", "write_crosstalk"]

F4 = npt.NDArray[np.float32]
F8 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Coefficient:
    """``value`` ± ``error`` of what ``victim`` sees of ``source`` (amplifiers as ``ccd25A``), from ``cells`` cells."""

    victim: str
    source: str
    value: float
    error: float
    cells: int


@dataclass(frozen=True, slots=True)
class Cells:
    """What the cells of one frame say.

    Attributes
    ----------
    names
        Amplifiers, in order.
    source
        Number of the source amplifier of each estimate, shape (n,).
    slope
        Estimate of the coefficient for every victim, shape (n, amplifiers); NaN where there is none.
    power
        √Σ(source - median)² of each estimate, ADU: over it, a victim's noise is the error of its slope; shape (n,).
    noise
        Scatter of each amplifier's pixels, ADU.
    """

    names: tuple[str, ...]
    source: npt.NDArray[np.int64]
    slope: F8
    power: F8
    noise: F8


def gather(
    amps: Mapping[str, npt.NDArray[np.floating]],
    *,
    bright: float = 2000.0,
    own: float = 150.0,
    saturate: Mapping[str, float] | None = None,
    side: int = 24,
) -> Cells:
    """The estimates of one frame, or of a band of its rows.

    Parameters
    ----------
    amps
        Amplifier → its data in ADU after overscan, not linearised, shape (ny, nx/2), the first column the
        one that is read first: amplifier B is flipped.
    bright
        Height above the cell's median from which a star is a source, ADU.
    own
        A victim with more than this above its median has a star of its own in the cell, ADU; above any crosstalk.
    saturate
        Observed ADU at which an amplifier saturates: such pixels are no source and no victim.
    side
        Side of a cell, pixels: some PSFs, so that the background is level over it.
    """
    if not amps:
        raise ProgramFailed("crosstalk: a frame needs at least one amplifier")
    names = tuple(sorted(amps))
    limits = np.array([0.97 * (saturate or {}).get(n, np.inf) for n in names])
    noise = np.array([_scatter(amps[n]) for n in names])
    ny, nx = amps[names[0]].shape
    sources: list[int] = []
    slopes: list[F8] = []
    powers: list[float] = []
    for y in range(0, ny, side):
        strip = np.stack([amps[n][y : y + side] for n in names]).astype(np.float64)
        for x in range(0, nx, side):
            cell = strip[:, :, x : x + side].reshape(len(names), -1)
            for source, slope, power in _cell(cell, limits, noise, bright, own):
                sources.append(source)
                slopes.append(slope)
                powers.append(power)
    return Cells(
        names,
        np.array(sources, np.int64),
        np.array(slopes, np.float64).reshape(-1, len(names)),
        np.array(powers, np.float64),
        noise,
    )


def _cell(cell: F8, limits: F8, noise: F8, bright: float, own: float) -> list[tuple[int, F8, float]]:
    """Fit the slope of each amplifier on the bright one in one cell: (source index, slopes, power) of each source."""
    whole = np.isfinite(cell).all(axis=0) & (cell < limits[:, None]).all(axis=0)
    # Where a good part of the cell is lost to saturation, what is left is a star's skirt with a bleed trail in it.
    if whole.mean() < 0.9:
        return []
    data = cell[:, whole]
    data = data - np.median(data, axis=1, keepdims=True)
    top = data.max(axis=1)
    stars = np.flatnonzero(top > bright)
    if not stars.size:
        return []
    design = data[stars]
    inverse = np.linalg.pinv(design @ design.T, hermitian=True)
    rest = data
    slope = np.zeros((len(data), len(stars)))
    for _ in range(3):
        # The level is a clipped mean, no term of the fit: a faint star of the victim's own beside the source would
        # pull a fitted level up and the slope down, in most cells and too little to be detected. It is taken of what
        # the fit leaves, for the crosstalk's own wings are part of no level.
        slope = slope + (rest - _level(rest, noise)) @ design.T @ inverse  # (amplifiers, stars)
        rest = data - slope @ design
    victims = (top < own) & (data.min(axis=1) > -own)
    slope[~victims] = np.nan
    # The error of one of several sources grows as they overlap: its own term of the inverse tells.
    return [(int(s), slope[:, i], float(inverse[i, i] ** -0.5)) for i, s in enumerate(stars)]


def _level(rest: F8, noise: F8) -> F8:
    """Return the mean of each amplifier's values within 2 σ of its median, shape (n, 1)."""
    middle = np.median(rest, axis=1, keepdims=True)
    inside = np.abs(rest - middle) < 2.0 * noise[:, None]
    total = np.maximum(inside.sum(axis=1, keepdims=True), 1)
    out: F8 = np.where(inside, rest, 0.0).sum(axis=1, keepdims=True) / total
    return out


def fit_crosstalk(
    frames: Sequence[Cells], *, nsigma: float = 3.0, least: int = 10, significant: float = 4.0
) -> list[Coefficient]:
    """Coefficients of all pairs that are significant.

    Parameters
    ----------
    frames
        Cells of each frame; all of one camera.
    nsigma
        Clip of the cells' estimates, in units of their own robust scatter.
    least
        Cells that a pair must have.
    significant
        Pairs below so many errors are left out: a table of noise would only add noise.

    Raises
    ------
    ProgramFailed
        No frame holds a bright star.
    """
    if not frames or not sum(len(f.power) for f in frames):
        raise ProgramFailed(
            "crosstalk: no bright source in any frame; take frames of a field with bright stars"
        )
    names = frames[0].names
    source = np.concatenate([f.source for f in frames])
    slope = np.concatenate([f.slope for f in frames])
    power = np.concatenate([f.power for f in frames])
    noise = np.concatenate([np.tile(f.noise, (len(f.power), 1)) for f in frames])
    coefficients = []
    for s in range(len(names)):
        of = source == s
        for v in range(len(names)):
            usable = of & np.isfinite(slope[:, v])
            if v == s or usable.sum() < least:
                continue
            value, error, used = _mean(slope[usable, v], noise[usable, v] / power[usable], nsigma)
            if abs(value) > significant * error:
                coefficients.append(Coefficient(names[v], names[s], value, error, used))
    return sorted(coefficients, key=lambda c: (c.victim, c.source))


def _mean(values: F8, sigma: F8, nsigma: float) -> tuple[float, float, int]:
    """Weighted mean without outliers, its error from the scatter of the inliers, and their number."""
    # Faint objects of the victim's own are a floor to what one bright star can tell.
    order = np.argsort(values)
    weight = sigma**-2
    middle = float(values[order][np.searchsorted(np.cumsum(weight[order]), weight.sum() / 2)])
    inliers = np.ones(len(values), bool)
    for _ in range(10):
        pull = (values - middle) / sigma
        scatter = max(1.4826 * float(np.median(np.abs(pull[inliers]))), 0.5)
        new = np.abs(pull) <= nsigma * scatter
        middle = float(np.average(values[new], weights=weight[new]))
        if np.array_equal(new, inliers):
            break
        inliers = new
    error = max(1.4826 * float(np.median(np.abs(pull[inliers]))), 1.0) / float(weight[inliers].sum()) ** 0.5
    return middle, error, int(inliers.sum())


def _scatter(image: npt.NDArray[np.floating]) -> float:
    """Return the pixel noise of an amplifier, ADU, at least 0.5."""
    # Differences of neighbours: neither a gradient nor stars count.
    values = np.diff(image[::2].astype(np.float64), axis=1).ravel()
    values = values[np.isfinite(values)]
    values = values[:: max(1, values.size // 50_000)]
    return max(1.0484 * float(np.median(np.abs(values))), 0.5) if values.size else np.inf


def write_crosstalk(path: Path, coefficients: Sequence[Coefficient], comments: Sequence[str]) -> None:
    """Write cal_crosstalk as DECam's own file: victim, source, coefficient, error, onset of non-linearity (none), terms.

    Parameters
    ----------
    path
        File to write.
    coefficients
        One for each pair of victim and source, ADU per ADU.
    comments
        Lines of text at the top of the file.
    """
    lines = [f"# {c}" for c in comments]
    lines += ["# victim source  x   x_err    src_nl      poly_coeff"]
    for c in coefficients:
        lines.append(
            f"{c.victim}   {c.source}   {c.value:12.6e}   {c.error:9.3e}   1.000000e+10  "
            "0.000000e+00  0.000000e+00  0.000000e+00"
        )
    path.write_text("\n".join(lines) + "\n", "utf-8")
