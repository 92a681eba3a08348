"""Sky templates of one CCD at full resolution: what each principal component looks like in every pixel.

Each pixel's values in many exposures are regressed on the exposures' coefficients, with what lies off left out; the
files are read in bands of rows, so that memory does not grow with their number (DESDM's sky_template).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from desdm.codes.sky.model import CoarseSky, fill
from desdm.pixels.compiled import compiled

__all__ = ["ReadRows", "Templates", "sky_templates"]

F4 = npt.NDArray[np.float32]
F8 = npt.NDArray[np.float64]
#: An object's pixel stands so many σ above the sky; a template that takes this part of its light shows the object.
_OBJECT_SIGMA, _PART = 10.0, 0.1
#: Exposures without an object at a pixel that begin its clipping without the others.
_LEAST_CLEAR = 3
#: Pixels of objects that an exposure must have to be a measure.
_LEAST_PIXELS = 30
#: first and last+1 row → those rows of the image in electrons, and which of their pixels are bad
ReadRows: TypeAlias = Callable[[int, int], tuple[F4, npt.NDArray[np.bool_]]]


@dataclass(frozen=True, slots=True)
class Templates:
    """Templates (n, ny, nx) of one CCD; parts of its pixels that only the prior knows, and of objects that they show.

    ``object_part`` is the largest of the exposures': of the pixels where an object of the exposure stands 10 σ above
    the sky, the part where the templates hold more than a tenth of that light. It is near 0 where templates hold the
    sky alone, and near 1 where they hold the objects themselves.
    """

    cube: F4
    prior_part: float
    object_part: float


@compiled()
def _solve(matrix: F8, right: F8, n: int) -> None:
    """Solve a small symmetric positive system in place by Cholesky; the solution replaces ``right``."""
    for i in range(n):
        for j in range(i + 1):
            s = matrix[i, j]
            for k in range(j):
                s -= matrix[i, k] * matrix[j, k]
            matrix[i, j] = np.sqrt(max(s, 1e-30)) if i == j else s / matrix[j, j]
    for i in range(n):
        for k in range(i):
            right[i] -= matrix[i, k] * right[k]
        right[i] /= matrix[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            right[i] -= matrix[k, i] * right[k]
        right[i] /= matrix[i, i]


@compiled()
def _regress(
    data: F4,
    bad: npt.NDArray[np.bool_],
    covered: npt.NDArray[np.bool_],
    coefficients: F8,
    inverse: F8,
    prior: F4,
    loose: F8,
    clip: float,
    out: F4,
) -> int:
    """Robust regression of every pixel of a band of rows; returns the number of pixels that take the prior.

    ``data``, ``bad``, ``covered`` by objects (exposures, rows, nx); ``coefficients`` (exposures, n); ``inverse`` 1/σ² of
    each exposure's pixels; ``prior`` and ``out`` (n, rows, nx); ``loose`` (n,) how far a template may lie off the prior.
    """
    exposures, rows, nx = data.shape
    n = coefficients.shape[1]
    matrix, right, ratio = np.empty((n, n)), np.empty(n), np.empty(exposures)
    from_prior = 0
    for y in range(rows):
        for x in range(nx):
            count, clear = 0, 0
            for e in range(exposures):
                if not bad[e, y, x]:
                    count += 1
                    clear += not covered[e, y, x]
            # Exposures without an object at this pixel lead, as long as they are a few.
            every = clear < _LEAST_CLEAR
            ratios = 0
            for e in range(exposures):
                if not bad[e, y, x] and (every or not covered[e, y, x]):
                    p = 0.0
                    for k in range(n):
                        p += coefficients[e, k] * prior[k, y, x]
                    ratio[ratios] = data[e, y, x] / p if p > 0.0 else 1.0
                    ratios += 1
            if count < n + 1:
                for k in range(n):
                    out[k, y, x] = prior[k, y, x]
                from_prior += 1
                continue
            # The median of the ratios to the expected sky begins the clipping: objects cannot lead it. What it does not
            # clip of them serves: too few exposures would leave several components without hold.
            middle = np.median(ratio[:ratios])
            for k in range(n):
                right[k] = middle * prior[k, y, x]
            for turn in range(4):
                limit = clip * (1.5 if turn == 0 else 1.0)
                values = right.copy()
                matrix[:] = 0.0
                right[:] = 0.0
                for e in range(exposures):
                    if bad[e, y, x]:
                        continue
                    away = np.float64(data[e, y, x])
                    for k in range(n):
                        away -= coefficients[e, k] * values[k]
                    if away * away * inverse[e] > limit * limit:
                        continue
                    for k in range(n):
                        for j in range(k + 1):
                            matrix[k, j] += coefficients[e, k] * coefficients[e, j] * inverse[e]
                        right[k] += coefficients[e, k] * data[e, y, x] * inverse[e]
                for k in range(n):
                    tie = 1.0 / (loose[k] * loose[k])
                    matrix[k, k] += tie
                    right[k] += tie * middle * prior[k, y, x]
                _solve(matrix, right, n)
            for k in range(n):
                out[k, y, x] = right[k]
    return from_prior


def _smooth(template: F4, sigma: float) -> F4:
    """Smooth a template with a Gaussian of ``sigma`` pixels; 0 leaves it as it is."""
    if sigma <= 0:
        return template
    return np.asarray(ndimage.gaussian_filter(template, sigma, mode="nearest", truncate=3.0), np.float32)


def sky_templates(
    readers: Sequence[ReadRows],
    coefficients: F8,
    coarse: Sequence[CoarseSky],
    shape: tuple[int, int],
    *,
    objects: Sequence[npt.NDArray[np.uint8]] = (),
    read_noise: float = 7.0,
    clip: float = 3.0,
    smooth: float = 2.0,
    loose: tuple[float, float] = (0.1, 1.0),
    memory: int = 256 << 20,
) -> Templates:
    """Templates of one CCD.

    Parameters
    ----------
    readers
        One an exposure: gives rows of the detrended image, in electrons, sky not subtracted.
    coefficients
        (exposures, n) in electrons, in the order of the readers.
    coarse
        The n components on this CCD's blocks: what a pixel is thought to be before it is looked at.
    shape
        (ny, nx).
    objects
        One an exposure: its pixels with objects, rows of bits (`numpy.packbits` along x). They do not lead, but
        for those that every exposure has: what stands out at every pointing is the instrument's. Empty: not known.
    read_noise
        Electrons; with the sky's photons it makes σ of a pixel.
    clip
        σ beyond which an exposure is left out at a pixel.
    smooth
        σ in pixels of a Gaussian over the templates: photon noise of few exposures must not go into every image.
    loose
        How far the first and the other templates may lie off their prior (rms of a component is 1).
    memory
        Bytes of image rows in memory at once.

    Returns
    -------
    Templates
        The templates, and how far they are to be trusted.
    """
    ny, nx = shape
    count, n = coefficients.shape
    prior = np.stack([fill(c, shape) for c in coarse])
    out = np.empty((n, ny, nx), np.float32)
    level = np.maximum(coefficients @ np.array([np.median(p[::8, ::8]) for p in prior]), 1.0)
    inverse = 1.0 / (level + read_noise**2)
    ties = np.array([loose[0], *[loose[1]] * (n - 1)])
    band = int(np.clip(memory // (count * nx * 5), 1, ny))
    from_prior = 0
    lights: list[list[tuple[npt.NDArray[np.intp], F4]]] = [[] for _ in readers]
    for y0 in range(0, ny, band):
        y1 = min(y0 + band, ny)
        data, bad = np.empty((count, y1 - y0, nx), np.float32), np.empty((count, y1 - y0, nx), bool)
        for e, read in enumerate(readers):
            data[e], bad[e] = read(y0, y1)
        bad |= ~np.isfinite(data)
        for e in range(count):
            lights[e].append(_object_light(data[e], bad[e], coefficients[e], prior[:, y0:y1], inverse[e], y0))
        covered = np.zeros_like(bad)
        if objects:
            covered = np.stack([np.unpackbits(o[y0:y1], axis=1, count=nx).astype(bool) for o in objects])
            covered &= ~covered.all(axis=0)
        from_prior += _regress(
            data, bad, covered, coefficients, inverse, prior[:, y0:y1], ties, clip, out[:, y0:y1]
        )
    structures = np.empty_like(out)
    for k in range(n):
        # Structure of a template is sought around the coarse component, which is smooth already. The components
        # were taken between objects; few exposures leave wings of objects in a pixel: the level is the component's.
        structure = _smooth(out[k] - prior[k], smooth)
        structures[k] = structure - np.median(structure[::4, ::4])
        out[k] = prior[k] + structures[k]
    parts = [_part_shown(structures, c, light) for c, light in zip(coefficients, lights, strict=True)]
    return Templates(out, from_prior / (ny * nx), max(parts))


def _object_light(
    data: F4, bad: npt.NDArray[np.bool_], coefficients: F8, prior: F4, inverse: float, first: int
) -> tuple[npt.NDArray[np.intp], F4]:
    """Places in the flat image, whose rows begin at ``first``, of an exposure's brightest object pixels, and the light."""
    light = data - np.tensordot(coefficients.astype(np.float32), prior, axes=1)
    places = np.flatnonzero((light > _OBJECT_SIGMA / np.sqrt(inverse)) & ~bad)
    return places + first * data.shape[1], light.ravel()[places]


def _part_shown(structures: F4, coefficients: F8, light: Sequence[tuple[npt.NDArray[np.intp], F4]]) -> float:
    """Part of an exposure's object pixels whose light the templates hold; 0 with too few pixels to tell."""
    places = np.concatenate([p for p, _ in light])
    if places.size < _LEAST_PIXELS:
        return 0.0
    held = coefficients @ structures.reshape(len(structures), -1)[:, places]
    return float(np.mean(held > _PART * np.concatenate([v for _, v in light])))
