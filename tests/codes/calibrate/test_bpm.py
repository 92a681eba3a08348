"""Bad pixels: which are found, and how few good ones are taken for bad."""

from __future__ import annotations

import numpy as np
import pytest

from desdm.codes.calibrate.bpm import Limits, from_bias, from_flats, from_ramp, smooth_background
from desdm.pixels.maskbits import MaskBit

NY, NX = 512, 256
BAD, SUSPECT = int(MaskBit.BPM), int(MaskBit.SUSPECT)


def share(bits, truth):
    found = (bits & BAD) > 0
    return (found & truth).sum() / truth.sum(), (found & ~truth).sum() / truth.size


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_hot_pixels_and_columns_of_a_bias(seed):
    rng = np.random.default_rng(seed)
    side = np.minimum(np.arange(NX), NX - 1 - np.arange(NX))
    bias = rng.normal(0, 0.4, NX)[None, :] + 2.5 * np.exp(-side / 12)[None, :] + rng.normal(0, 0.5, (NY, 1))
    bias = bias + rng.normal(0, 0.6, (NY, NX))
    truth = np.zeros((NY, NX), bool)
    y, x = rng.integers(0, NY, 40), rng.integers(0, NX, 40)
    bias[y, x] += 10 ** rng.uniform(1.6, 3.5, 40)
    truth[y, x] = True
    for first, amount in ((64, 60.0), (128, 12.0)):  # the second is weak, but a whole column
        column = int(rng.integers(5, NX - 5))
        bias[first:, column] += amount
        truth[first:, column] = True
    bits = from_bias(bias.astype(np.float32), np.full((NY, NX), 0.36, np.float32), Limits())
    found, false = share(bits, truth)
    assert found > 0.99
    assert false < 1e-3


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_low_and_high_response_in_a_flat(seed):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:NY, 0:NX]
    flat = 1 + 0.03 * np.cos(x / 100) + 0.02 * np.sin(y / 150) + rng.normal(0, 0.004, (NY, NX))
    flat *= 1 - 0.02 * np.exp(-0.5 * ((np.hypot(x - 90, y - 200) - 25) / 4) ** 2)  # dust is no defect
    truth = np.zeros((NY, NX), bool)
    for _ in range(40):
        j, i, n = int(rng.integers(0, NY - 3)), int(rng.integers(0, NX - 3)), int(rng.integers(1, 4))
        flat[j : j + n, i : i + n] *= rng.choice([rng.uniform(0, 0.65), 1.4])
        truth[j : j + n, i : i + n] = True
    flat[100:, 40] *= 0.94  # a trap: a column that loses some charge
    truth[128:, 40] = True
    noise = np.full((NY, NX), 0.003**2, np.float32)
    bits = from_flats((20000 * flat).astype(np.float32), noise * 20000**2, Limits())
    found, false = share(bits, truth)
    assert found > 0.99
    assert false < 1e-3
    assert not ((bits & BAD > 0) & (bits & SUSPECT > 0)).any()


def test_a_pixel_that_bends_is_found():
    rng = np.random.default_rng(6)
    bright = rng.normal(1, 0.004, (NY, NX)).astype(np.float32)
    faint = bright + rng.normal(0, 0.008, (NY, NX)).astype(np.float32)
    faint[50, 60] *= 1.15
    faint[70, 80] = bright[70, 80] = 0.02
    bits = from_ramp(faint, bright, np.full((NY, NX), 0.0083**2, np.float32), Limits())
    assert bits[50, 60] & BAD
    assert ((bits & BAD) > 0).sum() == 1


def test_pixels_without_a_value_are_bad():
    image = np.ones((64, 64), np.float32)
    image[3, 4] = np.nan
    variance = np.full((64, 64), 1e-4, np.float32)
    variance[5, 6] = np.inf
    for bits in (from_flats(image, variance, Limits()), from_bias(image, variance, Limits())):
        assert bits[3, 4] == BAD
        assert bits[5, 6] == BAD
        assert ((bits & BAD) > 0).sum() == 2


def test_the_background_follows_a_slope_and_not_a_star():
    y, x = np.mgrid[0:NY, 0:NX]
    image = (100 + 0.1 * x + 0.05 * y).astype(np.float32)
    image[200:204, 100:104] += 10000
    inner = (slice(40, -40), slice(40, -40))
    assert np.abs(smooth_background(image, 32) - (100 + 0.1 * x + 0.05 * y))[inner].max() < 0.5
