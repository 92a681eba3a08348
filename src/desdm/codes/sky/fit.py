"""The sky of one exposure on its mini-sky: a sum of principal components, or the cleaned mini-sky itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from desdm.codes.sky.minisky import MiniSky, Place

__all__ = ["Coefficients", "SkyFit", "clean", "fit_components", "fit_sky"]

F8 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Coefficients(NamedTuple):
    """Values and errors of a fit (n,), which blocks were used, and the rms of their residuals."""

    value: F8
    error: F8
    used: Flags
    rms: float


@dataclass(frozen=True, slots=True)
class SkyFit:
    """The sky of one exposure.

    ``value`` and ``error`` (n,) of the templates, empty where no components of the band were known; ``smooth`` the fitted
    sky on the mosaic of blocks in the image's units, finite all over each CCD; ``clipped`` blocks left out; ``rms``
    of the blocks' residuals; ``level`` median sky and ``sigma`` scatter of one pixel; ``components`` the file of components
    that was fitted, as the header of a file of `write_skyfit` tells it.
    """

    value: F8
    error: F8
    smooth: npt.NDArray[np.float32]
    places: tuple[Place, ...]
    clipped: int
    rms: float
    level: float
    sigma: float
    gradient: float
    components: str = ""


def _scatter(values: F8) -> float:
    """Return the robust standard deviation of values, 0 without any."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values)))) if values.size else 0.0


def fit_components(
    level: npt.NDArray[np.float32], components: F8, *, clip: float = 3.0, rounds: int = 10
) -> Coefficients | None:
    """Least squares of a mosaic on components, blocks beyond ``clip`` σ left out until none more goes.

    Parameters
    ----------
    level
        (ny, nx) block levels, NaN where unknown.
    components
        (n, ny, nx), NaN where a component is unknown.

    Returns
    -------
    Coefficients or None
        None: fewer than four blocks a component are known.
    """
    count = components.shape[0]
    known = np.isfinite(level) & np.isfinite(components).all(axis=0)
    used = known.copy()
    if used.sum() < 4 * count:
        return None
    design = components.reshape(count, -1).T
    data = level.astype(np.float64).ravel()
    value = np.zeros(count)
    # The first guess must not be led by the brightest objects: the level alone, by its median.
    guess = np.median(data[used.ravel()] / np.where(design[used.ravel(), 0] == 0, 1, design[used.ravel(), 0]))
    residual: F8 = data - guess * design[:, 0]
    for turn in range(rounds):
        near = used.ravel()
        width = max(_scatter(residual[near]), 1e-9 * abs(guess))
        # The first rounds only drop what is plainly an object: the level alone does not describe the sky yet.
        limit = clip * width if turn > 1 else 10.0 * width
        now = known.ravel() & (np.abs(residual - np.median(residual[near])) <= limit)
        if turn > 2 and np.array_equal(now, near):
            break
        if now.sum() < 4 * count:
            return None
        used = now.reshape(known.shape)
        value = np.asarray(np.linalg.lstsq(design[now], data[now], rcond=None)[0], np.float64)
        residual = np.asarray(data - design @ value, np.float64)
    near = used.ravel()
    rms = float(np.sqrt(np.mean(residual[near] ** 2)))
    inverse = np.linalg.pinv(design[near].T @ design[near])
    return Coefficients(value, rms * np.sqrt(np.diag(inverse)), used, rms)


def clean(level: npt.NDArray[np.float32], *, clip: float = 3.0, smooth: float = 0.7) -> tuple[F8, Flags]:
    """One CCD's block levels without objects: outliers from a running median go, gaps are filled, noise is smoothed.

    Parameters
    ----------
    level
        (ny, nx), NaN where unknown.
    clip
        σ from the median of 5×5 blocks.
    smooth
        σ of the Gaussian in blocks. A plane passes it unchanged, edges included.

    Returns
    -------
    tuple
        (ny, nx) smooth level, finite; and which blocks were left out.
    """
    data = level.astype(np.float64)
    good = np.isfinite(data)
    if not good.any():
        return np.full(data.shape, np.nan), ~good
    plane = _plane(data, good)
    for _ in range(3):
        flat = np.where(good, data - plane, np.nan)
        near = _running_median(flat)
        away = flat - near
        width = max(_scatter(away[good]), 1e-6 * abs(float(np.median(data[good]))))
        # NaN compares false: what is unknown stays out.
        now = np.isfinite(data) & (np.abs(data - plane - near) <= clip * width)
        if not now.any() or np.array_equal(now, good):
            break
        good = now
        plane = _plane(data, good)
    flat = np.where(good, data - plane, 0.0)
    return plane + _local_linear(flat, good, smooth), ~good


