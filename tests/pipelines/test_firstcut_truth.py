"""First Cut of simulated nights against their truth: pixels, masks, positions, fluxes, zero points, verdicts.

Tolerances that follow from photon noise are computed from the truth; the others are those of the survey's own aims.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from scipy.ndimage import binary_dilation
from scipy.spatial import cKDTree

from desdm.pixels.maskbits import MaskBit
from desdm.simulate.limits import information
from desdm.simulate.plan import plan_night
from desdm.simulate.psf import Moffat
from desdm.survey.images import read_planes
from tests.support.night import Processed, flat_electrons, plane, processed_once

SEEDS = (11, 12, 13)
#: Read noise of the mini camera in round numbers, electrons.
READ_NOISE = 7.0
FULL = int(MaskBit.SATURATE | MaskBit.TRAIL | MaskBit.EDGEBLEED)


def night_of(seed: int, factory: pytest.TempPathFactory) -> Processed:
    base = factory.getbasetemp()
    base = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "nights"
    plan = plan_night(seed, bands=("r", "i"), biases=8, flats=6, exposures=2, truth="full")
    return processed_once(base, f"seed{seed}", plan)


@pytest.fixture(scope="module", params=SEEDS)
def night(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Processed:
    """One night a seed: biases, flats, two exposures in r and one in i, each with truth planes."""
    return night_of(request.param, tmp_path_factory)


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> list[Processed]:
    """The nights of all seeds, for what one night has too few stars to tell."""
    return [night_of(seed, tmp_path_factory) for seed in SEEDS]


def images(night: Processed) -> Iterator[tuple[dict[str, Any], int, Any, fits.HDUList]]:
    """(truth of the exposure, CCD, reduced image, truth of the CCD)."""
    for shot in night.shots:
        paths = night.files("red_immask", shot["expnum"])
        assert len(paths) == 4, f"exposure {shot['expnum']} has {len(paths)} reduced images"
        for path in paths:
            planes = read_planes(path)
            ccdnum = int(planes.header["CCDNUM"])
            with night.true(shot["expnum"], ccdnum) as true:
                yield shot, ccdnum, planes, true


def test_pixels_are_the_truth_and_their_noise(night: Processed) -> None:
    pulls, chi2 = [], []
    for _, _, planes, true in images(night):
        good = (planes.msk == 0) & (planes.wgt > 0) & (plane(true, "MSK") == 0)
        error = planes.sci - plane(true, "NOISELESS")
        variance = plane(true, "VAR")
        pulls.append((error / np.sqrt(variance))[good])
        # The weight is of the sky: where objects add noise of their own it must not know it.
        blank = good & (plane(true, "NOISELESS") < 0.02 * variance)
        chi2.append((error**2 * planes.wgt)[blank])
    pull = np.concatenate(pulls)
    assert abs(pull.mean()) < 0.02
    assert 0.98 < pull.std() < 1.02
    assert np.concatenate(chi2).mean() == pytest.approx(1.0, abs=0.01)


def test_masks_hold_what_was_put_there_and_little_else(night: Processed) -> None:
    full, seen_full, rays, seen_rays, streak, seen_streak, wrong, clean = 0, 0, 0, 0, 0, 0, 0, 0
    for _, _, planes, true in images(night):
        bits = plane(true, "MSK")
        extra = plane(true, "EXTRA") / np.sqrt(plane(true, "VAR"))
        bled = (bits & int(MaskBit.SATURATE | MaskBit.TRAIL)) != 0
        full, seen_full = full + int(bled.sum()), seen_full + int((bled & ((planes.msk & FULL) != 0)).sum())
        hit = ((bits & int(MaskBit.CRAY)) != 0) & (extra > 10) & ~bled
        rays, seen_rays = rays + int(hit.sum()), seen_rays + int((hit & (planes.msk != 0)).sum())
        trail = (bits & int(MaskBit.STREAK)) != 0
        streak, seen_streak = (
            streak + int(trail.sum()),
            seen_streak + int((trail & ((planes.msk & int(MaskBit.STREAK)) != 0)).sum()),
        )
        nothing = ~binary_dilation(bits != 0, iterations=3)
        ours = (planes.msk & int(MaskBit.CRAY | MaskBit.STREAK) | planes.msk & FULL) != 0
        wrong, clean = wrong + int((ours & nothing).sum()), clean + int(nothing.sum())
    assert full > 100
    assert seen_full / full > 0.99
    assert rays > 100
    assert seen_rays / rays > 0.95
    if streak:
        assert seen_streak / streak > 0.90
    assert wrong / clean < 0.001


def test_positions_are_right_to_milliarcseconds_all_over_each_ccd(night: Processed) -> None:
    for shot, ccdnum, planes, true in images(night):
        stars = true["TRUTH"].data
        assert (stars["kind"] == "star").sum() > 100
        ny, nx = planes.shape
        x, y = (a.ravel() for a in np.meshgrid(np.linspace(1, nx, 17), np.linspace(1, ny, 33)))
        ra, dec = WCS(planes.header, naxis=2).all_pix2world(x, y, 1)
        ra0, dec0 = WCS(true["TRUTH"].header, naxis=2).all_pix2world(x, y, 1)
        off = 3.6e6 * np.hypot((ra - ra0) * np.cos(np.radians(dec0)), dec - dec0)
        per_axis = np.sqrt(np.mean(off**2) / 2)
        assert per_axis < 3.0, f"{shot['expnum']} CCD {ccdnum}: {per_axis:.2f} mas"
        assert off.max() < 12.0, f"{shot['expnum']} CCD {ccdnum}: {off.max():.2f} mas at worst"


def table(path: Path) -> npt.NDArray[Any]:
    with fits.open(path, memmap=False) as hdus:
        rows: npt.NDArray[Any] = np.asarray(hdus["LDAC_OBJECTS"].data)
    return rows


def matched(night: Processed, shot: dict[str, Any], path: Path) -> tuple[Any, Any, Any]:
    """(truth, catalogue row of each, distance in pixels) of a CCD's true objects."""
    rows = table(path)
    with fits.open(path) as hdus:
        ccdnum = int(hdus[0].header.get("CCDNUM", 0)) or int(path.name.split("_c")[1][:2])
    with night.true(shot["expnum"], ccdnum) as true:
        truth = true["TRUTH"].data
    far, index = cKDTree(np.c_[rows["XWIN_IMAGE"], rows["YWIN_IMAGE"]]).query(np.c_[truth["x"], truth["y"]])
    return truth, rows[index], far


