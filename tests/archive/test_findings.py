"""What a delivered header leaves in doubt is a finding that is kept and shown; one exposure is processed once."""

from __future__ import annotations

import gzip
import json
import subprocess
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner
from sqlalchemy import select

from desdm.archive import catalog, store
from desdm.archive.archive import Archive
from desdm.archive.deposit import deposit
from desdm.archive.model import Deposit, DepositReport
from desdm.cli.main import desdm
from desdm.codes.detrend import chain
from desdm.codes.detrend.calibration import Calibrations
from desdm.codes.detrend.recipe import Recipe
from desdm.codes.detrend.steps import chosen
from desdm.errors import FileTypeError
from desdm.operations.arrival import arrivals
from desdm.pixels.cards import read_hdus
from desdm.schema import image
from desdm.schema.database import Database
from desdm.survey.findings import Severity
from desdm.survey.raw import open_raw, read_ccd

CARDS: dict[str, Any] = {
    "PROCTYPE": "RAW", "OBSTYPE": "object", "OBJECT": "DES survey hex 1-1", "CCDNUM": 1, "EXPNUM": 990101,
    "DETPOS": "S29", "GAIN": 4.0, "RDNOISE": 6.0, "SATURATE": 40000.0,
    "FILTER": "r DECam SDSS c0002 6415.0 1480.0", "EXPTIME": 90.0, "INSTRUME": "DECam", "DATE-OBS": "2012-11-21T03:00:00.0",
    "BIASSEC": "[51:60,1:40]", "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 30.0, "CRVAL2": -5.0,
    "CRPIX1": 25.0, "CRPIX2": 20.0, "CD1_1": -7.3e-5, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 7.3e-5, "AIRMASS": 1.2,
}  # fmt: skip

#: A CCD of two amplifiers, each with an overscan of its own.
HALVES: dict[str, Any] = {
    "BIASSEC": None, "DATASECA": "[1:25,1:40]", "DATASECB": "[26:50,1:40]",
    "BIASSECA": "[51:55,1:40]", "BIASSECB": "[56:60,1:40]", "GAINA": 4.0, "GAINB": 4.1,
    "RDNOISEA": 6.0, "RDNOISEB": 6.5, "SATURATA": 40000.0, "SATURATB": 41000.0,
}  # fmt: skip


def frame(
    path: Path, cards: Mapping[str, Any] | None = None, *, seed: int = 1, compress: bool = False
) -> Path:
    """A raw frame of one CCD; a card whose value is None is left out."""
    data = np.random.default_rng(seed).integers(1900, 2100, (40, 60)).astype(np.int16)
    header = fits.Header([(k, v) for k, v in (CARDS | dict(cards or {})).items() if v is not None])
    path.parent.mkdir(parents=True, exist_ok=True)
    hdu: Any = fits.CompImageHDU(data, header) if compress else fits.PrimaryHDU(data, header)
    (fits.HDUList([fits.PrimaryHDU(), hdu]) if compress else hdu).writeto(path)
    return path


def ingest(database: Database, archive: Archive, *paths: Path) -> DepositReport:
    report = deposit(database, archive, [Deposit(p) for p in paths], who="me")
    assert not report.refused
    return report


def test_a_sound_frame_has_no_finding(database: Database, archive: Archive, tmp_path: Path) -> None:
    assert ingest(database, archive, frame(tmp_path / "DECam_00990101.fits")).findings == []


