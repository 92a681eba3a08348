"""Raw exposures are read by their own sections: the simulator's, a real frame's, and damaged ones as far as they go."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import fitsio
import numpy as np
import pytest
from astropy.io import fits

from desdm.errors import FileTypeError
from desdm.simulate.cameras import camera_of
from desdm.simulate.night import make_night
from desdm.simulate.plan import plan_night
from desdm.survey.raw import open_raw, read_ccd
from desdm.survey.sections import Section


@pytest.fixture(scope="module")
def exposure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One bias frame of the simulated test camera."""
    plan = plan_night(5, bands=("g",), exposures=0, biases=1, flats=0)
    return make_night(tmp_path_factory.mktemp("night"), plan, camera_of("mini")).raw[0]


def test_a_simulated_frame_has_two_amplifiers_a_ccd(exposure: Path) -> None:
    raw = open_raw(exposure)
    assert [(c.ccdnum, c.detpos) for c in raw.ccds] == [(1, "S1"), (2, "S2"), (3, "N1"), (4, "N2")]
    assert raw.findings == ()
    ccd = read_ccd(exposure, 3)
    assert ccd.shape == (1024, 512)
    assert ccd.data.shape == (1074, 624)
    assert ccd.data.dtype == np.int32
    assert [a.name for a in ccd.amps] == ["A", "B"]
    assert ccd.amps[1].trimmed == Section(257, 512, 1, 1024)
    assert ccd.amps[0].gain is not None
    assert 3.0 < ccd.amps[0].gain < 5.0
    assert (ccd.header["CCDNUM"], ccd.header["DETPOS"], ccd.header["OBSTYPE"]) == (3, "N1", "zero")
    # cfitsio, by another way, sees the same pixels
    assert np.array_equal(fitsio.read(str(exposure), ext="N1"), ccd.data)


def test_the_real_saao_frame_is_read_with_its_own_sections(real: Path) -> None:
    path = real / "raw-overscan" / "a8280271.fits"
    raw = open_raw(path)
    assert len(raw.ccds) == 1
    ccd = read_ccd(path, raw.ccds[0].ccdnum)
    (amp,) = ccd.amps
    assert ccd.shape == (520, 512)
    assert (amp.gain, amp.rdnoise) == (1.9, 5.0)
    # unsigned 16-bit pixels: BZERO is applied; the overscan lies below the sky
    assert np.array_equal(ccd.data, fits.getdata(path).astype(np.int32))
    assert amp.bias is not None
    overscan, sky = np.median(ccd.data[amp.bias.slices]), np.median(ccd.data[amp.data.slices])
    assert 100 < overscan < sky


def test_the_frame_whose_sections_do_not_fit_is_refused_by_name(real: Path) -> None:
    path = real / "raw-overscan" / "raw_v1_fg.fits.gz"
    raw = open_raw(path)
    with pytest.raises(
        FileTypeError, match=r"raw_v1_fg\.fits\.gz CCD 0: DATASEC \[1:513,1:2001\] does not fit"
    ):
        read_ccd(path, raw.ccds[0].ccdnum)


def test_a_missing_ccd_is_named(exposure: Path) -> None:
    with pytest.raises(
        FileTypeError, match=rf"{exposure.name}: CCD 62 is not in the file; it has 1, 2, 3, 4"
    ):
        read_ccd(exposure, 62)


def test_a_cut_off_file_still_gives_the_ccds_before_the_cut(exposure: Path, tmp_path: Path) -> None:
    data = exposure.read_bytes()
    short = tmp_path / "short.fits.fz"
    short.write_bytes(data[: int(len(data) * 0.6)])
    raw = open_raw(short)
    assert [c.ccdnum for c in raw.ccds] == [1, 2]
    assert any("cut off" in text for text in raw.findings)
    assert any("NEXTEND says 4 CCDs, the file has 2" in text for text in raw.findings)
    assert np.array_equal(read_ccd(short, 2).data, read_ccd(exposure, 2).data)
    with pytest.raises(FileTypeError, match=r"short\.fits\.fz: CCD 4 is not in the file .*cut off"):
        read_ccd(short, 4)


def test_no_fits_file_or_nothing_whole_is_an_error(tmp_path: Path) -> None:
    for name, data in (
        ("empty.fits", b""),
        ("junk.fits", b"junk" * 4000),
        ("half.fits", b"SIMPLE  =" + b" " * 500),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(FileTypeError, match=name):
            open_raw(path)
    path = tmp_path / "cut.fits.gz"
    path.write_bytes(gzip.compress(b"SIMPLE  =" * 1000)[:50])
    with pytest.raises(FileTypeError, match=r"cut\.fits\.gz: its gzip stream"):
        open_raw(path)


def test_a_damaged_tile_is_named(exposure: Path, tmp_path: Path) -> None:
    """Bytes of the middle of a CCD's heap are lost: the row is named, and no wrong pixels come out."""
    bad = tmp_path / "bad.fits.fz"
    data = bytearray(exposure.read_bytes())
    with fitsio.FITS(str(exposure)) as file:
        info = file[2].get_info()
    # the first row's code is said to be of three bytes
    at = info["data_start"]
    data[at : at + 4] = (3).to_bytes(4, "big")
    bad.write_bytes(data)
    with pytest.raises(
        FileTypeError, match=r"bad\.fits\.fz HDU 2 .*row 1 of the compressed image is damaged"
    ):
        read_ccd(bad, 2)
    assert read_ccd(bad, 1).data.shape == (1074, 624)


def _plain(path: Path, data: Any, **keywords: object) -> Path:
    head = fits.Header()
    for key, value in keywords.items():
        head[key] = value
    fits.PrimaryHDU(data, head).writeto(path)
    return path


def test_pixels_without_a_value_are_readable_and_told(tmp_path: Path) -> None:
    data = np.full((40, 60), 500.0, np.float32)
    data[3, 20] = np.nan
    data[7, 30] = np.inf
    ccd = read_ccd(_plain(tmp_path / "nan.fits", data, BIASSEC="[1:10,1:40]", TRIMSEC="[11:60,1:40]"), 0)
    assert ccd.missing is not None
    assert np.argwhere(ccd.missing).tolist() == [[3, 20], [7, 30]]
    assert np.isfinite(ccd.data).all()
    blank = np.full((40, 60), 500, np.int32)
    blank[5, 5] = -99
    ccd = read_ccd(_plain(tmp_path / "blank.fits", blank, BLANK=-99), 0)
    assert ccd.missing is not None
    assert np.argwhere(ccd.missing).tolist() == [[5, 5]]


def test_amplifiers_that_overlap_or_leave_a_gap_are_refused(tmp_path: Path) -> None:
    data = np.zeros((40, 60), np.int32)
    for b in ("[29:60,1:40]", "[33:60,1:40]"):
        path = _plain(tmp_path / "amps.fits", data, CCDNUM=9, DATASECA="[1:30,1:40]", DATASECB=b)
        with pytest.raises(FileTypeError, match=r"amps\.fits CCD 9: the sections of its amplifiers"):
            read_ccd(path, 9)
        path.unlink()
    path = _plain(tmp_path / "rows.fits", data, CCDNUM=9, TRIMSEC="[11:60,5:40]", BIASSEC="[1:10,1:20]")
    with pytest.raises(FileTypeError, match=r"rows\.fits CCD 9: BIASSEC \[1:10,1:20\] has other rows"):
        read_ccd(path, 9)
