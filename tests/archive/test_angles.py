"""Angles of raw headers: the unit that a text names counts, hours only where it names none."""

from __future__ import annotations

import pytest

from desdm.archive.filetypes.keywords import angle


@pytest.mark.parametrize(
    ("text", "hours", "expected"),
    [
        # As astropy's Angle reads the same text, degrees.
        ("10d30m0s", True, 10.5),
        ("10h30m0s", True, 157.5),
        ("10:30:00", True, 157.5),
        ("10 30 00", True, 157.5),
        ("-10:30:00", False, -10.5),
        ("-0d30m0s", False, -0.5),
        ("10.5", True, 10.5),
        ("-10h30m0s", False, None),
        ("10:61:00", True, None),
    ],
)
def test_the_unit_of_an_angle_is_the_one_that_it_names(
    text: str, hours: bool, expected: float | None
) -> None:
    assert angle(text, hours=hours, least=-360.0, most=360.0) == (
        None if expected is None else pytest.approx(expected)
    )
