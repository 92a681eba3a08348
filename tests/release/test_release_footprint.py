"""The footprint of a release against a count of positions on its coadds; its files as other programs read them."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from astropy import units
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from astropy_healpix import HEALPix
from healsparse import HealSparseMap

from desdm.errors import CorruptFile
from desdm.facility import Facility
from desdm.release import footprint
from desdm.release.create import create_empty
from tests.support.fits import unclean
from tests.support.footprintrelease import BANDS, SIDE, TILES, Coadds, coadds, context_of, footprint_release

GRID = HEALPix(nside=4096, order="nested")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Coadds:
    return coadds(tmp_path_factory.mktemp("coadds"))


@pytest.fixture(scope="module")
def home(made: Coadds, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    footprint_release(home, made)
    return home


@pytest.fixture(scope="module")
def root(home: Path) -> Path:
    return home / "releases" / "F1" / "footprint"


def _good(path: Path, ra: Any, dec: Any) -> Any:
    """Whether positions fall on a good pixel of a coadd; False beside it."""
    with fits.open(path) as hdus, warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        x, y = (np.rint(v).astype(int) for v in WCS(hdus["SCI"].header).all_world2pix(ra, dec, 0))
        msk, wgt = hdus["MSK"].data, hdus["WGT"].data
    on = (x >= 0) & (y >= 0) & (x < SIDE) & (y < SIDE)
    out = np.zeros(len(ra), bool)
    out[on] = (wgt[y[on], x[on]] > 0) & (msk[y[on], x[on]] == 0)
    return out


def test_shared_cells_hold_the_good_area_of_both_tiles_once(made: Coadds, root: Path) -> None:
    """Positions all over the field, good where either tile has a good pixel; the overlap must not count twice."""
    step = 0.45 / 3600
    dec, ra = (
        v.ravel() for v in np.mgrid[-44.05:-43.95:step, 359.88 : 360.08 : step / np.cos(np.radians(44))]
    )
    ra %= 360.0
    where = GRID.lonlat_to_healpix(ra * units.deg, dec * units.deg)
    cells, index = np.unique(where, return_inverse=True)
    share = step**2 * np.cos(np.radians(dec)) / np.cos(np.radians(44)) / GRID.pixel_area.to_value("deg2")
    for band in BANDS:
        seen = [_good(made.coadd[t.name, band], ra, dec) for t in TILES]
        either = np.bincount(index, share * (seen[0] | seen[1]))
        whole = HealSparseMap.read(str(root / f"{band}.hsp"))
        found = np.maximum(whole[cells]["fraction"], 0.0)
        shared = (np.bincount(index, seen[0]) > 0) & (np.bincount(index, seen[1]) > 0)
        assert shared.sum() > 8
        assert np.abs(found - either)[~shared].max() < 0.015
        # How the good pixels of two tiles lie within a shared cell is not known any more: the area may err a little.
        assert np.abs(found - either)[shared].max() < 0.04
        assert found.sum() == pytest.approx(either.sum(), rel=0.01)
        assert set(whole.valid_pixels) <= set(cells)


def test_a_cell_of_one_tile_keeps_its_values(made: Coadds, root: Path) -> None:
    for band in BANDS:
        whole = HealSparseMap.read(str(root / f"{band}.hsp"))
        parts = [HealSparseMap.read(str(made.footprint[t.name, band])) for t in TILES]
        for part, other in (parts, parts[::-1]):
            alone = np.setdiff1d(part.valid_pixels, other.valid_pixels)
            assert alone.size > 5
            for name in ("depth", "nexp", "fraction"):
                assert (whole[alone][name] == part[alone][name]).all()
        both = np.intersect1d(parts[0].valid_pixels, parts[1].valid_pixels)
        better = np.where(parts[0][both]["fraction"] >= parts[1][both]["fraction"], 0, 1)
        for name in ("depth", "nexp"):
            values = np.stack([p[both][name] for p in parts])
            assert (whole[both][name] == values[better, np.arange(both.size)]).all()


def test_the_table_says_what_the_maps_say(root: Path) -> None:
    table = ds.dataset(
        root.parent / "tables" / "footprint" / "dataset", format="parquet", exclude_invalid_files=True
    )
    rows = table.to_table().to_pydict()
    rows = {name: np.array(rows[name]) for name in rows}
    for band in BANDS:
        whole = HealSparseMap.read(str(root / f"{band}.hsp"))
        mine = rows["band"] == band
        order = np.argsort(rows["hpix"][mine])
        assert (rows["hpix"][mine][order] == whole.valid_pixels).all()
        for name in ("depth", "nexp", "fraction"):
            assert (rows[name][mine][order] == whole[whole.valid_pixels][name]).all()
    assert (rows["hpix29"] >> 34 == rows["hpix"]).all()
    lon, lat = GRID.healpix_to_lonlat(rows["hpix"])
    assert np.abs((rows["ra"] - lon.to_value("deg") + 180) % 360 - 180).max() < 1e-9
    assert np.abs(rows["dec"] - lat.to_value("deg")).max() < 1e-9


def test_a_moc_has_the_cells_of_its_band(root: Path) -> None:
    """Both serialisations, decoded by hand after the MOC standard."""
    for band in BANDS:
        cells = set(HealSparseMap.read(str(root / f"{band}.hsp")).valid_pixels.tolist())
        ordered = json.loads((root / f"{band}.moc.json").read_text())
        spread = [
            range(c << 2 * (12 - int(o)), (c + 1) << 2 * (12 - int(o)))
            for o, cs in ordered.items()
            for c in cs
        ]
        assert sorted(c for part in spread for c in part) == sorted(cells)
        with fits.open(root / f"{band}.moc.fits") as hdus:
            head, rows = hdus[1].header, hdus[1].data
        assert (head["PIXTYPE"], head["ORDERING"], head["COORDSYS"]) == ("HEALPIX", "NUNIQ", "C")
        found: set[int] = set()
        for uniq in rows.field(0).tolist():
            order = (uniq.bit_length() - 3) // 2
            cell = uniq - 4 ** (order + 1)
            found |= set(range(cell << 2 * (12 - order), (cell + 1) << 2 * (12 - order)))
        assert found == cells


def test_outlines_are_the_corners_of_the_tiles(root: Path) -> None:
    stcs = (root / "tiles.stcs").read_text().splitlines()
    regions = (root / "tiles.reg").read_text().splitlines()
    named = json.loads((root / "tiles.json").read_text())["tiles"]
    assert regions[1] == "icrs"
    assert [t["tilename"] for t in named] == [t.name for t in TILES]
    for tile, line, region in zip(TILES, stcs, regions[2:], strict=True):
        edge = [-0.5, SIDE - 0.5, SIDE - 0.5, -0.5], [-0.5, -0.5, SIDE - 0.5, SIDE - 0.5]
        ra, dec = WCS(tile.header()).all_pix2world(*edge, 0)
        true = np.ravel([ra, dec], order="F")
        words = line.split()
        assert words[:2] == ["POLYGON", "ICRS"]
        assert np.abs((np.array(words[2:], float) - true + 180) % 360 - 180).max() < 1e-7
        numbers = region.partition("(")[2].partition(")")[0].split(",")
        assert np.abs((np.array(numbers, float) - true + 180) % 360 - 180).max() < 1e-7
        assert region.endswith(f"text={{{tile.name}}}")


def test_images_are_listed_with_their_corners(made: Coadds, root: Path) -> None:
    rows = pq.read_table(root / "images.parquet").to_pylist()
    assert len(rows) == len(TILES) * len(BANDS) * 3
    for (tile, band), paths in made.images.items():
        mine = {row["filename"]: row for row in rows if (row["tilename"], row["band"]) == (tile, band)}
        assert set(mine) == {p.name for p in paths}
        for path in paths:
            head = fits.getheader(path)
            row = mine[path.name]
            assert (row["expnum"], row["ccdnum"], row["exptime"]) == (head["EXPNUM"], head["CCDNUM"], 90.0)
            assert row["mjd_obs"] == head["MJD-OBS"]
            assert [row["ra3"], row["dec3"]] == pytest.approx([head["RAC3"], head["DECC3"]], abs=1e-9)


def test_every_fits_file_conforms(root: Path) -> None:
    assert unclean(sorted([*root.glob("*.hsp"), *root.glob("*.fits")])) == []


def test_the_same_inputs_make_the_same_bytes(made: Coadds, root: Path, tmp_path: Path) -> None:
    footprint_release(tmp_path / "again", made)
    other = tmp_path / "again" / "releases" / "F1"
    for part in ("footprint", "tables"):
        files = sorted(p for p in (root.parent / part).rglob("*") if p.is_file())
        assert len(files) > 5
        for path in files:
            twin = other / path.relative_to(root.parent)
            assert sha256(twin.read_bytes()).digest() == sha256(path.read_bytes()).digest(), path.name


def test_a_flipped_byte_stops_the_build_and_nothing_half_made_stays(
    made: Coadds, home: Path, tmp_path: Path
) -> None:
    facility = Facility.open(home)
    try:
        context = context_of(facility, made, "F2")
        create_empty(facility.database, context.root, "F2", who="tester")
        first = context.of_type("coadd_footprint")[0]
        bad = first.record
        wrong = replace(first, record=bad._replace(sha256="0" * 64))
        with pytest.raises(CorruptFile, match=bad.filename):
            footprint.make(replace(context, selected=(wrong,)))
        assert [p.name for p in context.root.iterdir()] == []
        assert footprint.make(replace(context, selected=())) == []
        assert len(footprint.make(context)) == 3 * len(BANDS) + 5
        # Taken up again it makes the same once more.
        assert len(footprint.make(context)) == 3 * len(BANDS) + 5
        assert sorted(p.name for p in context.root.iterdir()) == ["footprint", "tables"]
    finally:
        facility.close()
