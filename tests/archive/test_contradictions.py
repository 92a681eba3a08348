"""HDUs of one exposure that contradict each other: one value holds everywhere, and a person is told which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import select

from desdm.archive.archive import Archive
from desdm.archive.deposit import deposit
from desdm.archive.model import Deposit, DepositReport
from desdm.errors import FileTypeError
from desdm.operations.arrival import arrivals
from desdm.schema import image
from desdm.schema.database import Database
from desdm.survey.findings import Severity
from desdm.survey.raw import doubts_of, open_raw, read_ccd

PRIMARY: dict[str, Any] = {
    "PROCTYPE": "RAW", "INSTRUME": "DECam", "EXPNUM": 990101, "OBSTYPE": "object", "OBJECT": "DES survey hex 1-1",
    "FILTER": "r DECam SDSS c0002 6415.0 1480.0", "EXPTIME": 90.0, "DATE-OBS": "2012-11-21T03:00:00.0",
    "NITE": "20121120", "AIRMASS": 1.2,
}  # fmt: skip
CCD: dict[str, Any] = {
    "GAIN": 4.0, "RDNOISE": 6.0, "SATURATE": 40000.0, "DATASEC": "[1:50,1:40]", "BIASSEC": "[51:60,1:40]",
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 30.0, "CRVAL2": -5.0, "CRPIX1": 25.0, "CRPIX2": 20.0,
    "CD1_1": -7.3e-5, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 7.3e-5,
}  # fmt: skip


def mosaic(path: Path, *ccds: Mapping[str, Any], primary: Mapping[str, Any] | None = None) -> Path:
    """A raw exposure of CCDs 1, 2 …, each with its own cards beside the usual ones."""
    hdus: list[Any] = [fits.PrimaryHDU(header=fits.Header(list((PRIMARY | dict(primary or {})).items())))]
    for i, cards in enumerate(ccds):
        data = np.random.default_rng(i).integers(1900, 2100, (40, 60)).astype(np.int16)
        own = CCD | {"CCDNUM": i + 1, "DETPOS": ("S29", "S30", "S31")[i]} | dict(cards)
        hdus.append(fits.ImageHDU(data, fits.Header(list(own.items()))))
    fits.HDUList(hdus).writeto(path)
    return path


def ingest(database: Database, archive: Archive, path: Path) -> DepositReport:
    report = deposit(database, archive, [Deposit(path)], who="me")
    assert not report.refused
    return report


def test_equal_values_in_several_hdus_and_forms_are_no_contradiction(
    sqlite: Database, archive: Archive, tmp_path: Path
) -> None:
    own = {
        "EXPNUM": 990101, "OBSTYPE": "OBJECT", "EXPTIME": 90, "DATE-OBS": "2012-11-21T03:00:00.000000",
        "NITE": "2012-11-20", "AIRMASS": 1.22, "CCDSUM": "1 1", "FILTER": "r  DECam SDSS c0002 6415.0 1480.0", "BAND": "r",
    }  # fmt: skip
    assert ingest(sqlite, archive, mosaic(tmp_path / "DECam_00990101.fits", own, own, {})).findings == []


@pytest.mark.parametrize(
    ("key", "other", "column", "held"),
    [
        ("DATE-OBS", "2012-12-21T03:00:00", "nite", "20121120"),
        ("NITE", "20121123", "nite", "20121120"),
        ("FILTER", "g DECam SDSS c0001 4720.0 1520.0", "band", "r"),
        ("EXPTIME", 30.0, "exptime", 90.0),
        ("AIRMASS", 2.9, "airmass", 1.2),
        ("OBSTYPE", "zero", "obstype", "object"),
        ("INSTRUME", "Mosaic", "instrument", "DECam"),
        ("OBJECT", "focus", "object", "DES survey hex 1-1"),
    ],
)
@pytest.mark.parametrize("repeated", [False, True])
def test_a_second_value_is_told_and_the_same_one_holds_in_record_and_pixels(
    sqlite: Database, archive: Archive, tmp_path: Path, key: str, other: Any, column: str, held: Any, repeated: bool
) -> None:  # fmt: skip
    """CCD 2 contradicts the primary header, or CCD 1, which repeats its value."""
    first = {key: PRIMARY[key]} if repeated else {}
    path = mosaic(tmp_path / "DECam_00990101.fits", first, {key: other})
    found = [f for _, f in ingest(sqlite, archive, path).findings if f.key == key]
    assert [f.severity for f in found] == [Severity.WARNING]
    number = 1 if repeated else 0
    assert found[0].value == f"{PRIMARY[key]!r} (HDU {number}), {other!r} (HDU 2)"
    assert found[0].assumed == f"that of HDU {number} is taken for all"
    with sqlite.read() as conn:
        assert conn.execute(select(image.c[column])).scalar_one() == held
    for ccd in (1, 2):
        assert read_ccd(path, ccd).header[key] == PRIMARY[key]


def test_the_first_image_holds_against_the_primary_header_in_record_and_pixels(
    sqlite: Database, archive: Archive, tmp_path: Path
) -> None:
    path = mosaic(tmp_path / "DECam_00990101.fits", {"EXPTIME": 30.0}, {})
    [(_, found)] = ingest(sqlite, archive, path).findings
    assert (found.key, found.value) == ("EXPTIME", "30.0 (HDU 1), 90.0 (HDU 0)")
    with sqlite.read() as conn:
        assert conn.execute(select(image.c.exptime)).scalar_one() == 30.0
    assert [read_ccd(path, ccd).header["EXPTIME"] for ccd in (1, 2)] == [30.0, 30.0]


@pytest.mark.parametrize(
    ("first", "second", "primary", "text"),
    [
        ({}, {"AIRMASS": 2.9}, {}, "AIRMASS is 1.2 (HDU 0), 2.9 (HDU 2): that of HDU 0 is taken for all"),
        (
            {"BAND": "r"},
            {"BAND": "r"},
            {"FILTER": "R Harris c6004"},
            "FILTER is 'R Harris c6004', which is not r: the band is that of BAND",
        ),
        ({"AIRMASS": 1.21}, {"OBJECT": "focus"}, {"BAND": "r"}, None),
    ],
)
def test_the_run_tells_what_leaves_its_verdict_in_doubt(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any], primary: dict[str, Any], text: str | None
) -> None:
    path = mosaic(tmp_path / "x.fits", first, second, primary=primary)
    assert doubts_of(path) == (() if text is None else (f"x.fits: {text}",))


def test_an_air_mass_that_cannot_be_does_not_hold(sqlite: Database, archive: Archive, tmp_path: Path) -> None:
    """A sentinel of the first image is a finding by itself; the primary header's value stays that of the others."""
    path = mosaic(tmp_path / "DECam_00990101.fits", {"AIRMASS": 99.0}, {})
    [(_, found)] = ingest(sqlite, archive, path).findings
    assert (found.key, found.text) == ("AIRMASS", "99 is not possible")
    assert read_ccd(path, 2).header["AIRMASS"] == PRIMARY["AIRMASS"]


