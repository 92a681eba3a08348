"""Boxes of pixels equal, bit for bit, what astropy and cfitsio read, whoever wrote the file."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import fitsio
import numpy as np
import pytest
from astropy.io import fits

from desdm.errors import CorruptFile
from desdm.pixels.boxes import Blocks, Box, OtherPlane, PlainPlane, Plane, RicePlane, open_plane
from desdm.pixels.cards import read_hdus

NY, NX = 700, 611


def planes(path: Path) -> list[tuple[int, Plane]]:
    """Every two-dimensional image of a file, with its HDU's number."""
    data = path.read_bytes()
    fd = os.open(path, os.O_RDONLY)
    return [
        (i, open_plane(path, fd, i, hdu))
        for i, hdu in enumerate(read_hdus(data, len(data)))
        if hdu.kind == "image" and len(hdu.shape) == 2
    ]


def boxes(shape: tuple[int, int], count: int = 10) -> Iterator[Box]:
    rng = np.random.default_rng(11)
    ny, nx = shape
    yield Box(0, nx, 0, ny)
    yield Box(nx - 1, nx, ny - 1, ny)
    yield Box(250, min(262, nx), 250, min(262, ny)).within(shape)
    for _ in range(count):
        x, y = np.sort(rng.integers(0, nx + 1, 2)), np.sort(rng.integers(0, ny + 1, 2))
        yield Box(int(x[0]), int(x[1]), int(y[0]), int(y[1]))


def same(a: np.ndarray, b: np.ndarray) -> bool:
    b = np.ascontiguousarray(b).astype(a.dtype)
    return a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def check(path: Path) -> dict[str, int]:
    """Hold each image of a file against both readers; how many of each kind of plane there were."""
    kinds: dict[str, int] = {}
    with fits.open(path) as astropy, fitsio.FITS(str(path)) as cfitsio:
        for number, plane in planes(path):
            kinds[type(plane).__name__] = kinds.get(type(plane).__name__, 0) + 1
            one, two = astropy[number].data, cfitsio[number].read()
            for box in boxes(plane.shape):
                if not box.pixels:
                    continue
                got = plane.read(box)
                assert got.dtype.isnative and got.flags["C_CONTIGUOUS"]
                where = f"{path.name} HDU {number} {box}"
                assert same(got, one[box.y0 : box.y1, box.x0 : box.x1]), (
                    f"{where}: astropy reads other pixels"
                )
                assert same(got, two[box.y0 : box.y1, box.x0 : box.x1]), (
                    f"{where}: cfitsio reads other pixels"
                )
    return kinds


@pytest.fixture(scope="module")
def skies() -> dict[str, np.ndarray]:
    """Planes that a coder finds hard: exact zeros, no values, no noise, all bits."""
    rng = np.random.default_rng(2)
    sky = rng.normal(100, 10, (NY, NX)).astype(np.float32)
    sky[100:140, 50:300] = 0
    blank = sky.copy()
    blank[300:420, 200:500] = np.nan
    blank[0] = np.nan
    flat = sky.copy()
    flat[:256, :256] = 5.0
    flat[256:512, :256] = rng.integers(0, 2, (256, 256))
    return {
        "sky": sky, "blank": blank, "flat": flat,
        "i4": rng.integers(-(2**31), 2**31 - 1, (NY, NX)).astype(np.int32),
        "i2": rng.integers(-(2**15), 2**15 - 1, (NY, NX)).astype(np.int16),
        "u1": rng.integers(0, 256, (NY, NX)).astype(np.uint8),
        "few": (rng.uniform(size=(NY, NX)) < 0.01).astype(np.int32) * 16,
    }  # fmt: skip


@pytest.mark.parametrize("options", ["-t 256,256", "-t 256,256 -q0 4", "-t 256,256 -qz 4", "-t 100,37", ""])
def test_what_fpack_packs_is_read_bit_for_bit(
    tmp_path: Path, skies: dict[str, np.ndarray], options: str
) -> None:
    plain, packed = tmp_path / "plain.fits", tmp_path / "packed.fits.fz"
    fits.HDUList([fits.PrimaryHDU(), *(fits.ImageHDU(data) for data in skies.values())]).writeto(plain)
    subprocess.run(["fpack", "-r", *options.split(), "-O", str(packed), str(plain)], check=True)
    assert check(packed) == {"RicePlane": len(skies)}


@pytest.mark.parametrize("method", [-1, 1, 2])
def test_what_astropy_packs_is_read_bit_for_bit(
    tmp_path: Path, skies: dict[str, np.ndarray], method: int
) -> None:
    path = tmp_path / "astropy.fits"
    hdus = [
        fits.CompImageHDU(
            data, compression_type="RICE_1", tile_shape=(256, 256), quantize_method=method, dither_seed=4711
        )
        for data in skies.values()
    ]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    assert check(path) == {"RicePlane": len(skies)}


