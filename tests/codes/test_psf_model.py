"""PSF models: every form that real files have, turning and adding them, and their flux."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from desdm.codes.psf.combine import Part, combine
from desdm.codes.psf.model import constant_model, moffat_model, read_model, write_model
from desdm.codes.psf.normalise import normalised, wing
from desdm.codes.psf.stars import size_range
from desdm.errors import FileTypeError
from desdm.simulate.psf import Moffat
from desdm.survey.headers import wcs_of
from desdm.survey.tiles import Tile
from tests.support.fits import unclean


def test_every_real_model_is_read(real: Path) -> None:
    paths = sorted((real / "decam-cp-stack" / "psfex").glob("*.fits"))
    paths += sorted((real / "decam-cp-cutouts").glob("**/*-psfex.fits"))
    assert len(paths) > 20
    for path in paths:
        model = read_model(path)
        # A pixel's share of a star of 3 to 7 pixels FWHM, and a model that is positive at its middle.
        image = model.image_at(100.0, 100.0)
        assert image.shape[0] == image.shape[1]
        assert np.unravel_index(image.argmax(), image.shape) == (image.shape[0] // 2, image.shape[1] // 2)
        size, e1, e2 = model.moments(100.0, 100.0)
        assert size == pytest.approx(model.fwhm, rel=0.35), path.name
        assert np.hypot(e1, e2) < 0.3


def test_a_merged_file_gives_the_row_of_the_ccd(real: Path) -> None:
    """The same exposure and CCD was delivered alone and in a merged file: the models agree."""
    folder = real / "decam-cp-stack" / "psfex"
    alone = read_model(folder / "c4d_170316_062107_ooi_z_ls9-N2-psfex.fits")
    path = folder / "c4d_170316_062107_ooi_z_ls9-psfex.fits"
    row = read_model(path, {"EXPNUM": 630780, "CCDNAME": "N2"})
    # They were fitted by two versions of the pipeline, so the shapes agree but the numbers differ a little.
    assert (
        np.abs(row.image_at(120, 120) - alone.image_at(120, 120)).max()
        < 0.02 * alone.image_at(120, 120).max()
    )
    with pytest.raises(FileTypeError, match="no row for exposure 1, CCD N2"):
        read_model(path, {"EXPNUM": 1, "CCDNAME": "N2"})


def test_what_is_written_is_read_again(tmp_path: Path, real: Path) -> None:
    model = read_model(real / "decam-cp-stack" / "psfex" / "c4d_180212_083009_ooi_z_ls9-N3-psfex.fits")
    path = tmp_path / "m.psf"
    write_model(path, model, fits.Header())
    back = read_model(path)
    assert np.allclose(back.image_at(30, 200), model.image_at(30, 200), atol=1e-7)
    assert unclean([path]) == []


def test_a_file_without_a_model_is_refused(real: Path) -> None:
    with pytest.raises(FileTypeError, match="not a PSFEx model"):
        read_model(real / "decam-cp-stack" / "survey-ccds-1.fits.gz")


@pytest.mark.parametrize("fwhm", [3.2, 4.3, 5.5])
def test_a_model_has_unit_flux_though_its_stamp_cuts_the_wings(fwhm: float) -> None:
    star, _, _ = Moffat(fwhm, 3.5, 0.03, -0.02).stamp(500.0, 500.0, 31)
    noise = np.random.default_rng(1).normal(0, 2e-5, star.shape)
    given = constant_model(1.037 * (star + noise + 2e-5), 1.0, fwhm)
    found = normalised(given).coefficients[0]
    # Truth: the stamp holds star.sum() of the light.
    assert found.sum() == pytest.approx(star.sum(), abs=1.5e-3)
    _, beyond = wing(star, 1.0)
    assert beyond == pytest.approx((1 - star.sum()) / star.sum(), abs=1e-3)


def test_a_turned_psf_keeps_its_direction_on_the_sky() -> None:
    """An image turned by 90° against the tile: what is long along its x is long along the tile's y."""
    long_x = constant_model(Moffat(4.0, 3.5, 0.2, 0.0).stamp(500.0, 500.0, 51)[0], 1.0, 4.0)
    tile = Tile("T", 30.0, -5.0, 100, 0.263)
    turned = tile.header()
    step = 0.263 / 3600
    turned["CD1_1"], turned["CD1_2"], turned["CD2_1"], turned["CD2_2"] = 0.0, -step, step, 0.0
    centre = (50.5, 50.5)
    straight = combine([Part(long_x, wcs_of(tile.header()), (100, 100), 1.0)], wcs_of(tile.header()), centre)
    across = combine([Part(long_x, wcs_of(turned), (100, 100), 1.0)], wcs_of(tile.header()), centre)
    assert straight is not None
    assert across is not None
    e = straight.moments(0, 0)[1]
    assert e > 0.1
    assert across.moments(0, 0)[1] == pytest.approx(-e, abs=0.01)
    assert combine([], wcs_of(tile.header()), centre) is None


def test_moffat_of_a_seeing_has_that_seeing() -> None:
    image = moffat_model(4.0, 3.0, 61).coefficients[0]
    middle = image[30]
    # Half the peak is crossed two pixels from the middle.
    assert middle[32] / middle[30] == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("seeing", [2.6, 4.0, 6.5])
def test_stars_are_looked_for_near_their_size_among_many_galaxies(seeing: float) -> None:
    """Three galaxies for each star: the range holds all stars, and of the galaxies those only that are as small."""
    rng = np.random.default_rng(8)
    stars, galaxies = rng.normal(seeing, 0.03 * seeing, 60), seeing * rng.uniform(1.2, 2.5, 180)
    sizes = np.r_[stars, galaxies]
    rows = np.zeros(
        sizes.size, [("FLUX_RADIUS", "f4"), ("FLAGS", "i2"), ("ELONGATION", "f4"), ("SNR_WIN", "f4")]
    )
    rows["FLUX_RADIUS"], rows["ELONGATION"] = sizes / 2, 1.1
    rows["SNR_WIN"] = rng.uniform(50, 300, sizes.size)
    found = size_range(rows, (2.0, 10.0), 0.25)
    assert found is not None
    assert found[0] < stars.min() and stars.max() < found[1] < 1.4 * seeing
    assert size_range(rows, (2.0, 10.0), 0.0) is None
    assert size_range(rows, (2.0, seeing), 0.25) == (pytest.approx(found[0]), seeing)
    assert size_range(rows, (9.0, 10.0), 0.25) is None
    rows["FLAGS"] = 1
    assert size_range(rows, (2.0, 10.0), 0.25) is None
