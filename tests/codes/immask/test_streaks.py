"""A satellite's streak is found by its length, masked to its width, and followed into the next CCD."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from desdm.codes.immask.connect import connect
from desdm.codes.immask.radon import strongest_line
from desdm.codes.immask.streaks import StreakLimits, find_streaks, mask_streak, measure_streak
from desdm.codes.immask.table import FOUND, PREDICTED, CcdStreaks, ccd_streaks, read_streaks, write_streaks
from desdm.errors import FileTypeError
from tests.support.ccdscene import Scene, add_streak, make_scene

LINES = {
    "steep": ((20.0, -50.0), (480.0, 1100.0), 60.0),
    "flat and faint": ((-20.0, 300.0), (600.0, 420.0), 25.0),
    "down and bright": ((-20.0, 900.0), (600.0, 10.0), 500.0),
    "ends within": ((100.0, 200.0), (400.0, 700.0), 80.0),
}


def _mask(scene: Scene) -> npt.NDArray[np.bool_]:
    image = scene.image.astype(np.float32)
    out = np.zeros(image.shape, bool)
    for streak in find_streaks(image, scene.rays > 3 * scene.sigma, scene.sigma):
        out |= mask_streak((1024, 512), streak)
    return out


@pytest.mark.parametrize("name", LINES)
def test_nine_tenths_of_its_area(name: str) -> None:
    scene = make_scene(11, streak=LINES[name])
    found = _mask(scene)
    lit = scene.streak > 0.5 * scene.sigma
    assert found[lit].mean() > 0.9
    assert (found & ~lit).mean() < 0.001


def test_two_streaks_in_one_ccd() -> None:
    scene = make_scene(12, streak=LINES["steep"])
    other = np.zeros(scene.image.shape)
    add_streak(other, (-10.0, 800.0), (600.0, 500.0), 50.0, 4.0)
    scene = replace(scene, image=scene.image + other, streak=scene.streak + other)
    lit = scene.streak > 0.5 * scene.sigma
    assert _mask(scene)[lit].mean() > 0.9


@pytest.mark.parametrize("seed", range(20, 26))
def test_a_crowded_field_has_none(seed: int) -> None:
    scene = make_scene(seed, stars_per_mpix=1500, galaxies_per_mpix=1500)
    assert not _mask(scene).any()


def test_the_line_of_a_row_of_ones() -> None:
    """All lines are summed: a line drawn by hand comes back with its ends, in each of the four quadrants."""
    for x1, y1, x2, y2 in ((0, 10, 99, 40), (99, 10, 0, 40), (20, 0, 50, 79), (60, 0, 10, 79)):
        image = np.zeros((80, 100), np.float32)
        n = 400
        image[np.rint(np.linspace(y1, y2, n)).astype(int), np.rint(np.linspace(x1, x2, n)).astype(int)] = 1.0
        line = strongest_line(image, np.ones(image.shape, bool), 40)
        assert line is not None
        ends = np.array([[line.x1, line.y1], [line.x2, line.y2]])
        truth = np.array([[x1, y1], [x2, y2]], float)
        apart = min(np.abs(ends - truth).max(), np.abs(ends[::-1] - truth).max())
        assert apart <= 2.0


def _header(ccdnum: int, x: float) -> fits.Header:
    """One of two CCDs side by side, 20 pixels apart, 0.263 arcsec a pixel."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [30.0, -5.0]
    wcs.wcs.crpix = [532.0 - x, 512.5]
    wcs.wcs.cd = np.array([[-0.263, 0], [0, 0.263]]) / 3600
    header = wcs.to_header()
    header["CCDNUM"], header["EXPNUM"] = ccdnum, 77
    for i in (1, 2):
        for j in (1, 2):
            header[f"CD{i}_{j}"] = wcs.wcs.cd[i - 1, j - 1]
            header.pop(f"PC{i}_{j}", None)
        header.pop(f"CDELT{i}", None)
    return header


def test_a_corner_that_a_found_streak_crosses() -> None:
    """In CCD 2 it is too short for a blind search: the line on the sky says where to look."""
    start, stop = (-20.0, 900.0), (1100.0, 1120.0)
    whole = make_scene(13, streak=(start, stop, 100.0))
    shifted = ((start[0] - 532.0, start[1]), (stop[0] - 532.0, stop[1]))
    corner = make_scene(14, streak=(*shifted, 100.0))
    limits, none = StreakLimits(), np.zeros((1024, 512), bool)
    tables: list[CcdStreaks] = []
    for scene, head in ((whole, _header(1, 0.0)), (corner, _header(2, 532.0))):
        streaks = find_streaks(scene.image.astype(np.float32), none, scene.sigma, limits)
        tables.append(ccd_streaks(head, (1024, 512), streaks))
    assert [len(t.rows) for t in tables] == [1, 0]
    rows = connect(tables)
    assert [(r.ccdnum, r.status, r.number) for r in rows] == [(1, FOUND, 1), (2, PREDICTED, 1)]
    expected = rows[1].streak
    slope = (stop[1] - start[1]) / (stop[0] - start[0])
    for x, y in ((expected.x1, expected.y1), (expected.x2, expected.y2)):
        assert y == pytest.approx(start[1] + slope * (x + 532.0 - start[0]), abs=3.0)
    ends = (expected.x1, expected.y1, expected.x2, expected.y2)
    seen = measure_streak(
        corner.image.astype(np.float32), none, corner.sigma, ends, limits, reach=12.0, min_snr=4.0
    )
    assert seen is not None
    assert mask_streak((1024, 512), seen)[corner.streak > 0.5 * corner.sigma].mean() > 0.9
    empty = make_scene(15).image.astype(np.float32)
    assert measure_streak(empty, none, corner.sigma, ends, limits, reach=12.0, min_snr=4.0) is None


def test_pieces_in_both_ccds_are_one_streak() -> None:
    start, stop = (-20.0, 300.0), (1100.0, 620.0)
    shifted = ((start[0] - 532.0, start[1]), (stop[0] - 532.0, stop[1]))
    tables = []
    for seed, ends, head in ((13, (start, stop), _header(1, 0.0)), (14, shifted, _header(2, 532.0))):
        scene = make_scene(seed, streak=(*ends, 100.0))
        streaks = find_streaks(scene.image.astype(np.float32), np.zeros((1024, 512), bool), scene.sigma)
        tables.append(ccd_streaks(head, (1024, 512), streaks))
    assert [(r.ccdnum, r.status, r.number) for r in connect(tables)] == [(1, FOUND, 1), (2, FOUND, 1)]


def test_the_table_comes_back(tmp_path: Path) -> None:
    scene = make_scene(13, streak=LINES["steep"])
    streaks = find_streaks(scene.image.astype(np.float32), np.zeros((1024, 512), bool), scene.sigma)
    table = ccd_streaks(_header(1, 0.0), (1024, 512), streaks)
    write_streaks(tmp_path / "a_streaks.fits", table)
    again = read_streaks(tmp_path / "a_streaks.fits")
    assert again.shape == (1024, 512)
    assert again.rows[0].status == FOUND
    assert again.rows[0].streak.x1 == pytest.approx(streaks[0].x1)
    write_streaks(tmp_path / "none_streaks.fits", ccd_streaks(_header(2, 0.0), (1024, 512), []))
    assert read_streaks(tmp_path / "none_streaks.fits").rows == ()
    fits.PrimaryHDU().writeto(tmp_path / "other.fits")
    with pytest.raises(FileTypeError, match="no HDU STREAKS"):
        read_streaks(tmp_path / "other.fits")
