"""What real headers say, and what must be made of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from desdm.errors import FileTypeError
from desdm.survey.headers import DECAM_CCDNUM, band_of, footprint, identity, merged
from desdm.survey.tiles import Tile, tile_name


def test_ccd_numbers_of_the_real_headers_follow_the_rows(real: Path) -> None:
    assert len(DECAM_CCDNUM) == 62
    assert (DECAM_CCDNUM["S29"], DECAM_CCDNUM["N31"]) == (1, 62)
    seen = 0
    for path in real.glob("decam-cp-*/**/c4d_*ooi*.N*.fits"):
        header = fits.getheader(path, 1)
        if "CCDNUM" in header:
            assert DECAM_CCDNUM[header["EXTNAME"]] == header["CCDNUM"]
            seen += 1
    assert seen > 5


def test_band_of_each_instrument() -> None:
    assert band_of("z DECam SDSS c0004 9260.0 1520.0") == "z"
    assert band_of("zd") == "z"
    assert band_of("Y DECam c0005 10095.0 1130.0") == "Y"
    assert band_of("VR DECam c0007 6300.0 2600.0") == "VR"
    with pytest.raises(FileTypeError, match="solid plate"):
        band_of("solid plate")


def test_identity_of_a_real_exposure(real: Path) -> None:
    with fits.open(real / "decam-cp-stack" / "c4d_170316_062107_ooi_z_ls9.N2.fits") as hdus:
        who = identity(merged(hdus))
    assert (who["EXPNUM"], who["CCDNUM"], who["BAND"], who["CCDNAME"]) == (630780, 33, "z", "N2")
    assert (who["NITE"], who["EXPTIME"]) == ("20170315", 107.0)


def test_footprint_across_right_ascension_zero() -> None:
    head = Tile("T", 0.0, 10.0, 100, 1.0).header()
    found = footprint(head, (100, 100))
    assert found.crossra0
    assert found.racmin == pytest.approx(360 - 50 / 3600 / np.cos(np.radians(10)), abs=1e-5)
    assert found.racmax == pytest.approx(50 / 3600 / np.cos(np.radians(10)), abs=1e-5)
    assert (found.ra_cent, found.dec_cent) == pytest.approx((0.0, 10.0), abs=1e-9)
    assert found.pixscale == pytest.approx(1.0, abs=1e-6)


def test_footprint_around_a_pole() -> None:
    """The pole is the middle of the image: it covers every right ascension."""
    found = footprint(Tile("T", 50.0, 90.0, 100, 1.0).header(), (100, 100))
    assert (found.racmin, found.racmax, found.deccmax, found.crossra0) == (0.0, 360.0, 90.0, False)
    assert found.deccmin == pytest.approx(90 - np.hypot(50, 50) / 3600, abs=1e-6)


def test_names_of_tiles() -> None:
    assert tile_name(186.744, 25.462) == "DES1226+2527"
    assert tile_name(30.0, -5.0) == "DES0200-0500"
    assert tile_name(359.99, -0.01) == "DES2359-0000"
