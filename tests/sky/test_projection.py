"""Which world coordinates are supported: the plain reader, the general one and astropy agree, or all refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from desdm.errors import FileTypeError
from desdm.pixels.cards import Header
from desdm.services.soda.sky import Grid
from desdm.sky.outline import outline
from desdm.sky.projection import complaint, has_wcs
from desdm.survey.headers import copy_wcs, settle_wcs, wcs_of

SHAPE = (400, 300)
TAN = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 30.0, "CRVAL2": -5.0, "CRPIX1": 25.0, "CRPIX2": 20.0,
    "CD1_1": -7.3e-5, "CD1_2": 1e-6, "CD2_1": 2e-6, "CD2_2": 7.3e-5,
}  # fmt: skip
TPV = TAN | {
    "CTYPE1": "RA---TPV",
    "CTYPE2": "DEC--TPV",
    "PV1_1": 1.01,
    "PV1_4": 3e-2,
    "PV2_1": 0.99,
    "PV2_7": 0.5,
}
SCAMP = TAN | {k: v for k, v in TPV.items() if k.startswith("PV")}
#: What SCAMP writes with DISTORT_DEGREES 1: wcslib alone would take PV1_1 and PV1_2 for the native pole.
LINEAR = TAN | {"PV1_0": 1e-4, "PV1_1": 1.02, "PV1_2": 0.01, "PV2_0": 0.0, "PV2_1": 1.0, "PV2_2": 0.0}
DEC_FIRST = TAN | {"CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN", "CRVAL1": -5.0, "CRVAL2": 30.0}
WITHOUT = {k: v for k, v in TAN.items() if not k.startswith("CD")}
NO_CD = {k: v for k, v in DEC_FIRST.items() if not k.startswith("CD")}
GOOD = {
    "tan": TAN, "tpv": TPV, "scamp": SCAMP, "linear": LINEAR, "fk5": TAN | {"RADESYS": "FK5", "EQUINOX": 2000.0},
    # EQUINOX holds where both stand; with RADESYS ICRS neither means anything (FITS 4.0, section 8.3).
    "EPOCH 2000": TAN | {"EPOCH": 2000.0}, "EQUINOX and EPOCH": TAN | {"EQUINOX": 2000.0, "EPOCH": 2012.9},
    "ICRS and EPOCH": TAN | {"RADESYS": "ICRS", "EPOCH": 1950.0},
    "lonpole": TAN | {"LONPOLE": 170.0},
    "pole": TAN | {"PV1_1": 0.0, "PV1_2": 90.0, "PV1_3": 180.0},
    "latitude first": DEC_FIRST,
    "CROTA2": WITHOUT | {"CDELT1": -7.3e-5, "CDELT2": 7e-5, "CROTA2": 30.0},
    "CROTA1": NO_CD | {"CDELT1": 7e-5, "CDELT2": -7.3e-5, "CROTA1": 30.0},
    "PC": WITHOUT | {"CDELT1": -7.3e-5, "CDELT2": 7e-5, "PC1_1": 0.9, "PC1_2": 0.1, "PC2_1": -0.2, "PC2_2": 1.1},
    "PC of one axis": WITHOUT | {"CDELT1": -7.3e-5, "CDELT2": 7e-5, "PC1_2": 0.1},
    "PC in degrees": WITHOUT | {"PC1_1": -7e-5, "PC1_2": 1e-5, "PC2_1": 2e-5, "PC2_2": 7.2e-5},
    "CDELT beside CD": TAN | {"CDELT1": 1.0, "CDELT2": 1.0},
    # Calabretta & Greisen 2002, section 2.5: LONPOLE is 0 by default where the reference point is the pole.
    "reference at the pole": TAN | {"CRVAL2": 90.0, "CRPIX2": -9000.0},
    "polynomial about the pole": TPV | {"CRVAL2": 90.0, "CRPIX2": -9000.0},
    "reference at the south pole": TAN | {"CRVAL2": -90.0, "CRPIX2": -9000.0},
    "SIP without terms": TAN | {"A_ORDER": 0, "B_ORDER": 0, "A_2_0": 0.0},
}  # fmt: skip
BAD: dict[str, dict[str, Any]] = {
    "distortion in SIP is": TAN
    | {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2, "A_2_0": 5e-3},
    # FITS leaves open what these mean under TAN; astropy applies them.
    "A_ORDER": TAN | {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 5e-3},
    "B_ORDER": TAN | {"A_ORDER": 0, "B_ORDER": 3, "B_0_3": 5e-6},
    "AP_ORDER": TAN | {"AP_ORDER": 2, "BP_ORDER": 2, "AP_1_1": 5e-6},
    "SIP": TPV | {"A_2_0": 5e-3},
    "CPDIS1": TAN | {"CPDIS1": "Lookup", "DP1": "EXTVER: 1.0"},
    "CPDIS2": TAN | {"CPDIS2": "Lookup"},
    "CQDIS1": TPV | {"CQDIS1": "Lookup", "DQ1": "EXTVER: 1.0"},
    "DP2": TAN | {"DP2": "EXTVER: 1.0"},
    "D2IMDIS1": TAN | {"D2IMDIS1": "Lookup", "D2IM1": "EXTVER: 1.0"},
    "D2IMEXT": TAN | {"D2IMEXT": "x.fits"},
    "SIN": TAN | {"CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN"},
    "ZPN": TAN | {"CTYPE1": "RA---ZPN", "CTYPE2": "DEC--ZPN", "PV2_1": 1.0},
    "different projections": TAN | {"CTYPE2": "DEC--TPV"},
    "right ascension and declination": TAN | {"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN"},
    "CUNIT1": TAN | {"CUNIT1": "arcsec", "CUNIT2": "arcsec"},
    "FK4": TAN | {"RADESYS": "FK4", "EQUINOX": 1950.0},
    "equinox": TAN | {"EQUINOX": 1950.0},
    # FITS 4.0, section 8.3: EPOCH means EQUINOX where that is absent; astropy (wcslib) reads FK4 of 1950 there.
    "EPOCH is 1950.0": TAN | {"EPOCH": 1950.0},
    "the equinox is 1950": TAN | {"EPOCH": 1950, "RADESYS": "FK5"},
    "a date of the observation does not belong there": TAN | {"EPOCH": 2012.9},
    "the equinox is 1975.0": TAN | {"EQUINOX": 1975.0, "EPOCH": 2000.0},
    "the equinox is B1950": TAN | {"EQUINOX": "B1950"},
    "is not a year": TAN | {"EPOCH": "unknown"},
    "beyond a pole": TAN | {"CRVAL2": -95.0},
    "native pole": TAN | {"PV1_1": 10.0, "PV1_2": 40.0},
    # FITS 4.0, section 8.1: CDi_j excludes PCi_j, and PCi_j excludes CROTAi.
    "CD1_1 and PC1_1": TAN | {"PC1_1": 1.0, "CDELT1": 0.001, "CDELT2": 0.001},
    "PC2_2 and CROTA2": WITHOUT | {"PC2_2": 1.0, "CDELT1": 0.001, "CDELT2": 0.001, "CROTA2": 3.0},
    "singular": TAN | {"CD2_1": -7.3e-5, "CD2_2": 1e-6},
    "CRPIX1 is '25', which is not a number": TAN | {"CRPIX1": "25"},
    "PV1_1 is '1.0', which is not a number": TPV | {"PV1_1": "1.0"},
    "PV1_40 is not a term of TPV": TPV | {"PV1_40": 0.1},
    "PC001001 is a form": WITHOUT | {"CDELT1": -7.3e-5, "CDELT2": 7e-5, "PC001001": 0.9, "PC002001": -0.4},
    "declination first": SCAMP | {"CTYPE1": "DEC--TPV", "CTYPE2": "RA---TPV"},
}


def _headers(cards: dict[str, Any]) -> tuple[fits.Header, Header]:
    header = fits.Header(list(cards.items()))
    return header, Header("".join(c.image for c in header.cards).encode("ascii"))


@pytest.mark.parametrize("name", GOOD)
def test_supported_coordinates_are_the_same_for_all_readers(name: str) -> None:
    header, plain = _headers(GOOD[name])
    assert complaint(header) == complaint(plain) == ""
    general = wcs_of(header)
    x, y = np.array([1.0, 300.0, 150.5]), np.array([1.0, 400.0, 200.5])
    expected = {k: v for k, v in GOOD[name].items() if not k.startswith(("A_", "B_"))}
    if any(k.startswith("PV2") for k in expected):
        # The TPV convention, as wcslib has it, is what SCAMP's polynomial means.
        expected |= {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV"}
    truth = WCS(fits.Header(list(expected.items())), naxis=2).all_pix2world(x, y, 1)
    if expected["CTYPE1"].startswith("DEC"):
        truth = truth[::-1]
    assert np.allclose(general.all_pix2world(x, y, 1), truth, atol=1e-9)
    area = outline(plain, SHAPE)
    assert area is not None
    # The middle of 300 columns and 400 rows is the third of those points.
    assert (area.ra_cent, area.dec_cent) == pytest.approx((truth[0][2], truth[1][2]), abs=1e-9)
    px, py = Grid(header, SHAPE).pixels(truth[0], truth[1])
    assert np.allclose([px, py], [x - 1, y - 1], atol=1e-4)
    product = fits.Header([("CDELT1", 5.0), ("PC1_2", 0.5), ("CROTA2", 7.0)])
    copy_wcs(header, product)
    assert np.allclose(wcs_of(product).all_pix2world(x, y, 1), truth, atol=1e-9)
    assert not {"CDELT1", "PC1_2", "CROTA2"} & set(product)


def test_a_step_in_degrees_does_not_change_what_a_polynomial_means() -> None:
    """TPV works on intermediate world coordinates in degrees, however the linear part is written (its registered text)."""
    steps = {k: v for k, v in TPV.items() if not k.startswith("CD")} | {"CDELT1": -7.3e-5, "CDELT2": 7.3e-5}
    rows = {"PC1_1": 1.0, "PC1_2": 1e-6 / -7.3e-5, "PC2_1": 2e-6 / 7.3e-5, "PC2_2": 1.0}
    (with_cd, _), (with_steps, plain) = _headers(TPV), _headers(steps | rows)
    truth = WCS(with_cd, naxis=2).all_pix2world([10.0, 290.0], [5.0, 390.0], 1)
    assert np.allclose(wcs_of(with_steps).all_pix2world([10.0, 290.0], [5.0, 390.0], 1), truth, atol=1e-9)
    area = outline(plain, SHAPE)
    assert area is not None
    centre = WCS(with_cd, naxis=2).all_pix2world(150.5, 200.5, 1)
    assert (area.ra_cent, area.dec_cent) == pytest.approx(tuple(map(float, centre)), abs=1e-9)


@pytest.mark.parametrize(
    "terms", [{}, {"PV1_1": 1.01}, {"PV1_2": 0.1}, {"PV2_7": 0.5}, {"PV1_1": 0.0, "PV1_2": 1.0}]
)
def test_a_first_term_that_is_missing_is_one(terms: dict[str, float]) -> None:
    """The registered TPV convention: coefficients that are missing are 0, but PV1_1 and PV2_1 are 1."""
    cards = TAN | {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV"}
    (header, plain), (written, _) = (
        _headers(cards | terms),
        _headers(cards | {"PV1_1": 1.0, "PV2_1": 1.0} | terms),
    )
    truth = WCS(written, naxis=2).all_pix2world([1.0, 300.0, 150.5], [1.0, 400.0, 200.5], 1)
    assert np.allclose(
        wcs_of(header).all_pix2world([1.0, 300.0, 150.5], [1.0, 400.0, 200.5], 1), truth, atol=1e-9
    )
    area = outline(plain, SHAPE)
    assert area is not None
    assert (area.ra_cent, area.dec_cent) == pytest.approx((truth[0][2], truth[1][2]), abs=1e-9)
    # Programs that take 0 for it read the header of a product.
    settle_wcs(header)
    assert np.allclose(
        WCS(header, naxis=2).all_pix2world([1.0, 300.0, 150.5], [1.0, 400.0, 200.5], 1), truth, atol=1e-9
    )


@pytest.mark.parametrize("unit", ["Deg", "DEGREES", "degree"])
def test_degrees_are_read_however_they_are_written(unit: str) -> None:
    header, plain = _headers(TAN | {"CUNIT1": unit, "CUNIT2": unit})
    truth = WCS(_headers(TAN)[0], naxis=2).all_pix2world(150.5, 200.5, 1)
    assert np.allclose(wcs_of(header).all_pix2world(150.5, 200.5, 1), truth, atol=1e-9)
    assert outline(plain, SHAPE) is not None


@pytest.mark.parametrize("name", BAD)
def test_other_coordinates_are_refused_by_all_readers(name: str) -> None:
    header, plain = _headers(BAD[name])
    assert name in complaint(header)
    assert complaint(header) == complaint(plain)
    assert outline(plain, SHAPE) is None
    with pytest.raises(FileTypeError, match=name):
        wcs_of(header)
    with pytest.raises(FileTypeError, match=name):
        Grid(header, SHAPE)


def test_an_image_without_celestial_axes_has_none() -> None:
    for cards in ({}, {"CTYPE1": "LINEAR", "CTYPE2": "LINEAR"}, {"CTYPE1": "", "CTYPE2": ""}):
        header, plain = _headers(cards)
        assert not has_wcs(header)
        assert complaint(plain) == ""
        assert outline(plain, SHAPE) is None
