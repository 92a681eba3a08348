"""The clipped mean of many frames: its noise, what it leaves out, and what it says of both."""

from __future__ import annotations

import numpy as np
import pytest

from desdm.codes.calibrate.stack import Stack
from desdm.errors import ProgramFailed

SHAPE = (60, 80)
NOISE = np.full(SHAPE[1], 3.0, np.float32)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_biases_average_down_to_their_read_noise(seed):
    rng = np.random.default_rng(seed)
    truth = rng.normal(0, 5, SHAPE).astype(np.float32)
    stack = Stack(SHAPE, NOISE, photons=False)
    for _ in range(25):
        stack.add((truth + rng.normal(0, 3, SHAPE)).astype(np.float32))
    made = stack.result()
    off = made.mean - truth
    n = off.size
    assert abs(off.mean()) < 4 * 3 / 5 / n**0.5
    assert off.std() == pytest.approx(3 / 5, rel=4 / (2 * n) ** 0.5 + 0.005)
    # The variance that the stack claims is that of its mean.
    assert np.mean(off**2 / made.variance) == pytest.approx(1.0, abs=5 * (2 / n) ** 0.5 + 0.01)


def test_flats_are_weighted_by_their_photons():
    rng = np.random.default_rng(4)
    response = rng.normal(1, 0.05, SHAPE)
    levels = [2000.0, 50000.0, 30000.0, 8000.0, 40000.0, 1000.0]
    stack = Stack(SHAPE, NOISE, photons=True)
    for level in levels:
        frame = rng.poisson(response * level) + rng.normal(0, 3, SHAPE)
        stack.add(frame.astype(np.float32), level)
    made = stack.result()
    limit = np.sqrt(response / sum(levels) + len(levels) * 9 / sum(levels) ** 2)
    pull = (made.mean - response) / limit
    assert pull.std() < 1.1
    assert np.mean((made.mean - response) ** 2 / made.variance) == pytest.approx(1.0, abs=0.1)


def test_a_cosmic_ray_a_lost_pixel_and_a_dead_column_do_no_harm():
    rng = np.random.default_rng(5)
    frames = [rng.normal(100, 3, SHAPE).astype(np.float32) for _ in range(12)]
    frames[0][10, 10] += 5000  # in the pilot
    frames[11][20, 20] += 5000  # after it
    frames[3][30, :] = np.nan
    for frame in frames:
        frame[:, 40] = np.nan
    stack = Stack(SHAPE, NOISE, photons=False, pilot=7)
    for frame in frames:
        stack.add(frame)
    made = stack.result()
    assert abs(made.mean[10, 10] - 100) < 6
    assert abs(made.mean[20, 20] - 100) < 6
    assert made.count[10, 10] == made.count[20, 20] == 11
    assert made.count[30, 5] <= 11
    assert (made.count[:, 40] == 0).all()
    assert np.isinf(made.variance[:, 40]).all()
    assert np.isnan(made.mean[:, 40]).all()


def test_a_frame_of_another_size_is_refused():
    stack = Stack(SHAPE, NOISE, photons=False)
    with pytest.raises(ProgramFailed, match=r"\(60, 80\) is wanted"):
        stack.add(np.zeros((3, 3), np.float32))
    with pytest.raises(ProgramFailed, match="no frame"):
        stack.result()
