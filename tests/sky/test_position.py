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
