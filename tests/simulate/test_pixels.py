"""Stars, photons and charge: each loop of the simulator against arithmetic that shares nothing with it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from desdm.simulate import pixels
from desdm.simulate.brighter import move_charge
from desdm.simulate.instrument import mini
from desdm.simulate.profile import BETA, PSF, add_galaxies, add_stars, bank, measured_fwhm

FIELD = PSF(3.6, (0.01, -0.01), 0.01, (0.02, -0.01), (0.01, 0.01))
NODES = np.linspace(-0.7, 0.7, 4)


def _star(x: float, y: float, flux: float, u: float = 0.1, v: float = -0.2, size: int = 121) -> np.ndarray:
    image = np.zeros((size, size), np.float32)
    stamps = bank(FIELD, *np.meshgrid(NODES, NODES))
    at_u, at_v = np.array([u]), np.array([v])
    step = NODES[1] - NODES[0]
    grid = (at_u - NODES[0]) / step, (at_v - NODES[0]) / step
    add_stars(image, stamps, np.array([x]), np.array([y]), np.array([flux]), *grid, FIELD.forms(at_u, at_v))
    return image


def _moffat(x: float, y: float, size: int, u: float, v: float, over: int = 15) -> np.ndarray:
    """A Moffat profile by its textbook form, summed over 15 × 15 points a pixel."""
    wide, e1, e2 = FIELD.shape(np.array([u]), np.array([v]))[:, 0]
    alpha = wide / 2 / np.sqrt(2 ** (1 / BETA) - 1)
    shape = np.linalg.inv(np.array([[1 + e1, e2], [e2, 1 - e1]]) / np.sqrt(1 - e1**2 - e2**2))
    fine = (np.arange(size * over) + 0.5) / over - 0.5
    dx, dy = fine[None, :] - x, fine[:, None] - y
    r2 = (shape[0, 0] * dx**2 + 2 * shape[0, 1] * dx * dy + shape[1, 1] * dy**2) / alpha**2
    value = (BETA - 1) / (np.pi * alpha**2) * (1 + r2) ** -BETA / over**2
    return value.reshape(size, over, size, over).sum(axis=(1, 3))


@pytest.mark.parametrize("flux", [1.0e3, 3.0e4, 3.0e5])
def test_a_star_stands_where_it_should_to_a_tenth_of_a_milliarcsecond(flux: float) -> None:
    """Position by least squares against the textbook profile: what any fit of a true PSF would find."""
    rng = np.random.default_rng(3)
    for x, y in rng.uniform(29.5, 31.5, (6, 2)):
        made = _star(x, y, flux, size=61) / flux
        h, window = 0.01, slice(21, 41)
        model = _moffat(x, y, 61, 0.1, -0.2)
        dx = (_moffat(x + h, y, 61, 0.1, -0.2) - _moffat(x - h, y, 61, 0.1, -0.2)) / (2 * h)
        dy = (_moffat(x, y + h, 61, 0.1, -0.2) - _moffat(x, y - h, 61, 0.1, -0.2)) / (2 * h)
        terms = np.stack([a[window, window].ravel() for a in (model, dx, dy)], axis=1)
        (scale, shift_x, shift_y), *_ = np.linalg.lstsq(terms, made[window, window].ravel(), rcond=None)
        assert np.hypot(shift_x, shift_y) * 263.0 < 0.1
        # Mixing phases widens by 1/256 pixel² at most: less than a thousandth of the peak.
        assert scale == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("flux", [1.0e3, 8.0e4, 3.0e5, 2.0e6, 1.0e7])
def test_a_star_keeps_its_flux(flux: float) -> None:
    made = _star(150.2, 149.7, flux, size=301).sum(dtype=float)
    assert abs(made / flux - 1) * np.sqrt(flux) < 0.15  # against the photon noise


def test_the_psf_changes_smoothly_over_the_field() -> None:
    here, model = _star(30.0, 30.0, 1.0, 0.35, 0.6, 61), _moffat(30.0, 30.0, 61, 0.35, 0.6)
    assert np.abs(here - model).max() < 2e-3 * model.max()


def test_measured_fwhm_is_that_of_the_pixels() -> None:
    """Half of the peak is reached at half of the FWHM: read from a finely shifted star's central pixel."""
    fwhm = measured_fwhm(FIELD, 0.0, 0.0)
    peak = _moffat(15.0, 15.0, 31, 0.0, 0.0)[15, 15]
    around = [
        _moffat(15.0 + fwhm / 2 * np.cos(a), 15.0 + fwhm / 2 * np.sin(a), 31, 0.0, 0.0)[15, 15]
        for a in np.linspace(0, np.pi, 12, endpoint=False)
    ]
    assert np.mean(around) / peak == pytest.approx(0.5, abs=2e-3)
    assert fwhm > FIELD.fwhm


def test_a_galaxy_keeps_flux_and_centre() -> None:
    image = np.zeros((121, 121), np.float32)
    one = np.array([1.0])
    add_galaxies(image, 60.3 * one, 59.6 * one, 1e5 * one, 2.5 * one, 0.3 * one, -0.1 * one, 3.5)
    assert image.sum() == pytest.approx(1e5, rel=3e-3)
    y, x = np.mgrid[:121, :121]
    assert (image * x).sum() / image.sum() == pytest.approx(60.3, abs=2e-3)
    assert (image * y).sum() / image.sum() == pytest.approx(59.6, abs=2e-3)


