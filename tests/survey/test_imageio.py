"""Images survive the disk: exactly where they must, within the step where they may, and every other reader agrees."""

from __future__ import annotations

import subprocess
from pathlib import Path

import fitsio
import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from desdm.errors import FileTypeError
from desdm.pixels.blank import NULL
from desdm.pixels.quantize import ZERO, dequantize_rows, dither_table, quantize_rows
from desdm.pixels.rice import decode_rows, encode_rows, room
from desdm.survey.imageio import Planes, read_planes, write_planes


def image(ny: int = 150, nx: int = 130, seed: int = 1) -> Planes:
    """Sky of 1000 electrons with noise, a star, a bad column without weight."""
    rng = np.random.default_rng(seed)
    flat = 1.0 + 0.02 * rng.standard_normal((ny, nx))
    sci = rng.normal(1000.0, 32.0, (ny, nx)).astype(np.float32)
    sci[40:50, 60:70] += 30000.0
    wgt = (flat / 1024.0).astype(np.float32)
    msk = np.zeros((ny, nx), np.int32)
    msk[:, 17] = 1
    sci[:, 17], wgt[:, 17] = 0.0, 0.0
    head = fits.Header()
    head["EXPNUM"], head["CCDNUM"], head["BAND"], head["DETPOS"] = 229686, 5, "r", "S25"
    head["OBJECT"] = (
        "a title that is so long that it will not fit into one card of eighty characters: it's a test"
    )
    wcs = {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 30.0, "CRVAL2": -5.0, "CRPIX1": 65.0, "CRPIX2": 75.0,
        "CD1_1": -7.3e-5, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 7.3e-5,
    }  # fmt: skip
    for key, value in wcs.items():
        head[key] = value
    return Planes(sci, msk, wgt, head)


@pytest.mark.parametrize("name", ["x.fits", "x.fits.fz"])
def test_every_reader_sees_the_same_sound_file(tmp_path: Path, name: str) -> None:
    path, planes = tmp_path / name, image()
    write_planes(path, planes)
    verdict = subprocess.run(["fitsverify", "-q", str(path)], capture_output=True, text=True)
    assert "verification OK" in verdict.stdout
    back = read_planes(path)
    with fits.open(path, checksum=True) as hdus:  # a wrong checksum is a warning, and a warning an error
        for ext in ("SCI", "MSK", "WGT"):
            ours = getattr(back, ext.lower())
            assert np.array_equal(hdus[ext].data, ours)
            assert np.array_equal(fitsio.read(str(path), ext=ext), ours)
            assert hdus[ext].header["CRVAL1"] == 30.0
        assert hdus["SCI"].header["RA_CENT"] == pytest.approx(30.0, abs=1e-3)
        assert hdus["SCI"].header["OBJECT"] == planes.header["OBJECT"]
    assert back.header["EXPNUM"] == 229686
    assert "ZCMPTYPE" not in back.header