def test_what_fitsio_packs_is_read_bit_for_bit(tmp_path: Path, skies: dict[str, np.ndarray]) -> None:
    path = tmp_path / "fitsio.fits"
    with fitsio.FITS(str(path), "rw") as file:
        for data in skies.values():
            for method in ("SUBTRACTIVE_DITHER_1", "SUBTRACTIVE_DITHER_2"):
                how = {"qlevel": 4.0, "qmethod": method} if data.dtype.kind == "f" else {}
                file.write(data, compress="RICE", tile_dims=[256, 256], **how)
    assert check(path) == {"RicePlane": 2 * len(skies)}


def test_other_forms_are_left_to_cfitsio_and_plain_ones_are_read_in_place(
    tmp_path: Path, skies: dict[str, np.ndarray]
) -> None:
    path, sky = tmp_path / "others.fits", skies["sky"]
    hdus = [fits.PrimaryHDU(sky), fits.ImageHDU(sky.astype(np.float64)), fits.ImageHDU(skies["i2"])]
    hdus += [fits.CompImageHDU(sky, compression_type=t) for t in ("GZIP_2", "HCOMPRESS_1")]
    hdus += [
        fits.CompImageHDU(np.abs(skies["i2"]).astype(np.uint16)),
        fits.ImageHDU(skies["few"].astype(np.uint16)),
    ]
    fits.HDUList(hdus).writeto(path)
    assert check(path) == {"PlainPlane": 4, "OtherPlane": 3}


def test_real_images_are_read_bit_for_bit(tmp_path: Path, real: Path) -> None:
    """Files that NOIRLab packed, and DECam images with their gaps packed here in squares, image, mask and weight."""
    for name in sorted((real / "decam-cp-cutouts" / "mzlsbass2").glob("k*oo[idw]_*.CCD?.fits")):
        assert check(name).get("RicePlane", 0) >= 1, name.name
    names = sorted((real / "decam-cp-stack").glob("c4d_170522*_oo?_*.fits"))
    difference = tmp_path / "difference.fits"
    data = fits.getdata(real / "decam-diffim-n6" / "FinalDifference.fits").astype(np.float32)
    fits.PrimaryHDU(data).writeto(difference)
    for name in [*names, difference]:
        packed = tmp_path / f"{name.name}.fz"
        subprocess.run(["fpack", "-r", "-t", "256,256", "-O", str(packed), str(name)], check=True)
        assert check(packed) == {"RicePlane": 1}, name.name
    assert len(names) == 3


def test_blocks_that_boxes_share_are_decoded_once(tmp_path: Path, skies: dict[str, np.ndarray]) -> None:
    plain, packed = tmp_path / "plain.fits", tmp_path / "packed.fits.fz"
    fits.PrimaryHDU(skies["sky"]).writeto(plain)
    subprocess.run(["fpack", "-r", "-t", "256,256", "-O", str(packed), str(plain)], check=True)
    ((_, plane),) = planes(packed)
    assert isinstance(plane, RicePlane)
    wanted = [Box(200, 300, 10 * i, 10 * i + 60) for i in range(8)]
    blocks, read = Blocks(), []
    for box in wanted:
        blocks.expect(plane, box)
    decode = plane.decode
    plane.decode = lambda part, rows: (read.append(part.number), decode(part, rows))[1]  # type: ignore[method-assign]
    for box in wanted:
        assert same(plane.read(box, blocks), plane.read(box)), box
    alone = sum(1 for box in wanted for _ in plane.parts(box))
    assert len(read) - alone == len({part.number for box in wanted for part in plane.parts(box)}) == 2


def test_damage_is_an_error_and_no_other_picture(tmp_path: Path, skies: dict[str, np.ndarray]) -> None:
    path = tmp_path / "astropy.fits"
    fits.CompImageHDU(skies["sky"], compression_type="RICE_1", tile_shape=(256, 256)).writeto(path)
    ((number, plane),) = planes(path)
    assert plane.read(Box(0, 10, 0, 10)).shape == (10, 10)
    os.truncate(path, plane.hdu.data_start + plane.hdu.data_bytes // 2)
    with pytest.raises(CorruptFile, match=f"HDU {number}.*cut off"):
        plane.read(Box(0, NX, NY - 5, NY))
    plain = tmp_path / "plain.fits"
    fits.PrimaryHDU(skies["sky"]).writeto(plain)
    ((_, whole),) = planes(plain)
    assert isinstance(whole, PlainPlane) and not isinstance(whole, OtherPlane)
    os.truncate(plain, 2880 * 100)
    with pytest.raises(CorruptFile, match="cut off"):
        whole.read(Box(0, NX, 0, NY))
