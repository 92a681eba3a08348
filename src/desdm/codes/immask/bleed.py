"""Bleed trails: charge that a saturated pixel lost along its column, and charge that reached the readout edge.

DESDM's ``mkbleedmask`` is the model: begin at saturated pixels, follow the column in both directions for as
long as it is brighter than its surroundings. Detrending has marked SATURATE; this adds TRAIL, EDGEBLEED and,
on request, STAR.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from desdm.codes.immask.groups import groups
from desdm.pixels.compiled import compiled
from desdm.pixels.maskbits import MaskBit

__all__ = ["Bleed", "BleedLimits", "mask_bleeds"]


@dataclass(frozen=True, slots=True)
class BleedLimits:
    """Thresholds of the search for trails.

    ``core``: saturated pixels that a star must have before its columns are followed. ``excess``: σ of one pixel over
    the columns beside it. ``gap``: pixels below that end a trail. ``elongation``: a saturated run is TRAIL where
    its column is this many times as long as the core is wide. ``edge_rows``: rows beside the readout edge that
    an edge bleed may fill, ``edge_excess`` σ of their row average there, ``edge_width`` columns that it must reach to a
    side. ``star``: halo radius over the radius of the
    saturated area (0: no STAR mask).
    """

    core: int = 1
    excess: float = 5.0
    gap: int = 2
    elongation: float = 1.5
    edge_rows: int = 60
    edge_excess: float = 8.0
    edge_width: int = 128
    star: float = 0.0


@dataclass(frozen=True, slots=True)
class Bleed:
    """Counts of saturated stars, and of pixels newly under each bit."""

    stars: int
    trail: int
    edge: int
    halo: int


@compiled()
def _follow(
    image: npt.NDArray[np.float32],
    sigma: float,
    saturated: npt.NDArray[np.bool_],
    first: int,
    last: int,
    left: int,
    right: int,
    excess: float,
    gap: int,
    reach: float,
    trail: npt.NDArray[np.bool_],
) -> None:
    """Follow every saturated column of one star up and down; ``trail`` is set in place.

    The star fills rows first..last and columns left..right (inclusive); a run longer than ``reach`` is trail itself.
    """
    ny, nx = image.shape
    for x in range(left, right + 1):
        top, bottom, count = -1, -1, 0
        for y in range(first, last + 1):
            if saturated[y, x]:
                top = y
                if bottom < 0:
                    bottom = y
                count += 1
        if count == 0:
            continue
        if count > reach:
            for y in range(bottom, top + 1):
                if saturated[y, x]:
                    trail[y, x] = True
        for direction in (-1, 1):
            y = (bottom if direction < 0 else top) + direction
            misses, reached = 0, y
            while 0 <= y < ny and misses <= gap:
                # The nearest columns on both sides that are neither full nor in the trail stand for the sky and the halo.
                a = x - 1
                while a >= 0 and x - a < 12 and (saturated[y, a] or (left <= a <= right)):
                    a -= 1
                b = x + 1
                while b < nx and b - x < 12 and (saturated[y, b] or (left <= b <= right)):
                    b += 1
                n, beside = 0, 0.0
                for k in range(3):
                    if a - k >= 0:
                        beside += image[y, a - k]
                        n += 1
                    if b + k < nx:
                        beside += image[y, b + k]
                        n += 1
                beside /= max(n, 1)
                noise = np.sqrt(sigma * sigma * (1.0 + 1.0 / max(n, 1)) + max(beside, 0.0))
                # The star's own profile falls off steeply near the core: ask for clearly more than beside.
                if (
                    saturated[y, x]
                    or image[y, x] - 1.5 * max(beside, 0.0) - min(beside, 0.0) > excess * noise
                ):
                    reached = y + direction
                    misses = 0
                else:
                    misses += 1
                y += direction
            y = (bottom if direction < 0 else top) + direction
            while y != reached:
                trail[y, x] = True
                y += direction


def _edge(
    image: npt.NDArray[np.float32], touched: npt.NDArray[np.bool_], sigma: float, limits: BleedLimits
) -> npt.NDArray[np.bool_]:
    """Pixels of an edge bleed in a strip whose row 0 is the readout edge; ``touched`` is the trail in it."""
    out = np.zeros(touched.shape, bool)
    rows = min(limits.edge_rows, image.shape[0] // 4)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], touched[0].astype(np.int8), [0]))))
    for left, right in edges.reshape(-1, 2):
        # Blocks of 16 columns outwards from the trail, as long as the strip's first rows are bright.
        for step in (-1, 1):
            here = left if step < 0 else right
            blocks: list[tuple[int, int, int]] = []
            while 0 < here < image.shape[1]:
                a, b = (max(here - 16, 0), here) if step < 0 else (here, min(here + 16, image.shape[1]))
                base = np.median(image[rows : 2 * rows, a:b])
                profile = np.mean(image[:rows, a:b], axis=1) - base
                high = profile > limits.edge_excess * sigma / np.sqrt(b - a)
                depth = int(np.argmin(high)) if not high.all() else rows
                if depth == 0:
                    break
                blocks.append((depth, a, b))
                here = a if step < 0 else b
            # What does not reach far is the halo of a star beside the edge.
            if blocks and abs(here - (left if step < 0 else right)) >= limits.edge_width:
                for depth, a, b in blocks:
                    out[:depth, a:b] = True
    return out & ~touched


def _halo(
    shape: tuple[int, ...], pixel_groups: npt.NDArray[np.int64], factor: float
) -> npt.NDArray[np.bool_]:
    """Return the discs, ``factor`` times the size of each saturated group, that a star's halo covers."""
    ny, nx = shape
    out = np.zeros((ny, nx), bool)
    for first, last, left, right, size in pixel_groups.tolist():
        radius = factor * max((right + 1 - left) / 2.0, np.sqrt(size / np.pi))
        cy, cx = (first + last) / 2.0, (left + right) / 2.0
        y0, y1 = max(int(cy - radius), 0), min(int(cy + radius) + 2, ny)
        x0, x1 = max(int(cx - radius), 0), min(int(cx + radius) + 2, nx)
        yy, xx = np.ogrid[y0:y1, x0:x1]
        out[y0:y1, x0:x1] |= (yy - cy) ** 2 + (xx - cx) ** 2 <= radius**2
    return out