def test_a_plain_file_is_exact_and_the_programs_read_it(tmp_path: Path) -> None:
    path, planes = tmp_path / "x.fits", image()
    write_planes(path, planes)
    back = read_planes(path)
    for plane in ("sci", "msk", "wgt"):
        assert np.array_equal(getattr(planes, plane), getattr(back, plane))
    (tmp_path / "s.param").write_text("NUMBER\nX_IMAGE\nY_IMAGE\nFLUX_AUTO\n")
    ran = subprocess.run(
        ["source-extractor", "x.fits[0]", "-PARAMETERS_NAME", "s.param", "-FILTER", "N", "-CATALOG_NAME", "c.cat",
         "-WEIGHT_TYPE", "MAP_WEIGHT", "-WEIGHT_IMAGE", "x.fits[2]", "-FLAG_IMAGE", "x.fits[1]", "-c", "/dev/null",
         "-PIXEL_SCALE", "0.26", "-DETECT_THRESH", "20"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    rows = [r.split() for r in (tmp_path / "c.cat").read_text().splitlines() if not r.startswith("#")]
    (row,) = rows
    assert float(row[1]) == pytest.approx(65.5, abs=0.5)
    assert float(row[2]) == pytest.approx(45.5, abs=0.5)


def test_compression_keeps_what_it_promises(tmp_path: Path) -> None:
    path, planes = tmp_path / "x.fits.fz", image()
    write_planes(path, planes, step=8.0)
    back = read_planes(path)
    assert np.array_equal(back.msk, planes.msk)
    assert np.abs(back.sci - planes.sci).max() <= 4.001
    error = (back.sci - planes.sci)[planes.msk == 0]
    # a subtractive dither leaves even noise of step²/12, whatever the pixel
    assert error.std() == pytest.approx(8.0 / np.sqrt(12), rel=0.03)
    assert abs(error.mean()) < 4 * 8.0 / np.sqrt(12 * error.size)
    kept = planes.wgt > 0
    assert ((back.wgt > 0) == kept).all()
    assert (back.sci[planes.sci == 0] == 0).all()
    relative = back.wgt[kept] / planes.wgt[kept] - 1
    assert np.abs(relative).max() < 0.01
    assert abs(relative.mean()) < 1e-4


def test_the_step_follows_the_noise_and_costs_half_a_percent_of_variance(tmp_path: Path) -> None:
    path, planes = tmp_path / "x.fits.fz", image(300, 300)
    write_planes(path, planes)
    error = (read_planes(path).sci - planes.sci)[planes.msk == 0]
    assert error.var() / 1024.0 == pytest.approx(1 / 192, rel=0.05)


def test_it_is_as_small_as_fpack_makes_it(tmp_path: Path) -> None:
    planes = image(512, 512)
    plain, ours, theirs = tmp_path / "x.fits", tmp_path / "x.fits.fz", tmp_path / "y.fits.fz"
    write_planes(plain, planes)
    write_planes(ours, planes)
    subprocess.run(["fpack", "-q", "4", "-O", str(theirs), str(plain)], check=True, stdin=subprocess.DEVNULL)
    assert ours.stat().st_size < 1.02 * theirs.stat().st_size
    # and what fpack wrote is read, by our own decoder where it can, to the value that cfitsio gives
    back = read_planes(theirs)
    for ext in ("SCI", "MSK", "WGT"):
        assert np.array_equal(getattr(back, ext.lower()), fitsio.read(str(theirs), ext=ext))
    unpacked = tmp_path / "z.fits"
    subprocess.run(["funpack", "-O", str(unpacked), str(ours)], check=True, stdin=subprocess.DEVNULL)
    assert np.array_equal(fitsio.read(str(unpacked), ext="SCI"), read_planes(ours).sci)


@pytest.mark.parametrize("name", ["x.fits", "x.fits.fz"])
def test_threads_do_not_change_a_byte(tmp_path: Path, name: str) -> None:
    planes = image(700, 130)
    files = []
    for threads in (1, 2, 3, 7):
        path = tmp_path / f"{threads}{name}"
        write_planes(path, planes, threads=threads)
        files.append(path.read_bytes())
    assert len(set(files)) == 1
    one, seven = read_planes(path, threads=1), read_planes(path, threads=7)
    assert np.array_equal(one.sci, seven.sci)


def test_pixels_that_are_no_numbers_come_back_as_such(tmp_path: Path) -> None:
    path, planes = tmp_path / "x.fits.fz", image()
    planes.sci[3, 4] = np.nan
    planes.sci[9] = np.nan
    write_planes(path, planes)
    back = read_planes(path)
    assert np.array_equal(np.isnan(back.sci), np.isnan(planes.sci))
    assert np.array_equal(fitsio.read(str(path), ext="SCI"), back.sci, equal_nan=True)


def test_an_image_without_any_weight_is_written_and_read(tmp_path: Path) -> None:
    path, planes = tmp_path / "x.fits.fz", image()
    planes.wgt[:] = 0.0
    write_planes(path, planes)
    back = read_planes(path)
    assert (back.wgt == 0).all()
    # the step then follows the scatter between neighbours: 32 electrons
    assert (back.sci - planes.sci)[:, 20:40].std() == pytest.approx(8.0 / np.sqrt(12), rel=0.1)


def test_other_compressions_are_left_to_cfitsio(tmp_path: Path) -> None:
    path, planes = tmp_path / "x.fits.fz", image()
    with fitsio.FITS(str(path), "rw") as file:
        file.write(planes.sci, extname="SCI", compress="GZIP", qlevel=0)
        file.write(planes.msk, extname="MSK", compress="PLIO")
        file.write(planes.wgt, extname="WGT", compress="RICE", tile_dims=(50, 130), qlevel=16, qmethod=1)
    back = read_planes(path)
    assert np.array_equal(back.sci, planes.sci)
    assert np.array_equal(back.msk, planes.msk)
    assert np.array_equal(back.wgt, fitsio.read(str(path), ext="WGT"))


def test_missing_and_unlike_planes_and_damage_are_named(tmp_path: Path) -> None:
    path, planes = tmp_path / "x.fits", image()
    write_planes(path, planes)
    data = path.read_bytes()
    path.write_bytes(data[:-5000])
    with pytest.raises(FileTypeError, match=r"x\.fits: data of HDU 2 should end"):
        read_planes(path)
    fits.PrimaryHDU(planes.sci).writeto(path, overwrite=True)
    with pytest.raises(FileTypeError, match=r"x\.fits: no two-dimensional image HDU SCI"):
        read_planes(path)
    write_planes(path, Planes(planes.sci, planes.msk[:9], planes.wgt, planes.header))
    with pytest.raises(FileTypeError, match=r"x\.fits: planes SCI, MSK, WGT differ in shape"):
        read_planes(path)


@given(
    hnp.arrays(
        np.int32, st.tuples(st.integers(1, 3), st.integers(1, 100)), elements=st.integers(-(2**31), 2**31 - 1)
    )
)
def test_rice_gives_back_any_integers(rows: np.ndarray) -> None:
    heap, lengths = np.empty(rows.shape[0] * room(rows.shape[1]), np.uint8), np.empty(rows.shape[0], np.int64)
    used = encode_rows(rows, heap, lengths)
    assert used == lengths.sum() <= heap.size
    back = np.empty_like(rows)
    assert decode_rows(heap[:used], np.cumsum(lengths) - lengths, lengths, back) == -1
    assert np.array_equal(back, rows)


@given(st.integers(0, 60), st.integers(0, 2**32))
def test_rice_code_that_is_cut_off_never_reads_beyond_its_end(cut: int, seed: int) -> None:
    rows = np.random.default_rng(seed).integers(-5, 5, (1, 200), np.int32)
    heap, lengths = np.empty(room(200), np.uint8), np.empty(1, np.int64)
    encode_rows(rows, heap, lengths)
    short = np.array([max(int(lengths[0]) - 1 - cut, 0)])
    assert decode_rows(heap[: short[0]], np.zeros(1, np.int64), short, np.empty_like(rows)) == 0


@given(
    hnp.arrays(
        np.float32, (2, 40), elements=st.floats(-1e6, 1e6, width=32) | st.just(0.0) | st.just(float("nan"))
    ),
    st.floats(0.01, 100.0),
    st.integers(0, 20000),
)
def test_quantising_errs_by_half_a_step_at_most(values: np.ndarray, step: float, first: int) -> None:
    levels, scales, zeros = np.empty(values.shape, np.int32), np.empty(2), np.empty(2)
    missing = quantize_rows(values, first, step, 0.0, dither_table(), levels, scales, zeros)
    assert missing == np.isnan(values).sum()
    assert ((levels == NULL) == np.isnan(values)).all()
    assert ((levels == ZERO) == (values == 0)).all()
    back = np.empty_like(values)
    dequantize_rows(
        levels, first, scales, zeros, np.full(levels.shape[0], NULL, np.int64), 2, dither_table(), back
    )
    known = ~np.isnan(values)
    # single precision itself errs by 2^-24 of the value
    assert (np.abs(back - values)[known] <= 0.5 * scales.max() * 1.001 + 1.2e-7 * np.abs(values[known])).all()
