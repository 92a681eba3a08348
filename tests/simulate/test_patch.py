"""The simulator is truth for other tests, so it is held against independent arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from desdm.pixels.maskbits import MaskBit
from desdm.simulate.camera import expose
from desdm.simulate.limits import information
from desdm.simulate.patch import Truth, make
from desdm.simulate.psf import Moffat
from desdm.simulate.sky import make_sky
from desdm.survey.headers import wcs_of
from desdm.survey.images import read_planes
from tests.support.fits import unclean


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """A small patch in two bands."""
    return make(tmp_path_factory.mktemp("patch"), seed=5, bands=("g", "z"), nexp=2, size=256)


def test_every_file_conforms_to_fits(small: Truth) -> None:
    assert unclean([*small.images, small.refcat, small.table]) == []


def test_world_coordinates_agree_with_wcslib_and_invert(small: Truth) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.uniform(1, 256, (2, 200))
    for exposure, path in zip(small.exposures, small.images, strict=True):
        ra, dec = exposure.wcs.world(x, y)
        theirs: WCS = wcs_of(fits.getheader(path))
        their_ra, their_dec = theirs.all_pix2world(x, y, 1)
        # A milliarcsecond is 3e-7 degree; the two agree to a millionth of it.
        assert np.abs(ra - their_ra).max() < 1e-12 * 360
        assert np.abs(dec - their_dec).max() < 1e-12 * 360
        back = exposure.wcs.pixel(ra, dec)
        assert np.abs(back[0] - x).max() < 1e-8
        assert np.abs(back[1] - y).max() < 1e-8


def test_distortion_is_real(small: Truth) -> None:
    """Without its cubic terms the solution would be off by more than a pixel: the terms are not for show."""
    exposure = small.exposures[0]
    linear = wcs_of(fits.getheader(small.images[0]))
    ra, dec = exposure.wcs.world(np.array([1.0, 256.0]), np.array([1.0, 256.0]))
    x, _ = linear.wcs_world2pix(ra, dec, 1)
    straight = WCS(naxis=2)
    straight.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    straight.wcs.crval, straight.wcs.crpix, straight.wcs.cd = (
        linear.wcs.crval,
        linear.wcs.crpix,
        linear.wcs.cd,
    )
    bent, _ = straight.wcs_world2pix(ra, dec, 1)
    assert np.abs(x - bent).max() > 1


def test_a_star_is_exact_in_its_pixels() -> None:
    """Flux and centroid of a rendered star, against the analytic profile on a grid 80 times finer."""
    psf = Moffat(3.4, 3.5, 0.05, -0.03)
    for x, y in ((100.0, 100.0), (100.31, 99.77), (100.5, 100.49)):
        stamp, x0, y0 = psf.stamp(x, y, 41)
        fine = (np.arange(41 * 80) + 0.5) / 80 - 0.5
        dense = psf.density(x0 + fine[None, :] + 1 - x, y0 + fine[:, None] + 1 - y) / 6400
        summed = dense.reshape(41, 80, 41, 80).sum(axis=(1, 3))
        assert np.abs(stamp - summed).max() < 2e-6 * stamp.max() + 2e-6
    wide, _, _ = psf.stamp(500.2, 500.7, 401)
    assert wide.sum() == pytest.approx(1.0, abs=2e-5)


def test_one_ccd_made_alone_has_the_same_bytes(small: Truth) -> None:
    last = small.exposures[-1]
    alone = expose(last, small.sky, 5)
    together = read_planes(small.images[-1])
    assert np.array_equal(alone.sci, together.sci)
    assert np.array_equal(alone.msk, together.msk)
    other = expose(last, small.sky, 6)
    assert not np.array_equal(alone.sci, other.sci)


def test_noise_is_what_the_weight_says(small: Truth) -> None:
    for path in small.images:
        planes = read_planes(path)
        good = planes.wgt > 0
        pulls = (planes.sci[good] - np.median(planes.sci[good])) * np.sqrt(planes.wgt[good])
        # Objects make the upper half heavier; the lower quartile is sky.
        assert -np.percentile(pulls, 15.87) == pytest.approx(1.0, abs=0.04)


def test_every_defect_is_masked(small: Truth) -> None:
    for path, exposure in zip(small.images, small.exposures, strict=True):
        planes = read_planes(path)
        clean = planes.sci[(planes.msk == 0)]
        assert (planes.msk & int(MaskBit.BPM)).any()
        # No dead pixel is left, and no unmasked one stands above saturation.
        assert clean.min() > exposure.sky - 8 * np.sqrt(exposure.background)
        assert clean.max() <= exposure.saturate
        assert (planes.wgt[planes.msk != 0] == 0).all()


def test_photon_limit_of_a_gaussian_like_star() -> None:
    """King (1983): in the sky limit a Gaussian of σ gives information 1/(4πσ²b) on flux and f²/(8πσ⁴b) on place."""
    # A Moffat of great exponent is a Gaussian; FWHM 2.3548 σ.
    sigma, background = 2.0, 1e6
    of_flux, of_x, of_y = information(Moffat(2.3548 * sigma, 60.0), np.array([100.0]), background)
    # The pixel widens the profile by 1/12.
    s2 = sigma**2 + 1 / 12
    assert of_flux[0] == pytest.approx(1 / (4 * np.pi * s2 * background), rel=0.02)
    assert of_x[0] == pytest.approx(100.0**2 / (8 * np.pi * s2**2 * background), rel=0.05)
    assert of_y[0] == pytest.approx(of_x[0], rel=1e-6)


def test_stars_move_and_the_reference_knows_it(small: Truth) -> None:
    truth, reference = fits.getdata(small.table), fits.getdata(small.refcat)
    index = reference["source_id"]
    years = small.exposures[0].epoch - reference["ref_epoch"]
    dec = reference["dec"] + reference["pmdec"] * years / 3.6e6
    off = (dec - truth["dec"][index]) * 3.6e6
    still = (reference["dec"] - truth["dec"][index]) * 3.6e6
    assert np.std(off) < 0.5
    assert np.std(still) > 5


def test_bright_stars_stand_apart() -> None:
    sky = make_sky(3, 10.0, 0.0, 270.0, ("r",), bright=60, faint=10, galaxies=10)
    assert sky.isolation[sky.star].min() >= 4.0
    assert sky.star.sum() == 70