def mask_bleeds(
    image: npt.NDArray[np.float32],
    msk: npt.NDArray[np.int32],
    sky: float,
    sigma: float,
    limits: BleedLimits | None = None,
) -> Bleed:
    """Set TRAIL, EDGEBLEED and STAR in ``msk``, in place.

    Parameters
    ----------
    image
        (ny, nx) electrons.
    msk
        (ny, nx) survey bits; SATURATE is where a pixel was full.
    sky, sigma
        Level and scatter of the sky in electrons.

    Returns
    -------
    Bleed
        Counts of stars and pixels.
    """
    limits = limits or BleedLimits()
    saturated = (msk & int(MaskBit.SATURATE)) != 0
    rows = np.flatnonzero(saturated.any(axis=1))
    if rows.size == 0:
        return Bleed(0, 0, 0, 0)
    pixel_groups = groups(saturated)
    trail = np.zeros(msk.shape, bool)
    work = image - np.float32(sky)
    work[~np.isfinite(image)] = 0.0
    stars = 0
    for first, last, left, right, size in pixel_groups.tolist():
        if size < limits.core:
            continue
        stars += 1
        reach = max(limits.elongation * (right - left + 1), 3.0)
        _follow(work, sigma, saturated, first, last, left, right, limits.excess, limits.gap, reach, trail)
    edge = np.zeros(msk.shape, bool)
    if trail[0].any():
        strip = slice(0, 2 * limits.edge_rows)
        edge[strip] |= _edge(work[strip], trail[strip], sigma, limits)
    if trail[-1].any():
        strip = slice(max(msk.shape[0] - 2 * limits.edge_rows, 0), None)
        edge[strip] |= _edge(work[strip][::-1], trail[strip][::-1], sigma, limits)[::-1]
    halo = _halo(msk.shape, pixel_groups, limits.star) & ~saturated if limits.star > 0 else None
    msk[trail] |= int(MaskBit.TRAIL)
    msk[edge] |= int(MaskBit.EDGEBLEED)
    if halo is not None:
        msk[halo] |= int(MaskBit.STAR)
    return Bleed(
        stars,
        int(np.count_nonzero(trail)),
        int(np.count_nonzero(edge)),
        0 if halo is None else int(np.count_nonzero(halo)),
    )