def test_an_exposure_time_that_cannot_be_does_not_hold(
    sqlite: Database, archive: Archive, tmp_path: Path
) -> None:
    path = mosaic(tmp_path / "DECam_00990101.fits", {"EXPTIME": "ninety"}, {})
    [(_, found)] = ingest(sqlite, archive, path).findings
    assert (found.key, found.value, found.assumed) == ("EXPTIME", "'ninety'", "the exposure time is 90 s")
    assert [read_ccd(path, ccd).header["EXPTIME"] for ccd in (1, 2)] == [90.0, 90.0]


def test_ccds_at_one_place_and_without_a_number_are_named(
    sqlite: Database, archive: Archive, tmp_path: Path
) -> None:
    """DECam's HDUs do not stand in the order of its CCDs, so that no number follows from the place in the file."""
    place = {"DETSEC": "[1:50,1:40]"}
    path = mosaic(tmp_path / "DECam_00990101.fits", place, place, {"CCDNUM": 0, "DETPOS": ""})
    found = {f.key: f for _, f in ingest(sqlite, archive, path).findings}
    assert found["DETSEC"].text == "2 CCDs of the file cannot be at one place of the focal plane"
    assert "it is not a number of a CCD" in found["CCDNUM"].text
    raw = open_raw(path)
    assert [ccd.ccdnum for ccd in raw.ccds] == [1, 2]
    assert raw.findings == ("DECam_00990101.fits: HDU 3 is not read: CCDNUM: it is not a number of a CCD",)


def test_a_ccd_of_another_camera_that_has_the_number_of_its_hdu_is_named(
    sqlite: Database, archive: Archive, tmp_path: Path
) -> None:
    path = mosaic(tmp_path / "DECam_00990101.fits", {}, {}, primary={"INSTRUME": "minicam"})
    with fits.open(path, mode="update") as hdus:
        del hdus[2].header["CCDNUM"], hdus[2].header["DETPOS"]
    [(_, found)] = ingest(sqlite, archive, path).findings
    assert (found.key, found.assumed) == ("CCDNUM", "the CCD has the number of its HDU")
    assert [ccd.ccdnum for ccd in open_raw(path).ccds] == [1, 2]


