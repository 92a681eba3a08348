"""The bands' constants, and the unit in which an image counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

from desdm.errors import UsageError
from desdm.survey.bands import BANDS, CountUnit, band, band_of_filter, gain_of, nominal_zero
from desdm.survey.headers import identity, merged


@pytest.mark.parametrize(
    ("header", "unit"),
    [
        # Raw DECam and early DESDM images: exposure 241238.
        ({"GAINA": 4.039, "GAINB": 3.781}, CountUnit.COUNT),
        # What DESDM and our own detrending leave after the gain step.
        ({"GAINA": 1.0, "GAINB": 1.0}, CountUnit.ELECTRON),
        ({"GAINA": 0.99, "GAINB": 1.05}, CountUnit.ELECTRON),
        ({"GAIN": 1.0}, CountUnit.ELECTRON),
        ({"GAIN": 1.0, "GAINA": 3.9, "GAINB": 3.9}, CountUnit.COUNT),
        # The gains may be those of the raw frame still: the image's own unit decides.
        ({"BUNIT": "electrons", "GAINA": 4.0, "GAINB": 4.1}, CountUnit.ELECTRON),
        ({"BUNIT": "adu", "GAINA": 3.911, "GAINB": 4.127}, CountUnit.COUNT),
        ({"BUNIT": "ADU"}, CountUnit.COUNT),
        ({"BUNIT": "count", "GAIN": 1.0}, CountUnit.ELECTRON),
        # Exposure 154912 as DESDM delivered it in 2012: neither gain nor BUNIT, but a sky of 4.3 electrons per count.
        ({"SKYBRITE": 887.90747, "SKYSIGMA": 14.310489}, CountUnit.COUNT),
        ({"SKYBRITE": 1046.0, "SKYSIGMA": 33.2}, CountUnit.ELECTRON),
        ({"BUNIT": "electron/pixel", "GAINA": 4.0}, CountUnit.ELECTRON),
        ({"BUNIT": "e-"}, CountUnit.ELECTRON),
        # Neither counts nor electrons of the exposure, whatever the gain.
        ({"BUNIT": "electron/s", "GAINA": 1.0, "GAINB": 1.0}, None),
        ({"BUNIT": "electrons s-1"}, None),
        ({"BUNIT": "adu/s", "GAINA": 4.0, "GAINB": 4.0}, None),
        ({"BUNIT": "counts/s", "GAIN": 1.91}, None),
        ({"BUNIT": "ke-", "GAIN": 1.0}, None),
        ({"BUNIT": "nJy", "GAIN": 1.0}, None),
        ({"BUNIT": "kadu"}, None),
        ({"GAINA": 1.0, "GAINB": 4.0}, None),
        ({"SKYBRITE": 887.90747}, None),
        ({}, None),
        ({"GAIN": "unknown"}, None),
    ],
)
def test_the_unit_follows_from_the_header(header: dict[str, Any], unit: CountUnit | None) -> None:
    assert CountUnit.of(header) is unit


def test_a_count_is_four_electrons() -> None:
    assert CountUnit.ELECTRON.per_count == 4.0
    assert CountUnit.ELECTRON.zero_shift == pytest.approx(1.505, abs=5e-4)
    assert (CountUnit.COUNT.per_count, CountUnit.COUNT.zero_shift) == (1.0, 0.0)


def test_the_nominal_zero_point_by_hand() -> None:
    """aterm + 2.5 log10 t - k X of assess_SE_products, worked out by hand for 90 s at airmass 1.1."""
    # 25.532 + 4.8856 - 0.1045
    assert nominal_zero("r", CountUnit.COUNT, 90.0, 1.1) == pytest.approx(30.3131, abs=1e-4)
    assert nominal_zero("r", CountUnit.ELECTRON, 90.0, 1.1) == pytest.approx(31.8182, abs=1e-4)
    # VR: 25.47 + 4.8856 - 0.143
    assert nominal_zero("VR", CountUnit.COUNT, 90.0, 1.1) == pytest.approx(30.2126, abs=1e-4)


def test_names_are_known_in_any_case_and_others_are_named() -> None:
    assert band("y") is BANDS["Y"]
    assert list(BANDS) == ["u", "g", "r", "i", "z", "Y", "VR"]
    with pytest.raises(UsageError, match="'N964' has no constants; known: u, g, r, i, z, Y, VR"):
        band("N964")


def test_real_zero_points_lie_at_the_nominal_ones(real: Path) -> None:
    """MAGZERO of the Community Pipeline is the magnitude of one count; nights lose at most 0.4 mag to clouds and dust."""
    found = {}
    for path in sorted((real / "decam-cp-stack").glob("*_ooi_*.fits")):
        with fits.open(path) as hdus:
            head = merged(hdus)
        if "MAGZERO" in head:
            who, unit = identity(head), CountUnit.of(head)
            assert unit is CountUnit.COUNT, path.name
            assert gain_of(head) == pytest.approx(3.9, abs=0.4)
            nominal = nominal_zero(who["BAND"], unit, who["EXPTIME"], who["AIRMASS"])
            found[path.name] = nominal - float(head["MAGZERO"])
    assert len(found) == 4
    # Per electron they would lie 1.5 mag away.
    assert all(-0.1 < v < 0.41 for v in found.values()), found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # DECam's own values (NOIRLab, "DECam filters").
        ("u DECam c0006 3500.0 1000.0", "u"),
        ("g DECam SDSS c0001 4720.0 1520.0", "g"),
        ("r DECam SDSS c0002 6415.0 1480.0", "r"),
        ("i DECam SDSS c0003 7835.0 1470.0", "i"),
        ("z DECam SDSS c0004 9260.0 1520.0", "z"),
        ("Y DECam c0005 10095.0 1130.0", "Y"),
        ("VR DECam c0007 6300.0 2600.0", "VR"),
        ("N540 DECam c0014 5403.2 210.0", None),
        ("N964 DECam c0008 9645.0 94.0", None),
        ("solid plate 0.0 0.0", None),
        ("Block", None),
        # Mosaic-3, 90Prime, and the names alone.
        ("zd DECam k1038", "z"),
        ("bokr", "r"),
        ("u", "u"), ("g", "g"), ("r", "r"), ("i", "i"), ("z", "z"), ("Y", "Y"), ("VR", "VR"), ("y", "Y"), ("Z", "z"),
        # Johnson's, Harris's and Bessell's filters of Mosaic and ESO's cameras are other passbands than r, i and u.
        ("R Harris c6004", None),
        ("I c6028", None),
        ("U c6001", None),
        ("R", None), ("I", None), ("U", None), ("G", None), ("B", None), ("V", None), ("Rd", None),
        ("bokR", None),
        ("", None),
        (None, None),
    ],
)  # fmt: skip
def test_the_band_of_a_filter_depends_on_the_case_of_its_letter(
    name: str | None, expected: str | None
) -> None:
    assert band_of_filter(name) == expected
