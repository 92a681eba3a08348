"""Outlines of images, against astropy's WCS and against truth."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st

from desdm.pixels.cards import Header
from desdm.sky.outline import box, outline


def header(**keys: object) -> tuple[Header, fits.Header]:
    theirs = fits.Header()
    for key, value in keys.items():
        theirs[key.replace("__", "-")] = value
    return Header(b"".join(card.image.encode() for card in theirs.cards)), theirs


def tan(ra: float, dec: float, scale: float = 0.27 / 3600, **more: object) -> dict[str, object]:
    return {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": ra, "CRVAL2": dec, "CRPIX1": 500.5, "CRPIX2": 250.5,
        "CD1_1": -scale, "CD1_2": scale * 0.1, "CD2_1": scale * 0.05, "CD2_2": scale, **more,
    }  # fmt: skip


#: Every term of the TPV polynomial, of a size that shows.
TPV = {f"PV{axis}_{i}": 0.01 / (i + axis) for axis in (1, 2) for i in range(40)} | {
    "PV1_1": 1.01,
    "PV2_1": 0.99,
}
TERMS_OF_R = {f"PV{axis}_{i}" for axis in (1, 2) for i in (3, 11, 23, 39)}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"LONPOLE": 170.0},
        {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", **{k: v for k, v in TPV.items() if k not in TERMS_OF_R}},
        {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", **TPV},
        {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_1": 1.0, "PV2_1": 1.0, "PV1_5": 0.3, "PV2_7": 0.2},
        {"PV1_1": 1.0, "PV2_1": 1.0, "PV1_5": 0.3, "PV2_7": 0.2, "PV1_0": 0.001},
        {"CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN", "CRVAL1": -30.0, "CRVAL2": 50.0},
    ],
)
def test_all_forms_agree_with_astropy(more: dict[str, object]) -> None:
    ours, theirs = header(**(tan(50.0, -30.0, scale=10 / 3600) | more))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wcs = WCS(theirs)
        x, y = np.array([0.5, 1000.5, 1000.5, 0.5, 500.5]), np.array([0.5, 0.5, 500.5, 500.5, 250.5])
        world = wcs.all_pix2world(x, y, 1)
    ra, dec = (world[1], world[0]) if str(theirs["CTYPE1"]).startswith("DEC") else world
    found = outline(ours, (500, 1000))
    assert found is not None
    expected = [ra[4], dec[4], ra[:4].min(), ra[:4].max(), dec[:4].min(), dec[:4].max()]
    assert [
        found.ra_cent,
        found.dec_cent,
        found.racmin,
        found.racmax,
        found.deccmin,
        found.deccmax,
    ] == pytest.approx(expected, abs=1e-10)
    assert not found.crossra0


def test_missing_linear_terms_are_one() -> None:
    """By the convention; wcslib takes them for zero, which puts the whole image on one point."""
    plain = outline(header(**tan(50.0, -30.0))[0], (500, 1000))
    assert outline(header(**tan(50.0, -30.0, CTYPE1="RA---TPV", CTYPE2="DEC--TPV"))[0], (500, 1000)) == plain
    told = outline(
        header(**tan(50.0, -30.0, CTYPE1="RA---TPV", CTYPE2="DEC--TPV", PV1_0=0.0, PV2_2=0.0))[0], (500, 1000)
    )
    assert told == plain


def test_older_ways_to_write_the_matrix() -> None:
    base = {k: v for k, v in tan(50.0, -30.0).items() if not k.startswith("CD")}
    for more in (
        {"CDELT1": -0.001, "CDELT2": 0.0012, "CROTA2": 25.0},
        {"CDELT1": -0.001, "CDELT2": 0.0012, "PC1_1": 0.9, "PC1_2": -0.2, "PC2_1": 0.3},
        {"CDELT1": -0.001, "CDELT2": 0.0012},
    ):
        ours, theirs = header(**base, **more)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ra, dec = WCS(theirs).all_pix2world([100.5], [50.5], 1)
        found = outline(ours, (100, 200))
        assert found is not None
        assert (found.ra_cent, found.dec_cent) == pytest.approx((ra[0], dec[0]), abs=1e-10)


def test_across_ra_0_and_at_the_poles() -> None:
    found = outline(header(**tan(0.001, 5.0))[0], (500, 1000))
    assert found is not None
    assert found.crossra0
    assert found.racmin > 359 > 1 > found.racmax
    pole = outline(header(**tan(120.0, 90.0))[0], (500, 1000))
    assert pole is not None
    assert (pole.racmin, pole.racmax, pole.deccmax) == (0.0, 360.0, 90.0)
    assert pole.deccmin == pytest.approx(90 - math.hypot(500, 250) * 0.27 / 3600, abs=0.01)
    south = outline(header(**tan(120.0, -90.0))[0], (500, 1000))
    assert south is not None
    assert (south.racmin, south.racmax, south.deccmin) == (0.0, 360.0, -90.0)


@pytest.mark.parametrize(
    "more",
    [
        {"CTYPE1": "RA---ZEA", "CTYPE2": "DEC--ZEA"},
        {"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN"},
        {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"},
        {"CTYPE1": "", "CTYPE2": ""},
        {"CRVAL1": "here"},
        {"CD1_1": 0.0, "CD1_2": 0.0},
    ],
)
def test_what_is_not_known_gives_no_outline(more: dict[str, object]) -> None:
    assert outline(header(**(tan(50.0, -30.0) | more))[0], (500, 1000)) is None


@given(ra=st.floats(0, 359.999), dec=st.floats(-80, 80), half=st.floats(0.001, 5))
def test_a_box_holds_its_corners(ra: float, dec: float, half: float) -> None:
    corners = [((ra + dx * half) % 360.0, dec + dy * half) for dx, dy in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    racmin, racmax, deccmin, deccmax, cross = box(corners)
    assert cross == (racmin > racmax)
    for corner_ra, corner_dec in corners:
        inside = racmin - 1e-9 <= corner_ra <= racmax + 1e-9
        if cross:
            inside = corner_ra >= racmin - 1e-9 or corner_ra <= racmax + 1e-9
        assert inside
        assert deccmin <= corner_dec <= deccmax
    assert (racmax - racmin) % 360.0 == pytest.approx(2 * half, abs=1e-9)
