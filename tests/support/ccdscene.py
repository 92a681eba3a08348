"""A small sky of our own for masks and sky codes: Moffat stars, galaxies, cosmic rays, one streak, each with its truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import erf

__all__ = ["Scene", "add_streak", "make_scene", "moffat"]

Plane = npt.NDArray[np.float64]


@dataclass(slots=True)
class Scene:
    """Electrons, sky subtracted. ``noiseless`` holds stars and galaxies only, ``rays`` the charge of cosmic rays alone."""

    image: Plane
    noiseless: Plane
    rays: Plane
    sigma: float
    stars: npt.NDArray[np.float64]
    streak: Plane

    @property
    def weight(self) -> npt.NDArray[np.float32]:
        """Inverse variance of sky and read noise."""
        return np.full(self.image.shape, 1.0 / self.sigma**2, np.float32)


def moffat(x: Plane, y: Plane, fwhm: float, beta: float, q: float, angle: float) -> Plane:
    """Unit-sum elliptical Moffat profile, its pixel integral from 5×5 points."""
    alpha = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    out = np.zeros(x.shape)
    steps = (np.arange(5) - 2) / 5
    for dx in steps:
        for dy in steps:
            u = (x + dx) * np.cos(angle) + (y + dy) * np.sin(angle)
            v = -(x + dx) * np.sin(angle) + (y + dy) * np.cos(angle)
            out += (1 + (u**2 * q + v**2 / q) / alpha**2) ** -beta
    return out / 25 * (beta - 1) / (np.pi * alpha**2)


def _stamp(plane: Plane, x: float, y: float, half: int, flux: float, shape: tuple[float, ...]) -> None:
    ny, nx = plane.shape
    cx, cy = round(x), round(y)
    x0, x1, y0, y1 = max(cx - half, 0), min(cx + half + 1, nx), max(cy - half, 0), min(cy + half + 1, ny)
    if x0 >= x1 or y0 >= y1:
        return
    yy, xx = np.mgrid[y0:y1, x0:x1].astype(float)
    plane[y0:y1, x0:x1] += flux * moffat(xx - x, yy - y, *shape)


def _ray(plane: Plane, rng: np.random.Generator) -> None:
    """A straight or kinked track: charge by length, diffused by 0.3 to 0.5 pixel."""
    ny, nx = plane.shape
    x, y = rng.uniform(0, nx), rng.uniform(0, ny)
    kind = rng.uniform()
    # Spots, muon tracks, electrons that wander: the three shapes that thick CCDs show.
    length = 0.0 if kind < 0.3 else min(rng.exponential(9.0), 60.0)
    per_pixel = 10 ** rng.uniform(2.2, 3.7)
    bend = 0.0 if kind < 0.8 else 0.35
    angle, diffusion = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.5)
    steps = max(int(length * 4), 1)
    for _ in range(steps):
        cx, cy = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
        edges = np.arange(-3, 5) - 0.5
        wx = np.diff(erf((edges + cx - x) / (np.sqrt(2) * diffusion))) / 2
        wy = np.diff(erf((edges + cy - y) / (np.sqrt(2) * diffusion))) / 2
        charge = per_pixel * (length / steps if length else 1.0)
        for j in range(7):
            for i in range(7):
                row, col = cy - 3 + j, cx - 3 + i
                if 0 <= row < ny and 0 <= col < nx:
                    plane[row, col] += charge * wy[j] * wx[i]
        angle += rng.normal(0, bend) if bend else 0.0
        x, y = x + np.cos(angle) * length / steps, y + np.sin(angle) * length / steps


def add_streak(
    plane: Plane, start: tuple[float, float], stop: tuple[float, float], peak: float, fwhm: float
) -> None:
    """A line of Gaussian cross profile, ``peak`` electrons a pixel on its axis, between two points (x, y), in place."""
    ny, nx = plane.shape
    yy, xx = np.mgrid[0:ny, 0:nx].astype(float)
    length = np.hypot(stop[0] - start[0], stop[1] - start[1])
    ux, uy = (stop[0] - start[0]) / length, (stop[1] - start[1]) / length
    across = -(xx - start[0]) * uy + (yy - start[1]) * ux
    along = (xx - start[0]) * ux + (yy - start[1]) * uy
    s = fwhm / 2.3548
    ends = (erf(along / s / 1.414) + erf((length - along) / s / 1.414)) / 2
    plane += peak * np.exp(-0.5 * (across / s) ** 2) * ends


def make_scene(
    seed: int,
    shape: tuple[int, int] = (1024, 512),
    *,
    fwhm: float = 4.0,
    sky: float = 600.0,
    stars_per_mpix: float = 500.0,
    galaxies_per_mpix: float = 600.0,
    rays_per_mpix: float = 80.0,
    streak: tuple[tuple[float, float], tuple[float, float], float] | None = None,
) -> Scene:
    """Draw a scene.

    Parameters
    ----------
    seed, shape
        Seed of the random numbers; (ny, nx).
    fwhm
        Of the PSF in pixels; its shape is a Moffat of beta 3, elliptical by up to 5 % over the field.
    sky
        Electrons; with 7 electrons of read noise it makes ``sigma``.
    streak
        (x, y) of both ends from 0, and electrons a pixel on the axis.
    """
    rng = np.random.default_rng(seed)
    ny, nx = shape
    mpix = ny * nx / 1e6
    scene, rays, trail = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    count = rng.poisson(stars_per_mpix * mpix)
    # Number counts rise by 10^(0.25 mag); the brightest stay below saturation.
    flux = 300.0 * rng.pareto(0.62, count) + 300.0
    flux = np.minimum(flux, 2.5e6 * (fwhm / 4.0) ** 2 * 0.8)
    where = np.column_stack([rng.uniform(0, nx, count), rng.uniform(0, ny, count)])
    for (x, y), f in zip(where, flux, strict=True):
        half = 10 if f < 5e3 else 20 if f < 1e5 else 45
        _stamp(scene, x, y, half, f, (fwhm * (1 + 0.04 * (x / nx - 0.5)), 3.0, 1.05, 0.4))
    for _ in range(rng.poisson(galaxies_per_mpix * mpix)):
        size = np.hypot(fwhm, rng.uniform(0.5, 3) * fwhm)
        f = min(400.0 * rng.pareto(0.8) + 400.0, 1e5)
        shape_ = (size, 2.5, rng.uniform(1, 1.8), rng.uniform(0, np.pi))
        _stamp(scene, rng.uniform(0, nx), rng.uniform(0, ny), 24, f, shape_)
    for _ in range(rng.poisson(rays_per_mpix * mpix)):
        _ray(rays, rng)
    if streak is not None:
        add_streak(trail, streak[0], streak[1], streak[2], fwhm)
    light = rng.poisson(np.maximum(scene + sky + trail, 0)) - sky
    image = light + rays + rng.normal(0, 7.0, shape)
    return Scene(image, scene, rays, float(np.sqrt(sky + 49)), np.column_stack([where, flux]), trail)
