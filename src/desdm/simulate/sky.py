"""The true sky of a simulated patch: stars and galaxies with positions, proper motions, magnitudes and shapes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["COLOURS", "Sky", "generator", "make_sky"]

Array = npt.NDArray[np.float64]

#: Mean magnitude of a band relative to r, for stars and for galaxies, and the scatter about it.
COLOURS: dict[str, tuple[float, float, float]] = {
    "u": (2.0, 1.4, 0.5),
    "g": (0.75, 0.80, 0.30),
    "r": (0.0, 0.0, 0.0),
    "i": (-0.30, -0.35, 0.12),
    "z": (-0.45, -0.60, 0.20),
    "Y": (-0.50, -0.70, 0.22),
}


@dataclass(frozen=True, slots=True)
class Sky:
    """Objects of a patch, one array element each.

    ``ra``, ``dec`` in degrees at ``epoch`` (Julian year), ``pmra`` (with cos δ) and ``pmdec`` in mas/yr; ``star`` true for
    stars; ``mags`` by band (AB); ``size`` is a galaxy's half-light radius in arcsec, ``e1``, ``e2`` its ellipticity.
    ``isolation`` is the distance in arcsec to the next object that could disturb it.
    """

    epoch: float
    ra: Array
    dec: Array
    pmra: Array
    pmdec: Array
    star: npt.NDArray[np.bool_]
    mags: dict[str, Array]
    size: Array
    e1: Array
    e2: Array
    isolation: Array

    def at(self, epoch: float) -> tuple[Array, Array]:
        """RA and Dec in degrees at another epoch (Julian year), linear proper motion."""
        years = epoch - self.epoch
        dec = self.dec + self.pmdec * years / 3.6e6
        return self.ra + self.pmra * years / 3.6e6 / np.cos(np.radians(self.dec)), dec


def generator(seed: int, *stage: int) -> np.random.Generator:
    """Return a counter-based random generator of a stage (Salmon et al. 2011, Philox).

    The numbers of a CCD do not depend on the others or on their order.
    """
    key = np.random.SeedSequence([seed, *stage]).generate_state(2, np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def _scatter(rng: np.random.Generator, count: int, width: float, apart: float, taken: list[complex]) -> Array:
    """``count`` places in a square of ``width`` arcsec, each ``apart`` arcsec from all places taken so far."""
    here: list[complex] = []
    for _ in range(count * 200):
        place = complex(*(rng.random(2) - 0.5) * width)
        if all(abs(place - other) >= apart for other in taken):
            taken.append(place)
            here.append(place)
            if len(here) == count:
                break
    return np.array(here)


def make_sky(
    seed: int,
    ra: float,
    dec: float,
    width: float,
    bands: tuple[str, ...],
    *,
    bright: int,
    faint: int,
    galaxies: int,
) -> Sky:
    """Draw a patch of sky.

    Parameters
    ----------
    seed
        Same seed, same sky.
    ra, dec
        Centre, degrees.
    width
        Side of the square in arcsec.
    bands
        Bands that need magnitudes.
    bright, faint, galaxies
        How many of each: bright stars (r 16.8 to 22.5) make the PSF and the astrometry, faint ones (r 22.3 to
        23.6) surround the detection limit, galaxies (r 19 to 23.5) are resolved.

    Returns
    -------
    Sky
        Stars stand at least 7″ from each other; galaxies fall anywhere beyond 4″ of a star.
    """
    rng = generator(seed, 1)
    taken: list[complex] = []
    places = [
        _scatter(rng, bright, width, 7.0, taken),
        _scatter(rng, faint, width, 7.0, taken),
        _scatter(rng, galaxies, width, 4.0, taken),
    ]
    counts = [len(p) for p in places]
    plane = np.concatenate(places)
    n = plane.size
    star = np.arange(n) < counts[0] + counts[1]
    r = np.concatenate(
        [
            16.8 + 5.7 * rng.random(counts[0]) ** 0.7,
            22.3 + 1.3 * rng.random(counts[1]),
            19.0 + 4.5 * rng.random(counts[2]) ** 0.4,
        ]
    )
    hue = rng.normal(size=n)
    mags = {
        band: r + np.where(star, COLOURS[band][0], COLOURS[band][1]) + COLOURS[band][2] * hue * _sign(band)
        for band in bands
    }
    apart = np.abs(plane[:, None] - plane[None, :])
    np.fill_diagonal(apart, np.inf)
    motion = rng.normal(scale=6.0, size=(2, n)) * star
    ellipticity = rng.normal(scale=0.2, size=(2, n)).clip(-0.5, 0.5)
    return Sky(
        2016.0,
        (ra + plane.real / 3600.0 / np.cos(np.radians(dec))) % 360.0,
        dec + plane.imag / 3600.0,
        motion[0],
        motion[1],
        star,
        mags,
        np.where(star, 0.0, 0.35 + 0.6 * rng.random(n)),
        ellipticity[0],
        ellipticity[1],
        apart.min(axis=1),
    )


def _sign(band: str) -> float:
    """Return the sign of the colour term of a band."""
    # A redder object is fainter blueward of r and brighter redward.
    return 1.0 if band in ("u", "g") else -1.0
