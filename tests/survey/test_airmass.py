"""Air masses that can be, and those of a distance from the zenith, against published values."""

from __future__ import annotations

import math

import pytest

from desdm.survey.airmass import airmass_at, airmass_of, differ, disagrees


@pytest.mark.parametrize(("value", "known"), [(1.0, True), (2.6, True), (37.9, True), (1, True)])
def test_what_is_above_the_horizon_can_be(value: float, known: bool) -> None:
    assert (airmass_of({"AIRMASS": value}.get) == value) is known


@pytest.mark.parametrize("value", [-1.0, 0.0, 0.5, 99.0, 999, "1.2", True, None, float("nan")])
def test_sentinels_and_words_are_none(value: object) -> None:
    assert airmass_of({"AIRMASS": value}.get) is None


@pytest.mark.parametrize("z", [0.0, 30.0, 60.0, 70.0, 80.0, 85.0, 90.0])
def test_air_masses_agree_with_another_formula(z: float) -> None:
    """Kasten & Young 1989, Applied Optics 28, 4735: 38 at the horizon."""
    theirs = 1.0 / (math.cos(math.radians(z)) + 0.50572 * (96.07995 - z) ** -1.6364)
    assert airmass_at(z) == pytest.approx(theirs, rel=0.03)


def test_only_what_no_moment_of_the_exposure_has_disagrees() -> None:
    # Exposures of DECam: AIRMASS and ZD of c4d_170419_042827, c4d_160319_075112 (rounded, and of other moments).
    assert not disagrees(1.85, 57.28, 209.0)
    assert not disagrees(1.125, 27.81, 80.0)
    assert disagrees(1.2, 70.0, 90.0)
    assert disagrees(2.9, 30.0, 90.0)


def test_two_air_masses_of_one_exposure_may_differ_by_the_field_and_its_length() -> None:
    """Secants of zenith distances: DECam's field has a radius of 1.1 degrees."""
    for z in (0.0, 30.0, 60.0, 75.0):
        middle, edge = (1.0 / math.cos(math.radians(d)) for d in (z, z + 1.1))
        assert not differ(middle, edge)
        assert not differ(edge, middle)
    assert differ(1.234, 2.9)
    assert differ(1.2, 1.3)
    assert not differ(1.0, 1.01)
