"""CCDs are laid out as they lie on the sky, north up and east left, whatever way their pixels run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits
from PIL import Image

from desdm.codes.assess.mosaic import Tile, mosaic
from tests.support.exposure import scene
from tests.support.tasks import run

STEP = 0.263 / 3600


def image(
    cd: tuple[float, float, float, float], ra: float, dec: float, shape: tuple[int, int]
) -> fits.Header:
    """A tangential WCS centred on an image."""
    head = fits.Header()
    head["CTYPE1"], head["CTYPE2"], head["CUNIT1"], head["CUNIT2"] = "RA---TAN", "DEC--TAN", "deg", "deg"
    head["CRVAL1"], head["CRVAL2"], head["CRPIX1"], head["CRPIX2"] = (
        ra,
        dec,
        (shape[1] + 1) / 2,
        (shape[0] + 1) / 2,
    )
    for key, value in zip(("CD1_1", "CD1_2", "CD2_1", "CD2_2"), cd, strict=True):
        head[key] = value * STEP
    return head


def test_north_is_up_and_east_left_for_every_orientation() -> None:
    """A bright spot in the north-east of each image comes out in the last rows and first columns."""
    for cd in ((-1, 0, 0, 1), (1, 0, 0, 1), (0, 1, -1, 0), (0, -1, -1, 0), (0, 1, 1, 0), (-1, 0, 0, -1)):
        shape = (64, 128)
        head = image(cd, 30.0, 0.0, shape)
        y, x = np.mgrid[: shape[0], : shape[1]]
        east = cd[0] * (x - 63.5) + cd[1] * (y - 31.5)
        north = cd[2] * (x - 63.5) + cd[3] * (y - 31.5)
        sci = ((east > 0.5 * east.max()) & (north > 0.5 * north.max())).astype(np.float32)
        tile = Tile.of(sci, np.zeros(shape, np.int32), head, 4)
        rows, columns = np.nonzero(tile.values > 0.5)
        assert rows.min() >= 0.7 * tile.values.shape[0], cd
        assert columns.max() <= 0.3 * tile.values.shape[1], cd


def test_masked_pixels_do_not_shine_and_neighbours_lie_beside_each_other() -> None:
    shape = (64, 64)
    mask = np.zeros(shape, np.int32)
    mask[:32] = 1
    sci = np.where(mask, 1e6, 5.0).astype(np.float32)
    west = Tile.of(sci, mask, image((-1, 0, 0, 1), 30.0, 0.0, shape), 8)
    east = Tile.of(
        np.full(shape, 7.0, np.float32), mask * 0, image((-1, 0, 0, 1), 30.0 + 80 * STEP, 0.0, shape), 8
    )
    grid, _ = mosaic([west, east])
    assert np.isnan(west.values[:4]).all()
    assert np.nanmax(grid) == 7.0
    # 80 pixels apart, bins of 8: two bins between them; the eastern one is on the left.
    assert (grid[:, :8] == 7.0).all()
    assert np.isnan(grid[:, 8:10]).all()
    assert (grid[4:, 10:] == 5.0).all()


def test_an_exposures_picture(tmp_path: Path) -> None:
    field = scene(tmp_path / "n", seed=3, stars=300)
    out = tmp_path / "plane.png"
    task = run("desdm.codes.assess.wrapper.focalplane", tmp_path, {"images": field.images}, {"picture": out})
    with Image.open(out) as picture:
        assert 700 < max(picture.size) < 1600
    assert [m.value for m in task.metrics] == [4.0]