@pytest.mark.parametrize(
    ("cards", "key", "severity"),
    [
        ({"DTCALDAT": "2012-11-19"}, "DTCALDAT", "warning"),
        ({"NITE": "20121123"}, "NITE", "warning"),
        ({"NITE": "20121320"}, "NITE", "warning"),
        ({"DATE-OBS": None}, "DATE-OBS", "error"),
        ({"DATE-OBS": "2012-11-21"}, "DATE-OBS", "error"),
        ({"DATE-OBS": None, "NITE": "20121320"}, "DATE-OBS", "error"),
        ({"EXPNUM": "many"}, "EXPNUM", "error"),
        ({"EXPNUM": 12.5}, "EXPNUM", "error"),
        ({"EXPNUM": None}, "EXPNUM", "error"),
        ({"EXPNUM": -4}, "EXPNUM", "error"),
        ({"EXPNUM": 0}, "EXPNUM", "error"),
        ({"AIRMASS": 0.3}, "AIRMASS", "warning"),
        ({"AIRMASS": 99.0}, "AIRMASS", "warning"),
        ({"AIRMASS": None}, "AIRMASS", "warning"),
        ({"EXPTIME": 9e10}, "EXPTIME", "warning"),
        ({"EXPTIME": fits.card.Undefined()}, "EXPTIME", "warning"),
        ({"OBJECT": "x" * 90}, "OBJECT", "warning"),
        ({"AIRMASS": 1.2, "ZD": 70.0}, "AIRMASS", "warning"),
        ({"AIRMASS": 1.2, "ZD": 33.6}, None, None),
        ({"AIRMASS": 1.2, "ZD": 70.0, "OBSTYPE": "dome flat"}, None, None),
        ({"RA": "10:00:00", "DEC": "-50:00:00"}, "RA, DEC", "warning"),
        ({"TELRA": "10:00:00", "TELDEC": "-50:00:00"}, "TELRA, TELDEC", "warning"),
        ({"RA": 2.0, "DEC": -5.0}, None, None),
        ({"DATE-OBS": "2012-11-21", "TIME-OBS": "03:00:00", "MJD-OBS": 56300.1}, "MJD-OBS", "warning"),
        ({"UT": "11:00:00"}, "UT", "warning"),
        ({"TIMESYS": "UT"}, None, None),
        ({"AIRMASS": None, "OBSTYPE": "dome flat"}, None, None),
        ({"GAIN": 99999.0}, "GAIN", "warning"),
        ({"GAIN": 0.0}, "GAIN", "warning"),
        ({"SATURATE": -1.0}, "SATURATE", "warning"),
        ({"SATURATE": "39440.6"}, "SATURATE", "warning"),
        ({"SATURATE": None}, "SATURATE", "warning"),
        ({"SATURATE": 1e9}, "SATURATE", "warning"),
        ({"RDNOISE": "6.0"}, "RDNOISE", "warning"),
        ({"RDNOISE": -5.0}, "RDNOISE", "warning"),
        ({"RDNOISE": 0.0}, "RDNOISE", "warning"),
        ({"RDNOISE": None}, "RDNOISE", "warning"),
        ({"GAIN": 400.0}, "GAIN", "warning"),
        ({"EXPTIME": "90.0"}, "EXPTIME", "warning"),
        ({"EXPTIME": True}, "EXPTIME", "warning"),
        ({"BIASSEC": None}, "BIASSEC", "warning"),
        ({"DETSEC": "whole"}, "DETSEC", "warning"),
        ({"DETSEC": "[1:50,1:40]"}, "DETSEC", "warning"),
        ({"DETSEC": "[61:120,1:40]"}, None, None),
        (HALVES | {"TRIMSEC": "[1:50,1:40]", "DATASEC": "[1:50,1:40]"}, None, None),
        (HALVES | {"TRIMSEC": "[1:20,1:40]"}, "TRIMSEC", "warning"),
        (HALVES | {"DATASEC": "[2:50,1:40]"}, "DATASEC", "warning"),
        (HALVES | {"BIASSECB": "[51:55,1:40]"}, "BIASSECB", "warning"),
        (HALVES | {"DATASECB": None}, "DATASECB", "warning"),
        (HALVES | {"BIASSECB": None}, "BIASSECB", "warning"),
        ({"CCDNUM": None, "INSTRUME": "minicam"}, "CCDNUM", "warning"),
        ({"CCDNUM": None, "DETPOS": "CCD4", "INSTRUME": "minicam"}, None, None),
        ({"BUNIT": "electron"}, "BUNIT", "warning"),
        ({"BUNIT": "electron/s"}, "BUNIT", "warning"),
        ({"BUNIT": "adu/s"}, "BUNIT", "warning"),
        ({"BUNIT": "nJy"}, "BUNIT", "warning"),
        ({"BUNIT": "ADU"}, None, None),
        ({"BUNIT": "DN/pixel"}, None, None),
        ({"CCDSUM": "2 2"}, "CCDSUM", "warning"),
        ({"CCDSUM": "1 4"}, "CCDSUM", "warning"),
        ({"CCDSUM": "0 0"}, "CCDSUM", "warning"),
        ({"CCDSUM": "none"}, "CCDSUM", "warning"),
        ({"CCDSUM": "1 1"}, None, None),
        ({"CCDBIN1": 1, "CCDBIN2": 2}, "CCDBIN2", "warning"),
        ({"XBINNING": 1, "YBINNING": 1}, None, None),
        ({"GAIN": None}, "GAIN", "warning"),
        ({"GAIN": -4.0}, "GAIN", "warning"),
        ({"GAIN": "4.0e/ADU"}, "GAIN", "warning"),
        ({"DATASEC": "[1:500,1:400]"}, "DATASEC", "warning"),
        ({"DATASEC": "1:50,1:40"}, "DATASEC", "warning"),
        ({"BIASSEC": "[51:70,1:40]"}, "BIASSEC", "warning"),
        ({"DATASEC": "[1:50,1:40]", "BIASSEC": "[40:60,1:40]"}, "BIASSEC", "warning"),
        ({"TRIMSEC": "[1:50,1:40]", "DATASEC": "[1:55,1:40]"}, "BIASSEC", "warning"),
        ({"DATASECA": "[1:50,1:40]", "BIASSECA": "[50:60,1:40]", "GAINA": 4.0}, "BIASSECA", "warning"),
        ({"DATASECA": "[1:50,1:40]", "BIASSECA": "[51:60,1:40]"}, "GAINA", "warning"),
        (
            {"DATASECA": "[1:50,1:40]", "BIASSECA": "[51:60,1:40]", "GAINA": 1.0, "GAINB": 4.0},
            "GAINA, GAINB",
            "warning",
        ),
        ({"CCDNUM": 99, "DETPOS": None}, "CCDNUM", "warning"),
        ({"CCDNUM": 63}, "CCDNUM", "warning"),
        ({"CCDNUM": 63, "DETPOS": "FS1"}, None, None),
        ({"CCDNUM": 5}, "DETPOS", "warning"),
        ({"CCDNUM": 5, "INSTRUME": None}, "DETPOS", "warning"),
        ({"CCDNUM": 5, "INSTRUME": "minicam"}, None, None),
        ({"CCDNUM": None, "DETPOS": "X99"}, "DETPOS", "warning"),
        ({"CCDNUM": None, "DETPOS": None}, "CCDNUM", "warning"),
        ({"CCDNUM": None, "DETPOS": None, "INSTRUME": "EMMI"}, None, None),
        ({"CCDNUM": None}, None, None),
        ({"OBSTYPE": "banana"}, "OBSTYPE", "warning"),
        ({"OBSTYPE": "focus"}, None, None),
        ({"EXPTIME": 0.0}, "EXPTIME", "warning"),
        ({"EXPTIME": 0.0, "OBSTYPE": "dome flat"}, "EXPTIME", "warning"),
        ({"EXPTIME": 0.0, "OBSTYPE": "zero"}, None, None),
        ({"CCDNUM": 0}, "CCDNUM", "warning"),
        ({"EXPNUM": 990102}, "EXPNUM", "warning"),
        ({"FILTER": "solid plate"}, "FILTER", "warning"),
        ({"FILTER": None}, "FILTER", "warning"),
        ({"FILTER": "R Harris c6004"}, "FILTER", "warning"),
        ({"FILTER": "I c6028", "BAND": "i"}, "FILTER", "warning"),
        ({"BAND": "R"}, "BAND", "warning"),
        ({"BAND": "g"}, "BAND", "warning"),
        ({"EXPTIME": -1.0}, "EXPTIME", "warning"),
        ({"EXPTIME": None}, "EXPTIME", "warning"),
        ({"EXPTIME": "long"}, "EXPTIME", "warning"),
        ({"CCDNUM": "S29"}, "CCDNUM", "warning"),
        ({"RA": "somewhere"}, "RA", "warning"),
        ({"RA": "25:00:00", "DEC": "-05:00:00"}, "RA", "warning"),
        ({"RA": "02:00:00", "DEC": "-05:61:00"}, "DEC", "warning"),
        ({"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"}, "CTYPE1, CTYPE2", "warning"),
        ({"CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN"}, "CTYPE1, CTYPE2", "warning"),
        ({"CTYPE1": None, "CTYPE2": None}, "CTYPE1", "warning"),
        ({"OBSTYPE": None}, "OBSTYPE", "warning"),
        ({"BLANK": 70000}, "BLANK", "warning"),
        ({"NEXTEND": 3, "CCDNUM": None}, None, None),
    ],
)
def test_each_doubt_is_told_with_key_value_and_consequence(
    sqlite: Database,
    archive: Archive,
    tmp_path: Path,
    cards: dict[str, Any],
    key: str | None,
    severity: str | None,
) -> None:
    report = ingest(sqlite, archive, frame(tmp_path / "DECam_00990101.fits", cards))
    told = {(f.key, f.severity.value) for _, f in report.findings}
    if key is None:
        assert told == set()
        return
    assert (key, severity) in told
    assert [(f.key, f.severity.value) for _, f in report.findings].count((key, severity)) == 1
    assert all(f.assumed for _, f in report.findings)
    with sqlite.read() as conn:
        kept = store.findings_of(conn, [report.registered[0].id])[report.registered[0].id]
        nite = conn.execute(select(image.c.nite)).scalar_one()
    assert kept == [f for _, f in report.findings]
    assert nite in (None, "20121120")


