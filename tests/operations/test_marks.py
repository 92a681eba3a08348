"""Marks of people: their effects in one commit, the view that they carry, and what refuses them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from desdm.archive import store as archive
from desdm.errors import ConflictError, NotFoundError, UsageError
from desdm.operations.acceptance import exclude_exposure
from desdm.operations.qa.marks import MarkOrder, MarkResult, mark_subject, read_list, standing
from desdm.quality.qa.model import NewReview
from desdm.quality.qa.store import insert_reviews, marks_of, reviews
from desdm.release import problems
from desdm.release.problems import Proposal
from desdm.schema import opm_was_derived_from, person, person_office, pfw_attempt, qa_mark
from desdm.schema.database import Database
from desdm.schema.operationstates import Mark, ReviewCause, ReviewState, Severity, SubjectKind
from desdm.schema.states import DataState, EventKind
from desdm.schema.store import find_events
from tests.archive.test_find import attempt, put
from tests.operations.test_acceptance import PRODUCTION, TAG, night, tagged, usable

__all__ = ["night"]

NOW = datetime(2026, 11, 29, 12, 0)
GOOD, BAD = Mark.BLESSED, Mark.DEFECTIVE


def mark(database: Database, name: str, verdict: Mark, who: str = "mary", **more: Any) -> MarkResult:
    order = MarkOrder(verdict, more.pop("reason", "looked at it"), **more)
    with database.write() as conn:
        return mark_subject(conn, name, order, who=who, scope=PRODUCTION, now=NOW)


def state_of(database: Database, number: int) -> str:
    with database.read() as conn:
        return str(
            conn.execute(select(pfw_attempt.c.data_state).where(pfw_attempt.c.id == number)).scalar_one()
        )


def token(database: Database, name: str) -> str:
    with database.read() as conn:
        return standing(conn, name, PRODUCTION).view.token


def test_a_blessed_exposure_makes_its_run_active_and_a_defective_one_junk(night: Database) -> None:
    done = mark(night, "1", GOOD)
    assert (done.subject.name, done.before, done.after) == ("D00000001", DataState.NEW, DataState.ACTIVE)
    assert state_of(night, 1) == "ACTIVE"
    worse = mark(night, "D00000001", BAD, code="ghost", severity=Severity.STOP, reason="a ghost")
    assert worse.tags.removed == ((TAG, "D00000001_r1p01"),)
    assert state_of(night, 1) == "JUNK" and tagged(night) == {2}
    assert (1, 1) not in usable(night)
    with night.read() as conn:
        first, second = marks_of(conn, SubjectKind.EXPOSURE, "D00000001")
        acts = [(e.text, e.who, e.reason) for e in find_events(conn, subject="1", kind=EventKind.REVIEW)]
    assert (second.defect_code, second.severity, second.supersedes_id) == (
        "ghost",
        Severity.STOP,
        first.id,
    )
    assert acts[-1] == ("D00000001 defective (ghost)", "mary", "a ghost")


def test_a_withdrawn_mark_gives_back_what_was_before(night: Database) -> None:
    mark(night, "1", BAD, reason="ghost")
    back = mark(night, "1", Mark.WITHDRAWN, reason="of another exposure", who="john")
    assert (back.before, back.after) == (DataState.JUNK, DataState.NEW)
    assert back.tags.added == ((TAG, "D00000001_r1p01"),)
    assert state_of(night, 1) == "NEW" and tagged(night) == {1, 2}
    with pytest.raises(NotFoundError, match="withdrawn already"):
        mark(night, "1", Mark.WITHDRAWN)
    with pytest.raises(NotFoundError, match="no mark to withdraw"):
        mark(night, "2", Mark.WITHDRAWN)


def test_a_defective_ccd_is_excluded_with_its_files_and_no_other(night: Database) -> None:
    done = mark(night, "D00000001_c2", BAD, reason="dead amplifier")
    assert (done.subject.name, done.files) == ("D00000001_c02", ("im12.fits",))
    assert usable(night) == {(1, 1), (2, 1), (2, 2)}
    assert state_of(night, 1) == "NEW"
    with night.read() as conn:
        (file,) = marks_of(conn, SubjectKind.FILE, "im12.fits")
    assert file.verdict is BAD
    with pytest.raises(ConflictError, match=r"cannot be blessed: D00000001, CCD 2, is excluded"):
        mark(night, "D00000001_c02", GOOD)
    mark(night, "D00000001_c02", Mark.WITHDRAWN, reason="it was CCD 12")
    assert usable(night) == {(1, 1), (1, 2), (2, 1), (2, 2)}


def test_an_exclusion_of_before_the_mark_outlives_it(night: Database) -> None:
    with night.write() as conn:
        exclude_exposure(conn, 1, 2, reason="shutter", who="ann", scope=PRODUCTION)
    mark(night, "D00000001_c02", BAD, reason="dead amplifier")
    mark(night, "D00000001_c02", Mark.WITHDRAWN, reason="mistake")
    assert (1, 2) not in usable(night)


def test_an_exposure_that_no_run_has_processed_is_excluded(night: Database) -> None:
    with night.write() as conn:
        put(conn, 900, "raw9.fits", filetype="raw", expnum=9, nite="20121120")
    mark(night, "9", BAD, reason="dome closed")
    with night.read() as conn:
        (row,) = archive.excluded(conn, [9])
    assert (row["ccdnum"], row["reason"], row["analyst"]) == (0, "dome closed", "mary")


def test_tiles_runs_and_files_are_marked_by_their_names(night: Database) -> None:
    with night.write() as conn:
        attempt(conn, 20, unit="DES0001+0001", req=3, pipeline="coadd", state="flagged")
        conn.exec_driver_sql("UPDATE pfw_request SET campaign = 'C1'")
        put(conn, 901, "coadd.fits", 20, filetype="coadd", tilename="DES0001+0001", band="r")
    assert mark(night, "DES0001+0001", GOOD).subject.kind is SubjectKind.TILE
    assert state_of(night, 20) == "ACTIVE"
    assert mark(night, "DES0001+0001_r3p01", BAD).subject.kind is SubjectKind.ATTEMPT
    assert state_of(night, 20) == "JUNK"
    assert mark(night, "coadd.fits", BAD).after is None
    with pytest.raises(NotFoundError, match="names no run, exposure"):
        mark(night, "DES9999+0000", GOOD)
    with pytest.raises(NotFoundError, match="not in the archive"):
        mark(night, "777", GOOD)


def test_marks_are_only_ever_added_to(night: Database) -> None:
    mark(night, "1", GOOD)
    for statement in (update(qa_mark).values(reason="x"), qa_mark.delete()):
        with pytest.raises(Exception, match="only ever added to"), night.write() as conn:
            conn.execute(statement)


def test_the_same_mark_again_adds_nothing(night: Database) -> None:
    assert mark(night, "1", GOOD).number is not None
    assert mark(night, "1", GOOD).number is None
    assert mark(night, "1", GOOD, who="john").number is not None


def test_a_mark_carries_what_was_seen_and_is_refused_if_that_changed(night: Database) -> None:
    seen = token(night, "1")
    with night.read() as conn:
        view = standing(conn, "1", PRODUCTION).view
    assert seen.startswith(view.digest)
    with night.write() as conn:
        problems.open_problem(conn, "exposure", "D00000001", "satellite trail", who="ann", now=NOW)
    with pytest.raises(
        ConflictError, match=r"has changed since you saw it.*open problems: now problem 1 .*satellite"
    ):
        mark(night, "1", BAD, seen=seen)
    with pytest.raises(ConflictError, match="has changed since you saw it"):
        mark(night, "1", BAD, seen=view.digest)
    done = mark(night, "1", BAD, seen=token(night, "1"))
    with night.read() as conn:
        (row,) = marks_of(conn, SubjectKind.EXPOSURE, "D00000001")
    assert row.seen_digest == done.view.digest
    assert "problem 1" in json.loads(row.evidence)["seen"]["open problems"][0]
    assert mark(night, "1", BAD, seen=seen).number is None, (
        "sent twice: nothing is refused, and nothing added"
    )
    with pytest.raises(UsageError, match="64 hexadecimal"):
        mark(night, "1", BAD, seen="abc", reason="other")


def test_of_two_people_who_saw_the_same_the_second_is_refused(night: Database) -> None:
    seen = token(night, "1")

    def one(who: str, verdict: Mark) -> str:
        try:
            mark(night, "1", verdict, who=who, seen=seen)
        except ConflictError as err:
            return str(err)
        return ""

    with ThreadPoolExecutor(2) as pool:
        texts = sorted(pool.map(one, ["mary", "john"], [GOOD, BAD]))
    assert texts[0] == "" and "marks: now " in texts[1]
    with night.read() as conn:
        assert len(marks_of(conn, SubjectKind.EXPOSURE, "D00000001")) == 1


def test_an_open_problem_forbids_a_blessing_also_where_nobody_has_confirmed_it(night: Database) -> None:
    with night.write() as conn:
        put(conn, 910, "flat.fits", None, filetype="cal_dflatcor", ccdnum=1, band="r")
        conn.execute(insert(opm_was_derived_from), {"child_desfile_id": 11, "parent_desfile_id": 910})
        proposal = Proposal("file", "flat.fits", "bad flat", "its level is 3", Severity.BLOCK, "flat:910")
        number = problems.propose_problem(conn, proposal, who="qa", now=NOW)
    with pytest.raises(
        ConflictError, match=r"problem 1 of file flat.fits, path: im11.fits <- flat.fits: bad flat"
    ):
        mark(night, "1", GOOD)
    mark(night, "2", GOOD)
    mark(night, "1", BAD)
    with night.write() as conn:
        problems.reject_problem(conn, number, "it is its scale", who="ann", now=NOW)
    mark(night, "1", GOOD)


def test_own_work_is_blessed_with_a_record_where_another_person_could(night: Database) -> None:
    assert mark(night, "1", GOOD, who="me").own_work
    with night.write() as conn:
        row = {"id": 1, "login": "mary", "role": "operator", "created_by": "me", "created_at": NOW}
        conn.execute(insert(person), row)
        office = {"id": 1, "person_id": 1, "office": "qa", "who": "me", "since": NOW}
        conn.execute(insert(person_office), office)
    with pytest.raises(ConflictError, match=r"processed by you; let another person bless it \(mary\)"):
        mark(night, "2", GOOD, who="me")
    assert mark(night, "2", GOOD, who="me", own=True).own_work
    assert not mark(night, "3", GOOD, who="mary").own_work
    with night.read() as conn:
        assert standing(conn, "2", PRODUCTION).own_marks == 2
        assert marks_of(conn, SubjectKind.EXPOSURE, "D00000003")[0].office == "qa"


def test_a_run_that_failed_is_not_blessed(night: Database) -> None:
    with night.write() as conn:
        attempt(conn, 30, unit="D00000030", pipeline="firstcut", state="failed")
    with pytest.raises(ConflictError, match="its run D00000030_r1p01 is failed"):
        mark(night, "D00000030_r1p01", GOOD)
    mark(night, "D00000030_r1p01", BAD)


def test_a_mark_decides_the_entries_of_the_review_queue(night: Database) -> None:
    with night.write() as conn:
        entries = [
            NewReview(SubjectKind.EXPOSURE, "D00000001", 1, "20121120", "r", ReviewCause.FLAGGED, "flags"),
            NewReview(SubjectKind.CCD, "D00000001_c01", 1, "20121120", "r", ReviewCause.OUTLIER, "sky"),
        ]
        assert insert_reviews(conn, entries, NOW) == 2
        assert insert_reviews(conn, entries, NOW) == 0
    mark(night, "D00000001_r1p01", GOOD)
    with night.read() as conn:
        assert [e.subject for e in reviews(conn)] == ["D00000001_c01"]
    mark(night, "1", BAD)
    with night.read() as conn:
        assert reviews(conn) == []
        assert {e.state for e in reviews(conn, states=list(ReviewState))} == {ReviewState.DECIDED}
    mark(night, "1", Mark.WITHDRAWN)
    with night.read() as conn:
        assert [e.subject for e in reviews(conn)] == ["D00000001_c01"], "the other one was decided before"


def test_a_mark_needs_a_reason_and_a_defect_alone_has_a_code(night: Database) -> None:
    with pytest.raises(UsageError, match="--reason"):
        mark(night, "1", GOOD, reason=" ")
    with pytest.raises(UsageError, match="describe a defect"):
        mark(night, "1", GOOD, code="ghost")


@pytest.mark.parametrize("severity", [Severity.DEGRADE, Severity.NUISANCE, Severity.WATCH])
def test_data_that_stay_usable_are_not_marked_defective(night: Database, severity: Severity) -> None:
    advice = rf"problem open ccd D00000001_c02 TEXT --severity {severity.value}"
    with pytest.raises(UsageError, match=advice):
        mark(night, "D00000001_c02", BAD, severity=severity)
    assert (1, 2) in usable(night)


def test_a_list_gives_each_subject_its_reason() -> None:
    text = "# of the night\n1  clouds\nD00000002_c10\n\n"
    assert read_list(text, "bad") == [("1", "clouds"), ("D00000002_c10", "bad")]
    for wrong, words in (("", "names nothing"), ("1 a\n1 b", "twice"), ("1", "no reason")):
        with pytest.raises(UsageError, match=words):
            read_list(wrong, "")


@pytest.mark.parametrize("severity", list(Severity))
def test_an_open_problem_of_any_severity_is_seen_and_a_mark_made_before_it_is_refused(
    night: Database, severity: Severity
) -> None:
    seen = token(night, "1")
    with night.write() as conn:
        number = problems.open_problem(conn, "exposure", "D00000001", "a satellite", who="ann", now=NOW)
        problems.set_severity(conn, number, severity, "by its effect", who="ann", now=NOW)
    with night.read() as conn:
        now = standing(conn, "1", PRODUCTION)
    assert "a satellite" in now.view.parts["open problems"][0]
    assert bool(now.blockers) == (severity in (Severity.STOP, Severity.BLOCK))
    with pytest.raises(ConflictError, match="has changed since you saw it"):
        mark(night, "1", GOOD, seen=seen)
