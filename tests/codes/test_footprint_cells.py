"""The footprint's parts that a whole coadd does not try: gaps, edges, a WCS without CD, nothing good at all."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units
from astropy.wcs import WCS
from astropy_healpix import HEALPix

from desdm.codes.footprint.cells import Grid, cells_of, exposures
from desdm.pixels.maskbits import MaskBit
from desdm.survey.headers import wcs_of
from desdm.survey.tiles import Tile

SIDE = 1200
TILE = Tile("T", 359.99, -44.0, SIDE, 0.263)
FACTS = {"zero": 30.0, "pixscale": 0.263, "correlation": 1.0, "nside": 4096}


def _flat() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    blocks = -(-SIDE // 4)
    return (
        np.zeros((SIDE, SIDE), np.int32),
        np.full((SIDE, SIDE), 0.25, np.float32),
        np.ones((blocks, blocks), np.int16),
    )


def test_cells_within_the_tile_are_whole_and_the_area_is_the_tile_s() -> None:
    cells, values = cells_of(Grid(wcs_of(TILE.header()), (SIDE, SIDE), 4), *_flat(), **FACTS)
    inner = values["grid"] == 1
    assert inner.sum() > 15
    assert (values["fraction"][inner] == 1).all()
    area = HEALPix(nside=4096, order="nested").pixel_area.to_value("deg2")
    assert values["fraction"].sum() * area == pytest.approx((SIDE * 0.263 / 3600) ** 2, rel=5e-3)
    # White noise of 2 in a disk of 1″ radius.
    pixels = np.pi / 0.263**2
    assert values["depth"] == pytest.approx(30 - 2.5 * np.log10(10 * 2 * np.sqrt(pixels)), abs=0.03)
    assert (np.diff(cells) > 0).all()


def test_a_masked_half_of_the_tile_is_not_in_it_and_repaired_pixels_are() -> None:
    msk, wgt, count = _flat()
    msk[:, :600] = int(MaskBit.STAR)
    msk[:, 600:] = int(MaskBit.INTERP)
    wcs = wcs_of(TILE.header())
    cells, values = cells_of(Grid(wcs, (SIDE, SIDE), 4), msk, wgt, count, **FACTS)
    grid = HEALPix(nside=4096, order="nested")
    lon, lat = grid.healpix_to_lonlat(cells)
    x, _ = wcs.all_world2pix(lon.to_value("deg"), lat.to_value("deg"), 0)
    half = 0.7 * grid.pixel_resolution.to_value("arcsec") / 0.263
    assert (x > 600 - half).all()
    assert (values["fraction"][(x > 600 + half) & (values["grid"] == 1)] == 1).all()


def test_nothing_good_is_an_empty_footprint() -> None:
    msk, wgt, count = _flat()
    cells, values = cells_of(Grid(wcs_of(TILE.header()), (SIDE, SIDE), 4), msk, wgt * 0, count, **FACTS)
    assert cells.size == values.size == 0


def test_the_deepest_half_does_not_hide_the_shallow_one() -> None:
    """Depth is that of the median pixel: three quarters of a cell at one noise decide it, whatever the rest is."""
    msk, wgt, _ = _flat()
    wgt[::4] = 25.0  # one row of four is ten times less noisy
    _, values = cells_of(
        Grid(wcs_of(TILE.header()), (SIDE, SIDE), 1), msk, wgt, np.ones_like(msk, np.int16), **FACTS
    )
    pixels = np.pi / 0.263**2
    assert values["depth"] == pytest.approx(30 - 2.5 * np.log10(10 * 2 * np.sqrt(pixels)), abs=0.03)


def test_images_are_counted_where_they_lie() -> None:
    """Two images of other scale and angle, one half off the tile, one beside it; a WCS with CDELT and PC."""
    tile = WCS(naxis=2)
    tile.wcs.ctype, tile.wcs.crval = ["RA---TAN", "DEC--TAN"], [359.99, -44.0]
    tile.wcs.crpix, tile.wcs.cdelt = [600.5, 600.5], [-0.263 / 3600, 0.263 / 3600]
    turned = WCS(naxis=2)
    turned.wcs.ctype, turned.wcs.crval = ["RA---TAN", "DEC--TAN"], [0.02, -43.98]
    turned.wcs.crpix, turned.wcs.cdelt = [300.0, 200.0], [0.3 / 3600, 0.3 / 3600]
    turn = np.radians(31.0)
    turned.wcs.pc = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    beside = turned.deepcopy()
    beside.wcs.crval = [2.0, -44.0]
    wgt = np.ones((500, 700), np.float32)
    wgt[100:180, 200:260] = 0
    grid = Grid(tile, (SIDE, SIDE), 4)
    found = exposures(grid, [(turned, wgt), (beside, wgt), (turned, wgt)])
    y, x = np.mgrid[0:300, 0:300] * 4 + 1.5
    ra, dec = tile.all_pix2world(x.ravel(), y.ravel(), 0)
    u, v = (np.rint(c).astype(int) for c in turned.all_world2pix(ra, dec, 0))
    on = (u >= 0) & (v >= 0) & (u < 700) & (v < 500)
    true = np.zeros(on.size, int)
    true[on] = 2 * (wgt[v[on], u[on]] > 0)
    assert 0 < on.mean() < 1
    assert (found.ravel() != true).mean() < 1e-3  # a nearest pixel may fall to either side by rounding
    assert on[true == 2].all()


def test_a_tile_across_ra_0_has_cells_on_both_sides() -> None:
    cells, _ = cells_of(Grid(wcs_of(TILE.header()), (SIDE, SIDE), 4), *_flat(), **FACTS)
    lon = HEALPix(nside=4096, order="nested").healpix_to_lonlat(cells)[0].to_value(units.deg)
    assert (lon > 359).any()
    assert (lon < 1).any()
