"""Dead and half-dead CCDs of DECam, by night, and who obeys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from desdm.archive import catalog
from desdm.archive.archive import Archive
from desdm.archive.catalogfile import CatalogFile
from desdm.archive.deposit import deposit
from desdm.archive.model import Deposit
from desdm.errors import PlanError
from desdm.pipelines.calframes import night
from desdm.pipelines.exposure import exposure
from desdm.schema.database import Database
from desdm.survey.detectors import absent, dead, living, night_of, outage_regions, outages, outages_of
from desdm.survey.raw import open_raw
from tests.support.catalogfile import catalog_file

#: DES nights; a real year has CCDs that others have not.
WORKING = {
    "20121101": 62,
    "20121120": 61,
    "20131129": 61,
    "20131130": 60,
    "20161228": 60,
    "20161229": 61,
    "20190101": 61,
}


@pytest.mark.parametrize(("nite", "count"), WORKING.items())
def test_so_many_ccds_work(nite: str, count: int) -> None:
    assert len(living(range(1, 63), "DECam", nite)) == count
    # DES says 59 to 61 CCDs are used; half of CCD 31 never is.
    assert [(o.ccdnum, o.amplifier) for o in outages("DECam", nite) if o.amplifier] == [(31, "A")]


def test_the_texts_say_which_since_when_and_why() -> None:
    assert (
        dead("DECAM ", "20140101")[2].text == "CCD 2 (S30): dead from night 20131130 to 20161228: no signal"
    )
    assert dead("DECam", "20140101")[61].text == "CCD 61 (N30): dead from night 20121107: damaged by light"
    assert dead("MINICAM", "20140101") == {}
    assert dead("DECam", "") == {}, "a night that is not known accuses nobody"


@pytest.mark.parametrize(
    ("header", "nite"),
    [
        # Exposure 241238, begun 2013-10-04T08:50:58; its SISPI instance is DECam_20131003.
        ({"MJD-OBS": 56569.36873771}, "20131003"),
        # Exposure 154912, 2012-11-24T03:37:25, calibrated in the night 20121123.
        ({"MJD-OBS": 56255.15098407}, "20121123"),
        ({"MJD-OBS": 56255.15098407, "NITE": "20200101"}, "20200101"),
        # Flats of the afternoon belong to the night that follows: 20:19 UT.
        ({"MJD-OBS": 56238.8465}, "20121107"),
        ({}, ""),
    ],
)
def test_the_night_of_a_header(header: dict[str, Any], nite: str) -> None:
    assert night_of(header) == nite


def test_the_first_bad_frames_of_n30_are_those_of_the_report() -> None:
    """Flats of 10:30 UT on 2012-11-07 are good, those of 20:19 UT are not (DES science verification)."""
    morning, evening = (
        {"INSTRUME": "DECam", "MJD-OBS": 56238.4375},
        {"INSTRUME": "DECam", "MJD-OBS": 56238.8465},
    )
    assert [o.ccdnum for o in outages_of(morning)] == [31]
    assert [o.ccdnum for o in outages_of(evening)] == [61, 31]


def row(nite: str, **more: Any) -> CatalogFile:
    columns = {"expnum": 241238, "band": "r", "ccds": "1:62", "instrument": "DECam", "obstype": "object"}
    return catalog_file("DECam_00241238.fits.fz", nite=nite, **{**columns, **more})


def test_an_exposure_is_planned_without_them_and_says_why() -> None:
    told = exposure(lambda query: [row("20140101")], {"expnum": "241238"})
    assert told["ccdnum"] == "1," + ",".join(str(n) for n in range(3, 61)) + ",62"
    assert "CCD 2 (S30): dead from night 20131130" in told["dead_ccds"]
    assert "CCD 61 (N30)" in told["dead_ccds"]
    early = exposure(lambda query: [row("20121101")], {"expnum": "241238"})
    assert early["ccdnum"] == "1:62"
    assert "dead_ccds" not in early
    with pytest.raises(PlanError, match=r"CCD 61 \(N30\): dead from night 20121107.*no other CCD"):
        exposure(lambda query: [row("20140101")], {"expnum": "241238", "ccdnum": "61"})


def test_calibrations_of_nights_that_span_a_failure_keep_the_ccd() -> None:
    both = [row("20131129", expnum=1, obstype="zero"), row("20131130", expnum=2, obstype="zero")]
    assert "2" in night(lambda query: both, {"nite": "x"})["ccdnum"].split(",")
    after = night(lambda query: both[1:], {"nite": "x"})
    assert len(after["ccdnum"].split(",")) == 60
    assert "CCD 2" in after["dead_ccds"]


def test_a_file_may_have_the_dead_ccd_or_not() -> None:
    whole = list(range(1, 63))
    without = [n for n in whole if n != 61]
    assert absent(whole, 62, "DECam", "20140101") == 0
    assert absent(without, 62, "DECam", "20140101") == 0
    assert absent(without, 62, "DECam", "20121101") == 1, "it worked then"
    assert absent([n for n in without if n != 2], 62, "DECam", "20140101") == 0
    assert absent(whole[:-2], 62, "DECam", "20191101") == 2, "62 lacks too"
    assert absent([*whole, 62], 62, "DECam", "20140101") == -1


def _exposure(path: Path, ccds: list[int], nite: str) -> Path:
    """A raw DECam exposure of tiny CCDs."""
    primary = fits.Header(
        [("INSTRUME", "DECam"), ("NEXTEND", 62), ("PROCTYPE", "RAW"), ("NITE", nite), ("EXPNUM", 7)]
    )
    hdus: list[Any] = [fits.PrimaryHDU(header=primary)]
    for n in ccds:
        hdus.append(
            fits.ImageHDU(np.zeros((4, 4), np.int32), fits.Header([("CCDNUM", n), ("DETPOS", f"X{n}")]))
        )
    fits.HDUList(hdus).writeto(path)
    return path


@pytest.mark.parametrize("delivered", [True, False])
def test_ingest_expects_the_working_ccds(
    sqlite: Database, archive: Archive, tmp_path: Path, delivered: bool
) -> None:
    ccds = [n for n in range(1, 63) if delivered or n not in (2, 61)]
    path = _exposure(tmp_path / "DECam_00000007.fits", ccds, "20140101")
    assert open_raw(path).findings == ()
    report = deposit(sqlite, archive, [Deposit(path)], who="me")
    assert not report.refused
    assert not [finding for _, finding in report.findings if finding.key == "NEXTEND"]
    with sqlite.read() as conn:
        (found,) = catalog.find(conn, {"filetype": "raw", "expnum": "7"})
    assert found.metadata.ccds == "1,3:60,62"
    # On a night on which they worked two CCDs would be missing, and expected.
    early = open_raw(_exposure(tmp_path / "early.fits", ccds, "20121101"))
    assert bool(early.findings) is not delivered


DELIVERED = {"INSTRUME": "DECam", "NITE": "20150410"}


@pytest.mark.parametrize(
    ("header", "columns", "bad"),
    [
        # DECam's own header names the amplifier's place, in the direction of its read-out.
        ({"AMPSECA": "[2048:1025,4096:1]"}, 2048, (1024, 2048)),
        ({}, 2048, (1024, 2048)),
        # Community Pipeline: columns 2 to 2047 of the CCD.
        ({}, 2046, (1023, 2046)),
        # A cut-out that begins behind column 900 of the CCD, as IRAF and cfitsio write it.
        ({"LTV1": -900.0}, 250, (124, 250)),
        ({"LTV1": -1200.0}, 250, (0, 250)),
        ({"LTV1": -100.0}, 250, (250, 250)),
    ],
)
def test_the_bad_half_of_a_delivered_ccd_has_its_region(
    header: dict[str, Any], columns: int, bad: tuple[int, int]
) -> None:
    ((outage, region),) = outage_regions({**DELIVERED, **header}, 31, (4096, columns))
    assert outage.ccdnum == 31
    assert region is not None
    marked = np.zeros((4096, columns), bool)
    marked[region] = True
    expected = np.zeros((4096, columns), bool)
    expected[:, slice(*bad)] = True
    assert np.array_equal(marked, expected)


def test_a_region_that_is_not_known_is_none_and_a_working_ccd_has_no_outage() -> None:
    ((_, region),) = outage_regions(DELIVERED, 31, (100, 250))
    assert region is None
    assert outage_regions(DELIVERED, 30, (4096, 2048)) == []
    ((outage, whole),) = outage_regions(DELIVERED, 61, (2, 2))
    assert (outage.amplifier, whole) == ("", (slice(None), slice(None)))
