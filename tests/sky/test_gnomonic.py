"""The gnomonic projection, against astropy's TAN."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.wcs import WCS

from desdm.sky.gnomonic import gnomonic


@pytest.mark.parametrize("centre", [(30.0, -20.0), (0.1, 89.5), (359.9, 0.0), (180.0, -90.0)])
def test_coordinates_are_those_of_tan(centre: tuple[float, float]) -> None:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], centre
    wcs.wcs.crpix, wcs.wcs.cdelt = [0.0, 0.0], [1.0, 1.0]
    plane = np.random.default_rng(1).uniform(-40.0, 40.0, (2, 500))
    ra, dec = wcs.wcs_pix2world(*plane, 0)  # from 0, while CRPIX counts from 1
    x, y, cosine = gnomonic(ra, dec, *centre)
    assert np.abs(np.stack([x, y]) - (plane + 1.0)).max() < 1e-10
    assert (cosine > 0).all()


def test_the_far_half_of_the_sky_is_told_by_the_cosine() -> None:
    _, _, cosine = gnomonic([30.0, 30.0, 210.0], [-20.0, 65.0, 20.0], 30.0, -20.0)
    assert cosine == pytest.approx([1.0, np.cos(np.radians(85.0)), -1.0])