@pytest.mark.parametrize("value", [-1.0, 99.0, "unknown", None])
def test_the_primary_header_of_a_mosaic_is_looked_through(
    sqlite: Database, archive: Archive, tmp_path: Path, value: object
) -> None:
    """DECam writes AIRMASS into the primary header, which has no image."""
    path = tmp_path / "DECam_00990101.fits"
    exposure = (
        "PROCTYPE",
        "OBSTYPE",
        "OBJECT",
        "EXPNUM",
        "FILTER",
        "EXPTIME",
        "INSTRUME",
        "DATE-OBS",
        "AIRMASS",
    )
    values = CARDS | {"AIRMASS": value}
    primary = fits.Header([(k, values[k]) for k in exposure if values[k] is not None])
    hdus: list[Any] = [fits.PrimaryHDU(header=primary)]
    for number, detpos in ((1, "S29"), (2, "S30")):
        own = fits.Header([(k, v) for k, v in CARDS.items() if k not in exposure])
        own["CCDNUM"], own["DETPOS"] = number, detpos
        data = np.random.default_rng(number).integers(1900, 2100, (40, 60)).astype(np.int16)
        hdus.append(fits.ImageHDU(data, own))
    fits.HDUList(hdus).writeto(path)
    assert [f.key for _, f in ingest(sqlite, archive, path).findings] == ["AIRMASS"]
    with sqlite.read() as conn:
        assert conn.execute(select(image.c.airmass)).scalar_one() is None


