"""The verdict's rule, case by case as DESDM states it, with the constants that the code ships."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from desdm.errors import UsageError
from desdm.survey.assessment import Accepted, Controls, Measurements, assess
from tests.support.tasks import settings_of

SETTINGS: dict[str, Any] = settings_of("desdm.codes.assess.wrapper.assess")
#: A perfect night in r: FWHM that makes F 1, the good sky, no cloud.
PERFECT = Measurements("r", 0.9 * 1.041 - 0.04, 2.66, 0.0)


def judge(**change: Any) -> Any:
    measured = replace(PERFECT, **change)
    return assess(measured, Controls.of(SETTINGS, measured.band))


def test_a_perfect_exposure_has_t_eff_one() -> None:
    found = judge()
    assert (found.f_eff, found.b_eff, found.c_eff, found.t_eff) == pytest.approx((1, 1, 1, 1))
    assert found.accepted is Accepted.TRUE
    assert found.reason == ""
    assert found.fwhm == pytest.approx(0.9 * 1.041)


def test_a_sky_that_is_no_number_was_not_measured() -> None:
    found = judge(sky=float("nan"))
    assert (found.b_eff, found.t_eff, found.accepted) == (None, None, Accepted.UNKNOWN)


def test_each_factor_follows_its_formula() -> None:
    assert judge(fwhm_mean=1.2).f_eff == pytest.approx((0.9 * 1.041 / 1.24) ** 2)
    assert judge(sky=5.32).b_eff == pytest.approx(0.5)
    assert judge(cloud=0.19).c_eff == 1.0
    assert judge(cloud=0.5).c_eff == pytest.approx(10 ** (-0.8 * 0.3))


@pytest.mark.parametrize(
    ("band", "k", "sky", "least"),
    [
        ("u", 1.2, 0.2, 0.2), ("g", 1.103, 1.05, 0.2), ("r", 1.041, 2.66, 0.3), ("i", 1.0, 7.87, 0.3),
        ("z", 0.965, 16.51, 0.3), ("Y", 0.95, 14.56, 0.2), ("VR", 1.04, 3.71, 0.3),
    ],
)  # fmt: skip
def test_the_constants_of_every_band(band: str, k: float, sky: float, least: float) -> None:
    controls = Controls.of(SETTINGS, band)
    assert (controls.k, controls.sky_good, controls.least) == (k, sky, least)
    assert controls.fwhm_limit == pytest.approx(1.6 * (1.103 if band == "Y" else k))


def test_poor_seeing_comes_before_low_t_eff() -> None:
    found = judge(fwhm_mean=1.7)
    assert found.accepted is Accepted.FALSE
    assert found.reason == "badF"
    assert "1.74 arcsec" in found.words


def test_clouds_reject_by_t_eff() -> None:
    found = judge(cloud=1.25)
    assert found.accepted is Accepted.FALSE
    assert found.reason == "badT"
    assert "clouds take 1.25 mag" in found.words
    # exactly at the limit is not above it
    assert judge(sky=2.66 / 0.3).reason == "badT"
    assert judge(sky=2.66 / 0.301).reason == ""


def test_what_is_missing_is_named_and_leaves_it_to_an_analyst() -> None:
    no_cloud = judge(cloud=None)
    assert no_cloud.accepted is Accepted.UNKNOWN
    assert no_cloud.reason == "unkn cloud"
    assert no_cloud.t_eff == pytest.approx(1.0), "the product of the others"
    assert judge(sky=None).reason == "unkn sky"
    assert judge(sky=None).t_eff is None
    assert judge(fwhm_mean=None, cloud=None, astrometry=False).reason == "unkn fwhm,cloud,astrometry"
    assert judge(astrometry=False).accepted is Accepted.UNKNOWN


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        # 2.66 counts a second over 0.3 electrons in 90 s, and over electrons counted in thousands.
        ({"sky": 0.3 / 4 / 90}, "unkn sky", "3.19e+03 times darker than a dark night's"),
        ({"sky": 2.66 / 1000}, "unkn sky", "1e+03 times darker"),
        # A zero point one magnitude above a photometric night's, and k times an air mass of 99.
        ({"cloud": -0.995}, "unkn cloud", "cloud -0.99 mag, -0.5 to 10 can be"),
        ({"cloud": -9.2}, "unkn cloud", "cloud -9.20 mag"),
        ({"cloud": 25.0}, "unkn cloud", "cloud 25.00 mag"),
        ({"cloud": -1.0, "sky": 0.001}, "unkn sky,cloud", "not plausible"),
        # Gain 0.25: sky and zero point are of another unit, and t_eff of the sky alone is too low by that.
        ({"cloud": -1.5, "sky": 46.5}, "unkn cloud", "cloud -1.50 mag"),
        ({"fwhm_mean": 0.3}, "unkn t_eff", "t_eff 7.59, at most 5 can be"),
    ],
)
def test_what_no_night_gives_is_left_to_an_analyst(change: dict[str, float], reason: str, words: str) -> None:
    found = judge(**change)
    assert (found.accepted, found.reason) == (Accepted.UNKNOWN, reason)
    assert words in found.words


def test_the_best_nights_are_plausible() -> None:
    """Seeing of 0.65 arcsec, a sky of half the dark one, and a zero point 0.2 mag above the nominal one."""
    assert judge(fwhm_mean=0.61, sky=1.33, cloud=-0.2).accepted is Accepted.TRUE


def test_a_missing_piece_does_not_save_what_is_bad_anyway() -> None:
    assert judge(fwhm_mean=1.7, cloud=None).reason == "badF"
    assert judge(sky=26.6, cloud=None).reason == "badT"


def test_the_width_of_source_extractor_stands_in_for_psfex() -> None:
    assert judge(fwhm_mean=None, fwhm_world=1.1).fwhm == pytest.approx(1.0)
    assert judge(fwhm_mean=0.2).reason == "unkn fwhm", "less than 0.3 arcsec is no seeing"


def test_a_constant_that_is_missing_is_named() -> None:
    with pytest.raises(UsageError, match=r"seeing\.r"):
        Controls.of({**SETTINGS, "seeing": {}}, "r")
