"""An exposure is one whether it is packed without loss or not; other pixels are told apart wherever they differ."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits
from sqlalchemy import select, update

from desdm.archive import catalog
from desdm.archive.archive import Archive
from desdm.archive.content import Content
from desdm.archive.deposit import deposit
from desdm.archive.model import Deposit, DepositReport
from desdm.archive.pixeldigest import pixel_digest, sample_digest
from desdm.operations.arrival import arrivals
from desdm.schema import desfile, image
from desdm.schema.database import Database
from tests.archive.test_findings import CARDS

FPACK = pytest.mark.skipif(shutil.which("fpack") is None, reason="fpack (libcfitsio-bin) is not installed")


def digests(path: Path) -> tuple[str, str]:
    data = path.read_bytes()
    content = Content(path.name, data, len(data))
    return sample_digest(content), pixel_digest(content)


def noise(kind: str = "u2", seed: int = 1, shape: tuple[int, int] = (500, 300)) -> npt.NDArray[Any]:
    values = np.random.default_rng(seed).normal(120.0, 20.0, shape)
    return values.clip(1, 254).astype(kind)


def mosaic(path: Path, images: list[npt.NDArray[Any]], code: str = "", **cards: Any) -> Path:
    """An exposure of several CCDs, each image in an extension, packed by astropy with a code or plain."""
    hdus = fits.HDUList([fits.PrimaryHDU(header=fits.Header({**CARDS, **cards}.items()))])
    for number, data in enumerate(images, 1):
        header = fits.Header({**CARDS, **cards, "CCDNUM": number}.items())
        if code:
            hdus.append(fits.CompImageHDU(data, header, compression_type=code))
        else:
            hdus.append(fits.ImageHDU(data, header))
    path.parent.mkdir(parents=True, exist_ok=True)
    hdus.writeto(path)
    return path


def ingest(database: Database, archive: Archive, *paths: Path) -> DepositReport:
    report = deposit(database, archive, [Deposit(p) for p in paths], who="me")
    assert not report.refused
    return report


@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "i4", "u4"])
@pytest.mark.parametrize("code", ["RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1"])
def test_whole_numbers_have_one_digest_packed_or_not(code: str, kind: str, tmp_path: Path) -> None:
    images = [noise(kind, seed) for seed in (1, 2)]
    plain = mosaic(tmp_path / "plain.fits", images)
    packed = mosaic(tmp_path / "packed.fits", images, code)
    zipped = tmp_path / "plain.fits.gz"
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    assert digests(packed) == digests(plain) == digests(zipped)
    images[1][250, 20] += 1
    assert digests(mosaic(tmp_path / "other.fits", images, code))[1] != digests(plain)[1]


@FPACK
@pytest.mark.parametrize("kind", ["u2", "i4", "f4", "f8"])
@pytest.mark.parametrize(
    "options", [("-r",), ("-g2",), ("-g1", "-w"), ("-r", "-w"), ("-r", "-t", "100,100"), ("-g2", "-q", "0")]
)
def test_what_fpack_packs_has_the_digest_of_what_funpack_unpacks(
    options: tuple[str, ...], kind: str, tmp_path: Path
) -> None:
    plain = mosaic(tmp_path / "plain.fits", [noise(kind, seed) for seed in (1, 2)])
    subprocess.run(["fpack", *options, str(plain)], check=True)
    packed, again = tmp_path / "plain.fits.fz", tmp_path / "again.fits"
    subprocess.run(["funpack", "-O", str(again), str(packed)], check=True)
    assert digests(packed) == digests(again)
    # fpack quantises floats unless it is told -q 0; those are other pixels.
    lossless = kind[0] != "f" or "0" in options
    assert (digests(packed) == digests(plain)) == lossless


def test_the_digest_of_an_unpacked_file_is_of_its_bytes(tmp_path: Path) -> None:
    """Records of unpacked frames stay as they are: begin, middle and end of the data unit, 64 KB each."""
    path = mosaic(tmp_path / "plain.fits", [noise("i2", shape=(500, 300))])
    with fits.open(path) as hdus:
        begin = hdus[1].fileinfo()["datLoc"]
    unit = path.read_bytes()[begin : begin + 500 * 300 * 2]
    middle = len(unit) // 2 - 32768
    samples = unit[:65536] + unit[middle : middle + 65536] + unit[-65536:]
    expected = hashlib.sha256(f"16 (500, 300) {len(unit)};".encode() + samples).hexdigest()
    assert digests(path)[0] == expected


@pytest.mark.parametrize("packed_first", [True, False])
@pytest.mark.parametrize("code", ["RICE_1", "GZIP_2"])
def test_an_exposure_that_is_packed_and_unpacked_is_processed_once(
    database: Database, archive: Archive, tmp_path: Path, code: str, packed_first: bool
) -> None:
    images = [noise(seed=seed) for seed in (1, 2)]
    paths = [
        mosaic(tmp_path / "DECam_00990101.fits.fz", images, code),
        mosaic(tmp_path / "DECam_00990101.fits", images),
    ]
    first, second = paths if packed_first else paths[::-1]
    assert not [f for _, f in ingest(database, archive, first).findings if f.key == "EXPNUM"]
    [finding] = [f for _, f in ingest(database, archive, second).findings if f.key == "EXPNUM"]
    assert f"the same pixels as {first.name}, which is registered" in str(finding)
    with database.read() as conn:
        assert [(a.filename, a.refused) for a in arrivals(conn, "20121120")] == [(first.name, "")]
        assert [r.filename for r in catalog.find(conn, {"filetype": "raw", "expnum": "990101"})] == [
            first.name
        ]


def test_the_same_pixels_packed_under_another_number_are_told(
    sqlite: Database, archive: Archive, tmp_path: Path
) -> None:
    images = [noise()]
    ingest(sqlite, archive, mosaic(tmp_path / "DECam_00990101.fits.fz", images, "RICE_1"))
    other = {"EXPNUM": 990102, "DATE-OBS": "2012-11-21T05:00:00"}
    report = ingest(sqlite, archive, mosaic(tmp_path / "DECam_00990102.fits", images, **other))
    [finding] = [f for _, f in report.findings if f.key == "EXPNUM"]
    assert "the same pixels as DECam_00990101.fits.fz of exposure 990101" in str(finding)


def test_one_pixel_between_the_samples_makes_other_pixels(
    sqlite: Database, archive: Archive, tmp_path: Path
) -> None:
    first, changed = noise(), noise()
    changed[150, 10] += 1  # byte 90020: after the first sample (65536), before the middle one (117232)
    plain = mosaic(tmp_path / "DECam_00990101.fits", [first])
    other = mosaic(tmp_path / "DECam_00990101_b.fits.fz", [changed], "RICE_1")
    third = mosaic(tmp_path / "DECam_00990101_c.fits", [changed])
    assert digests(plain)[0] == digests(other)[0]
    ingest(sqlite, archive, plain)
    [finding] = [f for _, f in ingest(sqlite, archive, other).findings if f.key == "EXPNUM"]
    assert f"the same observation as {plain.name}, which is registered, with other pixels" in str(finding)
    with sqlite.read() as conn:
        assert ["2 files have its number" in a.refused for a in arrivals(conn, "20121120")] == [True, True]
    [finding] = [f for _, f in ingest(sqlite, archive, third).findings if f.key == "EXPNUM"]
    assert f"the same pixels as {other.name}, which is registered" in str(finding)


def test_a_record_of_a_packed_file_by_its_stored_bytes_is_made_anew(
    sqlite: Database, archive: Archive, tmp_path: Path
) -> None:
    packed = mosaic(tmp_path / "DECam_00990101.fits.fz", [noise()], "RICE_1")
    plain = mosaic(tmp_path / "DECam_00990101.fits", [noise()])
    ingest(sqlite, archive, packed)
    with sqlite.write() as conn:
        conn.execute(update(image).values(data_digest="0" * 64))
    [finding] = [f for _, f in ingest(sqlite, archive, plain).findings if f.key == "EXPNUM"]
    assert f"the same pixels as {packed.name}" in str(finding)
    with sqlite.read() as conn:
        rows = conn.execute(select(desfile.c.compression, image.c.data_digest).join_from(desfile, image))
        assert {d for _, d in rows} == {digests(plain)[0]}


def test_a_packed_frame_with_a_damaged_tile_is_still_registered(
    sqlite: Database, archive: Archive, tmp_path: Path
) -> None:
    path = mosaic(tmp_path / "DECam_00990101.fits.fz", [noise()], "GZIP_1")
    with fits.open(path, disable_image_compression=True) as hdus:
        begin, size = hdus[1].fileinfo()["datLoc"], hdus[1].header["NAXIS1"] * hdus[1].header["NAXIS2"]
    data = bytearray(path.read_bytes())
    data[begin + size : begin + size + 40] = b"\xff" * 40
    path.write_bytes(data)
    assert len(ingest(sqlite, archive, path).registered) == 1
