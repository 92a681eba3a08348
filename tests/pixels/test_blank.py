"""Missing pixels are the same for every reader: BLANK, ZBLANK and NaN as FITS 4.0, astropy and cfitsio have them."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import fitsio
import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits
from astropy.table import Table

from desdm.errors import FileTypeError
from desdm.pixels.boxes import Box, open_plane
from desdm.pixels.cards import read_hdus
from desdm.pixels.gunzip import gunzip
from desdm.pixels.maskbits import MaskBit
from desdm.quality.qa.frame import open_image
from desdm.survey.imageio import read_image, read_planes
from desdm.survey.images import read_community
from desdm.survey.raw import open_raw, read_ccd
from desdm.survey.refstars.read import read_stars

SHAPE = (24, 64)
LOST = np.zeros(SHAPE, bool)
LOST[5, 10:14] = LOST[12, :] = LOST[20, 63] = True
WHOLE = Box(0, SHAPE[1], 0, SHAPE[0])
#: (BITPIX, BSCALE, BZERO, BLANK): unsigned and signed bytes, scaled ones, least and other integers.
FORMS = [
    (8, 1, 0, 255), (8, 1, -128, 0), (8, 0.5, 3, 0), (16, 1, 0, -32768), (16, 1, 32768, -32768), (16, 2, 100, -999),
    (16, 0.1, -7.3, 32767), (32, 1, 0, -2147483648), (32, 1, 2147483648, -2147483648), (32, 1, 0, 7),
    (32, 0.25, 12.5, -2147483648), (64, 1, 0, -(2**63)), (64, 1, 0, 2**40),
    (64, 0.1, 7.5, -999), (64, -1, 5, -(2**63)), (64, 2, 0, 7), (64, 1, 2**63, -(2**63)),
    # 121 becomes the same float as integers that have a value: steps below the float's, or none at all
    (16, 0.001, 1e6, 121), (16, 0.001, 20000, 121), (32, 1e-7, 1e9, 121), (16, 0, 5, 121),
]  # fmt: skip


def _stored(bitpix: int, blank: int) -> npt.NDArray[Any]:
    """Integers as they are stored, the missing ones ``blank`` and no other."""
    rng = np.random.default_rng(bitpix)
    data = rng.integers(20, 120, SHAPE).astype({8: "u1", 16: "i2", 32: "i4", 64: "i8"}[bitpix])
    data[LOST] = blank
    return data


def _write(
    path: Path, form: tuple[int, float, float, int], compression: str = ""
) -> tuple[Path, npt.NDArray[Any]]:
    """A file with that form, no number of it touched by astropy's scaling; and the true values, NaN where missing."""
    bitpix, scale, zero, blank = form
    data = _stored(bitpix, blank)
    hdu: Any = fits.CompImageHDU(data, compression_type=compression) if compression else fits.ImageHDU(data)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    with fits.open(path, mode="update", do_not_scale_image_data=True, disable_image_compression=True) as file:
        for key, value in (
            ("BSCALE", scale),
            ("BZERO", zero),
            ("BLANK", blank),
            ("EXTNAME", "SCI"),
            ("CCDNUM", 7),
        ):
            file[1].header[key] = value
    true = data.astype(np.float64) * scale + zero
    true[LOST] = np.nan
    return path, true


def _plane(path: Path, number: int) -> npt.NDArray[Any]:
    fd = os.open(path, os.O_RDONLY)
    try:
        data = path.read_bytes()
        return open_plane(path, fd, number, read_hdus(data, len(data))[number]).read(WHOLE)
    finally:
        os.close(fd)


@pytest.mark.parametrize("compression", ["", "RICE_1", "GZIP_1", "HCOMPRESS_1"])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_blank_is_the_stored_integer_for_every_reader(
    tmp_path: Path, form: tuple[int, float, float, int], compression: str
) -> None:
    """FITS 4.0, 4.4.2.5: BLANK is the value of the stored array, before BSCALE and BZERO; 10.1: so it is if compressed."""
    if compression and form[0] == 64:
        pytest.skip("no compression knows 64 bits")
    if compression == "HCOMPRESS_1" and abs(form[3]) > 2**20:
        pytest.skip("the transform of HCOMPRESS has no room for such a number")
    path, true = _write(tmp_path / "blank.fits", form, compression)
    ccd = read_ccd(path, 7)
    assert ccd.missing is not None
    assert np.array_equal(ccd.missing, LOST)
    assert (ccd.data[LOST] == 0).all()
    assert np.allclose(ccd.data[~LOST], true[~LOST], rtol=1e-6)
    with_frame = open_image(path).read(1, slice(0, SHAPE[0]), slice(0, SHAPE[1]))
    for values in (read_image(path, "SCI")[0], _plane(path, 1), with_frame):
        assert np.array_equal(np.isnan(values), LOST)
        # cfitsio gives whole numbers for a whole BSCALE and BZERO of short integers
        assert np.allclose(values[~LOST], true[~LOST], rtol=1e-6)