def test_a_keyword_without_a_value_is_not_missing(sqlite: Database, archive: Archive, tmp_path: Path) -> None:
    """FITS 4.0, section 4.1.2.3: the value of a keyword may be undefined."""
    path = frame(
        tmp_path / "DECam_00990101.fits", {"EXPTIME": fits.card.Undefined(), "AIRMASS": fits.card.Undefined()}
    )
    told = {f.key: f.text for _, f in ingest(sqlite, archive, path).findings}
    assert told == {"EXPTIME": "the keyword has no value", "AIRMASS": "the keyword has no value"}


def test_an_exposure_time_that_cannot_be_and_a_title_that_is_cut(
    sqlite: Database, archive: Archive, tmp_path: Path
) -> None:
    ingest(sqlite, archive, frame(tmp_path / "DECam_00990101.fits", {"EXPTIME": 9e10, "OBJECT": "x" * 90}))
    with sqlite.read() as conn:
        assert tuple(conn.execute(select(image.c.exptime, image.c.object)).one()) == (None, "x" * 80)


@pytest.mark.parametrize("alone", [True, False])
def test_keywords_in_lower_case_are_read_as_astropy_reads_them(
    sqlite: Database, archive: Archive, tmp_path: Path, alone: bool
) -> None:
    """FITS 4.0, section 4.1.2.1: keywords are in upper case."""
    path = frame(tmp_path / "DECam_00990101.fits", {"AGAIN": 30.0})
    data = path.read_bytes().replace(b"AGAIN   ", b"exptime ")
    path.write_bytes(data.replace(b"EXPTIME ", b"OTHER   ") if alone else data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = fits.getheader(path)["EXPTIME"]
    told = {f.key for _, f in ingest(sqlite, archive, path).findings}
    assert told == ({"exptime"} if alone else {"exptime", "EXPTIME"})
    with sqlite.read() as conn:
        assert conn.execute(select(image.c.exptime)).scalar_one() == theirs == (30.0 if alone else 90.0)


def test_sexagesimal_and_plain_pointings_are_sound(
    sqlite: Database, archive: Archive, tmp_path: Path
) -> None:
    for n, (ra, dec) in enumerate(
        [("02:00:00.5", "-05:00:00"), (30.0, -5.0), ("30.0", "-5.0"), ("02 00 00", "-05 00")]
    ):
        cards = {"RA": ra, "DEC": dec, "EXPNUM": n + 1, "DATE-OBS": f"2012-11-21T0{n}:00:00"}
        assert ingest(sqlite, archive, frame(tmp_path / f"{n}.fits", cards, seed=n)).findings == []


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_repeated_keywords_and_foreign_letters_are_told(
    database: Database, archive: Archive, tmp_path: Path
) -> None:
    path = frame(tmp_path / "DECam_00990101.fits", {"AGAIN": 4.0, "OBSERVER": "Munoz"})
    data = bytearray(path.read_bytes())
    data[data.index(b"Munoz") + 2] = 0xF1  # n with tilde in Latin-1
    data[data.index(b"AGAIN   ") : data.index(b"AGAIN   ") + 8] = b"EXPTIME "
    path.write_bytes(data)
    report = ingest(database, archive, path)
    told = {f.key: f for _, f in report.findings}
    assert set(told) == {"EXPTIME", "OBSERVER"}
    assert (told["EXPTIME"].severity, told["EXPTIME"].value) == (Severity.WARNING, "90.0, 4.0")
    assert told["OBSERVER"].severity is Severity.NOTE
    with database.read() as conn:
        assert conn.execute(select(image.c.exptime)).scalar_one() == 90.0


def test_gzip_of_several_members_is_registered(sqlite: Database, archive: Archive, tmp_path: Path) -> None:
    """RFC 1952, 2.2."""
    plain = frame(tmp_path / "plain" / "x.fits").read_bytes()
    path = tmp_path / "DECam_00990101.fits.gz"
    path.write_bytes(b"".join(gzip.compress(plain[i : i + 1500]) for i in range(0, len(plain), 1500)))
    assert ingest(sqlite, archive, path).findings == []


def test_an_fpacked_file_that_was_gzipped_is_registered_and_read(
    sqlite: Database, archive: Archive, tmp_path: Path
) -> None:
    """cfitsio reads NAME.fits.fz.gz by its content; so do the archive and the readers of raw frames."""
    plain = frame(tmp_path / "plain" / "x.fits")
    subprocess.run(["fpack", "-O", str(tmp_path / "x.fits.fz"), str(plain)], check=True)
    squeezed = gzip.compress((tmp_path / "x.fits.fz").read_bytes())
    whole, short = tmp_path / "DECam_00990101.fits.fz.gz", tmp_path / "again" / "DECam_00990101.fits.gz"
    short.parent.mkdir()
    for path in (whole, short):
        path.write_bytes(squeezed)
    assert ingest(sqlite, archive, whole).findings == []
    report = ingest(sqlite, archive, short)
    assert "the same bytes as DECam_00990101.fits.fz.gz" in str(report.findings[0][1])
    with sqlite.read() as conn:
        [row] = catalog.find(conn, {"filetype": "raw", "expnum": "990101"})
        assert catalog.by_name(conn, whole.name) is not None
    assert row.filename == whole.name
    stored = archive.root / row.fullname
    [ccd] = open_raw(stored).ccds
    assert np.array_equal(read_ccd(stored, ccd.ccdnum).data, fits.getdata(plain))


@pytest.mark.parametrize(
    ("name", "twice", "told"),
    [
        ("DECam_00990101.fits", False, "deliver it as DECam_00990101.fits.gz, or unpacked"),
        ("DECam_00990101.fits.fz", False, "deliver it as DECam_00990101.fits.fz.gz, or unpacked"),
        ("DECam_00990101.fits.gz", True, "gzipped twice; unpack it once"),
    ],
)
def test_gzip_where_the_name_does_not_say_so_is_refused_with_what_to_do(
    sqlite: Database, archive: Archive, tmp_path: Path, name: str, twice: bool, told: str
) -> None:
    data = gzip.compress(frame(tmp_path / "plain" / "x.fits").read_bytes())
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if twice else data)
    [refused] = deposit(sqlite, archive, [Deposit(path)], who="me").refused
    assert refused.reason.count(told) == 1


