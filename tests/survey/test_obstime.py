"""When an exposure began and of which night it is: each form that means one moment, against astropy's Time."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import erfa
import pytest
from astropy.time import Time

from desdm.survey.obstime import agrees, mjd_of, moment, night_keyword, night_of, observation

AT_3 = datetime(2012, 11, 21, 3)
#: (keywords, begin); every form is one moment, so that there is nothing to tell.
FORMS: list[tuple[dict[str, Any], datetime]] = [
    ({"DATE-OBS": "2012-11-21T03:00:00.0"}, AT_3),
    ({"DATE-OBS": "2012-11-21T03:00:00.0Z"}, AT_3),
    ({"DATE-OBS": "2012-11-21t03:00:00"}, AT_3),
    ({"DATE-OBS": "2012-11-21 03:00:00.0"}, AT_3),
    ({"DATE-OBS": "2012-11-21T03:00"}, AT_3),
    ({"DATE-OBS": "2012-11-21 03:00:00 UTC"}, AT_3),
    ({"DATE-OBS": "2012/11/21 03:00:00"}, AT_3),
    ({"DATE-OBS": "20121121T030000"}, AT_3),
    ({"DATE-OBS": "2012-11-20T23:00:00-04:00"}, AT_3),
    ({"DATE-OBS": "2012-11-21T03:00:00+00:00"}, AT_3),
    ({"DATE-OBS": "2012-11-21", "TIME-OBS": "03:00:00.0"}, AT_3),
    ({"DATE-OBS": "2012-11-21", "UT": "03:00:00.0"}, AT_3),
    ({"DATE-OBS": "2012-11-21", "UTC-OBS": "3:00:00"}, AT_3),
    ({"DATE-OBS": "2012-11-21", "MJD-OBS": 56252.125}, AT_3),
    ({"MJD-OBS": 56252.125}, AT_3),
    ({"MJD-OBS": "56252.125"}, AT_3),
    ({"DATE-BEG": "2012-11-21T03:00:00"}, AT_3),
    ({"DATE-OBS": "2012-11-21T03:00:00", "MJD-OBS": 56252.125}, AT_3),
    ({"DATE-OBS": "2012-11-21T03:00:00", "TIMESYS": "utc"}, AT_3),
    ({"DATE-OBS": "2012-11-21T03:00:00", "TIMESYS": "UT"}, AT_3),
    ({"DATE-OBS": "2012-11-21", "TM-START": 10800.0}, AT_3),
    ({"DATE-OBS": "2012-11-21T03:00:00", "UTC-OBS": " ", "UT": "2012-11-21T03:00:00"}, AT_3),
    # The day alone; middle and end of the exposure.
    ({"DATE-OBS": "2012-11-21", "UT": "03:00:00", "MJD-OBS": 56252.0}, AT_3),
    (
        {
            "DATE-OBS": "2012-11-21T03:00:00",
            "DATE-AVG": "2012-11-21T03:00:45",
            "DATE-END": "2012-11-21T03:01:30",
        },
        AT_3,
    ),
    ({"DATE-OBS": "2012-11-20T24:00:00"}, datetime(2012, 11, 21)),
    # FITS 4.0, section 9.1.1: DD/MM/YY is of the years 1900 to 1999.
    ({"DATE-OBS": "21/11/99", "UT": "03:00:00"}, datetime(1999, 11, 21, 3)),
]


@pytest.mark.parametrize(("values", "begin"), FORMS, ids=[str(f[0]) for f in FORMS])
def test_each_form_that_means_one_moment_is_read(values: dict[str, Any], begin: datetime) -> None:
    found = moment(values, 90.0)
    assert found.findings == ()
    assert found.begin is not None
    assert abs((found.begin - begin).total_seconds()) < 1e-3
    assert mjd_of(begin) == pytest.approx(Time(begin, scale="utc").mjd, abs=1e-9)


def test_a_leap_second_is_of_its_day() -> None:
    """FITS 4.0, section 9.1.1: 23:59:60 is lawful on days that have it."""
    found = moment({"DATE-OBS": "2016-12-31T23:59:60.5"}, 0.0)
    assert found.findings == ()
    assert found.begin is not None
    assert night_of(found.begin) == "20161231"


def test_the_days_of_leap_seconds_are_those_of_another_table() -> None:
    """ERFA's table has the first day with the new difference to TAI."""
    after = [date(int(y), int(m), 1) for y, m, _ in erfa.leap_seconds.get() if y >= 1972]
    known = {d - timedelta(days=1) for d in after[1:]}
    days = [date(1972, 1, 1) + timedelta(days=i) for i in range(55 * 365)]
    found = {d for d in days if moment({"DATE-OBS": f"{d}T23:59:60"}, 0.0).begin is not None}
    assert {d for d in found if d.year <= 2026} == known