def test_binning_that_contradicts_is_named_and_refused(
    sqlite: Database, archive: Archive, tmp_path: Path
) -> None:
    path = mosaic(tmp_path / "DECam_00990101.fits", {"CCDSUM": "2 2"}, {"CCDSUM": "1 1"})
    found = {f.text for _, f in ingest(sqlite, archive, path).findings if f.key == "CCDSUM"}
    assert "the HDUs of the file contradict each other" in found
    for ccd in (1, 2):
        with pytest.raises(FileTypeError, match=rf"CCD {ccd}: CCDSUM is '2 2'"):
            read_ccd(path, ccd)


@pytest.mark.parametrize("ccds", [({"EXPNUM": 5555}, {}), ({}, {"EXPNUM": 5555})])
def test_two_exposure_numbers_are_an_error_and_neither_is_processed(
    database: Database, archive: Archive, tmp_path: Path, ccds: Sequence[Mapping[str, Any]]
) -> None:
    path = mosaic(tmp_path / "DECam_00990101.fits", *ccds)
    found = [f for _, f in ingest(database, archive, path).findings]
    assert [(f.key, f.severity) for f in found] == [("EXPNUM", Severity.ERROR)]
    assert "5555" in found[0].value
    assert "990101" in found[0].value
    with database.read() as conn:
        assert conn.execute(select(image.c.expnum)).scalar_one() is None
        assert arrivals(conn, "20121120") == []
    for ccd in (1, 2):
        with pytest.raises(FileTypeError, match=rf"{path.name} CCD {ccd}: EXPNUM is .*correct the file"):
            read_ccd(path, ccd)


@pytest.mark.parametrize("primary", [{}, {"NEXTEND": 3}])
def test_a_ccd_that_is_there_twice_is_an_error_and_its_exposure_waits_for_a_person(
    database: Database, archive: Archive, tmp_path: Path, primary: dict[str, Any]
) -> None:
    twice = {"CCDNUM": 1, "DETPOS": "S29"}
    path = mosaic(tmp_path / "DECam_00990101.fits", twice, twice, {}, primary=primary)
    [(_, found)] = ingest(database, archive, path).findings
    assert (found.key, found.severity) == ("CCDNUM", Severity.ERROR)
    assert "CCD 1 occurs more than once in the file" in found.text
    with database.read() as conn:
        [arrival] = arrivals(conn, "20121120")
    assert "CCD 1 occurs more than once in the file" in arrival.refused
    with pytest.raises(
        FileTypeError, match=r"CCD 1 occurs more than once in the file \(CCDNUM of HDU 1, 2\)"
    ):
        read_ccd(path, 1)
    assert read_ccd(path, 3).header["CCDNUM"] == 3


SIP = {"A_ORDER": 2, "A_2_0": 1e-5, "B_ORDER": 2, "B_0_2": 1e-5}


@pytest.mark.parametrize(
    "cards",
    [
        SIP,
        SIP | {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"},
        {"CPDIS1": "Lookup"},
        {"CUNIT1": "arcsec"},
    ],
)
def test_coordinates_of_every_ccd_are_looked_at(
    sqlite: Database, archive: Archive, tmp_path: Path, cards: dict[str, Any]
) -> None:
    """The exposure's place is that of the CCDs whose coordinates are supported."""
    path = mosaic(tmp_path / "DECam_00990101.fits", {}, cards, {"CRVAL1": 31.0})
    [(_, found)] = ingest(sqlite, archive, path).findings
    assert (found.key, found.severity) == ("CTYPE1, CTYPE2", Severity.WARNING)
    assert found.text.startswith("HDU 2: ")
    with sqlite.read() as conn:
        west, east = conn.execute(select(image.c.racmin, image.c.racmax)).one()
    # 30 columns of 0.26 arcsec beside a reference pixel at CRVAL1.
    assert (west, east) == pytest.approx((30.0, 31.0), abs=0.01)


def test_coordinates_that_are_not_supported_are_told_of_each_image(
    sqlite: Database, archive: Archive, tmp_path: Path
) -> None:
    """Also where the first image, which gives the outline, has coordinates that are supported."""
    sip = {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"}
    for name, own, numbers in (
        ("DECam_00990101.fits", ({}, sip, sip), "2, 3"),
        ("DECam_00990102.fits", (sip, {}, sip), "1, 3"),
    ):
        path = mosaic(tmp_path / name, *own, primary={"EXPNUM": int(name[6:14])})
        findings = [f for _, f in ingest(sqlite, archive, path).findings if f.key == "CTYPE1, CTYPE2"]
        assert len(findings) == 1
        assert findings[0].text.startswith(f"HDU {numbers}: distortion in SIP is not supported")
