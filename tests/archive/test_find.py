"""Queries: DESDM's value syntax, the sky, and which of several attempts stands."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, update

from desdm.archive import catalog, tags
from desdm.archive.filetypes import BY_NAME
from desdm.archive.query import region
from desdm.errors import NotFoundError, UsageError
from desdm.schema import (
    METADATA_TABLES,
    desfile,
    file_archive_info,
    pfw_attempt,
    pfw_attempt_val,
    pfw_request,
    pfw_unit,
    task,
)
from desdm.schema.database import Database


def attempt(conn: Any, number: int, unit: str = "D00000001", req: int = 1, att: int = 1, **more: Any) -> None:
    pipeline = more.pop("pipeline", "finalcut")
    if not conn.execute(pfw_request.select().where(pfw_request.c.reqnum == req)).first():
        conn.execute(
            insert(pfw_request),
            {"reqnum": req, "project": "OPS", "campaign": f"C{req}", "pipeline": pipeline},
        )
    if not conn.execute(
        pfw_unit.select().where(pfw_unit.c.reqnum == req, pfw_unit.c.unitname == unit)
    ).first():
        conn.execute(insert(pfw_unit), {"reqnum": req, "unitname": unit})
    conn.execute(insert(task), {"id": number, "name": "run", "info_table": "pfw_attempt"})
    row = {
        "id": number, "reqnum": req, "unitname": unit, "attnum": att, "task_id": number, "state": "done",
        "data_state": "NEW", "operator": "me", "pipeprod": pipeline, "pipever": "1", "submittime": catalog.store.now(),
        "numexpblk": 1, "numexpjobs": 1, "numexpwrap": 1, "archive_path": unit, "fingerprint": "0" * 64,
        "cancel_requested": False,
    }  # fmt: skip
    conn.execute(insert(pfw_attempt), {**row, **more})


def put(conn: Any, number: int, name: str, attempt_id: int | None = None, **metadata: Any) -> None:
    filetype = metadata.pop("filetype", "red_immask")
    table = METADATA_TABLES[BY_NAME[filetype].table]
    conn.execute(insert(desfile), {
        "id": number, "filename": name, "compression": metadata.pop("compression", ""), "filetype": filetype,
        "filesize": number, "sha256": f"{number:064x}", "md5sum": f"{number:032x}", "pfw_attempt_id": attempt_id,
    })  # fmt: skip
    state = metadata.pop("state", "ok")
    conn.execute(
        insert(file_archive_info),
        {"desfile_id": number, "archive_name": "primary", "path": "d", "state": state},
    )
    conn.execute(insert(table), {"desfile_id": number, **metadata})


@pytest.fixture
def filled(database: Database) -> Database:
    with database.write() as conn:
        put(
            conn, 1, "a.fits", expnum=10, ccdnum=1, band="g", nite="20160101", exptime=90.0, compression=".fz"
        )
        put(conn, 2, "b.fits", expnum=11, ccdnum=2, band="r", nite="20160102", exptime=45.0)
        put(conn, 3, "c.fits", expnum=12, ccdnum=3, band="i", nite="20160103")
        put(conn, 4, "d.fits", expnum=13, ccdnum=62, nite="20160201", exptime=330.5)
        put(conn, 5, "e_cat.fits", filetype="cat_finalcut", expnum=10, band="g", objects=7)
        put(conn, 6, "gone.fits", expnum=10, band="g", state="missing")
        put(conn, 7, "bin.fits", expnum=10, band="g", state="trash")
    return database


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, "a.fits.fz b.fits c.fits d.fits e_cat.fits"),
        ({"band": "g"}, "a.fits.fz e_cat.fits"),
        ({"band": "g,r"}, "a.fits.fz b.fits e_cat.fits"),
        ({"band": " g , i "}, "a.fits.fz c.fits e_cat.fits"),
        ({"band": "!g"}, "b.fits c.fits d.fits"),
        ({"band": "!g,!r"}, "c.fits d.fits"),
        ({"band": "null"}, "d.fits"),
        ({"band": "!NULL", "filetype": "red_immask"}, "a.fits.fz b.fits c.fits"),
        ({"expnum": "11:12"}, "b.fits c.fits"),
        ({"expnum": "10,12:13", "filetype": "red_immask"}, "a.fits.fz c.fits d.fits"),
        ({"expnum": "!11:13"}, "a.fits.fz e_cat.fits"),
        ({"exptime": "45:90"}, "a.fits.fz b.fits"),
        ({"exptime": "330.5"}, "d.fits"),
        ({"nite": "20160101:20160103", "filetype": "red_%"}, "a.fits.fz b.fits c.fits"),
        ({"nite": "201601%"}, "a.fits.fz b.fits c.fits"),
        ({"nite": "!201601%", "expnum": "13"}, "d.fits"),
        ({"filename": "a.fits.fz"}, "a.fits.fz"),
        ({"filename": "%.fits"}, "b.fits c.fits d.fits e_cat.fits"),
        ({"filename": "^[ab].fits"}, "a.fits.fz b.fits"),
        ({"filetype": "cat_finalcut", "objects": "7"}, "e_cat.fits"),
        ({"objects": "7"}, "e_cat.fits"),
        ({"FILETYPE": "cat_finalcut"}, "e_cat.fits"),
        ({"filesize": "2:3"}, "b.fits c.fits"),
        ({"band": "'; DROP TABLE desfile; --"}, ""),
    ],
)
def test_value_syntax(filled: Database, query: dict[str, str], expected: str) -> None:
    with filled.read() as conn:
        rows = catalog.find(conn, query)
    assert " ".join(row.filename for row in rows) == expected
    assert all(row.fullname == f"d/{row.filename}" for row in rows)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"colour": "blue"}, "colour"), ({"expnum": "many"}, "many"), ({"band": "g,,r"}, "empty"),
        ({"expnum": "99999999999"}, "99999999999"), ({"exptime": "nan"}, "nan"), ({"filename": "[a"}, "regular"),
        ({"region": "1,2"}, "ra,dec,size"), ({"region": "1,95,1"}, "dec"), ({"desfile_id": "1"}, "desfile_id"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_said(filled: Database, query: dict[str, str], told: str) -> None:
    with filled.read() as conn, pytest.raises(UsageError, match=told):
        catalog.find(conn, query)


def test_rows_have_the_columns_of_their_table_and_limit_cuts(filled: Database) -> None:
    with filled.read() as conn:
        rows = catalog.find(conn, {}, limit=2)
        (row,) = catalog.find(conn, {"filename": "e_cat.fits"})
    assert [r.filename for r in rows] == ["a.fits.fz", "b.fits"]
    assert rows[0].metadata.exptime == 90.0
    assert row.metadata.objects == 7
    assert "exptime" not in row.columns()


def test_the_newest_good_attempt_stands(database: Database) -> None:
    with database.write() as conn:
        attempt(conn, 1, att=1)
        attempt(conn, 2, att=2)
        attempt(conn, 3, att=3, state="failed")
        attempt(conn, 4, unit="D00000002", req=2, pipeline="finalcut")
        attempt(conn, 5, unit="D00000002", req=3, pipeline="firstcut")
        for number in (1, 2, 3):
            put(conn, number, f"im_p{number}.fits", number, band="g")
        put(conn, 4, "seg_p1.fits", 1, filetype="segmap", band="g")
        put(conn, 5, "other.fits", 4, band="g")
        put(conn, 6, "first.fits", 5, band="g")
    with database.read() as conn:
        found = [r.filename for r in catalog.find(conn, {"band": "g"})]
        # p2 is the newest good one; what only p1 made stands; another pipeline's files are another matter.
        assert found == ["first.fits", "im_p2.fits", "other.fits", "seg_p1.fits"]
        assert [r.filename for r in catalog.find(conn, {"attempt": "D00000001_r1p01"})] == [
            "im_p1.fits",
            "seg_p1.fits",
        ]
        both = catalog.find(conn, {"attempt": "D00000001_r1p01,D00000001_r1p3", "filetype": "red_immask"})
        assert [r.filename for r in both] == ["im_p1.fits", "im_p3.fits"]
        with pytest.raises(NotFoundError):
            catalog.find(conn, {"attempt": "D00000001_r1p09"})
    with database.write() as conn:
        conn.execute(update(pfw_attempt).where(pfw_attempt.c.id == 2).values(data_state="JUNK"))
    with database.read() as conn:
        assert [r.filename for r in catalog.find(conn, {"filename": "im%"})] == ["im_p1.fits"]
    with database.write() as conn:
        conn.execute(update(pfw_attempt).where(pfw_attempt.c.id == 1).values(data_state="PRUNED"))
    with database.read() as conn:
        # No good attempt is left: what the failed one made is all there is.
        assert [r.filename for r in catalog.find(conn, {"filename": "im%"})] == ["im_p3.fits"]


def names(database: Database, **query: str) -> list[str]:
    with database.read() as conn:
        return [r.filename for r in catalog.find(conn, query)]


def change(database: Database, number: int, **values: str) -> None:
    with database.write() as conn:
        conn.execute(update(pfw_attempt).where(pfw_attempt.c.id == number).values(**values))


def test_a_newer_run_of_fewer_bands_leaves_the_other_bands(database: Database) -> None:
    """Tile by tile and band by band the newest stands; what is made from all bands together is never mixed."""
    joint = (("coadd_det", "det"), ("coadd_objects", "objects"), ("coadd_color", "color"))
    with database.write() as conn:
        number = 0
        for att, bands in ((1, "griz"), (2, "r")):
            attempt(conn, att, "DES0001+0001", att=att, pipeline="coadd")
            for band in bands:
                for kind in ("coadd", "coadd_cat"):
                    number += 1
                    put(conn, number, f"p{att}_{band}_{kind}", att, filetype=kind, band=band)
            for kind, label in joint:
                number += 1
                put(conn, number, f"p{att}_{label}", att, filetype=kind)
    images = ["p1_g_coadd", "p1_i_coadd", "p1_z_coadd", "p2_r_coadd"]
    catalogues = [f"p1_{band}_coadd_cat" for band in sorted("griz")]
    assert names(database, filetype="coadd") == images
    assert names(database, filetype="coadd_cat") == catalogues
    assert names(database, filetype="coadd_det,coadd_objects,coadd_color") == [
        "p1_color",
        "p1_det",
        "p1_objects",
    ]
    # The answer about one band is a part of the answer about all.
    assert names(database, filetype="coadd,coadd_cat", band="r") == ["p1_r_coadd_cat", "p2_r_coadd"]
    change(database, 1, data_state="JUNK")
    assert names(database, filetype="coadd,coadd_objects") == ["p2_objects", "p2_r_coadd"]


def test_standing_comes_before_the_number_of_bands(database: Database) -> None:
    with database.write() as conn:
        for att, bands in ((1, "gr"), (2, "r")):
            attempt(conn, att, "DES0001+0001", att=att, pipeline="coadd", state="flagged")
            for n, band in enumerate(bands):
                put(conn, 10 * att + n, f"p{att}_{band}", att, filetype="coadd", band=band)
            put(conn, 100 * att, f"p{att}_objects", att, filetype="coadd_objects")
    assert names(database, filetype="coadd%") == ["p1_g", "p1_objects", "p2_r"]
    change(database, 1, data_state="ACTIVE")
    assert names(database, filetype="coadd%") == ["p1_g", "p1_objects", "p1_r"]
    change(database, 1, data_state="NEW")
    change(database, 2, data_state="ACTIVE")
    assert names(database, filetype="coadd%") == ["p1_g", "p2_objects", "p2_r"]


def test_of_runs_with_as_many_bands_the_newer_makes_the_catalogues(database: Database) -> None:
    with database.write() as conn:
        for att, bands in ((1, "gr"), (2, "iz"), (3, "g")):
            attempt(conn, att, "DES0001+0001", att=att, pipeline="coadd")
            for n, band in enumerate(bands):
                put(conn, 10 * att + n, f"p{att}_{band}", att, filetype="coadd", band=band)
                put(conn, 100 * att + n, f"p{att}_{band}_cat", att, filetype="coadd_cat", band=band)
    assert names(database, filetype="coadd") == ["p1_r", "p2_i", "p2_z", "p3_g"]
    assert names(database, filetype="coadd_cat") == ["p2_i_cat", "p2_z_cat"]
    assert names(database, filetype="coadd_cat", band="g") == []


def ccds_of(conn: Any, number: int, text: str, dead: str = "") -> None:
    """What an attempt keeps of the CCDs that it was to process."""
    rows = [{"pfw_attempt_id": number, "key": "ccdnum", "val": text}]
    rows += [{"pfw_attempt_id": number, "key": "dead_ccdnum", "val": dead}] if dead else []
    conn.execute(insert(pfw_attempt_val), rows)


@pytest.mark.parametrize(
    ("first", "second", "made", "expected"),
    [
        (("1:3", ""), ("2", ""), (2,), ["p1_1", "p1_2", "p1_3"]),
        # The newer one was to process all; that one of them failed does not bring the old one back.
        (("1:3", ""), ("1:3", ""), (1, 3), ["p2_1", "p2_3"]),
        # Left out because it is dead is not forgotten.
        (("1:3", ""), ("1,3", "2"), (1, 3), ["p2_1", "p2_3"]),
        (("1:2", ""), ("1:3", ""), (1, 2, 3), ["p2_1", "p2_2", "p2_3"]),
    ],
)  # fmt: skip
def test_the_ccds_of_an_exposure_come_from_one_run_the_one_of_more_ccds(
    database: Database,
    first: tuple[str, str],
    second: tuple[str, str],
    made: tuple[int, ...],
    expected: list[str],
) -> None:
    with database.write() as conn:
        for att, (said, there) in enumerate(((first, (1, 2, 3)), (second, made)), 1):
            attempt(conn, att, att=att)
            ccds_of(conn, att, *said)
            for ccd in there:
                put(conn, 10 * att + ccd, f"p{att}_{ccd}", att, band="g", expnum=1, ccdnum=ccd)
    assert names(database, filetype="red_immask") == expected


def test_calibrations_are_superseded_ccd_by_ccd_and_band_by_band(database: Database) -> None:
    with database.write() as conn:
        for att, ccds, bands in ((1, "1:2", "gr"), (2, "2", "r")):
            attempt(conn, att, "20160101", att=att, pipeline="precal")
            ccds_of(conn, att, ccds)
            for ccd in (1, 2) if att == 1 else (2,):
                put(conn, 100 * att + ccd, f"p{att}_bias_{ccd}", att, filetype="cal_biascor", ccdnum=ccd)
                for n, band in enumerate(bands, 1):
                    number = 100 * att + 10 * n + ccd
                    name = f"p{att}_flat_{band}_{ccd}"
                    put(conn, number, name, att, filetype="cal_dflatcor", ccdnum=ccd, band=band)
    assert names(database, filetype="cal_biascor") == ["p1_bias_1", "p2_bias_2"]
    assert names(database, filetype="cal_dflatcor") == [
        "p1_flat_g_1", "p1_flat_g_2", "p1_flat_r_1", "p2_flat_r_2",
    ]  # fmt: skip


def test_what_nobody_has_marked_does_not_take_the_place_of_what_is_done(database: Database) -> None:
    with database.write() as conn:
        for number, state in enumerate(("failed", "flagged", "done", "flagged", "failed"), 1):
            attempt(conn, number, att=number, state=state)
            put(conn, number, f"im_p{number}.fits", number, band="g")
    assert names(database, band="g") == ["im_p3.fits"]
    change(database, 4, data_state="ACTIVE")
    assert names(database, band="g") == ["im_p4.fits"]
    change(database, 4, data_state="JUNK")
    assert names(database, band="g") == ["im_p3.fits"]
    change(database, 3, data_state="JUNK")
    # Flagged ones serve where nothing better is; what failed takes nobody's place.
    assert names(database, band="g") == ["im_p2.fits"]
    change(database, 2, data_state="PRUNED")
    assert names(database, band="g") == ["im_p1.fits", "im_p5.fits"]


@pytest.mark.parametrize("state", ["trash", "missing", "corrupt"])
def test_an_attempt_whose_files_are_gone_does_not_take_the_place_of_another(
    database: Database, state: str
) -> None:
    with database.write() as conn:
        for number in (1, 2):
            attempt(conn, number, att=number)
            put(conn, number, f"im_p{number}.fits", number, band="g", state="ok" if number == 1 else state)
    assert names(database, band="g") == ["im_p1.fits"]


def test_an_attempt_without_the_tag_does_not_take_the_place_of_a_tagged_one(database: Database) -> None:
    with database.write() as conn:
        for number in (1, 2, 3):
            attempt(conn, number, att=number)
            put(conn, number, f"im_p{number}.fits", number, band="g")
        tags.tag(conn, "Y1", [], ["D00000001_r1p01"], who="me")
        tags.tag(conn, "Y2", ["im_p2.fits"], ["D00000001_r1p01"], who="me")
    assert names(database, band="g") == ["im_p3.fits"]
    assert names(database, tag="Y1") == ["im_p1.fits"]
    assert names(database, tag="Y2") == ["im_p2.fits"]


def test_a_tag_is_the_file_s_or_its_attempt_s(database: Database) -> None:
    with database.write() as conn:
        attempt(conn, 1)
        put(conn, 1, "a.fits", 1)
        put(conn, 2, "b.fits")
        put(conn, 3, "c.fits")
        tags.tag(conn, "Y1", ["b.fits"], ["D00000001_r1p01"], who="me")
    with database.read() as conn:
        assert [r.filename for r in catalog.find(conn, {"tag": "Y1"})] == ["a.fits", "b.fits"]
        assert [r.filename for r in catalog.find(conn, {"tag": "Y%"})] == ["a.fits", "b.fits"]
        assert [f.name for f in catalog.files(conn, tag="Y1")] == ["a.fits", "b.fits"]


BOXES = {
    "zero": (359.9, 0.1, -0.1, 0.1, "Y"),
    "left": (359.0, 359.5, -0.1, 0.1, "N"),
    "right": (0.2, 0.6, -0.1, 0.1, "N"),
    "south": (10.0, 20.0, -89.5, -89.0, "N"),
    "pole": (0.0, 360.0, -90.0, -89.8, "N"),
    "field": (150.0, 150.5, 2.0, 2.3, "N"),
}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("0,0,0.02", "zero"), ("359.95,0,0.02", "zero"), ("360,0,0.02", "zero"), ("359.7,0,0.02", ""),
        ("359.7,0,0.45", "left zero"), ("0.15,0,0.12", "right zero"), ("0,0,1.2", "left right zero"),
        ("150.25,2.15,0.01", "field"), ("150.6,2.15,0.19", ""), ("150.6,2.15,0.21", "field"), ("150.25,2.5,0.41", "field"),
        ("100,-89.95,0.01", "pole"), ("100,-89.7,0.7", "pole south"), ("100,-89.3,0.02", ""), ("15,-89.3,0.02", "south"),
        ("22,-89.2,0.1", "south"), ("0,90,1", ""), ("0,0,180", "field left pole right south zero"),
    ],
)  # fmt: skip
def test_regions_work_across_ra_0_and_at_the_poles(database: Database, where: str, expected: str) -> None:
    with database.write() as conn:
        for number, (name, box) in enumerate(BOXES.items(), 1):
            put(
                conn,
                number,
                name,
                **dict(zip(("racmin", "racmax", "deccmin", "deccmax", "crossra0"), box, strict=True)),
            )
    with database.read() as conn:
        assert " ".join(r.filename for r in catalog.find(conn, {"region": where})) == expected


@given(st.floats(-720, 720), st.floats(-90, 90), st.floats(0, 180))
def test_a_region_is_read_as_written(ra: float, dec: float, size: float) -> None:
    found = region(f"{ra!r}, {dec!r} ,{size!r}")
    assert 0 <= found[0] <= 360
    assert found[1:] == (dec, size)