@pytest.mark.parametrize(
    "text",
    ["2012-13-01T00:00:00", "2012-02-30T01:00:00", "11/21/12", "yesterday", "2012-11-21T25:00:00", "2012-11-21T03:60:00",
     "2012-11-21T24:00:01", "2012-11-21T12:00:60", "2012-11-21T23:59:60", "2016-12-30T23:59:60",
     "2012-11", "T03:00:00", "2012-11-21T03:00:00X", "21.11.2012"],
)  # fmt: skip
def test_what_has_no_meaning_is_a_finding_and_no_moment(text: str) -> None:
    found = moment({"DATE-OBS": text}, 0.0)
    assert found.begin is None
    (finding,) = found.findings
    assert (finding.key, finding.value) == ("DATE-OBS", repr(text))
    # Another keyword may still tell the moment; that it was used is said.
    other = moment({"DATE-OBS": text, "MJD-OBS": 56252.125}, 0.0)
    assert other.begin == AT_3
    assert "MJD-OBS" in other.findings[0].assumed


@pytest.mark.parametrize(
    ("values", "key", "begin"),
    [
        ({"DATE-OBS": "2012-11-21"}, "DATE-OBS", None),
        ({"DATE-OBS": "2012-11-21", "UT": "noon"}, "UT", None),
        ({"DATE-OBS": "2012-11-21", "MJD-OBS": 56253.9}, "DATE-OBS", None),
        ({"DATE-OBS": "2012-11-21T03:00:00", "MJD-OBS": 56251.125}, "MJD-OBS", AT_3),
        ({"DATE-OBS": "2012-11-21T03:00:00", "MJD-OBS": 2456252.625}, "MJD-OBS", AT_3),
        ({"DATE-OBS": "2012-11-21T03:00:00", "MJD-OBS": 0.0}, "MJD-OBS", AT_3),
        ({"DATE-OBS": "2012-11-21T03:00:00", "MJD-OBS": "unknown"}, "MJD-OBS", AT_3),
        ({"DATE-OBS": "2012-11-21T03:00:00", "TIME-OBS": "09:00:00"}, "TIME-OBS", AT_3),
        ({"DATE-OBS": "2012-11-21", "TIME-OBS": "03:00:00", "MJD-OBS": 56300.1}, "MJD-OBS", AT_3),
        ({"DATE-OBS": "2012-11-21T03:00:00", "UT": "11:00:00"}, "UT", AT_3),
        ({"DATE-OBS": "2012-11-21", "TIME-OBS": "03:00:00", "UT": "11:00:00"}, "UT", AT_3),
        ({"DATE-OBS": "2012-11-21T03:00:00", "DATE-BEG": "2012-12-21T03:00:00"}, "DATE-BEG", AT_3),
        ({"DATE-OBS": "2012-11-21T03:00:00", "DATE-AVG": "2012-11-25T02:00:00"}, "DATE-AVG", AT_3),
        ({"DATE-OBS": "2012-11-21T03:00:00", "DATE-END": "2012-11-21T02:00:00"}, "DATE-END", AT_3),
        ({"DATE-OBS": "2012-11-21T03:00:00", "DATE-END": "2012-11-22"}, "DATE-END", AT_3),
        ({"DATE-OBS": "2012-11-21T03:00:00", "MJD-END": 56253.125}, "MJD-END", AT_3),
        ({"DATE-OBS": "2012-11-21T03:00:00", "MJD-OBS": 56252.125, "MJD-BEG": 56300.1}, "MJD-BEG", AT_3),
        ({"MJD-OBS": 56252.125, "UT": "11:00:00"}, "UT", AT_3),
        # What cannot be read beside a whole DATE-OBS.
        ({"DATE-OBS": "2012-11-21T03:00:00", "UTC-OBS": 12345.0}, "UTC-OBS", AT_3),
        ({"DATE-OBS": "2012-11-21T03:00:00", "TIME-OBS": "25:00:00"}, "TIME-OBS", AT_3),
        ({"DATE-OBS": "2012-11-21T03:00:00", "UT": "2012-11-21T11:00:00"}, "UT", AT_3),
        ({"DATE-OBS": "2012-11-21T03:00:00", "DATE-BEG": "yesterday"}, "DATE-BEG", AT_3),
        ({"DATE-OBS": "2012-11-21T03:00:00", "DATE-END": "1970-01-01T00:00:00"}, "DATE-END", AT_3),
        ({"DATE-OBS": "2012-11-21T03:00:00", "MJD-END": "late"}, "MJD-END", AT_3),
        ({"DATE-OBS": "2012-11-21T03:00:00", "MJD-OBS": 56252.125, "MJD-AVG": 2456252.6}, "MJD-AVG", AT_3),
        # EMMI at the NTT: the log of ESO's archive has the exposure at 03:04:08.
        (
            {"DATE-OBS": "26/10/92", "MJD-OBS": 48921.62787, "TM-START": 11048.0},
            "MJD-OBS",
            datetime(1992, 10, 26, 3, 4, 8),
        ),
        ({"DATE-OBS": "2012-11-21T03:00:00", "TIMESYS": "TAI"}, "TIMESYS", AT_3),
        # The zeros of clocks: MJD 0 (FITS 4.0, section 9: 1858-11-17) and the Unix epoch.
        ({"DATE-OBS": "1858-11-17T00:00:00"}, "DATE-OBS", None),
        ({"DATE-OBS": "1858-11-17", "TIME-OBS": "03:00:00"}, "DATE-OBS", None),
        ({"DATE-OBS": "1858-11-17T00:00:00", "MJD-OBS": 56252.125}, "DATE-OBS", AT_3),
        ({"DATE-OBS": "1858-11-17T00:00:00", "MJD-OBS": 0.0}, "MJD-OBS", None),
        ({"DATE-OBS": "1970-01-01T00:00:00"}, "DATE-OBS", None),
        ({"DATE-OBS": "0001-01-01T00:00:00+05:00"}, "DATE-OBS", None),
        ({"DATE-OBS": "9999-12-31T24:00:00"}, "DATE-OBS", None),
        ({"MJD-OBS": 40587.0}, "MJD-OBS", None),
        ({"MJD-OBS": 15021.5}, "MJD-OBS", None),
        ({"DATE-OBS": "2212-11-21T03:00:00"}, "DATE-OBS", datetime(2212, 11, 21, 3)),
    ],
)
def test_what_contradicts_or_is_left_out_is_a_finding(
    values: dict[str, Any], key: str, begin: datetime | None
) -> None:
    found = moment(values, 90.0)
    assert found.begin == begin
    assert [f.key for f in found.findings].count(key) == 1