@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
def test_a_blank_that_is_no_integer_or_stands_in_a_float_image_marks_nothing(tmp_path: Path) -> None:
    """FITS 4.0, 4.4.2.5: BLANK shall be an integer, and shall not be used with floats."""
    floats = np.full(SHAPE, 5.0, np.float32)
    for number, (data, blank) in enumerate(
        [(floats, 5), (floats.astype(np.int16), "none"), (floats.astype(np.int16), 70000)]
    ):
        path = tmp_path / f"{number}.fits"
        fits.PrimaryHDU(data).writeto(path)
        with fits.open(path, mode="update", do_not_scale_image_data=True) as file:
            file[0].header["BLANK"] = blank
        assert read_ccd(path, open_raw(path).ccds[0].ccdnum).missing is None
        assert (read_image(path)[0] == 5).all()


def _quantised(path: Path, sentinel: int, *, column: str, dither: str = "NO_DITHER") -> Path:
    """Three planes whose SCI is Rice code of steps; ZBLANK is a keyword, or a column of a type."""
    rng = np.random.default_rng(3)
    levels = (np.arange(SHAPE[1])[None, :] * 4 + rng.integers(-40, 40, SHAPE) + 2000).astype(np.int32)
    levels[LOST] = sentinel
    scratch = path.with_suffix(".rice")
    fits.HDUList(
        [fits.PrimaryHDU(), fits.CompImageHDU(levels, compression_type="RICE_1", tile_shape=(1, SHAPE[1]))]
    ).writeto(scratch)
    with fits.open(scratch, disable_image_compression=True) as file:
        codes = [np.array(r) for r in file[1].data["COMPRESSED_DATA"]]
    code = np.empty(SHAPE[0], object)
    code[:] = codes
    columns = [
        fits.Column("COMPRESSED_DATA", f"1PB({max(map(len, codes))})", array=code),
        fits.Column("ZSCALE", "1D", array=np.full(SHAPE[0], 0.25)),
        fits.Column("ZZERO", "1D", array=np.full(SHAPE[0], 10.0)),
    ]
    if column:
        columns.append(fits.Column("ZBLANK", f"1{column}", array=np.full(SHAPE[0], sentinel)))
    table = fits.BinTableHDU.from_columns(columns)
    cards: list[tuple[str, object]] = [
        ("ZIMAGE", True), ("ZTENSION", "IMAGE"), ("ZBITPIX", -32), ("ZNAXIS", 2), ("ZNAXIS1", SHAPE[1]),
        ("ZNAXIS2", SHAPE[0]), ("ZPCOUNT", 0), ("ZGCOUNT", 1), ("ZTILE1", SHAPE[1]), ("ZTILE2", 1),
        ("ZCMPTYPE", "RICE_1"), ("ZNAME1", "BLOCKSIZE"), ("ZVAL1", 32), ("ZNAME2", "BYTEPIX"), ("ZVAL2", 4),
        ("ZQUANTIZ", dither), ("ZDITHER0", 1), ("EXTNAME", "SCI"),
    ]  # fmt: skip
    for key, value in cards:
        table.header[key] = value
    if not column:
        table.header["ZBLANK"] = sentinel
    msk = fits.ImageHDU(np.zeros(SHAPE, np.int32), name="MSK")
    wgt = fits.ImageHDU(np.full(SHAPE, 0.04, np.float32), name="WGT")
    wgt.data[3, 3] = np.nan
    fits.HDUList([fits.PrimaryHDU(), table, msk, wgt]).writeto(path)
    return path


@pytest.mark.parametrize("sentinel", [-2147483648, -2147483647, -1, 32767])
@pytest.mark.parametrize("column", ["", "J", "K"])
@pytest.mark.parametrize("dither", ["NO_DITHER", "SUBTRACTIVE_DITHER_1", "SUBTRACTIVE_DITHER_2"])
def test_zblank_may_be_any_integer_as_keyword_or_column(
    tmp_path: Path, sentinel: int, column: str, dither: str
) -> None:
    """FITS 4.0, 10.2.2: ZBLANK names the integer of a pixel without a value; astropy reads the same."""
    path = _quantised(tmp_path / "z.fits.fz", sentinel, column=column, dither=dither)
    true = fits.getdata(path, "SCI")
    assert np.array_equal(np.isnan(true), LOST)
    planes = read_planes(path)
    for values in (planes.sci, _plane(path, 1), read_image(path, "SCI")[0]):
        assert np.array_equal(np.isnan(values), LOST)
        assert np.allclose(values[~LOST], true[~LOST], rtol=1e-6)
    assert planes.wgt[3, 3] == 0, "no weight is no information"


