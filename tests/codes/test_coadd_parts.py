"""The parts of a coadd that are ours: masks, ties, sky, depth, picture, packing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from desdm.codes.coadd.background import residual_sky
from desdm.codes.coadd.colour import choose_bands, picture, without_gaps
from desdm.codes.coadd.depth import catalogue_depth, measure
from desdm.codes.coadd.masks import MaskStack, mapping
from desdm.codes.coadd.relative import tie
from desdm.codes.coadd.scales import Source, common_scales
from desdm.codes.coadd.swarp import add_exposures, by_exposure, coadd_header
from desdm.codes.objects.merge import merge
from desdm.errors import FileTypeError
from desdm.pixels.maskbits import MaskBit
from desdm.sky.healpix import hpix29
from desdm.survey.headers import merged, wcs_of
from desdm.survey.images import Planes, read_planes, write_planes
from desdm.survey.tiles import Tile
from tests.support.fits import unclean
from tests.support.tasks import run


def test_the_mapping_is_that_of_the_exact_inverse(real: Path) -> None:
    with fits.open(real / "decam-cp-stack" / "c4d_170316_062107_ooi_z_ls9.N2.fits") as hdus:
        image = wcs_of(merged(hdus))
    tile = wcs_of(Tile("T", 186.744, 25.462, 270, 0.262).header())
    u, v = mapping(tile, image, (270, 270))
    rng = np.random.default_rng(3)
    column, row = rng.integers(0, 270, (2, 50))
    ra, dec = tile.all_pix2world(column, row, 0)
    x, y = image.all_world2pix(ra, dec, 0)
    assert np.abs(u[row, column] - x).max() < 0.01
    assert np.abs(v[row, column] - y).max() < 0.01


def test_a_coadd_counts_exposures_not_ccds() -> None:
    """Two exposures of 90 s, one with three CCDs on the tile and one with one: 180 s, the mean of two starts."""

    def image(expnum: int, ccdnum: int, mjd: float, fwhm: float) -> fits.Header:
        cards = [
            ("INSTRUME", "DECam"),
            ("EXPNUM", expnum),
            ("CCDNUM", ccdnum),
            ("EXPTIME", 90.0),
            ("MJD-OBS", mjd),
        ]
        return fits.Header([*cards, ("FWHM", fwhm), ("PIXSCALE", 0.263)])

    inputs = [
        image(7, 1, 56000.0, 4.0),
        image(8, 1, 56002.0, 6.0),
        image(7, 2, 56000.0, 4.0),
        image(7, 3, 56000.0, 4.0),
    ]
    head = coadd_header(Tile("T", 10.0, 0.0, 20, 0.263), "r", inputs, {})
    assert (head["NCOMBINE"], head["EXPTIME"]) == (2, 180.0)
    assert head["MJD-OBS"] == pytest.approx(56001.0, abs=1e-9)
    assert head["FWHM"] == pytest.approx(5.0)
    assert [head[f"EXP{i:05d}"] for i in (1, 2, 3, 4)] == ["7 1", "8 1", "7 2", "7 3"]
    # The detection image counts those of all its bands.
    other = coadd_header(Tile("T", 10.0, 0.0, 20, 0.263), "i", [image(9, 1, 56004.0, 5.0)], {})
    both = head.copy()
    add_exposures(both, [head, other])
    assert (both["NCOMBINE"], both["EXPTIME"]) == (3, 270.0)
    assert both["MJD-OBS"] == pytest.approx(56002.0, abs=1e-9)
    assert both["EXP00005"] == "9 1"
    # A number of another instrument is another exposure, and what has no number is counted by itself.
    inputs[1]["EXPNUM"], inputs[1]["INSTRUME"] = 7, "mosaic3"
    for one in inputs[2:]:
        del one["EXPNUM"]
    assert [len(group) for group in by_exposure(inputs)] == [1, 1, 1, 1]


def test_a_coadd_s_mask_tells_lost_mixed_and_unseen_apart() -> None:
    head = wcs_of(Tile("T", 10.0, 0.0, 20, 0.3).header())
    stack = MaskStack(head, (20, 20))
    for k in range(2):
        msk, wgt = np.zeros((20, 20), np.int32), np.ones((20, 20), np.float32)
        msk[5, 5] = int(MaskBit.BPM)  # lost in both
        msk[6, 6 + k] = int(MaskBit.CRAY)  # lost in one
        msk[8, 8] = int(MaskBit.SATURATE)  # counts, and stays said
        wgt[(msk & ~int(MaskBit.SATURATE)) != 0] = 0
        wgt[:, 15:] = 0
        msk[:, 15:] |= int(MaskBit.EDGE)
        stack.add(head, msk, wgt)
    out = stack.result((stack.count > 0).astype(np.float32))
    assert out[5, 5] == MaskBit.BPM
    assert out[6, 6] == out[6, 7] == MaskBit.INTERP
    assert out[8, 8] == MaskBit.SATURATE
    assert (out[:, 15:] & int(MaskBit.EDGE)).all()
    assert out[10, 10] == 0
    assert stack.count[6, 6] == 1


def _catalogue(mags: np.ndarray, shift: float, seed: int) -> np.ndarray:
    kind = [(n, "f8") for n in ("ALPHAWIN_J2000", "DELTAWIN_J2000", "MAG_PSF", "MAGERR_PSF")] + [
        ("FLAGS", "i2")
    ]
    rows = np.zeros(mags.size, kind)
    places = np.random.default_rng(7).uniform(0, 0.05, (2, mags.size))
    rows["ALPHAWIN_J2000"], rows["DELTAWIN_J2000"] = 150 + places[0], places[1]
    rows["MAGERR_PSF"] = 0.02
    rows["MAG_PSF"] = mags + shift + np.random.default_rng(seed).normal(0, 0.02, mags.size)
    return rows


def test_a_nominal_zero_point_is_tied_by_common_stars() -> None:
    mags = np.linspace(18, 21, 25)
    mine, other = _catalogue(mags, -0.23, 1), _catalogue(mags, 0.0, 2)
    mine["MAG_PSF"][3] += 2.0  # a variable
    found = tie(mine, [other])
    assert found is not None
    assert found.count == 25
    assert found.offset == pytest.approx(0.23, abs=4 * found.error)
    assert found.error < 0.01
    assert tie(mine[:1], [other[:1]]) is None
    assert tie(mine[:0], [other]) is None


def test_the_scale_of_each_image_tells_where_it_is_from() -> None:
    """Truth: the nominal image is 0.23 mag too bright; a factor 10^(-0.4 · 0.23) brings it to the measured ones."""
    mags = np.linspace(18, 21, 25)
    heads = [
        fits.Header([("EXPNUM", n), ("CCDNUM", 1), ("FLXSCALE", 2.0), ("ZPSOURC", source)])
        for n, source in enumerate(("header", "nominal", "nominal", "table"), 1)
    ]
    catalogs = {(1, 1): _catalogue(mags, 0.0, 2), (2, 1): _catalogue(mags, -0.23, 1)}
    scales = common_scales(heads, catalogs)
    assert [s.source for s in scales] == [Source.MEASURED, Source.TIED, Source.UNTIED, Source.MEASURED]
    assert scales[1].factor == pytest.approx(2.0 * 10 ** (-0.4 * 0.23), rel=0.01)
    assert [scales[n].factor for n in (0, 2, 3)] == [2.0, 2.0, 2.0]
    alone = common_scales(heads[1:3], catalogs)
    assert [s.source for s in alone] == [Source.NOMINAL, Source.NOMINAL]


def test_the_residual_sky_is_found_under_stars() -> None:
    rng = np.random.default_rng(1)
    sci = rng.normal(0.05, 1.0, (512, 512)).astype(np.float32)
    y, x = np.mgrid[:512, :512]
    for cx, cy in rng.uniform(20, 490, (60, 2)):
        sci += (3000 / 60 * (1 + ((x - cx) ** 2 + (y - cy) ** 2) / 16) ** -3.5).astype(np.float32)
    sky, free = residual_sky(sci, np.ones_like(sci), 256)
    assert np.abs(sky - 0.05).max() < 0.03
    assert free > 0.6
    nothing, free = residual_sky(sci, np.zeros_like(sci), 256)
    assert free == 0
    assert not nothing.any()


def test_depth_of_white_noise() -> None:
    rng = np.random.default_rng(2)
    planes = Planes(
        rng.normal(0, 4.0, (400, 400)).astype(np.float32),
        np.zeros((400, 400), np.int32),
        np.full((400, 400), 1 / 16, np.float32),
    )
    found = measure(planes, 30.0, 0.25, (np.array([200.0]), np.array([200.0])))
    # A disk of 1″ radius at 0.25″ a pixel is 16 π pixels.
    truth = 30 - 2.5 * np.log10(10 * 4 * np.sqrt(16 * np.pi))
    assert found.snr10 == pytest.approx(truth, abs=0.06)
    assert 1.0 <= found.correlation < 1.08
    assert found.area == pytest.approx((400 * 0.25 / 60) ** 2)


def test_depth_from_magnitude_errors() -> None:
    mag = np.linspace(20, 25, 200)
    error = 0.1 * 10 ** (0.4 * (mag - 23.3))
    assert catalogue_depth(mag, error) == pytest.approx(23.3, abs=1e-6)
    assert np.isnan(catalogue_depth(mag[:5], error[:5]))


def test_a_star_of_the_reference_colour_is_white_and_a_saturated_one_keeps_its_colour() -> None:
    dark = np.zeros((3, 3), np.float32)
    blue, green, red = dark.copy(), dark.copy(), dark.copy()
    blue[0, 0], green[0, 0], red[0, 0] = 50, 100, 200
    red[2, 2] = 1e5
    made = picture(blue, green, red, scales=(2, 1, 0.5), softening=8, stretch=12, noise=1)
    white = made[-1, 0].astype(int)  # row 0 is at the bottom
    assert np.ptp(white) <= 1
    assert white[0] > 100
    vivid = made[0, 2].astype(int)
    assert vivid[0] == 255
    assert vivid[2] < 100
    assert choose_bands({"g": 1, "r": 1, "z": 1}, "g,r,z") == ("g", "r", "z")
    assert choose_bands({"r": 1, "i": 1}, "g,r,z") == ("r", "i", "i")


def test_healpix_numbers_agree_with_the_base_pixels() -> None:
    """Order 29 of a point in base pixel n begins with n (Górski et al. 2005)."""
    found = hpix29(np.array([45.0, 135.0, 315.0, 45.0]), np.array([60.0, 60.0, 60.0, -60.0]))
    assert list(found >> 58) == [0, 1, 3, 8]


def test_catalogues_of_other_detections_are_not_merged() -> None:
    one = np.zeros(3, [("NUMBER", "i4")])
    with pytest.raises(FileTypeError, match="band z was not made at the same detections as g"):
        merge({"g": one, "z": one[:2]}, "T")


def test_a_packed_image_is_the_same_image(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    made = Planes(
        rng.normal(100, 5, (200, 200)).astype(np.float32),
        rng.integers(0, 64, (200, 200)).astype(np.int32),
        np.full((200, 200), 0.04, np.float32),
        Tile("T", 10.0, -3.0, 200, 0.5).header(),
    )
    plain, packed = tmp_path / "x.fits", tmp_path / "x.fits.fz"
    write_planes(plain, made)
    task = run("desdm.codes.compress.wrapper.fpack", tmp_path, {"image": [plain]}, {"packed": packed})
    back = read_planes(packed)
    assert np.array_equal(back.msk, made.msk)
    # q = 4: half a step of a quarter of each row's noise, and a row of 200 pixels knows its noise to a fifth or so.
    assert np.abs(back.sci - made.sci).max() < 5 / 8 * 1.4
    assert task.metrics[0].value > 2
    assert unclean([packed]) == []


def test_a_pixel_that_one_band_lacks_is_grey() -> None:
    ones = np.ones((1, 3), np.float32)
    covered = (
        np.array([[True, True, False]]),
        np.array([[True, False, False]]),
        np.array([[True, True, False]]),
    )
    blue, green, red = without_gaps((2 * ones, 5 * ones, 4 * ones), covered, (1.0, 2.0, 0.5))
    # Scaled: blue 2, green 10, red 2. Green lacks the second pixel and becomes (2 + 2) / 2 / 2; no band has the third.
    np.testing.assert_allclose(blue, [[2, 2, 2]])
    np.testing.assert_allclose(green, [[5, 1, 5]])
    np.testing.assert_allclose(red, [[4, 4, 4]])