@pytest.mark.parametrize(
    ("cards", "key", "nite"),
    [
        # First light of DECam was on 2012-09-12.
        ({"INSTRUME": "DECam", "DATE-OBS": "2009-03-01T03:00:00"}, "DATE-OBS", "20090228"),
        ({"INSTRUME": "decam", "MJD-OBS": 54891.125}, "MJD-OBS", "20090228"),
        ({"INSTRUME": "DECam", "NITE": "20090228"}, "NITE", None),
        ({"NITE": "18581116"}, "NITE", None),
        ({"DTCALDAT": "1858-11-16"}, "DTCALDAT", None),
        ({"NITE": "22121120"}, "NITE", None),
        ({"INSTRUME": "EMMI", "DATE-OBS": "1992-10-26T03:04:08"}, "", "19921025"),
        ({"INSTRUME": "DECam", "NITE": "20120912"}, "", "20120912"),
    ],
)
def test_a_night_that_the_camera_cannot_have_seen_is_a_finding(
    cards: dict[str, Any], key: str, nite: str | None
) -> None:
    found = observation(cards.get)
    assert found.nite == nite
    assert [f.key for f in found.findings] == ([key] if key else [])


def test_clocks_that_differ_by_the_exposure_do_not_contradict() -> None:
    """MJD-OBS may be of the middle or end of the exposure."""
    values = {"DATE-OBS": "2012-11-21T03:00:00", "MJD-OBS": 56252.125 + 300 / 86400}
    assert moment(values, 330.0).findings == ()
    assert moment(values, 90.0).findings != ()


@pytest.mark.parametrize(
    ("hour", "nite"), [(0, "20121120"), (14, "20121120"), (15, "20121121"), (23, "20121121")]
)
def test_the_night_goes_from_noon_to_noon_at_cerro_tololo(hour: int, nite: str) -> None:
    assert night_of(datetime(2012, 11, 21, hour, 59)) == nite


def test_about_noon_of_other_sites_the_header_is_believed() -> None:
    """Noon at Kitt Peak is 19 h UTC: flats of the morning are of the night before."""
    assert agrees("20121120", datetime(2012, 11, 21, 16))
    assert agrees("20121121", datetime(2012, 11, 21, 16))
    assert not agrees("20121119", datetime(2012, 11, 21, 16))
    assert not agrees("20121121", datetime(2012, 11, 21, 3))
    assert not agrees("20121120", datetime(2012, 11, 21, 22))


def test_a_night_is_a_day_of_the_calendar() -> None:
    assert night_keyword("20121120") == night_keyword("2012-11-20") == night_keyword(20121120) == "20121120"
    assert night_keyword(20121120.0) == "20121120"
    for value in ("20121320", "20120230", "2012-1120", "tonight", "", 1, True, None, 2012.5):
        assert night_keyword(value) is None