def test_the_same_bytes_under_another_name_are_told_and_processed_once(
    database: Database, archive: Archive, tmp_path: Path
) -> None:
    first = frame(tmp_path / "DECam_00990101.fits")
    copy = tmp_path / "again" / "DECam_00990101_copy.fits"
    packed = tmp_path / "again" / "DECam_00990101_late.fits.gz"
    copy.parent.mkdir()
    copy.write_bytes(first.read_bytes())
    packed.write_bytes(gzip.compress(first.read_bytes()))
    ingest(database, archive, first)
    report = ingest(database, archive, copy, packed)
    assert [(n, f.key, f.severity) for n, f in report.findings] == [
        (copy.name, "EXPNUM", Severity.WARNING), (packed.name, "EXPNUM", Severity.WARNING),
    ]  # fmt: skip
    assert "the same bytes as DECam_00990101.fits" in str(report.findings[0][1])
    assert "the same pixels as DECam_00990101.fits" in str(report.findings[1][1])
    with database.read() as conn:
        assert [(a.filename, a.refused) for a in arrivals(conn, "20121120")] == [(first.name, "")]
        assert [r.filename for r in catalog.find(conn, {"filetype": "raw", "expnum": "990101"})] == [
            first.name
        ]


def test_two_different_frames_of_one_number_are_still_refused(
    database: Database, archive: Archive, tmp_path: Path
) -> None:
    ingest(
        database,
        archive,
        frame(tmp_path / "DECam_00990101.fits"),
        frame(tmp_path / "DECam_00990101_b.fits", seed=2),
    )
    with database.read() as conn:
        found = arrivals(conn, "20121120")
    assert ["2 files have its number" in a.refused for a in found] == [True, True]


@pytest.mark.parametrize(
    ("cards", "seed", "why"),
    [
        ({}, 1, "the same pixels"),
        ({"DATE-OBS": "2012-11-25T03:00:00"}, 1, "the same pixels"),
        ({}, 2, "the same instrument and begin"),
    ],
)
def test_one_exposure_under_two_numbers_is_told_and_not_processed_until_somebody_says_so(
    database: Database, archive: Archive, tmp_path: Path, cards: dict[str, Any], seed: int, why: str
) -> None:
    other = frame(tmp_path / "DECam_00990102.fits", {"EXPNUM": 990102, **cards}, seed=seed)
    report = ingest(database, archive, frame(tmp_path / "DECam_00990101.fits"), other)
    assert [(n, f.severity) for n, f in report.findings] == [(other.name, Severity.ERROR)]
    assert why in str(report.findings[0][1])
    nights = {"20121120", "20121124" if "DATE-OBS" in cards else "20121120"}
    with database.read() as conn:
        found = {a.expnum: a.refused for n in nights for a in arrivals(conn, n)}
    assert found[990101] == ""
    assert f"not processed: it has {why}" in found[990102]
    with database.write() as conn:
        store.exclude(conn, 990101, 0, "the other one is right", "me")
    with database.read() as conn:
        found = {a.expnum: a.refused for n in nights for a in arrivals(conn, n)}
    assert found[990101].startswith("excluded")
    assert found[990102] == ""


