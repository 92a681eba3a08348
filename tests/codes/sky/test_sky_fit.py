"""The sky of an exposure, without and with components, against the truth of the simulated skies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from desdm.codes.sky.blocks import centres
from desdm.codes.sky.fit import clean, fit_sky
from desdm.codes.sky.model import CoarseSky, TemplateSky, fill, read_skyfit, sky_of, write_skyfit
from desdm.codes.sky.pca import SkyPca, components_for, read_pca, sky_pca, write_pca
from desdm.codes.sky.templates import sky_templates
from desdm.errors import FileTypeError
from tests.support.skyscene import NX, NY, SIZE, Sky, image_of, minisky_of, sky_of_ccd, some_skies

COUNT = 14


def _blocks(plane: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(plane.reshape(4, 128, 2, 128).mean(axis=(1, 3)))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_smooth_sky_needs_no_components(seed: int) -> None:
    sky = replace(some_skies(seed, 1)[0], fringe=0.0)
    fit = fit_sky(minisky_of(sky, 50 + seed), None)
    assert fit is not None
    for ccdnum in (1, 2):
        true = sky_of_ccd(ccdnum, sky)
        away = fill(sky_of(fit, ccdnum, (NY, NX)), (NY, NX)) - true
        sigma = np.sqrt(true.mean() + 49)
        assert away.std() / true.mean() < 0.003
        assert np.abs(_blocks(away)).max() < 0.1 * sigma
        assert abs(away.mean()) < 0.02 * sigma


def test_a_plane_is_kept_to_its_edges_and_a_galaxy_is_cut_out() -> None:
    yy, xx = np.mgrid[:16, :8]
    plane = 1000.0 + 3.0 * xx - 2.0 * yy
    level = plane.astype(np.float32)
    level[4:6, 3:5] += 60.0
    level[15, 7] = np.nan
    smooth, out = clean(level + np.random.default_rng(1).normal(0, 0.5, level.shape).astype(np.float32))
    assert np.abs(smooth - plane).max() < 1.0
    assert out[4:6, 3:5].all()
    assert out[15, 7]


@pytest.fixture(scope="module")
def skies() -> list[Sky]:
    return some_skies(4, COUNT)


@pytest.fixture(scope="module")
def pca(skies: list[Sky]) -> SkyPca:
    minis = [minisky_of(sky, 100 + n, stray=0.2 if n == 11 else 0.0) for n, sky in enumerate(skies[:13])]
    return sky_pca(minis)


def test_the_odd_exposure_is_left_out_and_said_why(pca: SkyPca) -> None:
    assert [r.expnum for r in pca.rejected] == [111]
    assert "differs from the others'" in pca.rejected[0].reason
    assert len(pca.expnums) == 12
    # Level, two slopes, ghost and fringe vary: the components that stand out cannot be more than these five.
    assert 3 <= pca.components.shape[0] <= 5


def test_templates_carry_the_fringes_into_a_new_exposure(skies: list[Sky], pca: SkyPca) -> None:
    """An exposure that was not among those: 0.3 % of the sky, 0.1 σ on blocks of 128 pixels; the mini-sky alone fails."""
    place = next(p for p in pca.places if p.ccdnum == 1)
    x, y = centres(NX, SIZE).astype(np.float32), centres(NY, SIZE).astype(np.float32)
    coarse = [
        CoarseSky(np.ascontiguousarray(c[place.window], np.float32), x, y, SIZE) for c in pca.components
    ]
    images = [image_of(1, skies[n - 100], n) for n in pca.expnums]
    good = np.zeros((NY, NX), bool)
    readers = [lambda a, b, i=i: (i[a:b], good[a:b]) for i in images]
    made = sky_templates(readers, pca.coefficients, coarse, (NY, NX), memory=1 << 22)
    cube = made.cube
    assert made.prior_part == 0.0
    assert made.object_part < 0.02
    mini = minisky_of(skies[13], 113)
    fit = fit_sky(mini, components_for(pca, mini))
    assert fit is not None
    model = sky_of(fit, 1, (NY, NX), cube)
    assert isinstance(model, TemplateSky)
    true = sky_of_ccd(1, skies[13])
    away = fill(model, (NY, NX)) - true
    sigma = np.sqrt(true.mean() + 49)
    assert away.std() / true.mean() < 0.003
    assert np.abs(_blocks(away)).max() < 0.1 * sigma
    assert abs(away.mean()) < 0.02 * sigma
    coarse_only = fill(sky_of(fit, 1, (NY, NX)), (NY, NX)) - true
    assert coarse_only.std() > 2 * away.std()


def test_an_exposure_without_a_ccd_is_fitted_by_the_other(skies: list[Sky], pca: SkyPca) -> None:
    mini = minisky_of(skies[13], 113, ccds=(2,))
    fit = fit_sky(mini, components_for(pca, mini))
    both = minisky_of(skies[13], 113)
    whole = fit_sky(both, components_for(pca, both))
    assert fit is not None
    assert whole is not None
    assert fit.value[0] == pytest.approx(whole.value[0], rel=0.003)
    with pytest.raises(FileTypeError, match="CCD 1 is not in"):
        sky_of(fit, 1, (NY, NX))


def test_files_come_back(tmp_path: Path, skies: list[Sky], pca: SkyPca) -> None:
    mini = minisky_of(skies[13], 113)
    fit = fit_sky(mini, components_for(pca, mini))
    assert fit is not None
    write_skyfit(tmp_path / "a_skyfit.fits", fit, mini.header)
    again = read_skyfit(tmp_path / "a_skyfit.fits")
    assert np.allclose(again.value, fit.value)
    assert np.array_equal(again.smooth, fit.smooth, equal_nan=True)
    assert again.places == fit.places
    write_pca(tmp_path / "z_skypc.fits", pca, mini.header)
    back = read_pca(tmp_path / "z_skypc.fits")
    assert back.expnums == pca.expnums
    assert back.rejected == pca.rejected
    assert np.allclose(back.components, pca.components, atol=1e-6, equal_nan=True)
    assert np.allclose(back.coefficients, pca.coefficients)
    with pytest.raises(FileTypeError, match="no HDU MINISKY"):
        read_skyfit(tmp_path / "z_skypc.fits")


def test_the_wrong_band_is_refused(skies: list[Sky], pca: SkyPca) -> None:
    with pytest.raises(FileTypeError, match="band g, the sky components are of z"):
        components_for(pca, minisky_of(skies[13], 113, band="g"))
    with pytest.raises(FileTypeError, match="bands"):
        sky_pca([minisky_of(skies[0], 1), minisky_of(skies[0], 2, band="g")])
    with pytest.raises(FileTypeError, match="3 are needed"):
        sky_pca([minisky_of(skies[0], 1), minisky_of(skies[1], 2)])


def test_templates_of_another_supercal_are_refused(skies: list[Sky], pca: SkyPca) -> None:
    mini = minisky_of(skies[13], 113)
    fit = fit_sky(mini, components_for(pca, mini))
    assert fit is not None
    with pytest.raises(FileTypeError, match="one supercal"):
        sky_of(fit, 1, (NY, NX), np.ones((1, NY, NX), np.float32))


def test_between_blocks_the_sky_is_bilinear() -> None:
    x, y = centres(100, 32).astype(np.float32), centres(70, 32).astype(np.float32)
    grid = (10 + 2 * x[None, :] - 3 * y[:, None]).astype(np.float32)
    full = fill(CoarseSky(grid, x, y, 32), (70, 100))
    yy, xx = np.mgrid[:70, :100]
    assert np.allclose(full, 10 + 2 * xx - 3 * yy, atol=1e-3)
