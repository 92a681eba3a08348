"""Images compressed in squares: cfitsio and astropy read what was written, whatever the image's size."""

from __future__ import annotations

from pathlib import Path

import fitsio
import numpy as np
import pytest
from astropy.io import fits

from desdm.pixels.fitsbytes import pool, sealed, word_sum, write
from desdm.pixels.packed import Steps
from desdm.pixels.tiled import pack_tiles


@pytest.mark.parametrize("shape", [(256, 256), (300, 700), (5, 600), (513, 1), (100, 100)])
def test_two_other_readers_see_the_same_pixels(shape: tuple[int, int], tmp_path: Path) -> None:
    rng = np.random.default_rng(shape[0])
    sci = rng.normal(0, 8, shape).astype(np.float32)
    sci[rng.uniform(size=shape) < 0.02] = 0
    sci[rng.uniform(size=shape) < 0.01] = np.nan
    msk = rng.integers(-(2**31), 2**31 - 1, shape).astype(np.int32)
    empty = fits.Header([("SIMPLE", True, ""), ("BITPIX", 8, ""), ("NAXIS", 0, ""), ("EXTEND", True, "")])
    parts = [sealed(empty, 0)]
    with pool(2) as run:
        for name, data, steps in (("SCI", sci, Steps(0.5, 0.01, 9998)), ("MSK", msk, None)):
            header, unit = pack_tiles(data, steps, run)
            header["EXTNAME"] = name
            parts += [sealed(header, word_sum(unit)), bytes(unit)]
    path = tmp_path / "image.fits.fz"
    write(path, parts)
    for read in (lambda plane: fitsio.read(str(path), ext=plane), lambda plane: fits.getdata(path, plane)):
        found = read("SCI")
        known = np.isfinite(sci)
        assert np.array_equal(np.isnan(found), ~known)
        assert np.all(found[sci == 0] == 0)
        # Single precision rounds once more after the step.
        assert np.abs(found[known] - sci[known]).max() <= 0.25 + 1e-5
        assert np.array_equal(read("MSK"), msk)
    with fits.open(path, checksum=True) as hdus:
        assert [h.name for h in hdus[1:]] == ["SCI", "MSK"]