def test_exposures_of_different_pixels_and_moments_are_no_twins(
    sqlite: Database, archive: Archive, tmp_path: Path
) -> None:
    paths = [
        frame(tmp_path / f"{n}.fits", {"EXPNUM": n + 1, "DATE-OBS": f"2012-11-21T03:0{n}:00"}, seed=n)
        for n in range(4)
    ]
    assert ingest(sqlite, archive, *paths).findings == []


def test_the_command_tells_findings_and_ends_with_status_1(tmp_path: Path) -> None:
    home = tmp_path / "home"
    run = CliRunner()
    assert run.invoke(desdm, ["init", str(home)]).exit_code == 0

    def call(*args: str) -> tuple[int, Any]:
        done = run.invoke(desdm, ["--home", str(home), *args, "--json"], standalone_mode=False)
        return done.return_value, json.loads(done.output)

    good, odd = (
        frame(tmp_path / "DECam_00990101.fits"),
        frame(
            tmp_path / "DECam_00990102.fits",
            {"EXPNUM": 990102, "NITE": "20121320", "DATE-OBS": "2012-11-21T04:00:00"},
            seed=2,
        ),
    )
    status, told = call("ingest", str(good))
    assert (status, told["findings"]) == (0, [])
    status, told = call("ingest", str(odd))
    assert status == 1
    (finding,) = told["findings"]
    assert finding == {
        "filename": odd.name, "severity": "warning", "keyword": "NITE", "value": "'20121320'",
        "text": "it is not a night of the calendar", "assumed": "the night is 20121120 by DATE-OBS",
    }  # fmt: skip
    _, files = call("files", "--findings")
    assert [(f["filename"], [x["keyword"] for x in f["findings"]]) for f in files] == [(odd.name, ["NITE"])]
    _, files = call("files")
    assert [len(f["findings"]) for f in files] == [0, 1]
    text = run.invoke(desdm, ["--home", str(home), "files", "--findings"]).output
    assert "DECam_00990102.fits: warning: NITE = '20121320': it is not a night of the calendar" in text


@pytest.mark.parametrize(
    ("cards", "number", "assumed"),
    [
        ({"CCDNUM": 0}, 1, "CCD 1 by its name S29 is taken"),
        ({"CCDNUM": "one"}, 1, "CCD 1 by its name S29 is taken"),
        ({"CCDNUM": 99}, 1, "CCD 1 by its name S29 is taken"),
        ({"CCDNUM": 99, "DETPOS": None}, None, "the archive's record has no CCD"),
        ({"CCDNUM": 5}, 5, "CCD 5 by CCDNUM is taken"),
    ],
)
def test_the_ccd_that_the_record_has_instead_is_told_and_read(
    sqlite: Database, archive: Archive, tmp_path: Path, cards: dict[str, Any], number: int | None, assumed: str
) -> None:  # fmt: skip
    """S29 is CCD 1 (DECam's focal plane, NOIRLab)."""
    path = frame(tmp_path / "DECam_00990101.fits", cards)
    [(_, found)] = ingest(sqlite, archive, path).findings
    assert found.assumed == assumed
    with sqlite.read() as conn:
        assert conn.execute(select(image.c.ccdnum)).scalar_one() == number
    assert [ccd.ccdnum for ccd in open_raw(path).ccds] == [number or 0]


@pytest.mark.parametrize(
    "cards",
    [
        {"DATASEC": "[1:500,1:400]"},
        {"DATASEC": "1:50,1:40"},
        {"DATASEC": "[1:50,1:40]", "BIASSEC": "[40:60,1:40]"},
        {"DATASECA": "[1:50,1:40]", "BIASSECA": "[50:60,1:40]"},
        HALVES | {"BIASSECB": "[51:55,1:40]"},
        HALVES | {"DATASECB": None},
    ],
)
def test_what_is_told_of_sections_the_reader_refuses(tmp_path: Path, cards: dict[str, Any]) -> None:
    with pytest.raises(FileTypeError, match=r"x\.fits CCD 1: (DATA|BIAS)SEC"):
        read_ccd(frame(tmp_path / "x.fits", cards), 1)


@pytest.mark.parametrize("value", ["90.0", True, -1.0, 1e6])
def test_an_exposure_time_that_is_told_to_be_unknown_is_not_used(tmp_path: Path, value: object) -> None:
    assert "EXPTIME" not in read_ccd(frame(tmp_path / "x.fits", {"EXPTIME": value}), 1).header