def test_mask_pixels_without_a_value_are_bad(tmp_path: Path) -> None:
    path = tmp_path / "planes.fits"
    msk = fits.ImageHDU(_stored(32, -2147483648), name="MSK")
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(_stored(16, -9), name="SCI"), msk]
    fits.HDUList([*hdus, fits.ImageHDU(np.ones(SHAPE, np.float32), name="WGT")]).writeto(path)
    with fits.open(path, mode="update", do_not_scale_image_data=True) as file:
        file["MSK"].header["BLANK"] = -2147483648
        file["SCI"].header["BLANK"] = -9
    planes = read_planes(path)
    assert (planes.msk[LOST] == MaskBit.BPM).all()
    assert np.array_equal(planes.msk[~LOST], msk.data[~LOST])
    assert np.array_equal(np.isnan(planes.sci), LOST)
    assert np.array_equal(_plane(path, 2), planes.msk)
    assert _plane(path, 2).dtype == np.int32


def test_missing_pixels_of_community_images_are_bad_and_have_no_weight(tmp_path: Path) -> None:
    image, codes, weight = (tmp_path / f"{n}.fits" for n in ("ooi", "ood", "oow"))
    fits.PrimaryHDU(np.where(LOST, np.nan, 100.0).astype(np.float32)).writeto(image)
    data = np.zeros(SHAPE, np.int16)
    data[0, 0] = -32768
    fits.PrimaryHDU(data).writeto(codes)
    with fits.open(codes, mode="update", do_not_scale_image_data=True) as file:
        file[0].header["BLANK"] = -32768
    fits.PrimaryHDU(np.ones(SHAPE, np.float32)).writeto(weight)
    planes = read_community(image, codes, weight)
    bad = LOST.copy()
    bad[0, 0] = True
    assert np.array_equal(planes.msk != 0, bad)
    assert np.array_equal(planes.wgt == 0, LOST)


@pytest.mark.parametrize("size", [100, 1500, 70_000])
@pytest.mark.parametrize("behind", [b"", bytes(512)])
def test_gzip_of_several_members_is_read_wherever_gzip_is(tmp_path: Path, size: int, behind: bytes) -> None:
    """RFC 1952, 2.2: a gzip file is a series of members; the standard library's reader gives the same bytes."""
    plain = tmp_path / "plain.fits"
    data = _stored(16, -32768)
    head = fits.Header([("CCDNUM", 7), ("BLANK", -32768)])
    fits.HDUList(
        [
            fits.PrimaryHDU(),
            fits.ImageHDU(data, head),
            fits.CompImageHDU(data, compression_type="GZIP_1", name="SCI"),
        ]
    ).writeto(plain)
    whole = plain.read_bytes()
    packed = b"".join(gzip.compress(whole[i : i + size]) for i in range(0, len(whole), size)) + behind
    assert gunzip(packed) == gzip.decompress(packed) == whole
    path = tmp_path / "members.fits.gz"
    path.write_bytes(packed)
    assert len(open_raw(path).ccds) == 2
    assert np.array_equal(read_ccd(path, 7).data, fitsio.read(str(plain), 1) * ~LOST)
    assert np.array_equal(read_image(path, "SCI")[0], fitsio.read(str(plain), "SCI"))
    frame = open_image(path).read(1, slice(0, SHAPE[0]), slice(0, SHAPE[1]))
    assert np.array_equal(frame, read_image(plain)[0], equal_nan=True)


def test_a_reference_catalogue_of_several_gzip_members_is_whole(tmp_path: Path) -> None:
    plain, packed = tmp_path / "stars.fits", tmp_path / "stars.fits.gz"
    ra = np.linspace(10.0, 11.0, 500)
    fits.BinTableHDU(Table({"ra": ra, "dec": ra - 40.0, "mag_r": ra + 5.0})).writeto(plain)
    whole = plain.read_bytes()
    packed.write_bytes(
        b"".join(gzip.compress(part) for part in (whole[:3000], whole[3000:9001], whole[9001:]))
    )
    assert np.array_equal(read_stars(packed).ra, ra)
    assert np.array_equal(read_stars(plain).ra, ra)
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(FileTypeError, match=r"stars\.fits\.gz: its gzip stream is cut off"):
        read_stars(packed)


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda b: b[:-30], "cut off"),
        (lambda b: b + b"junk", "bytes after its gzip stream"),
        (lambda b: b[:200] + b"\0\0\0\0" + b[204:], "damaged"),
        (lambda b: b + b[:15], "cut off"),
    ],
)
def test_a_damaged_member_is_told(damage: Any, text: str) -> None:
    rng = np.random.default_rng(1)
    two = b"".join(gzip.compress(rng.bytes(500)) for _ in range(2))
    with pytest.raises(FileTypeError, match=text):
        gunzip(damage(two))
    with pytest.raises(FileTypeError, match="more than 0 MB"):
        gunzip(two, 999)
    assert len(gunzip(two, 1000)) == 1000