def noise_of(night: Processed, shot: dict[str, Any], truth: Any) -> npt.NDArray[np.float64]:
    """Photon limit of a star's flux, electrons: true PSF, sky and read noise, and the photons of the band's dome flats.

    The pixels have the weights that are best without the flat's noise, which grows with all light of a pixel.
    """
    psf = Moffat(float(np.median(truth["fwhm_pix"])), 3.5)
    sky = shot["sky_e_s"] * shot["exptime"]
    electrons = flat_electrons(night.truth["exposures"], shot["band"])
    flux, here = np.asarray(truth["flux"], float), psf.stamp(500.0, 500.0, 61)[0]
    known = information(psf, flux, sky + READ_NOISE**2)[0]
    noise = np.empty(flux.size)
    for i, f in enumerate(flux):
        light = sky + f * here
        weight = here / (light + READ_NOISE**2) / known[i]
        noise[i] = 1.0 / known[i] + np.sum((weight * light) ** 2) / electrons
    limit: npt.NDArray[np.float64] = np.sqrt(noise)
    return limit


@dataclass(frozen=True)
class BrightStars:
    """Bright isolated stars of an exposure, S/N > 50 each.

    ``pull`` is the error in photon limits, less the exposure's median; ``mmag`` the error in millimagnitudes; ``snr`` the
    best signal to noise that the photons allow.
    """

    expnum: int
    pull: npt.NDArray[np.float64]
    mmag: npt.NDArray[np.float64]
    snr: npt.NDArray[np.float64]


