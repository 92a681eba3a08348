"""The cross profile of a line in an image: straightened, its pieces compared, its place and width refined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from desdm.pixels.compiled import compiled

__all__ = ["Profile", "Strip", "straighten", "tune"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Strip:
    """Pieces of a line laid straight.

    ``mean`` (pieces, 2·half+1) of the good pixels in electrons and ``error`` its σ (inf: none good); column ``half``
    is the axis. ``ends`` x1, y1, x2, y2 of the line in pixels from 0; a piece is ``step`` pixels long.
    """

    mean: Array
    error: Array
    half: int
    ends: tuple[float, float, float, float]
    step: float


@dataclass(frozen=True, slots=True)
class Profile:
    """What a line turned out to be: refined ends, crest in electrons a pixel, Gaussian σ in pixels.

    ``snr`` of the whole line; ``middle_snr`` of the median of its pieces, against the line's surroundings;
    ``even``: part of its pieces that are about as bright as the middle one.
    """

    ends: tuple[float, float, float, float]
    peak: float
    sigma: float
    snr: float
    middle_snr: float
    even: float


@compiled()
def _collect(
    image: npt.NDArray[np.float32],
    bad: npt.NDArray[np.bool_],
    noise: float,
    x1: float,
    y1: float,
    ux: float,
    uy: float,
    length: float,
    half: int,
    cap: float,
    total: Array,
    count: Array,
) -> None:
    """Add each good pixel near the line to its piece and nearest whole distance; values are capped at ``cap`` σ."""
    ny, nx = image.shape
    pieces = total.shape[0]
    ya, yb = min(y1, y1 + uy * length) - half - 1, max(y1, y1 + uy * length) + half + 2
    for y in range(max(int(ya), 0), min(int(yb), ny)):
        # Where the strip crosses this row.
        if abs(uy) > 1e-9:
            c = x1 + (y - y1) * ux / uy
            w = (half + 1) / abs(uy)
            xa, xb = c - w, c + w + 1
        else:
            xa, xb = 0.0, float(nx)
        xlow, xhigh = min(x1, x1 + ux * length) - half - 1, max(x1, x1 + ux * length) + half + 2
        for x in range(int(max(xa, xlow, 0.0)), int(min(xb, xhigh, float(nx)))):
            along = (x - x1) * ux + (y - y1) * uy
            across = (y - y1) * ux - (x - x1) * uy
            if along < 0.0 or along >= length or abs(across) >= half + 0.5 or bad[y, x]:
                continue
            value = image[y, x]
            if value > cap * noise:
                # Brighter than the streak can be here: an object; it says nothing of the streak.
                continue
            piece = min(int(along / length * pieces), pieces - 1)
            d = int(np.floor(across + 0.5)) + half
            total[piece, d] += value
            count[piece, d] += 1.0


def straighten(
    image: npt.NDArray[np.float32],
    bad: npt.NDArray[np.bool_],
    noise: float,
    ends: tuple[float, float, float, float],
    half: float,
) -> Strip | None:
    """Lay a line straight, in pieces of some 24 pixels; at least three, of 8 pixels or more.

    Parameters
    ----------
    image
        (ny, nx) counts over the sky.
    bad
        (ny, nx) true where a pixel is left out.
    noise
        Standard deviation of a sky pixel, in the unit of the image.
    ends
        (x1, y1, x2, y2) of the line, 0-based pixels.
    half
        Half width of the strip, pixels.

    Returns
    -------
    Strip or None
        None: the line is too short.
    """
    x1, y1, x2, y2 = ends
    length = float(np.hypot(x2 - x1, y2 - y1))
    pieces = max(int(length / 24.0), 3)
    if length < 24.0:
        return None
    wide = int(np.ceil(half))
    ux, uy = (x2 - x1) / length, (y2 - y1) / length
    total, count = np.zeros((pieces, 2 * wide + 1)), np.zeros((pieces, 2 * wide + 1))
    cap = 1e30
    for turn in range(2):
        total[:], count[:] = 0.0, 0.0
        _collect(image, bad, noise, x1, y1, ux, uy, length, wide, cap, total, count)
        if turn == 0:
            # What most pieces show near the axis bounds the streak's crest; brighter pixels belong to objects.
            mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
            crest = np.nanmedian(mean, axis=0) if np.isfinite(mean).any(axis=0).all() else np.zeros(1)
            cap = 2.5 * max(float(np.max(crest)) / noise, 0.0) + 5.0
    mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    error = np.where(count > 0, noise / np.sqrt(np.maximum(count, 1.0)), np.inf)
    # All that lies off the axis, for a star in a piece covers a good part of its sides.
    side = np.abs(np.arange(2 * wide + 1) - wide) > min(0.4 * wide, 10.0)
    base = np.median(mean[:, side], axis=1)
    return Strip(np.where(count > 0, mean - base[:, None], 0.0), error, wide, ends, length / pieces)


def _amplitudes(strip: Strip, first: float, last: float, sigma: float) -> tuple[Array, Array]:
    """Crest of each piece and its σ, for a Gaussian of ``sigma`` whose offset runs from ``first`` to ``last``."""
    pieces, width = strip.mean.shape
    offset = first + (last - first) * (np.arange(pieces) + 0.5) / pieces
    d = np.arange(width)[None, :] - strip.half - offset[:, None]
    shape = np.exp(-0.5 * (d / sigma) ** 2)
    inverse = 1.0 / strip.error**2
    norm = (shape**2 * inverse).sum(axis=1)
    crest = np.divide((shape * strip.mean * inverse).sum(axis=1), norm, out=np.zeros(pieces), where=norm > 0)
    return crest, np.where(norm > 0, 1.0 / np.sqrt(np.maximum(norm, 1e-30)), np.inf)


def _score(strip: Strip, first: float, last: float, sigma: float) -> float:
    """Return the S/N of a line through the strip, with outlying pieces limited."""
    crest, error = _amplitudes(strip, first, last, sigma)
    # A piece may not say more than 5 σ of its own above the middle one: stars sit in some pieces, a streak in all.
    snr = crest / error
    return float(np.clip(snr, -5.0, max(5.0, 2.0 * float(np.median(snr)))).sum() / np.sqrt(snr.size))


def tune(strip: Strip, reach: float) -> Profile | None:
    """Refine a line: offsets at both ends by up to ``reach`` pixels, width, and where it begins and stops.

    Returns
    -------
    Profile or None
        None: no part of the line stands out.
    """
    best, step = (0.0, 0.0, 2.0), 1.5
    score = -np.inf
    grid = np.arange(-reach, reach + 0.1, step)
    for first in grid:
        for last in grid:
            now = _score(strip, first, last, 2.0)
            if now > score:
                score, best = now, (float(first), float(last), 2.0)
    while step > 0.05:
        step /= 2.0
        first, last, sigma = best
        for df in (-step, 0.0, step):
            for dl in (-step, 0.0, step):
                for ds in (0.9, 1.0, 1.1):
                    width = float(np.clip(sigma * ds, 0.8, 10.0))
                    now = _score(strip, first + df, last + dl, width)
                    if now > score:
                        score, best = now, (first + df, last + dl, width)
    first, last, sigma = best
    crest, error = _amplitudes(strip, first, last, sigma)
    typical = float(np.median(crest[crest > error])) if (crest > error).any() else 0.0
    lit = crest + np.where(np.isfinite(error), error, 0.0) > 0.35 * typical
    extent = _extent(lit)
    if extent is None or typical <= 0.0:
        return None
    begin, end = extent
    sigma, peak = _shape(strip, first, last, begin, end, sigma)
    snr = float((crest[begin:end] / error[begin:end]).sum() / np.sqrt(end - begin))
    middle = _middle(strip, first, last, begin, end, sigma)
    # Crest of each piece at the measured width: a streak shines evenly, a chain of galaxies does not.
    crest, error = (v[begin:end] for v in _amplitudes(strip, first, last, sigma))
    level = float(np.median(crest))
    known = np.isfinite(error)
    near = np.abs(crest - level)[known] < np.maximum(0.4 * level, 2.5 * error[known])
    even = float(near.mean()) if known.any() else 0.0
    return Profile(_place(strip, first, last, begin, end), peak, sigma, snr, middle, even)


def _aligned(strip: Strip, first: float, last: float, begin: int, end: int) -> tuple[Array, Array]:
    """Pieces begin … end-1, each moved onto its own axis: distances, and (pieces, distances)."""
    pieces, width = strip.mean.shape
    offset = first + (last - first) * (np.arange(pieces) + 0.5) / pieces
    axis = np.arange(width) - strip.half
    near = axis[np.abs(axis) <= strip.half - np.abs(offset).max()].astype(float)
    rows = [np.interp(near + offset[k], axis, strip.mean[k]) for k in range(begin, end)]
    return near, np.asarray(rows)


def _middle(strip: Strip, first: float, last: float, begin: int, end: int, sigma: float) -> float:
    """S/N of the middle one of the pieces' profiles on the axis, against what it does beside.

    Stars that happen to stand in a row are in some pieces, a streak is in all; and faint objects everywhere make the
    profile beside the axis as restless as on it.
    """
    axis, rows = _aligned(strip, first, last, begin, end)
    profile = np.median(rows, axis=0)
    shape = np.exp(-0.5 * ((axis[:, None] - axis[None, :]) / sigma) ** 2)
    shape /= shape.sum(axis=1, keepdims=True)
    smooth = shape @ profile
    beside = np.abs(axis) > 2.5 * sigma + 1.0
    if beside.sum() < 6:
        return 0.0
    here = int(np.argmin(np.abs(axis)))
    error = strip.error[begin:end]
    typical = float(np.median(error[np.isfinite(error)])) if np.isfinite(error).any() else np.inf
    least = 1.2533 * typical / np.sqrt(end - begin) * float(np.sqrt((shape[here] ** 2).sum()))
    base = float(np.median(smooth[beside]))
    noise = max(
        1.4826 * float(np.median(np.abs(smooth[beside] - base))), float(np.std(smooth[beside])), least
    )
    return float((smooth[here] - base) / noise)


def _extent(lit: npt.NDArray[np.bool_]) -> tuple[int, int] | None:
    """The stretch of pieces that holds the most lit ones net of dark ones."""
    gain = np.where(lit, 1.0, -1.5)
    best, start, here, at = 0.0, 0, 0.0, 0
    longest: tuple[int, int] | None = None
    for k, g in enumerate(gain):
        if here <= 0.0:
            here, at = 0.0, k
        here += float(g)
        if here > best:
            best, start = here, at
            longest = (start, k + 1)
    return longest if best >= 3.0 else None


def _shape(
    strip: Strip, first: float, last: float, begin: int, end: int, sigma: float
) -> tuple[float, float]:
    """Width and crest from second moments of the median profile, by trying widths about the first one."""
    axis, rows = _aligned(strip, first, last, begin, end)
    near = np.abs(axis) <= max(5.0 * sigma, 3.0)
    profile = np.median(rows, axis=0)[near]
    best, answer = np.inf, (sigma, 0.0)
    for trial in sigma * np.geomspace(0.6, 1.7, 45):
        shape = np.exp(-0.5 * (axis[near] / trial) ** 2)
        peak = float((shape * profile).sum() / (shape**2).sum())
        left = float(((profile - peak * shape) ** 2).sum())
        if left < best:
            best, answer = left, (float(trial), peak)
    return answer


def _place(
    strip: Strip, first: float, last: float, begin: int, end: int
) -> tuple[float, float, float, float]:
    """Return the ends (x1, y1, x2, y2) on the image of a piece of the strip."""
    x1, y1, x2, y2 = strip.ends
    pieces = strip.mean.shape[0]
    length = float(np.hypot(x2 - x1, y2 - y1))
    ux, uy = (x2 - x1) / length, (y2 - y1) / length

    def at(t: float) -> tuple[float, float]:
        aside, along = first + (last - first) * t, t * length
        return x1 + ux * along - uy * aside, y1 + uy * along + ux * aside

    return (*at(begin / pieces), *at(end / pieces))