def _plane(data: F8, good: Flags) -> F8:
    """Fit a plane to the good values with clipping; returns it on the whole grid."""
    yy, xx = np.mgrid[: data.shape[0], : data.shape[1]]
    design = np.stack([np.ones(data.size), xx.ravel(), yy.ravel()], axis=1)
    keep = good.ravel()
    if keep.sum() < 6:
        return np.full(data.shape, float(np.median(data[good])))
    for _ in range(3):
        value = np.linalg.lstsq(design[keep], data.ravel()[keep], rcond=None)[0]
        away = data.ravel() - design @ value
        now = good.ravel() & (np.abs(away) <= 5.0 * max(_scatter(away[keep]), 1e-12))
        if now.sum() < 6:
            break
        keep = now
    return np.asarray((design @ value).reshape(data.shape))


def _running_median(data: F8) -> F8:
    """Median of the known values in 5×5, mirrored at the edges; 0 where there are none."""
    padded = np.pad(data, 2, mode="reflect" if min(data.shape) > 2 else "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5)).reshape(*data.shape, 25)
    empty = np.isnan(windows).all(axis=2)
    out = np.zeros(data.shape)
    out[~empty] = np.nanmedian(windows[~empty], axis=1)
    return out


def _local_linear(data: F8, good: Flags, sigma: float) -> F8:
    """Gaussian-weighted local planes: unbiased where the sky slopes, at edges and beside gaps too."""
    if sigma <= 0:
        sigma = 0.35
    yy, xx = (v.astype(float) for v in np.mgrid[: data.shape[0], : data.shape[1]])
    weight = good.astype(float)

    def blur(plane: F8, width: float) -> F8:
        return np.asarray(ndimage.gaussian_filter(plane, width, mode="constant", truncate=4.0))

    out = np.zeros(data.shape)
    todo = np.ones(data.shape, bool)
    width = sigma
    while todo.any() and width < 64.0:
        w = blur(weight, width)
        moments = [
            blur(weight * p, width) for p in (xx, yy, xx * xx, xx * yy, yy * yy, data, data * xx, data * yy)
        ]
        enough = todo & (w > 0.02)
        if enough.any():
            out[enough] = _planes([m[enough] for m in (w, *moments)], xx[enough], yy[enough])
        todo &= ~enough
        width *= 2.0
    return out


def _planes(m: list[F8], x: F8, y: F8) -> F8:
    """Value at (x, y) of the weighted plane through moments w, wx, wy, wxx, wxy, wyy, wd, wdx, wdy."""
    mx, my, mxx, mxy, myy, md, mdx, mdy = (v / m[0] for v in m[1:])
    cx, cy = mx, my
    sxx, sxy, syy = mxx - cx * cx, mxy - cx * cy, myy - cy * cy
    sdx, sdy = mdx - md * cx, mdy - md * cy
    # A little ridge where the blocks around lie on one line.
    ridge = 1e-3 * (sxx + syy) + 1e-9
    sxx, syy = sxx + ridge, syy + ridge
    det = sxx * syy - sxy * sxy
    gx, gy = (sdx * syy - sdy * sxy) / det, (sdy * sxx - sdx * sxy) / det
    return np.asarray(md + gx * (x - cx) + gy * (y - cy))


def fit_sky(sky: MiniSky, components: F8 | None, *, clip: float = 3.0, smooth: float = 0.7) -> SkyFit | None:
    """The sky of an exposure.

    Parameters
    ----------
    sky
        Its mini-sky.
    components
        (n, ny, nx) of its band, laid out like the mini-sky; None: the mini-sky itself is cleaned and smoothed.
    clip
        σ at which a block is taken to hold an object.
    smooth
        Smoothing without components, in blocks.

    Returns
    -------
    SkyFit or None
        None: no block is known.
    """
    known = np.isfinite(sky.level)
    if not known.any():
        return None
    fitted = None if components is None else fit_components(sky.level, components, clip=clip)
    model = np.full(sky.level.shape, np.nan)
    clipped = 0
    if fitted is not None and components is not None:
        model[:] = np.tensordot(fitted.value, components, axes=1)
        clipped = int((known & ~fitted.used).sum())
    for place in sky.places:
        part = model[place.window]
        if fitted is None or not np.isfinite(part).any():
            # No components, or none on this CCD (it was dead in the exposures of which they were computed).
            part[:], out = clean(sky.level[place.window], clip=clip, smooth=smooth)
            clipped += int((out & known[place.window]).sum())
        elif not np.isfinite(part).all():
            # Blocks that the components do not know, inside a CCD: from those around.
            part[:] = clean(part.astype(np.float32), clip=1e9, smooth=0.5)[0]
    residual = (sky.level - model)[known & np.isfinite(model)]
    rms = fitted.rms if fitted is not None else _scatter(residual)
    level = float(np.median(sky.level[known]))
    span = np.percentile(model[np.isfinite(model)], [2.5, 97.5]) if np.isfinite(model).any() else np.zeros(2)
    return SkyFit(
        np.zeros(0) if fitted is None else fitted.value,
        np.zeros(0) if fitted is None else fitted.error,
        model.astype(np.float32),
        sky.places,
        clipped,
        rms,
        level,
        float(np.nanmedian(sky.sigma[known])),
        float((span[1] - span[0]) / level) if level else 0.0,
    )
