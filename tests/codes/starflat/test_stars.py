"""Stars of star flats: which count, in which aperture, and how they are found again."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from desdm.codes.starflat.fit import REFERENCE
from desdm.codes.starflat.stars import Stars, good_stars, join, read_stars, write_stars
from desdm.errors import FileTypeError

APERTURES = [8.0, 12.0, 16.0, 20.0, 26.0, 34.0]


def header(expnum=1, ccdnum=1, ra=30.0):
    head = fits.Header({"EXPNUM": expnum, "CCDNUM": ccdnum, "BAND": "g", "EXPTIME": 30.0, "AIRMASS": 1.2})
    head["NAXIS1"], head["NAXIS2"] = 512, 1024
    head["CTYPE1"], head["CTYPE2"] = "RA---TAN", "DEC--TAN"
    head["CRVAL1"], head["CRVAL2"], head["CRPIX1"], head["CRPIX2"] = ra, -5.0, 256.0, 512.0
    head["CD1_1"], head["CD1_2"], head["CD2_1"], head["CD2_2"] = -7.3e-5, 0.0, 0.0, 7.3e-5
    return head


def catalogue(rng, n=200, fwhm=4.0):
    """Rows as Source Extractor writes them, of Gaussian stars: the light within an aperture is known."""
    flux = 10 ** rng.uniform(4.5, 6, n)
    sigma = fwhm / 2.355
    within = 1 - np.exp(-((np.array(APERTURES) / 2) ** 2) / (2 * sigma**2))
    return flux, Table(
        {
            "XWIN_IMAGE": rng.uniform(20, 490, n),
            "YWIN_IMAGE": rng.uniform(20, 1000, n),
            "FLUX_APER": flux[:, None] * within,
            "FLUXERR_APER": np.sqrt(flux[:, None] * within),
            "FLUX_RADIUS": np.full(n, fwhm / 2 * 1.0) * rng.normal(1, 0.01, n),
            "ELONGATION": np.full(n, 1.05),
            "FLAGS": np.zeros(n, int),
            "IMAFLAGS_ISO": np.zeros(n, int),
        }
    )


def test_magnitudes_do_not_know_the_seeing():
    mags = []
    for fwhm in (3.3, 5.0):
        flux, rows = catalogue(np.random.default_rng(1), fwhm=fwhm)
        stars = good_stars(rows.as_array(), header(), APERTURES, extinction=0.2)
        assert len(stars.x) == 200
        mags.append(stars.mag)
        expected = -2.5 * np.log10(flux / 30.0) - 0.2 * 1.2
        assert np.abs(stars.mag - expected).max() < 0.002
    assert np.abs(mags[0] - mags[1]).max() < 0.001


def test_blended_masked_faint_wide_and_edge_stars_are_left_out():
    _, rows = catalogue(np.random.default_rng(2))
    rows["FLAGS"][0] = 2
    rows["IMAFLAGS_ISO"][1] = 1
    rows["FLUX_APER"][2] = 100.0
    rows["FLUX_RADIUS"][3] *= 1.5
    rows["ELONGATION"][4] = 2.0
    rows["XWIN_IMAGE"][5] = 3.0
    stars = good_stars(rows.as_array(), header(), APERTURES)
    assert len(stars.x) == 194


def sky(rng, n=400):
    return 30.0 + rng.uniform(-0.08, 0.08, n), -5.0 + rng.uniform(-0.08, 0.08, n), rng.uniform(-12, -9, n)


def seen(rng, ra, dec, mag, expnum, ccdnum, shift, which):
    n = which.sum()
    noise = rng.normal(0, 0.05 / 3600, (2, n))
    east, north = shift[0] / 3600 / np.cos(np.radians(dec[which])), shift[1] / 3600
    return Stars(
        rng.uniform(0, 512, n), rng.uniform(0, 1024, n), ra[which] + east + noise[0], dec[which] + north + noise[1],
        mag[which], np.full(n, 0.003), header(expnum, ccdnum),
    )  # fmt: skip


@pytest.mark.parametrize("known", [False, True])
def test_the_same_star_has_the_same_number_though_every_pointing_errs(known):
    rng = np.random.default_rng(3)
    ra, dec, mag = sky(rng)
    catalogues, owner = [], []
    for expnum in range(6):
        shift = rng.uniform(-8, 8, 2)
        for ccdnum, side in ((1, ra < 30.0), (2, ra >= 30.0)):
            which = side & (rng.random(ra.size) < 0.8)
            catalogues.append(seen(rng, ra, dec, mag, expnum + 100, ccdnum, shift, which))
            owner.append(np.flatnonzero(which))
    reference = (ra, dec, mag, np.full(ra.size, 0.005)) if known else None
    measured, numbers = join(catalogues, reference)
    assert numbers == {100 + i: i for i in range(6)}
    # Each number stands for one true magnitude: the stars are told apart.
    own = measured.ccdnum != REFERENCE
    for star in np.unique(measured.star[own]):
        assert np.ptp(measured.mag[own & (measured.star == star)]) == 0.0
    assert len(np.unique(measured.star)) <= ra.size
    assert own.sum() > 0.95 * sum(map(len, owner))
    if known:
        assert (measured.exposure[~own] == 6).all()


def test_a_field_across_ra_0_is_as_any_other():
    rng = np.random.default_rng(4)
    ra, dec, mag = sky(rng)
    ra = (ra - 30.0) % 360.0
    all_of = np.ones(ra.size, bool)
    catalogues = [seen(rng, ra, dec, mag, e, 1, (0.0, 0.0), all_of) for e in (1, 2)]
    measured, _ = join(catalogues)
    assert len(np.unique(measured.star)) <= 1.01 * ra.size


def test_catalogues_survive_their_file(tmp_path):
    rng = np.random.default_rng(5)
    stars = seen(rng, *sky(rng), 7, 3, (0.0, 0.0), np.ones(400, bool))
    write_stars(tmp_path / "s.fits", stars, fits.Header({"EXPNUM": 7, "CCDNUM": 3}))
    again = read_stars(tmp_path / "s.fits")
    np.testing.assert_array_equal(again.mag, stars.mag)
    assert again.header["CCDNUM"] == 3
    fits.PrimaryHDU().writeto(tmp_path / "x.fits")
    with pytest.raises(FileTypeError, match=r"x\.fits: no table STARS"):
        read_stars(tmp_path / "x.fits")
