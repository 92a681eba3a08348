"""Either kind of image becomes the same three planes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from desdm.errors import FileTypeError
from desdm.pixels.maskbits import MaskBit
from desdm.survey.images import Planes, has_planes, read_community, read_planes, write_planes
from desdm.survey.tiles import Tile
from tests.support.fits import unclean


def _stack(real: Path, kind: str) -> Path:
    return real / "decam-cp-stack" / f"c4d_170419_042827_{kind}_z_ls9.S1.fits"


def test_codes_become_bits(real: Path) -> None:
    """Code 5 is a cosmic ray; read as bits it would be bad pixel plus interpolated (1 + 4)."""
    planes = read_community(_stack(real, "ooi"), _stack(real, "ood"), _stack(real, "oow"))
    codes = fits.getdata(_stack(real, "ood"))
    assert set(np.unique(planes.msk[codes == 5])) == {int(MaskBit.CRAY)}
    assert set(np.unique(planes.msk[codes == 1])) == {int(MaskBit.BPM)}
    assert (planes.msk[codes == 0] == 0).all()
    assert planes.header["SATURATE"] == pytest.approx(43557.0568930003)  # from HDU 1
    assert planes.header["MAGZERO"] == pytest.approx(30.537)  # from the primary header


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made = Planes(
        rng.normal(size=(40, 50)).astype(np.float32),
        rng.integers(0, 4096, (40, 50)).astype(np.int32),
        rng.random((40, 50)).astype(np.float32),
        Tile("T", 10.0, -3.0, 50, 0.5).header(),
    )
    path = tmp_path / "x.fits"
    write_planes(path, made)
    assert has_planes(path)
    back = read_planes(path)
    for one in ("sci", "msk", "wgt"):
        assert np.array_equal(getattr(back, one), getattr(made, one))
    assert back.header["RA_CENT"] == pytest.approx(10.0, abs=1e-3)
    assert unclean([path]) == []


def test_planes_as_stored_are_what_astropy_reads_from_the_file(tmp_path: Path) -> None:
    """Quantised pixels, exact zeros and pixels without a value: memory and file agree to the last bit."""
    rng = np.random.default_rng(4)
    sci = rng.normal(scale=12.0, size=(600, 700)).astype(np.float32)
    sci[5, :7], sci[300:310, 20] = 0.0, np.nan
    wgt = np.where(rng.random(sci.shape) < 0.1, 0.0, rng.uniform(0.006, 0.008, sci.shape)).astype(np.float32)
    made = Planes(
        sci.copy(), np.zeros(sci.shape, np.int32), wgt.copy(), fits.Header({"EXPNUM": 7, "CCDNUM": 3})
    )
    path = tmp_path / "x.fits.fz"
    write_planes(path, made, as_stored=True)
    with fits.open(path) as hdus:
        assert np.array_equal(made.sci, hdus["SCI"].data, equal_nan=True)
        assert np.array_equal(made.wgt, hdus["WGT"].data)
    assert 0.0 < np.nanmax(np.abs(made.sci - sci)) < 12.0 / 4


def test_a_mask_of_another_shape_is_refused(real: Path) -> None:
    other = real / "decam-cp-stack" / "c4d_170329_044212_ood_g_ls9.N3.fits"
    with pytest.raises(FileTypeError, match="another shape"):
        read_community(_stack(real, "ooi"), other, None)


def test_no_weight_is_made_up_from_the_scatter(real: Path) -> None:
    given = read_community(_stack(real, "ooi"), None, _stack(real, "oow"))
    guessed = read_community(_stack(real, "ooi"), None, None)
    assert guessed.wgt[0, 0] == pytest.approx(float(np.median(given.wgt)), rel=0.15)
