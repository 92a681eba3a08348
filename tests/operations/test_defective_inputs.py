"""What is marked defective is taken by no plan, offered by no tag, and named as left out, until the mark is withdrawn."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from desdm.archive import catalog, store
from desdm.archive.calibrations import CalibrationRequest, choose
from desdm.archive.tags import tag
from desdm.errors import PlanError
from desdm.facility import Facility
from desdm.framework.scope import InputFinder
from desdm.operations.qa.marks import MarkOrder, mark_subject
from desdm.quality.qa.flags import marks_concern
from desdm.quality.qa.store import newest_mark_number
from desdm.schema import pfw_attempt
from desdm.schema.database import Database
from desdm.schema.operationstates import Mark
from tests.archive.test_find import attempt, put
from tests.archive.test_unsound import derive
from tests.framework.conftest import facility
from tests.operations.test_acceptance import NITE, PRODUCTION, TAG, image, judge, night, tagged
from tests.operations.test_marks import BAD, GOOD, NOW, mark
from tests.support.toy import plan, text_pipeline

__all__ = ["facility", "night"]

IMAGES = {"filetype": "red_immask", "assessment": "accepted"}
WITHDRAWN = Mark.WITHDRAWN
ALL = {(1, 1), (1, 2), (2, 1), (2, 2)}


def planned(database: Database, **query: str) -> tuple[set[tuple[int, int]], dict[str, str]]:
    """Exposure and CCD of the images that a plan takes, and the files that it names as left out, with the reasons."""
    with database.read() as conn:
        finder = InputFinder(conn, PRODUCTION)
        used = {(f.expnum or 0, f.ccdnum or 0) for f in finder.find({**IMAGES, **query})}
    return used, {one.filename: one.reason for one in finder.omitted.values() if one.expnum != 3}


def test_a_defective_file_is_left_out_by_name_until_the_mark_is_withdrawn(night: Database) -> None:
    assert planned(night) == (ALL, {})
    mark(night, "im12.fits", BAD, reason="a ghost")
    left = {"im12.fits": "marked defective by mary: a ghost"}
    assert planned(night) == (ALL - {(1, 2)}, left)
    assert planned(night, tag=TAG) == (ALL - {(1, 2)}, left)
    assert tagged(night) == {1, 2}, "the other CCD is good"
    mark(night, "im11.fits", BAD, reason="a ghost too")
    assert planned(night)[0] == {(2, 1), (2, 2)}
    assert tagged(night) == {2}, "no image of the run may be used"
    mark(night, "im11.fits", WITHDRAWN, reason="no ghost")
    assert tagged(night) == {1, 2}
    mark(night, "im12.fits", GOOD, reason="it is a galaxy")
    assert planned(night) == (ALL, {})


def test_a_tag_on_files_does_not_offer_a_defective_one(night: Database) -> None:
    with night.write() as conn:
        tag(conn, "MINE", ["im12.fits", "im21.fits"], [], who="ann")
    mark(night, "im12.fits", BAD, reason="a ghost")
    assert planned(night, tag="MINE") == ({(2, 1)}, {"im12.fits": "marked defective by mary: a ghost"})
    with night.read() as conn:
        assert [f.name for f in catalog.files(conn, tag="MINE")] == ["im21.fits"]
        assert [f.name for f in catalog.files(conn, tag="MINE", junk=True)] == ["im12.fits", "im21.fits"]


def test_what_was_made_from_a_defective_file_is_left_out_too(night: Database) -> None:
    with night.write() as conn:
        put(conn, 800, "flat_c02.fits", None, filetype="cal_dflatcor", ccdnum=2, band="r", nite=NITE)
        derive(conn, 12, 800)
        derive(conn, 22, 800)
    done = mark(night, "flat_c02.fits", BAD, reason="lamp off")
    text = "made from flat_c02.fits, which is marked defective by mary: lamp off"
    assert planned(night) == ({(1, 1), (2, 1)}, {"im12.fits": text, "im22.fits": text})
    assert "firstcut D00000001_r1p01, D00000002_r1p01" in done.tags.note
    mark(night, "flat_c02.fits", WITHDRAWN, reason="it is its scale")
    assert planned(night) == (ALL, {})


def test_a_defective_ccd_is_left_out_and_no_other(night: Database) -> None:
    mark(night, "D00000001_c02", BAD, reason="dead amplifier")
    used, left = planned(night)
    assert used == ALL - {(1, 2)}
    assert left == {"im12.fits": "marked defective by mary: dead amplifier"}
    mark(night, "D00000001_c02", WITHDRAWN, reason="of another exposure")
    assert planned(night) == (ALL, {})


def test_a_defective_ccd_does_not_spoil_the_others_by_what_its_exposure_shares(night: Database) -> None:
    """All CCDs of an exposure share an astrometric solution, which was derived from the catalogue of each of them."""
    with night.write() as conn:
        for ccdnum in (1, 2):
            facts = {"filetype": "cat_scamp", "expnum": 1, "ccdnum": ccdnum}
            put(conn, 810 + ccdnum, f"cat1{ccdnum}.fits", 1, **facts)
            derive(conn, 10 + ccdnum, 810 + ccdnum)
        put(conn, 820, "solution.head", 1, filetype="scamp_head")
        for child, parent in ((820, 811), (820, 812), (11, 820), (12, 820)):
            derive(conn, child, parent)
    mark(night, "D00000001_c02", BAD, reason="dead amplifier")
    assert planned(night)[0] == ALL - {(1, 2)}
    mark(night, "solution.head", BAD, reason="of another field")
    text = "made from solution.head, which is marked defective by mary: of another field"
    used, left = planned(night)
    assert used == {(2, 1), (2, 2)}
    assert left == {"im11.fits": text, "im12.fits": "marked defective by mary: dead amplifier"}


def test_no_run_of_a_defective_exposure_is_used_and_its_raw_file_enters_no_calibration(
    night: Database,
) -> None:
    """The mark is on the run that counts; the exposure has an older one and a Final Cut, which must not take its place."""
    with night.write() as conn:
        attempt(conn, 40, unit="D00000001", req=4, pipeline="finalcut", run_class="survey")
        conn.exec_driver_sql("UPDATE pfw_request SET campaign = 'C1'")
        image(conn, 141, 1, 1, 40)
        judge(conn, 1, "True", 40, "finalcut")
        put(conn, 700, "raw1.fits", filetype="raw", expnum=1, nite=NITE)
        put(conn, 701, "raw2.fits", filetype="raw", expnum=2, nite=NITE)
    assert planned(night)[0] == ALL - {(1, 2)}, "Final Cut comes before First Cut"
    raw = {"filetype": "raw", "assessment": "unassessed", "expnum": "1,2"}
    mark(night, "1", BAD, reason="dome lights on")
    used, left = planned(night)
    assert used == {(2, 1), (2, 2)}
    assert left["im141.fits"] == "excluded: dome lights on (mary)"
    assert planned(night, **raw)[0] == {(2, 0)}
    assert tagged(night) == {2}
    mark(night, "1", WITHDRAWN, reason="the night after")
    assert planned(night)[0] == ALL - {(1, 2)}
    assert planned(night, **raw)[0] == {(1, 0), (2, 0)}
    assert tagged(night) == {1, 2}


def test_blessing_a_defective_exposure_lifts_the_exclusion_of_that_mark_and_no_other(night: Database) -> None:
    mark(night, "1", BAD, reason="dome lights on")
    mark(night, "1", GOOD, reason="lights were off")
    assert planned(night) == (ALL, {})
    with night.read() as conn:
        assert store.excluded(conn, [1]) == []


def test_a_run_that_was_set_active_by_hand_is_left_out_while_its_newest_mark_is_defective(
    night: Database,
) -> None:
    mark(night, "D00000001_r1p01", BAD, reason="bad flat")
    with night.write() as conn:
        conn.execute(update(pfw_attempt).where(pfw_attempt.c.id == 1).values(data_state="ACTIVE"))
    used, left = planned(night)
    assert used == {(2, 1), (2, 2)}
    assert left == dict.fromkeys(("im11.fits", "im12.fits"), "marked defective by mary: bad flat")
    mark(night, "D00000001_r1p01", GOOD, reason="good flat")
    assert planned(night) == (ALL, {})


def test_a_defective_calibration_gives_way_to_the_next_and_is_named(database: Database) -> None:
    with database.write() as conn:
        attempt(conn, 1, unit=NITE, req=1, att=1, pipeline="precal")
        attempt(conn, 2, unit=NITE, req=1, att=2, pipeline="precal")
        for number, name in ((1, "old"), (2, "new")):
            for ccdnum in (1, 2):
                facts = {"filetype": "cal_biascor", "ccdnum": ccdnum, "nite": NITE}
                put(conn, 10 * number + ccdnum, f"{name}_c{ccdnum}.fits", number, **facts)

    def chosen() -> tuple[list[str], list[tuple[str, str]]]:
        with database.read() as conn:
            answer = choose(conn, "cal_biascor", CalibrationRequest(expnum=11, nite=NITE))
        return [c.file.filename for c in answer.choices], [
            (one.file.filename, one.reason) for one in answer.rejected
        ]

    assert chosen() == (["new_c1.fits", "new_c2.fits"], [])
    mark(database, "new_c2.fits", BAD, reason="a line")
    assert chosen() == (
        ["new_c1.fits", "old_c2.fits"],
        [("new_c2.fits", "marked defective by mary: a line")],
    )
    mark(database, "new_c2.fits", WITHDRAWN, reason="it is in all")
    assert chosen() == (["new_c1.fits", "new_c2.fits"], [])


def test_a_plan_without_any_other_file_is_refused_with_the_mark(facility: Facility) -> None:
    def judged(verdict: Mark) -> None:
        with facility.database.write() as conn:
            order = MarkOrder(verdict, "cut short")
            mark_subject(conn, "raw.txt", order, who="mary", scope=facility.production, now=NOW)

    judged(BAD)
    with pytest.raises(PlanError, match="marked defective by mary: cut short"):
        plan(facility, text_pipeline())
    judged(WITHDRAWN)
    assert plan(facility, text_pipeline(), dry_run=True).jobs


def test_a_mark_between_reading_and_writing_makes_the_plan_anew(night: Database) -> None:
    with night.read() as conn:
        files = catalog.find(conn, {"filetype": "red_immask"}, scope=PRODUCTION)

    def concern(newest: int, used: list[int], omitted: list[int]) -> bool:
        with night.read() as conn:
            return marks_concern(conn, newest, [f for f in files if f.id in used], omitted)

    with night.read() as conn:
        before = newest_mark_number(conn)
    assert not concern(before, [11, 12], [])
    mark(night, "im12.fits", BAD, reason="a ghost")
    assert concern(before, [11, 12], []) and not concern(before, [11, 21], [])
    with night.read() as conn:
        later = newest_mark_number(conn)
    assert not concern(later, [11], [12])
    mark(night, "im12.fits", WITHDRAWN, reason="no ghost")
    assert concern(later, [11], [12]) and not concern(later, [11], [22])
    mark(night, "2", BAD, reason="clouds")
    assert concern(later, [21], [])


def test_a_submission_reads_marks_again_when_it_writes(
    facility: Facility, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark comes between both transactions; nothing is planned with the file."""
    from desdm.framework import submit as module

    done: list[str] = []
    check = module._check_archived

    def between(archive: object, files: object) -> None:
        if not done:
            done.append("marked")
            with facility.database.write() as conn:
                mark_subject(
                    conn, "raw.txt", MarkOrder(BAD, "cut"), who="mary", scope=facility.production, now=NOW
                )
        check(archive, files)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_check_archived", between)
    with pytest.raises(PlanError, match="marked defective by mary: cut"):
        plan(facility, text_pipeline())
    assert done == ["marked"]
    with facility.database.read() as conn:
        assert conn.execute(pfw_attempt.select()).all() == []