@pytest.mark.parametrize(
    "cards",
    [{"BUNIT": "electron"}, {"BUNIT": "electron/s"}, {"CCDSUM": "2 2"}, {"CCDSUM": "none"}, {"YBINNING": 2}],
)
def test_pixels_that_are_no_unbinned_counts_are_refused_by_name(
    tmp_path: Path, cards: dict[str, Any]
) -> None:
    """The steps of detrending take counts of single pixels; the reader says which keyword tells another thing."""
    [(key, value)] = cards.items()
    with pytest.raises(FileTypeError, match=rf"x\.fits CCD 1: {key} is {value!r}"):
        read_ccd(frame(tmp_path / "x.fits", cards), 1)


@pytest.mark.parametrize("key", ["GAIN", "RDNOISE", "SATURATE"])
@pytest.mark.parametrize("value", [-5.0, 0.0, 1e12, "6.0", True, None])
def test_a_number_of_an_amplifier_that_cannot_be_is_not_taken(
    tmp_path: Path, key: str, value: object
) -> None:
    """The message of the run tells what stands in the header, and not that nothing does."""
    raw = read_ccd(frame(tmp_path / "x.fits", {key: value}), 1)
    what = (
        rf"no {key} in the header" if value is None else rf"{key} is {value!r}: it is not (a number|possible)"
    )
    if (key, value) == ("SATURATE", None):
        # Cameras without that keyword are processed; the run says that saturated pixels are not marked.
        assert [(f.key, f.assumed) for f in raw.amps[0].findings] == [
            (key, "saturated pixels are not marked")
        ]
        return
    with pytest.raises(FileTypeError, match=rf"x\.fits CCD 1: {what}; .*need"):
        chain.detrend(raw, "x.fits", Calibrations(), Recipe(chosen("overscan,saturate,gain,weight")), map)


def test_faults_of_one_kind_are_one_finding_with_all_values(
    sqlite: Database, archive: Archive, tmp_path: Path
) -> None:
    """Each CCD of a camera has its own number: 62 findings of one cause would hide the others."""
    own = {"GAIN": 4.0, "BIASSEC": "[51:60,1:40]", "RDNOISE": 6.0}
    hdus: list[Any] = [
        fits.PrimaryHDU(header=fits.Header([(k, v) for k, v in CARDS.items() if k not in own]))
    ]
    del hdus[0].header["SATURATE"], hdus[0].header["CCDNUM"], hdus[0].header["DETPOS"]
    sky = {k: v for k, v in CARDS.items() if k.startswith("C") and k != "CCDNUM"}
    for number, detpos in enumerate(("S29", "S30", "S31", "S25", "S26", "S27"), 1):
        cards = own | sky | {"CCDNUM": number, "DETPOS": detpos, "SATURATE": f"{40000 + number}.0"}
        data = np.random.default_rng(number).integers(1900, 2100, (40, 60)).astype(np.int16)
        hdus.append(fits.ImageHDU(data, fits.Header(list(cards.items()))))
    fits.HDUList(hdus).writeto(tmp_path / "DECam_00990101.fits")
    [(_, found)] = ingest(sqlite, archive, tmp_path / "DECam_00990101.fits").findings
    assert found.key == "SATURATE"
    assert found.value == "'40001.0', '40002.0', '40003.0', '40004.0', …"
    assert found.text == "CCD 1 and 5 more: it is not a number"
    assert found.assumed == "saturated pixels cannot be marked and the CCD is not processed"


@pytest.mark.parametrize("gain", [-4.0, 0.0, None, "4.0e/ADU"])
def test_a_gain_that_is_none_is_not_read(tmp_path: Path, gain: object) -> None:
    [amp] = read_ccd(frame(tmp_path / "x.fits", {"GAIN": gain}), 1).amps
    assert amp.gain is None


@pytest.mark.parametrize(
    ("cards", "key", "column", "value"),
    [
        ({"MAGZERO": -99.0}, "MAGZERO", "mag_zero", None),
        ({"MAGZERO": 0.0}, "MAGZERO", "mag_zero", None),
        ({"MAGZERO": 99.0}, "MAGZERO", "mag_zero", None),
        ({"MAG_ZERO": -99.0, "MAGZERO": 30.5}, "MAG_ZERO", "mag_zero", 30.5),
        ({"GAIN": 0.0}, "GAIN", "gain", None),
        ({"FWHM": -1.0}, "FWHM", "fwhm", None),
        ({"MAGZERO": 30.5, "FWHM": 4.1}, None, "gain", 4.0),
    ],
)
def test_sentinels_of_a_delivered_image_are_told_and_not_recorded(
    sqlite: Database,
    archive: Archive,
    tmp_path: Path,
    cards: dict[str, Any],
    key: str | None,
    column: str,
    value: float | None,
) -> None:  # fmt: skip
    path = frame(
        tmp_path / "c4d_121121_030000_ooi_r_v1.S29.fits", {"PROCTYPE": "InstCal", "BIASSEC": None} | cards
    )
    report = ingest(sqlite, archive, path)
    assert report.registered[0].filetype == "cp_image"
    assert [f.key for _, f in report.findings] == ([key] if key else [])
    with sqlite.read() as conn:
        assert conn.execute(select(image.c[column])).scalar_one() == value


