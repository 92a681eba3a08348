"""Positions as people type them."""

from __future__ import annotations

import pytest
from astropy.coordinates import SkyCoord

from desdm.errors import UsageError
from desdm.sky.position import read_position

TYPED = ("30.1 -5.2", "30.1,-5.2", " 30.1 , \u22125.2 ", "0 90", "360 -90", "+12.5 +0.25")
SEXAGESIMAL = (
    "02:00:24 -05:12:00",
    "02 00 24 -05 12 00",
    "2h0m24s -5d12m0s",
    "02:00:24.5, -00:12:30.25",
    "23:59:59.99 +89:59:59.9",
)


@pytest.mark.parametrize("text", TYPED)
def test_degrees(text: str) -> None:
    ra, dec = (float(word) for word in text.replace(",", " ").replace("\u2212", "-").split())
    assert read_position(text) == (ra % 360, dec)


@pytest.mark.parametrize("text", SEXAGESIMAL)
def test_hours_and_degrees_as_astropy_reads_them(text: str) -> None:
    truth = SkyCoord(text.replace(",", " "), unit=("hourangle", "deg"))
    ra, dec = read_position(text)
    assert ra == pytest.approx(truth.ra.deg, abs=1e-9)
    assert dec == pytest.approx(truth.dec.deg, abs=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "M31",
        "30",
        "30 -91",
        "361 0",
        "nan 0",
        "inf 0",
        "02:60:00 0",
        "1 2 3",
        "1:2:3:4 5",
        "-1 0",
        "1 2 3 4 5 6 7",
    ],
)
def test_what_is_no_position_is_told(text: str) -> None:
    with pytest.raises(UsageError):
        read_position(text)


@pytest.mark.parametrize(
    ("text", "ra", "dec"),
    [
        # What astropy's SkyCoord gives for the same text, in degrees; hours where the first unit or the colons say so.
        ("2h -5d", 30.0, -5.0), ("2.0h -5", 30.0, -5.0), ("02h -05:00", 30.0, -5.0), ("10d30m0s -5d0m0s", 10.5, -5.0),
        ("10°30′ -5°", 10.5, -5.0), ("10d30m -5d30m", 10.5, -5.5), ("2h0m24s -5d12m0s", 30.1, -5.2),
        ("2h30m 5d", 37.5, 5.0), ("12h 30 40 -5 10 20", 187.6666667, -5.1722222), ("02h 00m 24s -05 12 00", 30.1, -5.2),
        ("02 00 24 -05d 12m 00s", 30.1, -5.2), ("2h,0m,24s,-5d,12m,0s", 30.1, -5.2), ("30.1,,5.2", 30.1, 5.2),
        ("2h 0m 24s +5d 12m 0s", 30.1, 5.2), ("-0.0 -5", 0.0, -5.0),
        ("02:00:24 -05:12:00", 30.1, -5.2), ("2h 0m 24s -5d 12m 0s", 30.1, -5.2), ("02 00 24 -05 12 00", 30.1, -5.2),
        ("30.1,-5.2", 30.1, -5.2), ("3.01e1 -52e-1", 30.1, -5.2), ("30.1 −5.2", 30.1, -5.2),
        ("2h0m24s-5d12m0s", 30.1, -5.2), ("0 -0d30m", 0.0, -0.5),
    ],
)  # fmt: skip
def test_the_unit_of_a_coordinate_is_the_one_that_it_names(text: str, ra: float, dec: float) -> None:
    assert read_position(text) == pytest.approx((ra, dec), abs=1e-7)


@pytest.mark.parametrize(
    "text",
    [
        "2h 5h",
        "2.5:30:00 -5",
        "30 -5 7",
        "2h61m -5d",
        "30d -95d",
        "2m -5d",
        "nan -5",
        "1e999 0",
        "12h 30 5",
        "10d 30 20",
        "12h 5 30 20",
        "2 -5 10 20",
        "12h30" + 10_000 * " " + "x",
        "1" * 10_000,
        "",
    ],
)
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_position(text)