@pytest.mark.parametrize("mean", [0.3, 4.0, 19.0, 25.0, 240.0])
def test_photons_are_poisson(mean: float) -> None:
    """Over all deviates, weighted as a normal: mean, variance and skewness of the Poisson law."""
    normal = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    drawn = np.array([pixels.poisson(mean, n) for n in normal])
    assert drawn.mean() == pytest.approx(mean, rel=2e-3)
    assert drawn.var() == pytest.approx(mean, rel=5e-3)
    assert stats.skew(drawn) == pytest.approx(mean**-0.5, rel=0.08)


def test_a_full_well_bleeds_along_its_column_and_loses_nothing() -> None:
    charge = np.full((200, 9), 100.0, np.float32)
    charge[90:93, 4] = 400_000.0
    before, bits = charge.sum(dtype=float), np.zeros(charge.shape, np.int32)
    pixels.saturate(charge, 0, 9, 150_000.0, bits)
    assert charge.sum(dtype=float) == pytest.approx(before, abs=1.0)
    assert charge.max() == 150_000.0
    full = np.flatnonzero(bits[:, 4] & 2)
    # 1.2 million electrons fill eight pixels, the trail is centred on the star and in its column only.
    assert full.size == 7
    assert (bits[:, 4] & 64).sum() / 64 == 6
    assert not bits[:, [3, 5]].any()
    assert abs(full.mean() - 91) < 1


def test_two_stars_in_a_column_flow_together() -> None:
    charge, bits = np.full((60, 3), 10.0, np.float32), np.zeros((60, 3), np.int32)
    charge[20, 1], charge[26, 1] = 1000.0, 1000.0
    before = charge.sum(dtype=float)
    pixels.saturate(charge, 0, 3, 100.0, bits)
    assert charge.sum(dtype=float) == pytest.approx(before, rel=1e-6)
    assert charge.max() == 100.0


def _brute(charge: np.ndarray, ar: np.ndarray, at: np.ndarray, level: float) -> np.ndarray:
    """Brighter-fatter effect from its definition, pixel by pixel, until it no longer changes."""
    ny, nx = charge.shape
    padded, found = np.zeros((ny + 16, nx + 16)), charge.astype(float)
    for _ in range(8):
        padded[8:-8, 8:-8] = found - level
        out = charge.astype(float).copy()
        for y in range(ny):
            for x in range(nx):
                around = padded[y : y + 17, x : x + 17]
                if x + 1 < nx:
                    moved = (ar * around).sum() * (found[y, x] + found[y, x + 1]) / 2
                    out[y, x] += moved
                    out[y, x + 1] -= moved
                if y + 1 < ny:
                    moved = (at * around).sum() * (found[y, x] + found[y + 1, x]) / 2
                    out[y, x] += moved
                    out[y + 1, x] -= moved
        found = out
    return found


@pytest.mark.parametrize("kind", ["star", "flat"])
def test_charge_pushes_charge_as_defined(kind: str) -> None:
    camera, rng = mini(), np.random.default_rng(5)
    mean = 500.0 if kind == "star" else 80_000.0
    charge = mean + np.sqrt(mean) * rng.normal(size=(40, 44))
    if kind == "star":
        profile = stats.norm.pdf(np.arange(-4, 5) / 1.6)
        charge[15:24, 18:27] += 300_000 * profile[:, None] * profile
    charge = charge.astype(np.float32)
    level = float(np.median(charge[::7, ::5]))
    bits = np.zeros(charge.shape, np.int32)
    moved = move_charge(charge, camera.ar, camera.at, (1e9, 1e9), bits, kind == "flat")
    goal = _brute(charge, camera.ar, camera.at, level)
    # Against the photon noise of each pixel.
    noise = np.sqrt(charge)
    assert (np.abs(moved - goal) / noise).max() < 0.03
    assert (np.abs(goal - charge) / noise).max() > 0.1
    assert moved.sum(dtype=float) == pytest.approx(charge.sum(dtype=float), rel=1e-6)
    if kind == "star":
        assert moved[19, 22] < charge[19, 22] - 50  # brighter is fatter: the peak loses
    else:
        assert moved.var(dtype=float) < 0.97 * charge.var(
            dtype=float
        )  # and a flat is smoother than its photons


def test_even_light_moves_nothing() -> None:
    camera = mini()
    flat = np.full((50, 60), 80_000.0, np.float32)
    for everywhere in (False, True):
        out = move_charge(flat, camera.ar, camera.at, (1e9, 1e9), np.zeros(flat.shape, np.int32), everywhere)
        assert np.abs(out - flat).max() < 0.1


def test_crosstalk_is_mirrored_between_unlike_amplifiers() -> None:
    source, out = np.zeros((10, 20), np.float32), np.zeros((10, 20), np.float32)
    source[4, 3] = 10_000.0  # in A, three columns from the left edge
    pixels.add_crosstalk(out, source, 1, 0, 1e-3)
    assert np.argwhere(out).tolist() == [[4, 16]]
    assert out[4, 16] == pytest.approx(10.0)
    out[:] = 0.0
    pixels.add_crosstalk(out, source, 0, 0, 1e-3)
    assert np.argwhere(out).tolist() == [[4, 3]]