def test_a_text_without_its_closing_quote_is_told(sqlite: Database, archive: Archive, tmp_path: Path) -> None:
    """FITS 4.0, section 4.2.1: a string stands between quotes; a quote within is written twice."""
    path = frame(tmp_path / "DECam_00990101.fits", {"OBSERVER": "O'Neill"})
    data = bytearray(path.read_bytes())
    at = data.index(b"OBJECT  =")
    data[at : at + 80] = b"OBJECT  = 'DES survey".ljust(80)
    path.write_bytes(data)
    [(_, found)] = ingest(sqlite, archive, path).findings
    assert (found.key, found.value) == ("OBJECT", "'DES survey")
    with sqlite.read() as conn:
        assert conn.execute(select(image.c.object)).scalar_one() == "DES survey"


@pytest.mark.parametrize("name", ["DECam_00990101.fits.gz", "DECam_00990101.fits.fz.gz"])
def test_a_plain_file_that_is_called_gzip_is_refused_with_what_to_do(
    sqlite: Database, archive: Archive, tmp_path: Path, name: str
) -> None:
    path = frame(tmp_path / "plain" / "x.fits").rename(tmp_path / name)
    [refused] = deposit(sqlite, archive, [Deposit(path)], who="me").refused
    assert refused.reason.count(f"deliver it as {name[:-3]}, or gzip it") == 1


@pytest.mark.parametrize("name", ["nonsense", "", "<script>alert(1)</script>"])
def test_a_filter_that_cannot_be_read_is_told_beside_a_band(
    sqlite: Database, archive: Archive, tmp_path: Path, name: str
) -> None:
    report = ingest(sqlite, archive, frame(tmp_path / "DECam_00990101.fits", {"FILTER": name, "BAND": "r"}))
    ((_, finding),) = report.findings
    assert (finding.severity, finding.key, finding.value) == (Severity.WARNING, "FILTER", repr(name))
    assert finding.assumed == "the band is r"


@pytest.mark.parametrize("plain", [False, True])
def test_control_characters_of_a_card_are_told(
    sqlite: Database, archive: Archive, tmp_path: Path, plain: bool
) -> None:
    """FITS 4.0, section 3.2: header text is ASCII from 0x20 to 0x7E."""
    changes = {"PROCTYPE": None, "BIASSEC": None} if plain else {}
    path = frame(tmp_path / "DECam_00990101.fits", {"OBJECT": "aXred", **changes})
    path.write_bytes(path.read_bytes().replace(b"aXred", b"a\x1bred"))
    report = ingest(sqlite, archive, path)
    ((_, finding),) = report.findings
    assert finding.key == "OBJECT" and "control characters" in finding.text


def test_values_of_a_plain_image_that_cannot_be_are_told(
    sqlite: Database, archive: Archive, tmp_path: Path
) -> None:
    changes = {"PROCTYPE": None, "BIASSEC": None, "RA": 1.0, "FILTER": "nonsense"}
    path = frame(tmp_path / "plain.fits", changes)
    data = path.read_bytes()
    for key, value in ((b"EXPTIME", b"NaN"), (b"RA", b"Inf"), (b"EXPNUM", b"9" * 24)):
        at = data.index(key.ljust(8) + b"=")
        card = key.ljust(8) + b"= " + value.rjust(24)
        data = data[:at] + card.ljust(80) + data[at + 80 :]
    path.write_bytes(data)
    report = ingest(sqlite, archive, path)
    with sqlite.read() as conn:
        assert conn.execute(select(image.c.exptime, image.c.expnum)).one() == (None, None)
    assert {f.key for _, f in report.findings} == {"EXPTIME", "RA", "EXPNUM", "FILTER"}


def test_a_header_beyond_the_bound_tells_the_bound(tmp_path: Path) -> None:
    cards = [
        "SIMPLE  =                    T",
        "BITPIX  =                    8",
        "NAXIS   =                    0",
    ]
    text = "".join(c.ljust(80) for c in [*cards, *(f"K{n:07d}= 1" for n in range(100_000)), "END"])
    path = tmp_path / "long.fits"
    path.write_bytes(text.ljust(-(-len(text) // 2880) * 2880).encode())
    with pytest.raises(FileTypeError, match=r"no END within 52428 cards \(4 MiB\), the longest header"):
        read_hdus(path.read_bytes(), path.stat().st_size)


def test_a_scale_of_zero_is_told(sqlite: Database, archive: Archive, tmp_path: Path) -> None:
    path = frame(tmp_path / "DECam_00990101.fits", {"BSCALX": 0.0})
    # astropy writes no BSCALE of its own accord.
    path.write_bytes(path.read_bytes().replace(b"BSCALX  =", b"BSCALE  ="))
    told = [(f.key, f.text) for _, f in ingest(sqlite, archive, path).findings]
    assert ("BSCALE", "HDU 0: all pixels have one value by it") in told