def bright_stars(night: Processed) -> Iterator[BrightStars]:
    """Bright stars of each exposure of a night."""
    for shot in night.shots:
        mmag, pull, snr = [], [], []
        for path in night.files("cat_firstcut", shot["expnum"]):
            truth, rows, far = matched(night, shot, path)
            alone = (truth["kind"] == "star") & (truth["isolation"] > 5) & ~truth["blend"]
            limit = noise_of(night, shot, truth)
            bright = alone & (far < 1.0) & (truth["flux"] > 50 * limit) & (rows["FLAGS"] == 0)
            bright &= rows["IMAFLAGS_ISO"] == 0
            mmag.append(-2500 * np.log10(rows["FLUX_PSF"][bright] / truth["flux"][bright]))
            pull.append((rows["FLUX_PSF"] - truth["flux"])[bright] / limit[bright])
            snr.append(truth["flux"][bright] / limit[bright])
        pulls = np.concatenate(pull)
        yield BrightStars(shot["expnum"], pulls - np.median(pulls), np.concatenate(mmag), np.concatenate(snr))


def scatter(values: npt.NDArray[np.float64]) -> float:
    """Robust standard deviation."""
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def test_zero_points_are_right(night: Processed) -> None:
    for stars in bright_stars(night):
        assert stars.mmag.size > 100
        assert abs(np.median(stars.mmag)) < 2.0, f"{stars.expnum}: {np.median(stars.mmag):.2f} mmag"
    for shot in night.shots:
        assert night.verdicts[shot["expnum"]]["magzero"] == pytest.approx(shot["zeropoint"], abs=0.003)


def test_photometry_of_bright_stars_reaches_the_photon_limit(night: Processed) -> None:
    stars = list(bright_stars(night))
    # Some 600 stars tell a night's scatter to 5 per cent.
    fair = np.concatenate([each.pull[each.snr <= 200] for each in stars])
    assert fair.size > 500
    assert scatter(fair) < 1.15, f"{scatter(fair):.3f} photon limits"
    for each in stars:
        # The brightest have photon limits of 2 mmag, and the PSF model, made of 60 stars a CCD, has an error of its own
        # (1 to 2 mmag, a slope over the CCD).
        best = each.snr > 200
        limit = 1.15 * 2500 / np.log(10) / float(np.median(each.snr[best]))
        found = scatter(each.mmag[best])
        assert found < np.hypot(limit, 2.0), f"{each.expnum}: {found:.2f} mmag, photons alone {limit:.2f}"


def test_photometry_of_all_bright_stars_is_near_the_photon_limit(nights: list[Processed]) -> None:
    pulls = [each.pull for night in nights for each in bright_stars(night)]
    assert scatter(np.concatenate(pulls)) < 1.15


def test_every_exposure_has_its_verdict_and_t_eff(night: Processed) -> None:
    for shot in night.shots:
        row = night.verdicts[shot["expnum"]]
        assert row["accepted"] == shot["verdict"], row
        assert row["t_eff"] == pytest.approx(shot["t_eff"], rel=0.03)


def test_what_can_be_seen_is_found_and_little_else(nights: list[Processed]) -> None:
    found, there, strange, total = 0, 0, 0, 0
    for night, shot in ((each, shot) for each in nights for shot in each.shots):
        images = night.files("red_immask", shot["expnum"])
        for path, image in zip(night.files("cat_firstcut", shot["expnum"]), images, strict=True):
            truth, _, far = matched(night, shot, path)
            mask = read_planes(image).msk
            x, y = (np.clip(np.rint(truth[k]).astype(int) - 1, 0, n) for k, n in (("x", 511), ("y", 1023)))
            snr = truth["flux"] / noise_of(night, shot, truth)
            inside = (truth["x"] > 15) & (truth["x"] < 497) & (truth["y"] > 20) & (truth["y"] < 1004)
            ten = (
                (truth["kind"] == "star")
                & (truth["isolation"] > 4)
                & (snr > 9)
                & (snr < 12)
                & inside
                & (mask[y, x] == 0)
            )
            there, found = there + int(ten.sum()), found + int((far[ten] < 2.0).sum())
            rows = table(path)
            real = rows[rows["FLUX_PSF"] > 5 * rows["FLUXERR_PSF"]]
            away, _ = cKDTree(np.c_[truth["x"], truth["y"]]).query(
                np.c_[real["XWIN_IMAGE"], real["YWIN_IMAGE"]]
            )
            total, strange = total + len(real), strange + int((away > 6.0).sum())
    assert there > 200
    assert found / there > 0.97
    assert strange / total < 0.01
