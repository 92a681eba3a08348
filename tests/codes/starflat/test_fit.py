"""Star flats from dithered stars whose magnitudes nobody knows."""

from __future__ import annotations

import numpy as np
import pytest

from desdm.codes.starflat.fit import REFERENCE, Measured, Net, fit_starflat
from desdm.errors import ProgramFailed

NX, NY, GAP = 512, 1024, 40
PLACES = {1: (0, 0), 2: (0, 1), 3: (1, 0), 4: (1, 1)}


def true_response(ccd, x, y):
    """Response to stars over response to the screen: a slope, a ring of light, and a step from CCD to CCD."""
    i, j = PLACES[ccd]
    u, v = (i * (NX + GAP) + x - 532) / 1160, (j * (NY + GAP) + y - 1044) / 1160
    r = np.hypot(u - 0.03, v + 0.02)
    ring = 1 / (1 + np.exp((r - 0.62) / 0.05)) / (1 + np.exp((0.22 - r) / 0.05))
    return (1 + 0.008 * u - 0.006 * v + 0.015 * (u * u - v * v) + 0.003 * (ccd - 2.5)) / (1 + 0.018 * ring)


def observe(rng, stars=1500, exposures=14, extinction=0.0):
    width, height = 2 * NX + GAP, 2 * NY + GAP
    sx, sy = rng.uniform(-300, width + 300, stars), rng.uniform(-300, height + 300, stars)
    mags = rng.uniform(16, 19, stars)
    rows = []
    for e in range(exposures):
        dx, dy = rng.uniform(-300, 300, 2)
        for ccd, (i, j) in PLACES.items():
            x, y = sx + dx - i * (NX + GAP), sy + dy - j * (NY + GAP)
            on = np.flatnonzero((x > 1) & (x < NX) & (y > 1) & (y < NY))
            error = 0.001 * 10 ** (0.4 * (mags[on] - 16.5) / 1.5)
            mag = mags[on] - 2.5 * np.log10(true_response(ccd, x[on], y[on])) + rng.normal(0, error)
            mag += extinction * rng.normal(0, 1)
            wrong = rng.random(on.size) < 0.01
            mag = mag + wrong * rng.normal(0, 0.3, on.size)  # a neighbour, a cosmic ray
            rows.append(np.stack([on, np.full(on.size, e), np.full(on.size, ccd), x[on], y[on], mag, error]))
    data = np.concatenate(rows, axis=1)
    return Measured(*(data[k].astype(np.int64) for k in range(3)), *data[3:]), mags


def residual(fit):
    y, x = np.mgrid[1 : NY + 1 : 8, 1 : NX + 1 : 8].astype(float)
    made = np.concatenate([fit.net.image(fit.response[c])[::8, ::8].ravel() for c in PLACES])
    true = np.concatenate([true_response(c, x, y).ravel() for c in PLACES])
    return made / (true / true.mean()) - 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_response_comes_back_to_two_millimagnitudes(seed):
    measured, _ = observe(np.random.default_rng(seed))
    fit = fit_starflat(measured, Net((NY, NX), 64))
    off = residual(fit)
    assert abs(off.mean()) < 1e-4
    assert off.std() < 0.002
    assert 0.005 < fit.clipped / (fit.used + fit.clipped) < 0.08
    assert fit.chi2 < 1.1


def test_reference_magnitudes_hold_the_slope_on_a_night_that_is_not_photometric():
    rng = np.random.default_rng(4)
    measured, mags = observe(rng)
    clouds = rng.normal(0, 0.05, 14)
    n = mags.size
    both = Measured(
        np.concatenate([measured.star, np.arange(n)]),
        np.concatenate([measured.exposure, np.full(n, 14)]),
        np.concatenate([measured.ccdnum, np.full(n, REFERENCE)]),
        np.concatenate([measured.x, np.zeros(n)]),
        np.concatenate([measured.y, np.zeros(n)]),
        np.concatenate([measured.mag + clouds[measured.exposure], mags + rng.normal(0, 0.005, n) - 25.4]),
        np.concatenate([measured.error, np.full(n, 0.005)]),
    )
    fit = fit_starflat(both, Net((NY, NX), 64), zeropoint_prior=0.1)
    assert residual(fit).std() < 0.002
    assert np.std(fit.zeropoint[:14] - clouds) < 0.001


def test_stars_seen_once_say_nothing():
    n = 50
    once = Measured(
        np.arange(n),
        np.zeros(n, int),
        np.ones(n, int),
        np.full(n, 5.0),
        np.full(n, 5.0),
        np.zeros(n),
        np.ones(n),
    )
    with pytest.raises(ProgramFailed, match="0 repeated measurements"):
        fit_starflat(once, Net((NY, NX), 64))
