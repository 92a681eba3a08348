"""Odd frames: what mini_compare throws out, with which reason, and what it lets pass."""

from __future__ import annotations

import numpy as np
import pytest

from desdm.codes.calibrate.compare import BiasLimits, FlatLimits, compare_biases, compare_flats
from desdm.codes.calibrate.normalise import find_flat_normalization, focal_plane, mini_of
from desdm.errors import ProgramFailed

X, Y = (g.ravel().astype(float) for g in np.meshgrid(np.arange(32), np.arange(64)))


def flats(rng, levels):
    """Minis of good flats of these levels, with the noise of blocks of 32 × 32 pixels."""
    pattern = 1 + 0.03 * np.cos(X / 9) * np.sin(Y / 20)
    made = np.array([level * pattern for level in levels])
    return made * (1 + rng.normal(0, 1.25 / 32 / np.sqrt(made)))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_flats_of_all_levels_pass_and_odd_ones_go_with_a_reason(seed):
    rng = np.random.default_rng(seed)
    minis = flats(rng, [80000, 20000, 82000, 5000, 79000, 81000, 60, 80000, 80000])
    minis[7] *= 1 + 0.01 * (X / 31 - 0.5) * 2  # stray light from one side
    minis[8] *= 1 + 0.006 * np.cos(X / 3)  # another filter
    verdicts = compare_flats(minis, X, Y, FlatLimits())
    assert [v.good for v in verdicts] == [True] * 6 + [False] * 3
    assert "lamp was off" in verdicts[6].reason
    assert "60 electrons" in verdicts[6].reason
    assert verdicts[7].gradient == pytest.approx(0.02, rel=0.1)
    assert "% across the focal plane" in verdicts[7].reason
    assert "pattern differs" in verdicts[8].reason


def test_a_missing_ccd_is_no_reason_but_a_missing_half_is():
    rng = np.random.default_rng(5)
    minis = flats(rng, [80000] * 6)
    minis[1, :500] = np.nan
    minis[2, :1500] = np.nan
    verdicts = compare_flats(minis, X, Y, FlatLimits())
    assert [v.good for v in verdicts] == [True, True, False, True, True, True]
    assert "no value" in verdicts[2].reason


def test_odd_biases_go():
    rng = np.random.default_rng(6)
    minis = rng.normal(0, 0.1, (9, 2048)) + 2 * np.cos(X / 7)
    minis[3] += 5.0
    minis[5] += rng.normal(0, 3, 2048)
    verdicts = compare_biases(minis, BiasLimits())
    assert [i for i, v in enumerate(verdicts) if not v.good] == [3, 5]
    assert "level differs by +" in verdicts[3].reason
    assert "ADU rms" in verdicts[5].reason


def test_one_number_a_band_makes_the_focal_plane_one():
    rng = np.random.default_rng(7)
    levels = [80000.0, 40000.0, 20000.0]
    minis = flats(rng, levels)
    minis[0, :100] = np.nan
    plane = focal_plane(minis, levels)
    norm = find_flat_normalization(plane)
    truth = np.median(1 + 0.03 * np.cos(X / 9) * np.sin(Y / 20))
    assert norm == pytest.approx(truth, rel=3e-4)
    with pytest.raises(ProgramFailed, match="no block"):
        find_flat_normalization(np.full(5, np.nan))


def test_a_mini_is_made_of_block_medians():
    image = np.arange(100 * 70, dtype=np.float32).reshape(100, 70)
    image[:32, 32:64] = np.nan
    mini = mini_of(image, 32)
    assert mini.shape == (4, 3)
    assert np.isnan(mini[0, 1])
    assert mini[1, 0] == np.median(image[32:64, :32])
    assert mini[3, 2] == np.median(image[96:, 64:])
