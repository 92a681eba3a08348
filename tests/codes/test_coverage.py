"""The coverage map against a count of every single pixel, and what its table says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from astropy_healpix import HEALPix

from desdm.codes.coverage.cells import REJECT_MASK, Coverage, cells_of
from desdm.survey.headers import wcs_of
from desdm.survey.images import read_planes, write_planes
from tests.support.exposure import Scene, scene
from tests.support.fits import unclean
from tests.support.tasks import run


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return scene(tmp_path_factory.mktemp("field"), seed=5, stars=300, ra=0.01, dec=-55.0)


def test_each_cell_has_the_area_of_its_good_pixels(field: Scene) -> None:
    """Every pixel's own corners give its area; blocks of pixels are a shortcut that must come to the same."""
    planes = read_planes(field.images[0])
    planes.msk[200:420, 100:300] |= 16
    planes.msk[:, :40] |= 4096  # repaired: still good
    wcs, grid = wcs_of(planes.header), HEALPix(nside=4096, order="nested")
    y, x = np.nonzero((planes.msk & REJECT_MASK) == 0)
    ra, dec = wcs.all_pix2world(x + 1, y + 1, 1)
    right, up = wcs.all_pix2world(x + 2, y + 1, 1), wcs.all_pix2world(x + 1, y + 2, 1)
    cosd = np.cos(np.radians(dec))
    ax, ay = ((right[0] - ra + 180) % 360 - 180) * cosd, right[1] - dec
    bx, by = ((up[0] - ra + 180) % 360 - 180) * cosd, up[1] - dec
    where = grid.lonlat_to_healpix(ra * units.deg, dec * units.deg)
    cells, index = np.unique(where, return_inverse=True)
    true = np.bincount(index, np.abs(ax * by - ay * bx)) / grid.pixel_area.to_value("deg2")
    found, part = cells_of(wcs, planes.msk, 4096)
    here = dict(zip(found.tolist(), part.tolist(), strict=True))
    off = np.array([here.get(c, 0.0) for c in cells.tolist()]) - true
    assert part.sum() == pytest.approx(true.sum(), rel=2e-3)
    assert np.abs(off).max() < 0.08
    assert off.std() < 0.03


def test_an_exposure_gives_one_table(field: Scene, tmp_path: Path) -> None:
    bad = tmp_path / "no_planes.fits"
    fits.PrimaryHDU(np.zeros((4, 4))).writeto(bad)
    out = tmp_path / "map.fits"
    task = run(
        "desdm.codes.coverage.wrapper.hpixmap", tmp_path, {"images": [*field.images, bad]}, {"map": out}
    )
    assert unclean([out]) == []
    head, rows = fits.getheader(out, 1), fits.getdata(out, 1)
    assert (head["NSIDE"], head["ORDERING"]) == (4096, "NESTED")
    assert fits.getheader(out)["NCCD"] == 4
    assert (np.diff(rows["PIXEL"]) > 0).all()
    assert rows["COVERAGE"].min() > 0
    assert rows["COVERAGE"].max() <= 1
    (area,) = [m.value for m in task.metrics if m.name == "area"]
    # Four CCDs of 512x1024 pixels of 0.263 arcsec, some of them saturated.
    assert area == pytest.approx(4 * 512 * 1024 * (0.263 / 3600) ** 2, rel=0.03)
    assert "no_planes.fits: left out of the coverage map" in task.log.findings[0].text


def test_a_masked_image_covers_nothing(field: Scene, tmp_path: Path) -> None:
    planes = read_planes(field.images[1])
    planes.msk[:] = 1
    write_planes(tmp_path / "dark.fits", planes)
    whole = Coverage(4096)
    whole.add(*cells_of(wcs_of(planes.header), planes.msk, 4096))
    assert whole.result()[0].size == 0
