"""Masked pixels lose their weight and their danger; zero points come from where they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from desdm.codes.nullweight.rowinterp import interpolate_rows
from desdm.codes.nullweight.standard import bits_of
from desdm.codes.nullweight.zeropoint import find_zeropoint
from desdm.errors import FileTypeError
from desdm.pixels.maskbits import MaskBit
from desdm.survey.images import read_planes
from tests.support.tasks import run


def test_a_column_is_filled_from_its_sides() -> None:
    image = np.tile(np.arange(10, dtype=np.float32), (4, 1))
    truth = image.copy()
    bad = np.zeros(image.shape, bool)
    bad[:, 4:6] = True
    image[bad] = 1e6
    done = interpolate_rows(image, bad, 5)
    assert np.allclose(image, truth)
    assert np.array_equal(done, bad)


def test_a_long_run_and_an_edge_get_the_sky() -> None:
    image = np.full((1, 50), 7.0, np.float32)
    bad = np.zeros(image.shape, bool)
    bad[0, :3] = True
    bad[0, 10:40] = True
    image[bad] = -1e9
    done = interpolate_rows(image, bad, 20)
    assert (image == 7.0).all()
    assert not done.any()


def test_a_wholly_masked_row_does_no_harm() -> None:
    image = np.ones((3, 5), np.float32)
    bad = np.zeros(image.shape, bool)
    bad[1] = True
    image[1] = np.nan
    interpolate_rows(image, bad, 9)
    assert (image == 1).all()


def test_the_delivered_table_agrees_with_the_header(real: Path) -> None:
    """Exposure 630780 has both: the Legacy Surveys' and the Community Pipeline's zero points differ by 0.05 mag."""
    table = real / "decam-cp-stack" / "survey-ccds-1.fits.gz"
    who = {"EXPNUM": 630780, "CCDNAME": "N2", "BAND": "z", "EXPTIME": 107.0, "AIRMASS": 1.8}
    found = find_zeropoint({}, who, [table])
    assert found is not None
    assert found.source == "table"
    assert found.value == pytest.approx(29.915, abs=0.08)
    header = find_zeropoint({"MAGZERO": 29.915}, who, [table])
    assert header is not None
    assert (header.value, header.source) == (29.915, "header")
    assert find_zeropoint({}, {**who, "EXPNUM": 1, "BAND": "N964"}, [table]) is None


def test_names_of_bits() -> None:
    assert bits_of("BPM, CRAY") == 17
    with pytest.raises(FileTypeError, match="'COSMIC' is not a mask bit"):
        bits_of("COSMIC")


def test_an_image_without_companions_is_taken_with_findings(real: Path, tmp_path: Path) -> None:
    image = real / "decam-cp-stack" / "c4d_170316_062107_ooi_z_ls9.N2.fits"
    out = tmp_path / "n.fits"
    task = run("desdm.codes.nullweight.wrapper.nwgint", tmp_path, {"image": [image]}, {"nwgint": out})
    said = " ".join(f.text for f in task.log.findings)
    assert "no mask image was found" in said
    assert "no weight image was found" in said
    planes = read_planes(out)
    # Counts are ADU of about 3.9 electrons: CP images carry GAINA and GAINB, and no GAIN.
    assert planes.header["GAIN"] == pytest.approx(3.877, abs=0.01)
    assert planes.header["FLXSCALE"] == pytest.approx(10 ** (0.4 * (30 - 29.915)))


def test_masked_pixels_have_no_weight_and_no_spikes(real: Path, tmp_path: Path) -> None:
    folder = real / "decam-cp-stack"
    name = "c4d_170316_062107_{}_z_ls9.N2.fits"
    inputs = {k: [folder / name.format(v)] for k, v in (("image", "ooi"), ("mask", "ood"), ("weight", "oow"))}
    out = tmp_path / "n.fits"
    run("desdm.codes.nullweight.wrapper.nwgint", tmp_path, inputs, {"nwgint": out})
    planes = read_planes(out)
    rays = (planes.msk & int(MaskBit.CRAY)) != 0
    assert rays.sum() == 177
    assert (planes.wgt[rays] == 0).all()
    assert (planes.msk[rays] & int(MaskBit.INTERP)).all()
    sky, sigma = np.median(planes.sci), 1 / np.sqrt(np.median(planes.wgt))
    assert (np.abs(planes.sci[rays] - sky) < 12 * sigma).mean() > 0.9


def test_the_bad_half_of_a_delivered_ccd_gets_no_weight(tmp_path: Path) -> None:
    """CCD 31 as the Community Pipeline delivers it, 2046 columns, with a mask that knows nothing of its bad half."""
    head = fits.Header(
        {
            "INSTRUME": "DECam",
            "CCDNUM": 31,
            "BAND": "r",
            "NITE": "20150410",
            "MAGZERO": 30.0,
            "GAIN": 4.0,
            "SATURATE": 4e4,
        }
    )
    image = tmp_path / "c4d_150411_035242_ooi_r_ls9.S7.fits"
    values = np.random.default_rng(1).normal(100, 5, (32, 2046)).astype(np.float32)
    fits.HDUList([fits.PrimaryHDU(header=head), fits.ImageHDU(values, head)]).writeto(image)
    out = tmp_path / "n.fits"
    task = run("desdm.codes.nullweight.wrapper.nwgint", tmp_path, {"image": [image]}, {"nwgint": out})
    planes = read_planes(out)
    both = int(MaskBit.BPM | MaskBit.BADAMP)
    assert (planes.wgt[:, 1023:] == 0).all() and (planes.msk[:, 1023:] & both == both).all()
    assert (planes.wgt[:, :1023] > 0).all() and not planes.msk[:, :1023].any()
    assert any("CCD 31 (S7): amplifier A is bad" in f.text for f in task.log.findings)
