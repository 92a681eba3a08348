"""Skies of our own over a focal plane of two small CCDs: gradient, ghost and fringes of known amounts, with stars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.codes.sky.minisky import CcdSky, MiniSky, combine
from desdm.codes.sky.objects import sky_between

__all__ = ["NX", "NY", "SIZE", "Sky", "image_of", "minisky_of", "sky_of_ccd", "some_skies"]

NY, NX, SIZE = 512, 256, 32
Plane = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sky:
    """Level in electrons; slopes, ghost and fringes relative to it."""

    level: float
    slope: tuple[float, float]
    ghost: float
    fringe: float


def some_skies(seed: int, count: int) -> list[Sky]:
    """Skies of as many exposures."""
    rng = np.random.default_rng(seed)
    return [
        Sky(
            1500 * rng.uniform(0.6, 1.6), (rng.normal(0, 0.012), rng.normal(0, 0.012)),
            0.015 * rng.uniform(0.5, 1.5), 0.010 * rng.uniform(0.4, 1.6),
        )
        for _ in range(count)
    ]  # fmt: skip


def sky_of_ccd(ccdnum: int, sky: Sky) -> Plane:
    """True sky of one CCD, electrons a pixel."""
    yy, xx = np.mgrid[:NY, :NX]
    u, v = (xx + (ccdnum - 1) * 276 - 270) / 300.0, (yy - 256) / 300.0
    ghost = 1 / (1 + np.exp((np.hypot(u - 0.03, v + 0.02) - 0.62) / 0.05))
    fringe = 0.7 * np.cos(2 * np.pi * (3 * u + 2.2 * v + 1.5 * np.cos(3 * u + 2 * v) + 0.3 * ccdnum))
    pattern = 1 + sky.slope[0] * u + sky.slope[1] * v + sky.ghost * ghost + sky.fringe * fringe
    return np.asarray(sky.level * pattern)


def image_of(ccdnum: int, sky: Sky, seed: int, stars: int = 50) -> npt.NDArray[np.float32]:
    """Sky, photon noise, 7 electrons of read noise, and stars."""
    rng = np.random.default_rng((seed, ccdnum))
    image = rng.poisson(sky_of_ccd(ccdnum, sky)) + rng.normal(0, 7, (NY, NX))
    for _ in range(stars):
        x, y = rng.uniform(0, NX), rng.uniform(0, NY)
        flux = min(300 * rng.pareto(0.7) + 300, 3e5)
        x0, x1, y0, y1 = max(int(x) - 20, 0), min(int(x) + 21, NX), max(int(y) - 20, 0), min(int(y) + 21, NY)
        yy, xx = np.mgrid[y0:y1, x0:x1]
        light = flux * 2 / (np.pi * 9) * (1 + ((xx - x) ** 2 + (yy - y) ** 2) / 9) ** -3
        image[y0:y1, x0:x1] += rng.poisson(light)
    return image.astype(np.float32)


def header_of(ccdnum: int, expnum: int, band: str = "z") -> fits.Header:
    """Keywords that the sky codes read."""
    left = (ccdnum - 1) * 276
    return fits.Header(
        {
            "EXPNUM": expnum, "CCDNUM": ccdnum, "BAND": band, "NITE": "20121120", "EXPTIME": 90.0,
            # Each exposure is of another field, 3 arcmin on.
            "TELRA": 30.0 + 0.05 * (expnum % 200), "TELDEC": -5.0,
            "DETSEC": f"[{left + 1}:{left + NX},1:{NY}]", "DETSIZE": f"[1:{276 + NX},1:{NY}]",
        }
    )  # fmt: skip


def minisky_of(
    sky: Sky, expnum: int, *, ccds: tuple[int, ...] = (1, 2), stray: float = 0.0, band: str = "z"
) -> MiniSky:
    """Mini-sky of an exposure; ``stray`` light comes in waves."""
    parts = []
    for ccdnum in ccds:
        image = image_of(ccdnum, sky, expnum)
        if stray:
            image *= (1 + stray * np.sin(np.arange(NX) / 40)).astype(np.float32)
        blocks = sky_between(image, np.zeros(image.shape, bool), SIZE)
        parts.append(CcdSky(ccdnum, blocks, (NY, NX), header_of(ccdnum, expnum, band)))
    return combine(parts)
