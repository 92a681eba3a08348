"""Stencils hold what they should: against astropy's separations and plain spherical geometry."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS

from desdm.errors import UsageError
from desdm.services.soda.sky import Grid
from desdm.services.soda.stencil import Around, Circle, Polygon, Range, stencils_of
from desdm.sky.spherical import unit
from tests.support.cutouts import SIZE, tile_header


def sky(count: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.uniform(0, 360, count), np.degrees(np.arcsin(rng.uniform(-1, 1, count)))


@pytest.mark.parametrize(
    ("ra", "dec", "radius"), [(0, 0, 10), (359.9, 89.5, 3), (123, -90, 20), (40, 30, 120), (10, 10, 180)]
)
def test_a_circle_holds_what_astropy_says_is_near(ra: float, dec: float, radius: float) -> None:
    a, d = sky()
    near = SkyCoord(a, d, unit="deg").separation(SkyCoord(ra, dec, unit="deg")) <= radius * u.deg
    assert np.array_equal(Circle(ra, dec, radius).contains(unit(a, d)), near)


def test_a_polygon_does_not_mind_its_turn_nor_the_pole_nor_ra_0() -> None:
    around_pole = [(0.0, 80.0), (90.0, 80.0), (180.0, 80.0), (270.0, 80.0)]
    for corners in (around_pole, around_pole[::-1]):
        found = Polygon(tuple(corners)).contains(
            unit(np.array([12.0, 12.0, 45.0]), np.array([89.0, 79.0, 82.0]))
        )
        # Great circles between the corners pass closer to the pole than the parallel does.
        assert found.tolist() == [True, False, False]
    across = Polygon(((359.0, -1.0), (1.0, -1.0), (1.0, 1.0), (359.0, 1.0)))
    assert across.contains(unit(np.array([0.0, 359.5, 2.0, 180.0]), np.zeros(4))).tolist() == [
        True,
        True,
        False,
        False,
    ]


def test_a_range_goes_across_ra_0_and_takes_open_ends() -> None:
    (found,) = stencils_of({"POS": ["RANGE 350 10 -Inf 5"]})
    assert found == Range(350, 10, -90, 5)
    points = unit(np.array([355.0, 5.0, 20.0, 0.0]), np.array([-80.0, 5.0, 0.0, 6.0]))
    assert found.contains(points).tolist() == [True, True, False, False]
    assert stencils_of({"POS": ["RANGE 0 360 -90 90"]})[0].contains(unit(*sky())).all()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"CIRCLE": ["1 2"]}, "2 numbers"), ({"CIRCLE": ["1 2 x"]}, "'x' is not a number"),
        ({"CIRCLE": ["1 91 1"]}, "declination 91"), ({"CIRCLE": ["1 2 -1"]}, "radius -1"),
        ({"CIRCLE": ["nan 2 1"]}, "not a finite"), ({"POLYGON": ["1 2 3 4"]}, "three pairs"),
        ({"POLYGON": ["0 0 120 0 240 0"]}, "hemisphere"), ({"POS": ["BOX 1 2 3 4"]}, "CIRCLE, POLYGON or RANGE"),
        ({"POS": ["RANGE 1 2 5 4"]}, "lesser declination"), ({"POS": [""]}, "begin with"),
    ],
)  # fmt: skip
def test_a_wrong_stencil_is_told_with_its_name_and_value(given: dict[str, list[str]], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        stencils_of(given)


def test_the_grid_agrees_with_wcslib_to_a_thousandth_of_a_pixel() -> None:
    header = tile_header("DES0000+0000", "g")
    grid, wcs = Grid(header, (SIZE, SIZE)), WCS(header)
    rng = np.random.default_rng(2)
    x, y = rng.uniform(-100, SIZE + 100, (2, 500))
    ra, dec = wcs.all_pix2world(x, y, 0)
    mine = grid.pixels(ra, dec)
    assert np.abs(np.array(mine) - [x, y]).max() < 1e-3
    assert np.abs(grid.points(x, y) - unit(ra, dec)).max() < 1e-12
    assert np.isnan(grid.pixels(np.array([180.0]), np.array([0.0]))[0]).all()


@pytest.mark.parametrize(
    "pos",
    [
        "CIRCLE 0.02 0 0.01", "CIRCLE 0.04 0.01 0.02", "CIRCLE 0.02 0 170", "CIRCLE 180.02 0 179.99",
        "POLYGON 0 0 0.01 0.003 0.002 0.01", "POLYGON 355 -5 5 -5 5 5 355 5", "RANGE 359.99 0.01 -0.01 0.004",
        "RANGE 0 360 0 90", "CIRCLE 0.02001 0.00001 0.00001", "CIRCLE 90 0 10",
        "RANGE 0.021 0.019 -1 1",
    ],
)  # fmt: skip
def test_the_pixels_of_a_stencil_are_those_whose_centres_lie_in_it(pos: str) -> None:
    header = tile_header("DES0000+0000", "g")
    grid, (stencil,) = Grid(header, (SIZE, SIZE)), stencils_of({"POS": [pos]})
    y, x = np.mgrid[:SIZE, :SIZE]
    truth = stencil.contains(unit(*WCS(header).all_pix2world(x, y, 0)))
    box, inside = grid.inside(stencil, grid.box(stencil))
    mine = np.zeros((SIZE, SIZE), bool)
    mine[box.y0 : box.y1, box.x0 : box.x1] = inside
    if pos == "CIRCLE 0.02001 0.00001 0.00001":
        assert mine.sum() == 1, "a circle between the centres takes the pixel under its own"
    else:
        assert (mine != truth).sum() <= 2, "but for centres on the very edge"
        assert box.pixels == 0 or (  # cut to what is inside
            inside.any(axis=0).all() or inside.any(axis=1).all()
        )


def test_a_box_of_arcmin_is_228_pixels_a_minute_with_its_centre_in_the_middle() -> None:
    header = tile_header("DES0000+0000", "g")
    box = Grid(header, (SIZE, SIZE)).box(Around(0.02, 0.0, 1.0, 0.5))
    assert box.shape == (114, 228)
    assert abs((box.x0 + box.x1 - 1) / 2 - (SIZE - 1) / 2) <= 0.5


@pytest.mark.parametrize(
    "pos",
    [
        "RANGE {ra} {ra2} -90 90", "RANGE {ra} {ra2} -Inf +Inf", "RANGE 0 360 {dec} {dec2}", "RANGE -Inf +Inf {dec} {dec2}",
        "RANGE 0 360 -90 {dec}", "POLYGON {ra} -20 {ra2} -20 {ra2} 20 {ra} 20", "POLYGON {ra} -35 {ra9} -35 {ra2} 25",
        "CIRCLE {ra} 40 {far}", "CIRCLE {ra} {dec} 0.001", "CIRCLE {ra} {dec} 170", "RANGE {ra} {ra9} {dec} 80",
        "CIRCLE {ra} -80 1",
    ],
)  # fmt: skip
def test_the_box_of_a_stencil_holds_all_of_its_pixels(pos: str) -> None:
    header = tile_header("DES0200-0500", "g")
    shape = (SIZE, SIZE)
    grid = Grid(header, shape)
    x, y = np.meshgrid(np.arange(SIZE, dtype=float), np.arange(SIZE, dtype=float))
    ra, dec = WCS(header).all_pix2world(SIZE / 2.0 + 0.3, SIZE / 2.0 + 0.3, 0)
    ra, dec, step = float(ra), float(dec), 2.5 * grid.scale / 3600
    stencil = stencils_of(
        {"POS": [pos.format(ra=ra, ra2=ra + step, ra9=ra + 0.1, dec=dec, dec2=dec + step, far=40 - dec)]}
    )[0]
    sky_ra, sky_dec = WCS(header).all_pix2world(x, y, 0)
    truth = stencil.contains(unit(sky_ra, sky_dec))
    box, inside = grid.inside(stencil, grid.box(stencil))
    found = np.zeros(shape, bool)
    found[box.y0 : box.y1, box.x0 : box.x1] = inside
    assert np.count_nonzero(found != truth) <= 2
    assert bool(box.pixels) is bool(truth.any())


def test_a_strip_thinner_than_a_pixel_takes_the_pixels_under_it() -> None:
    grid = Grid(tile_header("DES0200-0500", "g"), (SIZE, SIZE))
    ra, _ = WCS(tile_header("DES0200-0500", "g")).all_pix2world(SIZE / 2.0 + 0.3, SIZE / 2.0, 0)
    stencil = stencils_of({"POS": [f"RANGE {float(ra)} {float(ra) + 1e-7} -90 90"]})[0]
    box, inside = grid.inside(stencil, grid.box(stencil))
    assert box.shape[0] > SIZE - 3 and inside.any(axis=1).all()
