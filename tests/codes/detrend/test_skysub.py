"""Sky and star flat in one pass: what is taken off is the model, and the weight is that of the sky at each pixel."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from desdm.codes.detrend import chain, skysub
from desdm.codes.detrend.calibration import Calibrations
from desdm.codes.detrend.recipe import Recipe
from desdm.codes.detrend.steps import chosen
from desdm.codes.sky.blocks import centres
from desdm.codes.sky.model import CoarseSky, TemplateSky, fill
from desdm.errors import FileTypeError, UsageError
from desdm.pixels.fitsbytes import pool
from desdm.survey.images import Planes
from tests.support import detrending

NAMES = skysub.Names("sky.fits", "starflat.fits")


@pytest.fixture
def made() -> tuple[detrending.Truth, Planes]:
    """A CCD with the sky still in it, flat-fielded, with its first weight."""
    t = detrending.make()
    head = fits.Header([("CCDNUM", 3), ("BAND", "g")])
    # a flat of 1 million electrons, whose own noise enters the weight
    flat = Planes(
        t.flat, np.zeros(t.raw.shape, np.int32), (1e6 / np.maximum(t.flat, 0.1)).astype(np.float32), head
    )
    cal = Calibrations(bpm=t.bpm, dflatcor=flat)
    recipe = Recipe(chosen("overscan,bpm,saturate,gain,flat,weight,nullweight"))
    return t, chain.detrend(t.raw, "raw.fits", cal, recipe, map).planes


def coarse(shape: tuple[int, int], level: float) -> CoarseSky:
    """A sky with a gradient and some waves, on blocks of 32 pixels."""
    y, x = centres(shape[0], 32), centres(shape[1], 32)
    grid = level * (1 + 0.1 * (x[None, :] / shape[1] - 0.5) + 0.02 * np.sin(y[:, None] / 30))
    return CoarseSky(grid.astype(np.float32), x.astype(np.float32), y.astype(np.float32), 32)


def copied(planes: Planes) -> Planes:
    """A copy that may be changed."""
    return Planes(planes.sci.copy(), planes.msk.copy(), planes.wgt.copy(), planes.header.copy())


def test_a_coarse_sky_is_taken_off_as_its_model_says(made: tuple[detrending.Truth, Planes]) -> None:
    _, planes = made
    model = coarse(planes.shape, 1600.0)
    out = copied(planes)
    assert skysub.subtract(out, model, None, NAMES, map) == ()
    expected = planes.sci - fill(model, planes.shape)
    assert np.allclose(out.sci, expected, rtol=0, atol=2e-3)
    assert out.header["DESSKYSB"] == "sky.fits"
    assert out.header["SKYBRITE"] == pytest.approx(float(np.median(model.grid)), abs=1e-3)
    # what is full is full at a lower value than before, for the sky is gone
    assert planes.header["SATURATE"] - out.header["SATURATE"] == pytest.approx(
        out.header["SKYBRITE"], abs=0.2
    )


def test_the_weight_is_of_the_sky_at_each_pixel(made: tuple[detrending.Truth, Planes]) -> None:
    """(dark/D + sky + grain·sky²)/D over the star flat squared: the formula, from the true flat."""
    t, planes = made
    model = coarse(planes.shape, 2500.0)
    sky = fill(model, planes.shape).astype(float)
    starflat = (1 + 0.05 * np.linspace(-1, 1, planes.shape[1]) * np.ones(planes.shape)).astype(np.float32)
    out = copied(planes)
    skysub.subtract(out, model, starflat, NAMES, map)
    dark = np.empty(planes.shape)
    for amp in "AB":
        half = slice(0, 96) if amp == "A" else slice(96, 192)
        dark[:, half] = planes.header[f"WGTVAR{amp}"]
    kept = out.wgt > 0
    flat = np.where(kept, t.flat, 1.0).astype(float)
    variance = (dark / flat + sky + 1e-6 * sky**2) / flat / starflat.astype(float) ** 2
    assert np.array_equal(kept, planes.wgt > 0)
    assert np.allclose((out.wgt * variance)[kept], 1.0, atol=2e-4)
    assert np.allclose(out.sci, (planes.sci - sky) / starflat, rtol=1e-5, atol=5e-3)


def test_templates_and_grid_of_the_same_sky_agree(made: tuple[detrending.Truth, Planes]) -> None:
    _, planes = made
    model = coarse(planes.shape, 1600.0)
    cube = np.stack([fill(model, planes.shape) / 2, np.ones(planes.shape, np.float32)])
    other = TemplateSky(np.array([2.0, 0.0], np.float32), cube)
    a, b = copied(planes), copied(planes)
    skysub.subtract(a, model, None, NAMES, map)
    skysub.subtract(b, other, None, NAMES, map)
    assert np.allclose(a.sci, b.sci, atol=2e-3)
    assert np.allclose(a.wgt, b.wgt, rtol=1e-5)


def test_threads_do_not_change_a_bit(made: tuple[detrending.Truth, Planes]) -> None:
    _, planes = made
    starflat = np.full(planes.shape, 1.01, np.float32)
    done = []
    for threads in (1, 2, 3, 7):
        out = copied(planes)
        with pool(threads) as run:
            skysub.subtract(out, coarse(planes.shape, 1600.0), starflat, NAMES, run)
        done.append(out)
    for out in done[1:]:
        assert np.array_equal(out.sci, done[0].sci)
        assert np.array_equal(out.wgt, done[0].wgt)


def test_each_step_is_done_once_and_in_order(made: tuple[detrending.Truth, Planes]) -> None:
    _, planes = made
    model, starflat = coarse(planes.shape, 1600.0), np.full(planes.shape, 1.01, np.float32)
    at_once, apart = copied(planes), copied(planes)
    skysub.subtract(at_once, model, starflat, NAMES, map)
    skysub.subtract(apart, model, None, NAMES, map)
    assert skysub.subtract(apart, model, starflat, NAMES, map) == ("sky",)
    assert np.array_equal(at_once.sci, apart.sci)
    assert np.allclose(at_once.wgt, apart.wgt, rtol=1e-6)
    before = copied(apart)
    assert skysub.subtract(apart, model, starflat, NAMES, map) == ("sky", "starflat")
    assert np.array_equal(before.sci, apart.sci)
    alone = copied(planes)
    skysub.subtract(alone, None, starflat, NAMES, map)
    with pytest.raises(UsageError, match="cannot be subtracted any more"):
        skysub.subtract(alone, model, None, NAMES, map)


def test_a_dead_star_flat_pixel_is_marked_and_a_wrong_one_refused(
    made: tuple[detrending.Truth, Planes],
) -> None:
    _, planes = made
    starflat = np.ones(planes.shape, np.float32)
    starflat[5, 6], starflat[7, 8] = 0.0, np.nan
    out = copied(planes)
    skysub.subtract(out, coarse(planes.shape, 1600.0), starflat, NAMES, map)
    for pixel in ((5, 6), (7, 8)):
        assert out.wgt[pixel] == 0
        assert out.msk[pixel] & 1
        assert np.isfinite(out.sci[pixel])
    with pytest.raises(FileTypeError, match=r"starflat\.fits: star flat of \(8, 8\)"):
        skysub.subtract(copied(planes), None, np.ones((8, 8), np.float32), NAMES, map)
    bare = copied(planes)
    del bare.header["WGTSKY"]
    with pytest.raises(FileTypeError, match="run detrend with the step 'weight'"):
        skysub.subtract(bare, coarse(planes.shape, 1600.0), None, NAMES, map)
