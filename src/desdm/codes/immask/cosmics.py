"""Cosmic rays in one image: pixels sharper than any scene that came through the PSF.

Our own rule, after R. Lupton's condition (SDSS Photo, later LSST). A sky seen through a PSF
is a sum of PSFs with positive weights. So whatever linear inequality the PSF fulfils at every offset, the sky
fulfils everywhere; for instance "the mean of two opposite neighbours is at least R times the pixel between
them", with R the PSF's own value at that distance over its peak. A pixel that breaks such an inequality by
more than the noise allows did not come through the telescope.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from desdm.pixels.compiled import compiled

__all__ = ["Limits", "find_cosmics"]

_MARGIN = 3  # pixels that a test reaches to


class Limits(NamedTuple):
    """Thresholds of the search.

    ``detect``: σ by which an inequality must be broken. ``grow``: the same beside a detected pixel. ``least``: σ over
    the sky that a pixel must have to be looked at, ``least_grow`` the same when growing. ``shrink``: the PSF
    is taken this much narrower than it was measured, for its width varies over the field.
    """

    detect: float = 4.5
    grow: float = 1.8
    least: float = 5.0
    least_grow: float = 2.0
    shrink: float = 0.8


def psf_ratios(fwhm: float, beta: float = 3.0) -> npt.NDArray[np.float32]:
    """Lowest ratio of outer to inner values that the PSF allows, for each kind of test.

    Parameters
    ----------
    fwhm
        Full width at half maximum in pixels, pixel integration included.
    beta
        Of the Moffat profile; 3 is as sharp in the core as good seeing makes it.

    Returns
    -------
    numpy.ndarray
        (6,) ratios: pairs at distances 1, √2, 2, √8 from one pixel; pairs around two neighbours in a row and
        around two diagonal ones.
    """
    alpha2 = fwhm**2 / 4.0 / (2.0 ** (1.0 / beta) - 1.0)

    def value(distance2: float) -> float:
        return float((1.0 + distance2 / alpha2) ** -beta)

    single = [value(d) for d in (1.0, 2.0, 4.0, 8.0)]
    # Two pixels with the peak between them: inner at ±½, outer at ±1½ of the step. A peak that lies aside makes
    # the ratio larger, never smaller.
    double = [value(2.25) / value(0.25), value(4.5) / value(0.5)]
    return np.asarray(single + double, np.float32)


@compiled()
def _excess(
    image: npt.NDArray[np.float32],
    weight: npt.NDArray[np.float32],
    closed: npt.NDArray[np.uint8],
    y: int,
    x: int,
    ratio: npt.NDArray[np.float32],
    enough: float,
) -> float:
    """The largest excess in σ over what the PSF allows at (y, x); stops at the first that is ``enough``.

    ``closed`` marks pixels that must not be used (bit 1: masked by others; cosmic rays have been replaced).
    """
    ny, nx = image.shape
    p = image[y, x]
    sky = np.float32(1.0) / weight[y, x]
    p_var = sky + max(p, np.float32(0.0))
    worst: float = -1e30
    for step in range(1, 3):
        for direction in range(4):
            # (0, 1) (1, 0) (1, 1) (1, -1): along the row, the column and both diagonals
            dy = step if direction > 0 else 0
            dx = 0 if direction == 1 else (-step if direction == 3 else step)
            if y < dy or y + dy >= ny or x < abs(dx) or x + abs(dx) >= nx:
                continue
            if closed[y + dy, x + dx] & 1 or closed[y - dy, x - dx] & 1:
                continue
            a, b = image[y + dy, x + dx], image[y - dy, x - dx]
            r = ratio[2 * (step - 1) + (1 if direction > 1 else 0)]
            var = r * r * p_var + np.float32(0.25) * (
                sky + sky + max(a, np.float32(0.0)) + max(b, np.float32(0.0))
            )
            significance: float = (r * p - np.float32(0.5) * (a + b)) / np.sqrt(var)
            if significance > worst:
                worst = significance
                if worst > enough:
                    return worst
    for direction in range(8):
        # Charge shared by two pixels: the pair (p, q) against the pixels before and after it.
        dy = (0, 1, 1, 1, 0, -1, -1, -1)[direction]
        dx = (1, 1, 0, -1, -1, -1, 0, 1)[direction]
        if not (0 <= y - dy < ny and 0 <= y + 2 * dy < ny and 0 <= x - dx < nx and 0 <= x + 2 * dx < nx):
            continue
        if closed[y + dy, x + dx] & 1 or closed[y + 2 * dy, x + 2 * dx] & 1 or closed[y - dy, x - dx] & 1:
            continue
        q, a, b = image[y + dy, x + dx], image[y - dy, x - dx], image[y + 2 * dy, x + 2 * dx]
        # The weaker of the pair is not condemned by the stronger: it must hold a good part of the charge itself.
        if np.float32(3.0) * p < q:
            continue
        r = ratio[4 + (direction & 1)]
        var = r * r * (p_var + sky + max(q, np.float32(0.0)))
        var += sky + sky + max(a, np.float32(0.0)) + max(b, np.float32(0.0))
        significance = (r * (p + q) - (a + b)) / np.sqrt(var)
        if significance > worst:
            worst = significance
            if worst > enough:
                return worst
    return worst


@compiled()
def _detect(
    image: npt.NDArray[np.float32],
    weight: npt.NDArray[np.float32],
    closed: npt.NDArray[np.uint8],
    ratio: npt.NDArray[np.float32],
    detect: float,
    least: float,
) -> tuple[npt.NDArray[np.int32], int]:
    """Pixels that break an inequality: (n, 2) rows of y, x in reading order, and their number."""
    ny, nx = image.shape
    hits = np.empty((1024, 2), np.int32)
    count = 0
    least2 = np.float32(least * least)
    places = np.empty(nx + 1, np.int32)
    for y in range(ny):
        # Without a branch for each pixel: the sky's sign is a coin that no processor foresees.
        line, weights, shut, n = image[y], weight[y], closed[y], 0
        for x in range(nx):
            p = line[x]
            places[n] = x
            n += int((p * p * weights[x] > least2) & (p > 0.0) & (shut[x] == 0))
        for x in places[:n]:
            if _excess(image, weight, closed, y, x, ratio, detect) > detect:
                if count == hits.shape[0]:
                    more = np.empty((2 * count, 2), np.int32)
                    more[:count] = hits
                    hits = more
                hits[count, 0], hits[count, 1] = y, x
                count += 1
    return hits, count


@compiled()
def _beneath(
    image: npt.NDArray[np.float32],
    closed: npt.NDArray[np.uint8],
    y: int,
    x: int,
    room: npt.NDArray[np.float32],
) -> np.float32:
    """The scene beneath a cosmic-ray pixel: the median of the free pixels in 5×5."""
    ny, nx = image.shape
    n = 0
    for j in range(max(y - 2, 0), min(y + 3, ny)):
        for i in range(max(x - 2, 0), min(x + 3, nx)):
            if closed[j, i] == 0:
                v = image[j, i]
                k = n
                while k > 0 and room[k - 1] > v:
                    room[k] = room[k - 1]
                    k -= 1
                room[k] = v
                n += 1
    middle: np.float32 = room[n // 2] if n else np.float32(0.0)
    return middle


@compiled()
def _grow(
    image: npt.NDArray[np.float32],
    weight: npt.NDArray[np.float32],
    closed: npt.NDArray[np.uint8],
    seeds: npt.NDArray[np.int32],
    ratio: npt.NDArray[np.float32],
    grow: float,
    least: float,
) -> int:
    """Follow each cosmic ray to its wings: replace the pixels detected, test their neighbours again.

    ``image`` is a working copy and changes; ``closed`` gains bit 2 under cosmic rays. Gives their pixels' number.
    """
    ny, nx = image.shape
    room = np.empty(25, np.float32)
    for k in range(seeds.shape[0]):
        closed[seeds[k, 0], seeds[k, 1]] |= 2
    for k in range(seeds.shape[0]):
        y, x = seeds[k, 0], seeds[k, 1]
        image[y, x] = _beneath(image, closed, y, x, room)
    queue = seeds
    done = 0
    count: int = seeds.shape[0]
    least2 = np.float32(least * least)
    while done < count:
        y0, x0 = queue[done, 0], queue[done, 1]
        done += 1
        for y in range(max(y0 - 1, 0), min(y0 + 2, ny)):
            for x in range(max(x0 - 1, 0), min(x0 + 2, nx)):
                p = image[y, x]
                if closed[y, x] or p <= 0.0 or p * p * weight[y, x] <= least2:
                    continue
                if _excess(image, weight, closed, y, x, ratio, grow) <= grow:
                    continue
                closed[y, x] |= 2
                image[y, x] = _beneath(image, closed, y, x, room)
                if count == queue.shape[0]:
                    more = np.empty((2 * count + 64, 2), np.int32)
                    more[:count] = queue
                    queue = more
                queue[count, 0], queue[count, 1] = y, x
                count += 1
    return count


def find_cosmics(
    image: npt.NDArray[np.float32],
    weight: npt.NDArray[np.float32],
    bad: npt.NDArray[np.bool_],
    fwhm: float,
    limits: Limits = Limits(),  # noqa: B008
) -> npt.NDArray[np.bool_]:
    """Pixels that cosmic rays hit.

    Parameters
    ----------
    image
        (ny, nx) electrons, sky subtracted.
    weight
        (ny, nx) inverse variance of sky and read noise in electrons⁻²; the objects' own photon noise is added here.
    bad
        (ny, nx) true where a pixel is bad or saturated already; such pixels are neither tested nor used.
    fwhm
        Seeing in pixels.
    limits
        Thresholds.

    Returns
    -------
    numpy.ndarray
        (ny, nx) true under cosmic rays, wings included. The same for every number of threads.
    """
    work = np.array(image, np.float32)
    closed = (bad | ~(weight > 0) | ~np.isfinite(work)).view(np.uint8)
    weight = np.ascontiguousarray(weight, np.float32)
    ratio = psf_ratios(fwhm * limits.shrink)
    hits, count = _detect(work, weight, closed, ratio, limits.detect, limits.least)
    _grow(work, weight, closed, hits[:count].copy(), ratio, limits.grow, limits.least_grow)
    return np.asarray((closed & 2) != 0)
