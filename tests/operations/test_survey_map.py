"""The map of the survey holds the CCDs of what counts: neither a circle of the field of view, nor what is excluded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from astropy import units
from astropy.coordinates import Latitude, Longitude
from mocpy import MOC
from sqlalchemy import Connection, Engine, event, update

from desdm.archive.model import Scope
from desdm.operations.acceptance import exclude_exposure, lift_exclusion
from desdm.operations.surveytable.sky import SkyCoverage, write_moc
from desdm.schema import image
from desdm.schema.database import Database
from tests.archive.test_find import put

PRODUCTION = Scope("OPS", "MAIN")
#: Sides of a CCD [deg] east and north, and the side of a cell of the map.
EAST, NORTH, CELL = 0.30, 0.15, 0.86 / 60


def ccd(conn: Connection, number: int, expnum: int, ccdnum: int, ra: float, dec: float) -> None:
    """The image of a CCD about a place."""
    put(
        conn,
        number,
        f"D{expnum:08d}_c{ccdnum:02d}_immask.fits",
        filetype="red_immask",
        expnum=expnum,
        ccdnum=ccdnum,
    )
    half = EAST / 2 / math.cos(math.radians(dec))
    edges = {
        "racmin": (ra - half) % 360,
        "racmax": (ra + half) % 360,
        "deccmin": dec - NORTH / 2,
        "deccmax": dec + NORTH / 2,
    }
    conn.execute(update(image).where(image.c.desfile_id == number).values(edges))


@pytest.fixture
def ccds(database: Database) -> Database:
    """Two CCDs of exposure 1 (one across RA 0), one of exposure 2, one of exposure 3."""
    with database.write() as conn:
        ccd(conn, 1, 1, 1, 0.0, -60.0)
        ccd(conn, 2, 1, 2, 0.0, -59.5)
        ccd(conn, 3, 2, 1, 50.0, 10.0)
        ccd(conn, 4, 3, 1, 80.0, 80.0)
    return database


def holds(moc: MOC, ra: float, dec: float) -> bool:
    inside = moc.contains_lonlat(Longitude([ra % 360], units.deg), Latitude([dec], units.deg))
    return bool(inside[0])


def area(moc: MOC) -> float:
    return float(moc.sky_fraction) * 360**2 / math.pi


@pytest.mark.parametrize(
    ("expnum", "ra", "dec", "count"), [(1, 0.0, -60.0, 2), (2, 50.0, 10.0, 1), (3, 80.0, 80.0, 1)]
)
def test_the_map_holds_the_whole_of_each_ccd_and_little_else(
    ccds: Database, expnum: int, ra: float, dec: float, count: int
) -> None:
    with ccds.read() as conn:
        moc = SkyCoverage().of(conn, [expnum])
    for east in (-0.49, 0.0, 0.49):
        for north in (-0.49, 0.0, 0.49):
            assert holds(moc, ra + east * EAST / math.cos(math.radians(dec)), dec + north * NORTH)
    assert not holds(moc, ra + (EAST / 2 + 2 * CELL) / math.cos(math.radians(dec)), dec)
    assert not holds(moc, ra, dec + NORTH / 2 + 2 * CELL)
    # Cells at the edges are whole.
    assert EAST * NORTH * count < area(moc) < (EAST + 2 * CELL) * (NORTH + 2 * CELL) * count


def test_an_excluded_ccd_or_exposure_is_not_in_it_until_that_is_lifted(ccds: Database) -> None:
    sky = SkyCoverage()

    def inside() -> list[bool]:
        with ccds.read() as conn:
            moc = sky.of(conn, [1, 2])
        return [holds(moc, 0.0, -60.0), holds(moc, 0.0, -59.5), holds(moc, 50.0, 10.0)]

    assert inside() == [True, True, True]
    with ccds.write() as conn:
        exclude_exposure(conn, 1, 2, who="mary", reason="a ghost", scope=PRODUCTION)
    assert inside() == [True, False, True]
    with ccds.write() as conn:
        exclude_exposure(conn, 2, 0, who="mary", reason="a cloud", scope=PRODUCTION)
    assert inside() == [True, False, False]
    with ccds.write() as conn:
        lift_exclusion(conn, 1, 2, who="mary", reason="a galaxy", scope=PRODUCTION)
    assert inside() == [True, True, False]


@pytest.fixture
def read_exposures(ccds: Database) -> Iterator[list[str]]:
    """Parameters of the queries of outlines, as they are sent."""
    sent: list[str] = []

    def note(_conn: Engine, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        if "racmin" in statement:
            sent.append(str(parameters))

    event.listen(ccds.engine, "before_cursor_execute", note)
    yield sent
    event.remove(ccds.engine, "before_cursor_execute", note)


def test_a_map_that_grows_reads_what_is_new_and_is_as_one_drawn_anew(
    ccds: Database, read_exposures: list[str], tmp_path: Path
) -> None:
    sky = SkyCoverage()
    with ccds.read() as conn:
        sky.of(conn, [1])
        grown = sky.of(conn, [1, 2])
        assert "1" not in read_exposures[-1].partition("[")[2].partition("]")[0], (
            "exposure 1 is not read again"
        )
        assert grown == SkyCoverage().of(conn, [1, 2])
        assert sky.of(conn, [2]) == SkyCoverage().of(conn, [2]), "one that shrinks is drawn anew"
    write_moc(tmp_path / "t.moc", grown)
    assert MOC.load(str(tmp_path / "t.moc"), format="fits") == grown
    assert [p.name for p in tmp_path.glob("*t.moc")] == ["t.moc"]
