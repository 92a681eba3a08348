"""Calibrations and images that must not be used because an excluded frame, or a JUNK run, is under them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert

from desdm.archive import catalog, store
from desdm.archive.calibrations import CalibrationRequest, assign, choose, define_epoch, explain_none
from desdm.archive.model import Scope
from desdm.archive.unsound import unsound
from desdm.framework.mark import mark
from desdm.framework.scope import InputFinder
from desdm.operations import acceptance
from desdm.operations.acceptance import refresh_tags_of_exposures, refresh_tags_of_run
from desdm.quality.qa.verdict import record
from desdm.schema import opm_was_derived_from, pfw_attempt
from desdm.schema.database import Database
from desdm.schema.states import DataState
from tests.archive.test_find import attempt, put

NIGHT = {"nite": "20121120"}
EXPOSURE = CalibrationRequest(expnum=11, nite="20121120")


def derive(conn: Any, child: int, *parents: int) -> None:
    conn.execute(
        insert(opm_was_derived_from), [{"child_desfile_id": child, "parent_desfile_id": p} for p in parents]
    )


@pytest.fixture
def night(database: Database) -> Database:
    """A precal (attempt 1) of biases 1, 2 and 3, of which 3 was sifted out, and First Cut (2) of exposure 11, CCDs 1 and 2.

    An earlier night's precal is attempt 3.
    """
    with database.write() as conn:
        attempt(conn, 1, unit="20121120", req=1, pipeline="precal")
        attempt(conn, 2, unit="D00000011", req=2, pipeline="firstcut")
        attempt(conn, 3, unit="20121118", req=1, att=1, pipeline="precal")
        for expnum in (1, 2, 3, 11):
            put(conn, expnum, f"raw{expnum}.fits", filetype="raw", expnum=expnum, **NIGHT)
        put(conn, 20, "frames.fits", 1, filetype="cal_frames", **NIGHT)
        derive(conn, 20, 1, 2, 3)
        for ccdnum in (1, 2):
            facts = {"filetype": "cal_biascor", "ccdnum": ccdnum}
            put(conn, 20 + ccdnum, f"new_c{ccdnum}.fits", 1, **facts, **NIGHT)
            derive(conn, 20 + ccdnum, 1, 2, 20)
            put(conn, 30 + ccdnum, f"old_c{ccdnum}.fits", 3, **facts, nite="20121118")
            put(conn, 40 + ccdnum, f"image_c{ccdnum}.fits", 2, expnum=11, ccdnum=ccdnum, band="r", **NIGHT)
            derive(conn, 40 + ccdnum, 11, 20 + ccdnum)
    return database


def junk(database: Database, run: str) -> None:
    with database.write() as conn:
        mark(conn, run, DataState.JUNK, who="mary", reason="lamp off")


def exclude(database: Database, expnum: int, ccdnum: int = 0) -> None:
    with database.write() as conn:
        store.exclude(conn, expnum, ccdnum, "light leak", "ann")


def chosen(database: Database, request: CalibrationRequest = EXPOSURE) -> list[str]:
    with database.read() as conn:
        return [c.file.filename for c in choose(conn, "cal_biascor", request).choices]


def images(database: Database) -> tuple[list[str], list[tuple[str, int | None, int, str]]]:
    """The images that a product may use, and those left out: file, exposure, CCD, why."""
    with database.read() as conn:
        finder = InputFinder(conn, Scope("", ""))
        rows = finder.find({"filetype": "red_immask", "assessment": "any"})
    left = [(o.filename, o.expnum, o.ccdnum, o.reason) for o in finder.omitted.values()]
    return [r.filename for r in rows], left


EXCLUDED = "made from exposure D00000002, which is excluded: light leak (ann)"
JUNK = "made from files of run 20121120_r1p01, which is JUNK: marked by mary: lamp off"


def test_without_exclusion_the_nearest_night_serves(night: Database) -> None:
    assert chosen(night) == ["new_c1.fits", "new_c2.fits"]
    assert images(night) == (["image_c1.fits", "image_c2.fits"], [])


def test_a_calibration_with_an_excluded_frame_under_it_is_not_chosen_and_told(night: Database) -> None:
    exclude(night, 2)
    assert chosen(night) == ["old_c1.fits", "old_c2.fits"]
    with night.read() as conn:
        answer = choose(conn, "cal_biascor", EXPOSURE)
    assert [(p.file.filename, p.reason) for p in answer.rejected] == [
        ("new_c1.fits", EXCLUDED),
        ("new_c2.fits", EXCLUDED),
    ]
    assert EXCLUDED in answer.choices[0].reason


def test_an_image_with_an_excluded_frame_under_it_is_left_out_with_exposure_and_ccd(night: Database) -> None:
    exclude(night, 2)
    assert images(night) == ([], [(f"image_c{c}.fits", 11, c, EXCLUDED) for c in (1, 2)])


def test_a_frame_that_was_sifted_out_spoils_nothing_when_it_is_excluded(night: Database) -> None:
    exclude(night, 3)
    assert chosen(night) == ["new_c1.fits", "new_c2.fits"]
    assert images(night)[1] == []


def test_one_excluded_ccd_spoils_the_calibration_and_the_image_of_that_ccd(night: Database) -> None:
    exclude(night, 2, 2)
    assert chosen(night) == ["new_c1.fits", "old_c2.fits"]
    used, left = images(night)
    assert used == ["image_c1.fits"]
    assert [(o[0], o[2]) for o in left] == [("image_c2.fits", 2)]
    assert "D00000002, CCD 2, which is excluded" in left[0][3]


def test_an_exposure_s_own_exclusion_is_told_as_its_own(night: Database) -> None:
    exclude(night, 11)
    assert {o[3] for o in images(night)[1]} == {"excluded: light leak (ann)"}


def test_an_image_made_with_calibrations_of_a_junk_run_is_left_out(night: Database) -> None:
    junk(night, "20121120_r1p01")
    assert images(night) == ([], [(f"image_c{c}.fits", 11, c, JUNK) for c in (1, 2)])
    with night.write() as conn:
        mark(conn, "20121120_r1p01", DataState.ACTIVE, who="mary", reason="lamp was on")
    assert images(night)[1] == []


def test_a_junk_run_stays_junk_when_its_files_are_deleted(night: Database) -> None:
    junk(night, "20121120_r1p01")
    with night.write() as conn:
        conn.execute(
            pfw_attempt.update().where(pfw_attempt.c.id == 1).values(data_state="PRUNED", pruned_from="JUNK")
        )
    assert len(images(night)[1]) == 2


def test_what_must_not_be_used_supersedes_nothing(night: Database) -> None:
    """A new precal that is only flagged serves where the one that is done has the excluded frame."""
    with night.write() as conn:
        attempt(conn, 5, unit="20121120", req=1, att=2, pipeline="precal", state="flagged")
        for ccdnum in (1, 2):
            put(conn, 50 + ccdnum, f"again_c{ccdnum}.fits", 5, filetype="cal_biascor", ccdnum=ccdnum, **NIGHT)
            derive(conn, 50 + ccdnum, 1)
    assert chosen(night) == ["new_c1.fits", "new_c2.fits"]
    exclude(night, 2)
    assert chosen(night) == ["again_c1.fits", "again_c2.fits"]
    with night.read() as conn:
        assert choose(conn, "cal_biascor", EXPOSURE).rejected == []


@pytest.mark.parametrize("how", ["pin", "tag"])
def test_neither_a_pin_nor_a_tag_makes_it_usable(night: Database, how: str) -> None:
    from desdm.archive.tags import tag

    exclude(night, 2)
    with night.write() as conn:
        tag(conn, "MYCAL", [], ["20121120_r1p01"], who="ann")
    request = (
        CalibrationRequest(11, "20121120", pins={"cal_biascor": "20121120_r1p01"})
        if how == "pin"
        else CalibrationRequest(11, "20110101", tag="MYCAL")
    )
    assert chosen(night, request) == []
    with night.read() as conn:
        assert EXCLUDED in explain_none(conn, "cal_biascor", request)


def test_a_lineage_without_exclusions_or_junk_runs_is_not_walked(
    night: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(store, "reached", lambda *a, **k: calls.append(a) or [])
    with night.read() as conn:
        assert unsound(conn, {41: 11}) == {}
        assert len(catalog.find_sound(conn, {"filetype": "cal_biascor"})[0]) == 4
    assert calls == []


def judged(database: Database) -> None:
    """Exposure 11 is accepted, and its run carries the tag."""
    row = {"exposurename": "D00000011", "expnum": 11, "nite": "20121120", "band": "r", "accepted": "True",
           "reason": ""}  # fmt: skip
    with database.write() as conn:
        record(conn, "firstcut", row, 2)
        assert refresh_tags_of_exposures(conn, PRODUCTION, [11], who="me", reason="run").added == TAGGED


PRODUCTION = Scope("", "")
TAGGED = (("FIRSTCUT_ACCEPTED_20121120", "D00000011_r2p01"),)


def test_an_exclusion_tells_what_it_reaches_and_the_tag_follows(night: Database) -> None:
    judged(night)
    with night.write() as conn:
        made = acceptance.exclude_exposure(conn, 2, 0, reason="light leak", who="ann", scope=PRODUCTION)
    assert made.removed == TAGGED
    assert "precal 20121120_r1p01; firstcut D00000011_r2p01" in made.note
    with night.write() as conn:
        made = acceptance.lift_exclusion(conn, 2, None, reason="none", who="ann", scope=PRODUCTION)
    assert made.added == TAGGED
    with night.write() as conn:
        sifted = acceptance.exclude_exposure(conn, 3, 0, reason="light leak", who="ann", scope=PRODUCTION)
    assert (sifted.removed, sifted.note) == ((), "")


def test_a_junk_mark_tells_what_it_reaches_and_the_tag_follows(night: Database) -> None:
    judged(night)
    junk(night, "20121120_r1p01")
    with night.write() as conn:
        made = refresh_tags_of_run(conn, PRODUCTION, "20121120_r1p01", who="mary", reason="lamp off")
    assert made.removed == TAGGED
    assert "firstcut D00000011_r2p01" in made.note
    with night.write() as conn:
        mark(conn, "20121120_r1p01", DataState.ACTIVE, who="mary", reason="lamp was on")
        made = refresh_tags_of_run(conn, PRODUCTION, "20121120_r1p01", who="mary", reason="lamp on")
    assert (made.added, made.note) == (TAGGED, "")


def test_the_explanation_tells_that_the_pinned_or_tagged_run_is_junk(night: Database) -> None:
    from desdm.archive.tags import tag

    with night.write() as conn:
        tag(conn, "MYCAL", [], ["20121120_r1p01"], who="ann")
    junk(night, "20121120_r1p01")
    words = "its run 20121120_r1p01 is JUNK: marked by mary: lamp off"
    with night.read() as conn:
        pinned = explain_none(
            conn, "cal_biascor", CalibrationRequest(11, "20121120", pins={"cal_biascor": "20121120_r1p01"})
        )
        tagged = explain_none(conn, "cal_biascor", CalibrationRequest(11, "20110101", tag="MYCAL"))
    assert f"the operator set calibration.cal_biascor = 20121120_r1p01 ({words})" in pinned
    assert "epoch table" not in pinned
    assert f"nothing tagged MYCAL that may be used ({words})" in tagged


def test_an_epoch_row_of_a_junk_run_is_passed_over_with_a_note(night: Database) -> None:
    with night.write() as conn:
        define_epoch(conn, "E1", 1, 99, "first light", who="ann")
        assign(conn, "E1", "cal_biascor", attempt="20121120_r1p01", who="ann")
    assert chosen(night) == ["new_c1.fits", "new_c2.fits"]
    junk(night, "20121120_r1p01")
    assert chosen(night) == ["old_c1.fits", "old_c2.fits"]
    with night.read() as conn:
        answer = choose(conn, "cal_biascor", EXPOSURE)
    (note,) = answer.notes
    assert "epoch E1 names 20121120_r1p01 for cal_biascor, of which 2 files are not used" in note
    assert "is JUNK: marked by mary: lamp off" in note
    assert note in answer.choices[0].reason


def test_a_pinned_calibration_of_another_run_class_serves_with_a_note(night: Database) -> None:
    with night.write() as conn:
        conn.execute(pfw_attempt.update().where(pfw_attempt.c.id == 3).values(run_class="study"))
    pins = {"cal_biascor": "20121118_r1p01"}
    with night.read() as conn:
        answer = choose(
            conn, "cal_biascor", CalibrationRequest(11, "20121120", pins=pins, scopes=(PRODUCTION,))
        )
        own = choose(
            conn,
            "cal_biascor",
            CalibrationRequest(11, "20121120", pins={"cal_biascor": "20121120_r1p01"}, scopes=(PRODUCTION,)),
        )
    assert [c.file.filename for c in answer.choices] == ["old_c1.fits", "old_c2.fits"]
    assert "20121118_r1p01 is a study run; runs of class survey count" in answer.notes[0]
    assert own.notes == []
