"""One rule says what an excluded CCD spoils: plans, chosen calibrations, tags, and the checks of releases agree.

Expected values follow from which pixels went into a file: a flat norm and sky components are computed from all CCDs.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from sqlalchemy import insert

from desdm.archive.calibrations import CalibrationRequest, choose
from desdm.archive.model import Scope
from desdm.archive.unsound import unsound_attempts
from desdm.operations.acceptance import exclude_exposure, lift_exclusion
from desdm.release.contents import contents_of
from desdm.release.exposures import check_exposures
from desdm.schema import pfw_omitted_input
from desdm.schema.database import Database
from tests.archive.test_find import attempt, put
from tests.archive.test_unsound import derive, images

PRODUCTION = Scope("", "")
NIGHT = {"nite": "20121120", "band": "r"}
CCDS = (1, 2, 3)


@pytest.fixture
def season(database: Database) -> Database:
    """Supercal (attempt 1) of flats 1 and sky exposures 11 and 12; First Cut (2) of exposure 11; a coadd (3) of its CCDs.

    Flat norm 30 <- mini flat 31 <- raw 1; sky components 60 <- mini skies 61 (of 11), 62 (of 12). Of each CCD: bias 20+c
    (of raw 2), flat 40+c, sky template 70+c, image 80+c, nwgint 90+c. Streaks 63, astrometry 64 and zero points 65 of
    exposure 11 are of no CCD; coadd 100+c is of one CCD.
    """
    with database.write() as conn:
        for number, unit, pipeline in (
            (1, "20121120t1120", "supercal"),
            (2, "D00000011", "firstcut"),
            (3, "T", "coadd"),
        ):
            attempt(conn, number, unit=unit, req=number, pipeline=pipeline)
        for expnum in (1, 2, 11, 12):
            put(conn, expnum, f"raw{expnum}.fits", filetype="raw", expnum=expnum, **NIGHT)
        put(conn, 31, "miniflat.fits", 1, filetype="miniflat", expnum=1, **NIGHT)
        put(conn, 30, "flatnorm.json", 1, filetype="flatnorm", **NIGHT)
        put(conn, 61, "minisky11.fits", 1, filetype="minisky", expnum=11, **NIGHT)
        put(conn, 62, "minisky12.fits", 1, filetype="minisky", expnum=12, **NIGHT)
        put(conn, 60, "skypc.fits", 1, filetype="cal_skypc", **NIGHT)
        put(conn, 63, "streaks.fits", 2, filetype="streaks", expnum=11, **NIGHT)
        put(conn, 64, "scamp.head", 2, filetype="scamp_head")
        put(conn, 65, "zeropoints.fits", 2, filetype="zeropoints", expnum=11, **NIGHT)
        for c in CCDS:
            of_ccd = {"ccdnum": c, **NIGHT}
            put(conn, 20 + c, f"bias_c{c}.fits", 1, filetype="cal_biascor", ccdnum=c, nite="20121120")
            put(conn, 40 + c, f"flat_c{c}.fits", 1, filetype="cal_dflatcor", **of_ccd)
            put(conn, 70 + c, f"template_c{c}.fits", 1, filetype="cal_skytempl", **of_ccd)
            put(conn, 80 + c, f"image_c{c}.fits", 2, expnum=11, **of_ccd)
            put(conn, 90 + c, f"nwgint_c{c}.fits", 3, filetype="coadd_nwgint", expnum=11, **of_ccd)
            put(conn, 100 + c, f"coadd_of_c{c}.fits", 3, filetype="coadd", band="r")
        derive(conn, 31, 1)
        derive(conn, 30, 31)
        derive(conn, 61, 11, *(20 + c for c in CCDS))
        derive(conn, 62, 12, *(20 + c for c in CCDS))
        derive(conn, 60, 61, 62)
        derive(conn, 63, 11, *(20 + c for c in CCDS), *(70 + c for c in CCDS))
        derive(conn, 64, 63)
        derive(conn, 65, 64)
        for c in CCDS:
            derive(conn, 20 + c, 2)
            derive(conn, 40 + c, 1, 30)
            derive(conn, 70 + c, 11, 12, 60)
            derive(conn, 80 + c, 11, 20 + c, 63, 64, 65)
            derive(conn, 90 + c, 80 + c)
            derive(conn, 100 + c, 90 + c)
    return database


def connect(database: Database, edges: Iterable[tuple[int, int]]) -> None:
    """Derive files from more files."""
    with database.write() as conn:
        for child, parent in edges:
            derive(conn, child, parent)


def ban(database: Database, expnum: int, ccdnum: int) -> str:
    """Exclude a CCD and return what the operator reads."""
    with database.write() as conn:
        return exclude_exposure(conn, expnum, ccdnum, reason="light leak", who="ann", scope=PRODUCTION).note


def usable(database: Database) -> tuple[int, ...]:
    """The CCDs of exposure 11 that a coadd takes; plan and check of the release must say the same."""
    used = tuple(int(name[7]) for name in images(database)[0])
    released = {100 + c: f"images/c{c}" for c in CCDS}
    with database.read() as conn:
        checks = check_exposures(conn, "R", contents_of(conn, released), [PRODUCTION])
    faulty = {c.subject for c in checks if c.outcome == "error"}
    assert {f"images/c{c}" for c in CCDS if c not in used} == faulty, [c.text for c in checks]
    return used


def chosen(database: Database, filetype: str) -> list[str]:
    with database.read() as conn:
        request = CalibrationRequest(expnum=99, nite="20121120", band="r")
        return [c.file.filename for c in choose(conn, filetype, request).choices]


TEMPLATES = [(80 + c, 70 + c) for c in CCDS]
FLATS = [(80 + c, 40 + c) for c in CCDS]


def test_without_exclusions_all_is_used(season: Database) -> None:
    connect(season, TEMPLATES + FLATS)
    assert usable(season) == CCDS


def test_an_excluded_ccd_of_the_exposure_is_taken_out_and_no_other(season: Database) -> None:
    """Its streaks, astrometry and zero points are of all CCDs and do not spoil the others."""
    with season.write() as conn:
        conn.exec_driver_sql("DELETE FROM opm_was_derived_from WHERE parent_desfile_id IN (71, 72, 73)")
    ban(season, 11, 1)
    assert usable(season) == (2, 3)
    assert images(season)[1] == [("image_c1.fits", 11, 1, "excluded: light leak (ann)")]


@pytest.mark.parametrize("expnum", [11, 12])
def test_sky_components_spoil_all_ccds_also_of_the_excluded_exposure(season: Database, expnum: int) -> None:
    connect(season, TEMPLATES)
    ban(season, expnum, 1)
    assert chosen(season, "cal_skypc") == chosen(season, "cal_skytempl") == []
    assert usable(season) == ()
    with season.read() as conn:
        (reason,) = unsound_attempts(conn, [2]).values()
    assert f"D{expnum:08d}, CCD 1, which is excluded" in reason
    with season.write() as conn:
        lift_exclusion(conn, expnum, 1, reason="it was another night", who="ann", scope=PRODUCTION)
    assert usable(season) == CCDS
    assert chosen(season, "cal_skypc") == ["skypc.fits"]


def test_a_flat_norm_spoils_the_flats_of_all_ccds(season: Database) -> None:
    connect(season, FLATS)
    note = ban(season, 1, 3)
    assert "supercal 20121120t1120_r1p01; firstcut D00000011_r2p01" in note
    assert chosen(season, "flatnorm") == chosen(season, "cal_dflatcor") == []
    assert usable(season) == ()


def test_a_bias_spoils_its_ccd_alone_though_all_biases_are_under_the_streaks(season: Database) -> None:
    with season.write() as conn:
        conn.exec_driver_sql("DELETE FROM opm_was_derived_from WHERE parent_desfile_id IN (71, 72, 73)")
    ban(season, 2, 2)
    assert chosen(season, "cal_biascor") == ["bias_c1.fits", "bias_c3.fits"]
    assert usable(season) == (1, 3)
    # The mini skies were reduced with that bias, and mix all CCDs in the sky components.
    assert chosen(season, "cal_skypc") == []


def test_a_run_that_left_the_ccd_out_is_sound(season: Database) -> None:
    """Made again after the exclusion, sky components and flat norm are derived from the same raw files."""
    connect(season, TEMPLATES + FLATS)
    with season.write() as conn:
        conn.exec_driver_sql(
            "DELETE FROM opm_was_derived_from WHERE (child_desfile_id, parent_desfile_id) IN ((43, 1), (73, 12))"
        )
        rows = [
            {"pfw_attempt_id": 1, "desfile_id": n, "ccdnum": 3, "expnum": n, "reason": "excluded"}
            for n in (1, 12)
        ]
        conn.execute(insert(pfw_omitted_input), rows)
    for expnum in (1, 12):
        ban(season, expnum, 3)
    assert usable(season) == CCDS
    assert chosen(season, "flatnorm") == ["flatnorm.json"]
    ban(season, 12, 2)
    assert usable(season) == ()
