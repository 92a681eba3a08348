"""Quicklooks of real and made-up images: what is drawn where, in which colour, and what cannot be drawn."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.visualization import ZScaleInterval
from PIL import Image

from desdm.errors import FileTypeError, NotFoundError, UsageError
from desdm.pixels.maskbits import MaskBit
from desdm.quality.qa.draw import compass
from desdm.quality.qa.masks import COLOURS
from desdm.quality.qa.quicklook import quicklook
from desdm.survey.images import Planes, write_planes

REAL = Path(__file__).parents[3] / ".." / "shared" / "data" / "real"
STACK = REAL / "decam-cp-stack"
N3 = STACK / "c4d_150411_035242_ooi_z_ls9.N3.fits"


def pixels(path: Path) -> np.ndarray:
    """The PNG as rows from the bottom, as FITS counts them."""
    return np.asarray(Image.open(path).convert("RGB")).astype(int)[::-1]


@pytest.mark.real_data
@pytest.mark.parametrize(
    "name",
    [
        "decam-cp-stack/c4d_150411_035242_ooi_z_ls9.N3.fits",
        "decam-cp-stack/c4d_150411_035242_ood_z_ls9.N3.fits",
        "decam-cp-stack/c4d_150411_035242_oow_z_ls9.N3.fits",
        "decam-cp-cutouts/mzlsbass2/k4m_160319_075112_ooi_zd_ls9.CCD3.fits",
        "decam-cp-cutouts/mzlsbass2/ksb_170430_055945_ooi_r_ls9.CCD4.fits",
        "decam-diffim-n6/FinalDifference.fits",
        "decam-diffim-n6/FinalMatchKernel.fits",
        "decam-instrument/DECam_pupil_128.fits",
        "ntt-galaxies/galaxies.fits",
        "ntt-galaxies/galaxies.weight.fits",
        "raw-overscan/a8280271.fits",
        "raw-overscan/raw_v1_fg.fits.gz",
    ],
)
def test_every_kind_of_real_image_is_drawn(name: str, tmp_path: Path) -> None:
    picture = quicklook(REAL / name, tmp_path / "q.png", size=400)
    with Image.open(tmp_path / "q.png") as made:
        assert made.size == (picture.width, picture.height)
    assert max(picture.shape) / picture.block <= 440
    if "weight" not in name:  # a weight map that is one everywhere is rightly one grey
        assert len(np.unique(pixels(tmp_path / "q.png"))) > 8


@pytest.mark.real_data
def test_the_grey_scale_is_zscale_and_the_title_says_which_exposure(tmp_path: Path) -> None:
    picture = quicklook(N3, tmp_path / "q.png", mask=False)
    low, high = ZScaleInterval(n_samples=4000).get_limits(fits.getdata(N3, 1))
    assert (picture.low, picture.high) == pytest.approx((low, high))
    assert picture.title == "exposure 431608  |  CCD 34 (N3)  |  band z"
    assert picture.bits == {} and picture.mask is None


@pytest.mark.real_data
def test_the_community_mask_beside_an_image_is_read_as_codes(tmp_path: Path) -> None:
    for source in sorted((REAL / "decam-cp-cutouts").glob("*/*_ooi_*.N*.fits")):
        picture = quicklook(source, tmp_path / "q.png")
        assert picture.mask is not None and "_ood_" in picture.mask.name
        codes = fits.getdata(picture.mask, 1)
        share = {
            "BPM": np.mean((codes == 1) | (codes == 2)), "SATURATE": np.mean(codes == 3), "TRAIL": np.mean(codes == 4),
            "CRAY": np.mean(codes == 5), "SUSPECT": np.mean(codes == 6), "STREAK": np.mean(codes > 6),
        }  # fmt: skip
        assert picture.bits == pytest.approx({k: v for k, v in share.items() if v})


def test_masked_pixels_get_the_colour_of_their_gravest_bit(tmp_path: Path) -> None:
    sci = np.random.default_rng(1).normal(100, 5, (64, 80)).astype(np.float32)
    msk = np.zeros(sci.shape, np.int32)
    msk[10, 20] = MaskBit.CRAY
    msk[40:44, 50:60] = MaskBit.TRAIL | MaskBit.INTERP
    write_planes(tmp_path / "i.fits", Planes(sci, msk, np.ones_like(sci)))
    picture = quicklook(tmp_path / "i.fits", tmp_path / "q.png", size=80, captions=False)
    rgb = pixels(tmp_path / "q.png")
    assert rgb.shape == (64, 80, 3)
    red, green, blue = rgb[10, 20]
    assert red > 1.3 * blue and green > 1.2 * blue  # yellow: a cosmic ray
    trail = rgb[41, 55]
    assert trail[0] > trail[1] > trail[2]  # orange, though INTERP (green) is set as well
    assert np.ptp(rgb[0, 0]) == 0  # grey elsewhere
    assert picture.bits == pytest.approx({"CRAY": 1 / 5120, "TRAIL": 40 / 5120, "INTERP": 40 / 5120})
    plain = quicklook(tmp_path / "i.fits", tmp_path / "p.png", size=80, captions=False, mask=False)
    assert plain.bits == {} and np.ptp(pixels(tmp_path / "p.png"), axis=2).max() == 0


def test_a_mask_itself_is_drawn_in_its_colours(tmp_path: Path) -> None:
    msk = np.zeros((32, 32), np.int32)
    msk[:, 5] = MaskBit.BPM
    write_planes(
        tmp_path / "i.fits", Planes(np.zeros((32, 32), np.float32), msk, np.ones((32, 32), np.float32))
    )
    picture = quicklook(tmp_path / "i.fits", tmp_path / "q.png", hdu="MSK", size=32, captions=False)
    assert tuple(pixels(tmp_path / "q.png")[16, 5]) == COLOURS[MaskBit.BPM]
    assert picture.bits == {"BPM": 1 / 32}


def test_packed_planes_look_as_the_plain_ones(tmp_path: Path) -> None:
    sci = np.random.default_rng(2).normal(0, 1, (300, 200)).astype(np.float32)
    msk = (np.arange(60_000).reshape(300, 200) % 97 == 0).astype(np.int32) * int(MaskBit.STAR)
    write_planes(tmp_path / "i.fits", Planes(sci, msk, np.ones_like(sci)))
    subprocess.run(["fpack", "-q", "16", tmp_path / "i.fits"], check=True, capture_output=True)
    plain = quicklook(tmp_path / "i.fits", tmp_path / "a.png", size=300, captions=False)
    packed = quicklook(tmp_path / "i.fits.fz", tmp_path / "b.png", size=300, captions=False)
    assert packed.bits == plain.bits
    assert np.abs(pixels(tmp_path / "a.png") - pixels(tmp_path / "b.png")).mean() < 6


def mosaic(path: Path, *, compressed: bool = False) -> None:
    """Two raw CCDs of two amplifiers; the eastern one holds 100 counts more; bias levels differ wildly."""
    hdus: list[fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU] = [fits.PrimaryHDU()]
    hdus[0].header["PROCTYPE"] = "RAW"
    for number, (x0, counts) in enumerate(((41, 200), (1, 100)), 1):
        data = np.zeros((30, 60), np.int32)
        data[:, :30], data[:, 30:] = 1000 * number, 2500 * number
        data[:, 10:50] += counts
        head = fits.Header()
        for key, value in {
            "DATASECA": "[11:30,1:30]", "BIASSECA": "[1:10,1:30]", "DATASECB": "[31:50,1:30]",
            "BIASSECB": "[51:60,1:30]", "DETSEC": f"[{x0}:{x0 + 39},1:30]",
        }.items():  # fmt: skip
            head[key] = value
        kind = fits.CompImageHDU if compressed else fits.ImageHDU
        hdus.append(kind(data, head, name=f"CCD{number}"))
    fits.HDUList(hdus).writeto(path)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_raw_mosaic_lies_as_its_detectors_do_without_overscan(compressed: bool, tmp_path: Path) -> None:
    mosaic(tmp_path / "raw.fits", compressed=compressed)
    picture = quicklook(tmp_path / "raw.fits", tmp_path / "q.png", size=80, captions=False)
    assert picture.shape == (30, 80)
    rgb = pixels(tmp_path / "q.png")[:, :, 0]
    # DETSEC puts the second HDU (100 counts) left of the first (200); within each no amplifier shows.
    assert np.ptp(rgb[:, :40]) == 0 and np.ptp(rgb[:, 40:]) == 0
    assert rgb[0, 0] < rgb[0, 79]
    one = quicklook(tmp_path / "raw.fits", tmp_path / "one.png", hdu="CCD2", size=80, captions=False)
    assert one.shape == (30, 60)


def test_detectors_without_places_stand_in_a_grid(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    images = [fits.ImageHDU(rng.normal(0, 1, (20, 40)).astype(np.float32)) for _ in range(4)]
    fits.HDUList([fits.PrimaryHDU(), *images]).writeto(tmp_path / "m.fits")
    picture = quicklook(tmp_path / "m.fits", tmp_path / "q.png", size=200)
    assert picture.shape[0] > 20 and picture.shape[1] >= 40
    assert picture.shape[0] * picture.shape[1] < 4 * 20 * 40 * 1.5


def test_blocks_are_averages_and_holes_stay_holes(tmp_path: Path) -> None:
    data = np.add.outer(np.zeros(160), np.linspace(0, 1, 160)).astype(np.float32)
    data[:40] = np.nan
    fits.PrimaryHDU(data).writeto(tmp_path / "i.fits")
    picture = quicklook(tmp_path / "i.fits", tmp_path / "q.png", size=40, captions=False)
    rgb = pixels(tmp_path / "q.png")
    assert rgb.shape == (40, 40, 3) and picture.block == 4
    assert (rgb[:10] == (38, 44, 66)).all()  # the lowest rows hold no data
    assert (np.diff(rgb[20, :, 0]) >= 0).all()


@pytest.mark.parametrize(
    "data",
    [
        np.full((50, 50), np.nan, np.float32),
        np.full((50, 50), 7.0, np.float32),
        np.zeros((1, 1), np.float32),
        np.full((40, 50), np.inf, np.float32),
        np.random.default_rng(4).normal(0, 1, (3, 30, 40)).astype(np.float64),
        np.random.default_rng(5).integers(0, 65535, (2000, 3)).astype(np.uint16),
        np.array([[-32768, 32767]], np.int16),
    ],
    ids=["nan", "constant", "one pixel", "inf", "cube", "thin", "two pixels"],
)
def test_odd_images_are_drawn_all_the_same(data: np.ndarray, tmp_path: Path) -> None:
    fits.PrimaryHDU(data).writeto(tmp_path / "i.fits")
    assert quicklook(tmp_path / "i.fits", tmp_path / "q.png", size=100).shape == data.shape[-2:]


def test_a_large_image_is_drawn_in_little_memory(tmp_path: Path) -> None:
    # 12000 × 12000 float32 are 576 MB; the process that draws it may take 500 MB, itself and libraries included.
    head = fits.Header({"SIMPLE": True, "BITPIX": -32, "NAXIS": 2, "NAXIS1": 12000, "NAXIS2": 12000})
    with (tmp_path / "big.fits").open("wb") as file:
        file.write(head.tostring().encode())
        file.truncate(file.tell() + -(-4 * 12000**2 // 2880) * 2880)
    code = (
        "from pathlib import Path; from desdm.quality.qa.quicklook import quicklook\n"
        f"quicklook(Path({str(tmp_path / 'big.fits')!r}), Path({str(tmp_path / 'q.png')!r}))\n"
        # Not getrusage: its maximum begins with what the parent held when it forked.
        "print(*(n.split()[1] for n in open('/proc/self/status') if n.startswith('VmHWM')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 500_000


@pytest.mark.real_data
def test_north_and_east_are_where_the_header_says() -> None:
    head = fits.Header()
    for key, value in {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 0.01, "CRVAL2": -50.0, "CRPIX1": 50.0, "CRPIX2": 50.0,
        "CD1_1": -7e-5, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 7e-5,
    }.items():  # fmt: skip
        head[key] = value
    found = compass(head, (100, 100))
    assert found is not None
    assert found.north == pytest.approx((0, 1), abs=1e-4) and found.east == pytest.approx((-1, 0), abs=1e-4)
    assert found.scale == pytest.approx(0.252, rel=1e-4)
    # DECam's columns run south to north from right to left, its rows west to east.
    decam = compass(fits.getheader(N3, 1), (250, 250))
    assert decam is not None
    assert decam.north == pytest.approx((-1, 0), abs=0.02) and decam.east == pytest.approx((0, 1), abs=0.02)
    assert decam.scale == pytest.approx(0.2626, rel=0.01)
    assert compass(fits.Header(), (10, 10)) is None


@pytest.mark.real_data
def test_what_cannot_be_drawn_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"nix\.fits"):
        quicklook(tmp_path / "nix.fits", tmp_path / "q.png")
    (tmp_path / "text.fits").write_text("no FITS at all")
    with pytest.raises(FileTypeError, match=r"text\.fits"):
        quicklook(tmp_path / "text.fits", tmp_path / "q.png")
    with pytest.raises(FileTypeError, match=r"defects\.fits: there is no image"):
        quicklook(REAL / "raw-overscan" / "defects.fits", tmp_path / "q.png")
    with pytest.raises(UsageError, match="no image HDU XYZ; it has: 1 N3"):
        quicklook(N3, tmp_path / "q.png", hdu="XYZ")
    with pytest.raises(FileTypeError, match="not a mask of"):
        quicklook(N3, tmp_path / "q.png", mask=REAL / "ntt-galaxies" / "galaxies.weight.fits")
    whole = (REAL / "ntt-galaxies" / "galaxies.fits").read_bytes()
    (tmp_path / "cut.fits").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileTypeError, match=r"cut\.fits"):
        quicklook(tmp_path / "cut.fits", tmp_path / "q.png")
    packed = gzip.compress(whole)
    (tmp_path / "cut.fits.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(FileTypeError, match=r"cut\.fits\.gz"):
        quicklook(tmp_path / "cut.fits.gz", tmp_path / "q.png")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    with pytest.raises(FileTypeError, match=r"bad\.png"):
        quicklook(tmp_path / "bad.png", tmp_path / "q.png")
    assert not (tmp_path / "q.png").exists()


@pytest.mark.real_data
def test_the_command_draws_a_path_and_says_where(tmp_path: Path) -> None:
    shutil.copy(N3, tmp_path / N3.name)
    desdm = Path(sys.executable).with_name("desdm")
    done = subprocess.run(
        [desdm, "quicklook", N3.name, "--json", "--size", "300"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    assert (tmp_path / told["picture"]).is_file() and told["shape"] == [250, 250] and told["mask"] is None
    missing = subprocess.run([desdm, "quicklook", "nix.fits"], cwd=tmp_path, capture_output=True, text=True)
    assert missing.returncode == 2 and "nix.fits" in missing.stderr
