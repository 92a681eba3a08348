"""Cosmic rays are found to their wings, and stars keep their cores."""

from __future__ import annotations

from pathlib import Path

import fitsio
import numpy as np
import pytest
from scipy import ndimage

from desdm.codes.immask.cosmics import find_cosmics
from desdm.codes.immask.seeing import measure_seeing
from desdm.pixels.maskbits import MaskBit
from desdm.survey.images import read_community
from tests.support.ccdscene import Scene, make_scene


def _found(scene: Scene, fwhm: float) -> np.ndarray:
    image = scene.image.astype(np.float32)
    return find_cosmics(image, scene.weight, np.zeros(image.shape, bool), fwhm)


@pytest.mark.parametrize("fwhm", [3.0, 4.0, 5.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nineteen_of_twenty_pixels_over_ten_sigma(seed: int, fwhm: float) -> None:
    scene = make_scene(seed, (1024, 512), fwhm=fwhm, rays_per_mpix=150)
    found = _found(scene, fwhm)
    charge = scene.rays / scene.sigma
    assert found[charge > 10].mean() > 0.95
    labels, count = ndimage.label(charge > 3, np.ones((3, 3)))
    strong = ndimage.maximum(charge, labels, np.arange(1, count + 1)) > 10
    hit = np.asarray(ndimage.maximum(found, labels, np.arange(1, count + 1)), bool)
    assert hit[strong].mean() > 0.95
    assert (found & (charge < 0.5)).mean() < 0.001


@pytest.mark.parametrize("fwhm", [3.0, 4.0])
def test_stars_keep_their_cores(fwhm: float) -> None:
    scene = make_scene(7, (1024, 1024), fwhm=fwhm, rays_per_mpix=0, stars_per_mpix=2000)
    found = _found(scene, fwhm)
    bright = scene.stars[scene.stars[:, 2] > 2000]
    assert len(bright) > 300
    x, y = np.rint(bright[:, :2]).astype(int).T
    inside = (x < 1024) & (y < 1024)
    near = ndimage.binary_dilation(found, np.ones((3, 3)))
    assert near[y[inside], x[inside]].mean() < 0.003


def test_nothing_in_pure_noise() -> None:
    noise = np.random.default_rng(5).normal(0, 20, (1000, 1000)).astype(np.float32)
    found = find_cosmics(noise, np.full(noise.shape, 1 / 400, np.float32), np.zeros(noise.shape, bool), 4.0)
    # A pixel must lie more than five σ up: one in three million.
    assert found.sum() <= 3


def test_a_hit_beside_a_bad_column_and_at_the_corner() -> None:
    image = np.random.default_rng(6).normal(0, 10, (60, 60)).astype(np.float32)
    bad = np.zeros(image.shape, bool)
    bad[:, 30] = True
    image[bad] = 6e4
    for y, x in ((20, 31), (40, 29), (0, 10), (59, 59)):
        image[y, x] = 900.0
    found = find_cosmics(image, np.full(image.shape, 0.01, np.float32), bad, 4.0)
    assert found[20, 31]
    assert found[40, 29]
    assert found[0, 10]
    # In the very corner no opposite neighbours exist: there is nothing to tell it by.
    assert not found[59, 59]
    assert not (found & bad).any()


@pytest.mark.parametrize("fwhm", [2.5, 3.0, 4.0, 5.0])
def test_the_seeing_is_measured_on_the_stars(fwhm: float) -> None:
    scene = make_scene(3, fwhm=fwhm, rays_per_mpix=200)
    image = scene.image.astype(np.float32)
    seeing = measure_seeing(image, scene.weight, np.zeros(image.shape, bool))
    assert seeing is not None
    assert seeing.fwhm == pytest.approx(fwhm, rel=0.1)


def test_an_empty_image_has_no_seeing() -> None:
    image = np.random.default_rng(1).normal(0, 1, (200, 200)).astype(np.float32)
    assert measure_seeing(image, np.ones_like(image), np.zeros(image.shape, bool)) is None


def test_real_exposures_keep_their_stars_and_lose_one_worm(real: Path) -> None:
    """Nine DECam cutouts, whose cosmic rays were filled in: only one, a wandering electron that was overlooked, is left."""
    counts = {}
    for path in sorted((real / "decam-cp-stack").glob("*_ooi_*.fits")):
        mask, weight = (Path(str(path).replace("_ooi_", part)) for part in ("_ood_", "_oow_"))
        planes = read_community(path, mask, weight)
        gain = float(planes.header.get("GAIN", planes.header.get("GAINA", 4.0)))
        image = (planes.sci - np.median(planes.sci)) * np.float32(gain)
        bad = (planes.msk & ~int(MaskBit.CRAY)) != 0
        fwhm = float(planes.header["FWHM"])
        counts[path.name] = int(find_cosmics(image, planes.wgt / np.float32(gain**2), bad, fwhm).sum())
    worm = "c4d_180212_083009_ooi_z_ls9.N3.fits"
    # By eye: an S of 28 pixels, one and a half pixels wide where stars are 4.6.
    assert 20 <= counts.pop(worm) <= 40
    assert len(counts) == 8
    assert sum(counts.values()) <= 4


def test_a_crowded_real_field_is_not_eaten(real: Path) -> None:
    """SExtractor's galaxies.fits is a sum of three frames cleaned by their median: nearly nothing should be found."""
    # fitsio, for astropy stumbles over cards of this header.
    data = np.asarray(fitsio.read(str(real / "ntt-galaxies" / "galaxies.fits")), np.float32)
    sky = float(np.median(data))
    sigma = 1.4826 * float(np.median(np.abs(data - sky)))
    # Photons make the noise of the sky, so that the gain follows from it.
    gain = sky / sigma**2
    image = (data - np.float32(sky)) * np.float32(gain)
    bad = data > 60000
    weight = np.full(data.shape, 1 / (sigma * gain) ** 2, np.float32)
    seeing = measure_seeing(image, weight, bad)
    assert seeing is not None
    assert seeing.stars > 20
    assert find_cosmics(image, weight, bad, seeing.fwhm).mean() < 0.001
