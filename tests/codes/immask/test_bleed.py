"""Full pixels pour over along their column; what was poured is found, and the halo of the star is left."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from desdm.codes.immask.bleed import BleedLimits, mask_bleeds
from desdm.pixels.maskbits import MaskBit
from tests.support.ccdscene import make_scene, moffat

WELL = 130_000.0
SKY = 600.0


def _poured(charge: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Fill the columns above and below full pixels, in place; which pixels were full or gained."""
    touched = charge > WELL
    for y, x in np.argwhere(charge > WELL):
        excess = charge[y, x] - WELL
        charge[y, x] = WELL
        for step in (-1, 1):
            left, at = excess / 2, y + step
            while left > 0 and 0 <= at < len(charge):
                take = min(max(WELL - charge[at, x], 0.0), left)
                charge[at, x] += take
                touched[at, x] |= take > 0
                left -= take
                at += step
    return touched


def _scene(seed: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32], npt.NDArray[np.bool_], float]:
    scene = make_scene(seed, rays_per_mpix=0)
    rng = np.random.default_rng(100 + seed)
    charge = scene.image + SKY
    yy, xx = np.mgrid[:1024, :512].astype(float)
    for k in range(3):
        x, y = rng.uniform(70, 440), (30.0 if k == 2 else rng.uniform(100, 900))
        charge += 10 ** rng.uniform(7.0, 7.8) * moffat(xx - x, yy - y, 4.0, 3.0, 1.0, 0.0)
    truth = _poured(charge)
    msk = np.where(charge > 0.99 * WELL, int(MaskBit.SATURATE), 0).astype(np.int32)
    return (charge - SKY).astype(np.float32), msk, truth, scene.sigma


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_full_pixels_and_trails_are_found(seed: int) -> None:
    image, msk, truth, sigma = _scene(seed)
    bleed = mask_bleeds(image, msk, 0.0, sigma)
    masked = (msk & int(MaskBit.SATURATE | MaskBit.TRAIL | MaskBit.EDGEBLEED)) != 0
    assert bleed.stars >= 3
    assert masked[truth].mean() > 0.99
    assert (masked & ~truth).mean() < 0.001


def test_no_star_no_trail() -> None:
    image = make_scene(1).image.astype(np.float32)
    msk = np.zeros(image.shape, np.int32)
    assert mask_bleeds(image, msk, 0.0, 25.0).trail == 0
    assert not msk.any()


def test_a_trail_at_the_readout_edge_spreads() -> None:
    rng = np.random.default_rng(2)
    image = rng.normal(0, 25, (600, 500)).astype(np.float32)
    msk = np.zeros(image.shape, np.int32)
    image[:200, 240:243] = WELL
    msk[:200, 240:243] |= int(MaskBit.SATURATE)
    # Charge that ran along the serial register: bright first rows, falling off.
    lit = np.zeros(image.shape, bool)
    lit[:20, 50:450] = True
    image += (lit * np.linspace(400, 100, 600)[:, None]).astype(np.float32)
    bleed = mask_bleeds(image, msk, 0.0, 25.0)
    edge = (msk & int(MaskBit.EDGEBLEED)) != 0
    assert bleed.edge == edge.sum()
    assert (edge & lit).sum() > 0.95 * (lit.sum() - 3 * 20)
    assert (edge & ~lit).mean() < 0.005


def test_the_halo_is_masked_when_asked_for() -> None:
    image, msk, _, sigma = _scene(1)
    bleed = mask_bleeds(image, msk, 0.0, sigma, BleedLimits(star=3.0))
    assert bleed.halo > 100
    assert ((msk & int(MaskBit.STAR)) != 0).sum() == bleed.halo
