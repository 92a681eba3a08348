"""The level of a block is its median, objects or not; blocks find their place in the focal plane."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from desdm.codes.sky.blocks import centres, sky_blocks
from desdm.codes.sky.minisky import (
    CcdSky,
    combine,
    read_ccdsky,
    read_minisky,
    write_ccdsky,
    write_minisky,
)
from desdm.codes.sky.objects import sky_between
from desdm.errors import FileTypeError
from tests.support.ccdscene import make_scene
from tests.support.skyscene import Sky, minisky_of, sky_of_ccd


def test_the_median_is_numpys() -> None:
    rng = np.random.default_rng(1)
    image = rng.normal(1500, 39, (300, 200)).astype(np.float32)
    bad = rng.random(image.shape) < 0.1
    found = sky_blocks(image, bad, 64, statistic="median")
    assert found.level.shape == (5, 4)
    for j in range(5):
        for i in range(4):
            part = (slice(64 * j, 64 * j + 64), slice(64 * i, 64 * i + 64))
            assert found.level[j, i] == pytest.approx(np.median(image[part][~bad[part]]), abs=0.01 * 39)
    assert np.median(found.sigma) == pytest.approx(39, rel=0.03)
    assert centres(200, 64).tolist() == [31.5, 95.5, 159.5, 195.5]


def test_a_block_of_bad_pixels_has_no_level() -> None:
    image = np.random.default_rng(2).normal(100, 10, (128, 128)).astype(np.float32)
    bad = np.zeros(image.shape, bool)
    bad[:64, :60] = True
    found = sky_blocks(image, bad, 64, statistic="median")
    assert np.isnan(found.level[0, 0])
    assert np.isfinite(found.level).sum() == 3
    assert found.good[0, 0] == pytest.approx(4 / 64)


@pytest.mark.parametrize("size", [32, 128])
@pytest.mark.parametrize("seed", [1, 2])
def test_objects_do_not_lift_the_sky(seed: int, size: int) -> None:
    """Six hundred objects a megapixel, as in the survey: the plain median errs by 0.03 σ, this by a third of it."""
    scene = make_scene(seed, sky=1500.0, stars_per_mpix=200, galaxies_per_mpix=400)
    found = sky_between((scene.image + 1500).astype(np.float32), np.zeros(scene.image.shape, bool), size)
    assert abs(np.nanmean(found.level) - 1500) < 0.015 * scene.sigma


def test_fringes_are_no_objects() -> None:
    sky = Sky(2000.0, (0.0, 0.0), 0.015, 0.015)
    mini = minisky_of(sky, 3)
    place = mini.place(1)
    assert place is not None
    true = sky_of_ccd(1, sky).reshape(16, 32, 8, 32).mean(axis=(1, 3))
    assert abs(np.mean(mini.level[place.window] - true)) < 0.02 * np.sqrt(2000)


def test_ccds_lie_where_detsec_says(tmp_path: Path) -> None:
    mini = minisky_of(Sky(1000.0, (0, 0), 0, 0), 7)
    assert [(p.ccdnum, p.x, p.y) for p in mini.places] == [(1, 0, 0), (2, 9, 0)]
    assert mini.level.shape == (16, 17)
    assert np.isnan(mini.level[:, 8]).all()
    # A missing CCD leaves its place empty, and the others where they are.
    alone = minisky_of(Sky(1000.0, (0, 0), 0, 0), 7, ccds=(1,))
    assert alone.level.shape == mini.level.shape
    assert np.isnan(alone.level[:, 9:]).all()
    write_minisky(tmp_path / "a_minisky.fits", mini)
    again = read_minisky(tmp_path / "a_minisky.fits")
    assert again.places == mini.places
    assert np.array_equal(again.level, mini.level, equal_nan=True)
    assert again.expnum == 7


def test_without_detsec_a_grid_serves(tmp_path: Path) -> None:
    image = np.random.default_rng(1).normal(50, 5, (128, 64)).astype(np.float32)
    blocks = sky_blocks(image, np.zeros(image.shape, bool), 32)
    ccds = [CcdSky(n, blocks, (128, 64), fits.Header({"EXPNUM": 4})) for n in (3, 1, 2)]
    assert [(p.ccdnum, p.x, p.y) for p in combine(ccds).places] == [(1, 0, 0), (2, 3, 0), (3, 0, 5)]
    write_ccdsky(tmp_path / "one.fits", ccds[0])
    assert np.array_equal(read_ccdsky(tmp_path / "one.fits").blocks.level, blocks.level)


def test_two_exposures_make_no_mini_sky() -> None:
    image = np.ones((64, 64), np.float32)
    blocks = sky_blocks(image, np.zeros(image.shape, bool), 32)
    ccds = [CcdSky(n, blocks, (64, 64), fits.Header({"EXPNUM": n})) for n in (1, 2)]
    with pytest.raises(FileTypeError, match="EXPNUM"):
        combine(ccds)
    with pytest.raises(FileTypeError, match="at least one CCD"):
        combine([])
