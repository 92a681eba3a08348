"""What a mark, a deletion, a failure or a trial takes away is named with its reason, in plans and beside verdicts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import insert, update

from desdm.archive import catalog
from desdm.archive.model import Scope
from desdm.errors import NotFoundError
from desdm.framework.mark import mark
from desdm.framework.scope import InputFinder
from desdm.operations.acceptance import exclude_exposure
from desdm.quality.qa.uncounted import uncounted
from desdm.quality.qa.verdict import overrule, verdicts
from desdm.schema import file_archive_info, file_trash, pfw_attempt, pfw_request
from desdm.schema.database import Database
from desdm.schema.states import DataState, RunClass, Verdict
from tests.archive.test_find import attempt, put
from tests.archive.test_unsound import derive
from tests.operations.test_acceptance import PRODUCTION, image, judge, night

__all__ = ["night"]

QUERY = {"filetype": "red_immask", "assessment": "accepted"}
JUNK = "its run D00000001_r1p01 is JUNK: marked by ann: bad flat"


def junk(conn: Any, run: str = "D00000001_r1p01") -> None:
    mark(conn, run, DataState.JUNK, who="ann", reason="bad flat")


def plan(database: Database, scope: Scope = PRODUCTION, **more: str) -> tuple[set[int], dict[int, set[str]]]:
    """Exposures that a plan takes, and those that it leaves out with the reasons."""
    with database.read() as conn:
        finder = InputFinder(conn, scope)
        used = {row.expnum for row in finder.find({**QUERY, **more})}
        left: dict[int, set[str]] = {}
        for one in finder.omitted.values():
            left.setdefault(int(one.expnum or 0), set()).add(one.reason)
        return used, left


def shown(database: Database, expnum: int | None = None) -> list[tuple[int, str, str, str]]:
    with database.read() as conn:
        counting = {int(row["expnum"]) for row in verdicts(conn, "firstcut", None, PRODUCTION)}
        rows = uncounted(conn, "firstcut", counting, expnum, PRODUCTION)
        return [(r["expnum"], r["accepted"], r["state"], r["reason"]) for r in rows]


def refusal(database: Database, expnum: int) -> str:
    with database.write() as conn, pytest.raises(NotFoundError) as caught:
        overrule(conn, "firstcut", expnum, Verdict.REJECTED, "ghost", "mary", PRODUCTION)
    return str(caught.value)


def test_a_junk_exposure_is_named_by_the_plan_and_beside_the_verdicts(night: Database) -> None:
    assert shown(night) == []
    with night.write() as conn:
        junk(conn)
    used, left = plan(night)
    assert used == {2}
    assert left[1] == {JUNK}
    assert len([reason for reason in left[3] if reason.startswith("rejected")]) == 1
    assert shown(night) == shown(night, 1) == [(1, "Unknown", "junk", f"no verdict counts: {JUNK}")]
    assert refusal(night, 1).startswith(
        f"exposure 1 was processed, but no verdict of firstcut on it counts: {JUNK}; "
    )
    assert "exposure 5 has no verdict in firstcut_eval" in refusal(night, 5)


def test_a_mark_that_is_taken_back_leaves_nothing_to_name(night: Database) -> None:
    with night.write() as conn:
        junk(conn)
        mark(conn, "D00000001_r1p01", DataState.ACTIVE, who="ann", reason="the flat is good")
    used, left = plan(night)
    assert used == {1, 2}
    assert set(left) == {3}
    assert shown(night) == []


def test_only_the_ccds_that_no_other_run_has_are_named(night: Database) -> None:
    with night.write() as conn:
        attempt(conn, 11, unit="D00000001", req=1, att=2, pipeline="firstcut")
        image(conn, 111, 1, 1, 11)
        judge(conn, 1, "True", 11)
        junk(conn)
    with night.read() as conn:
        finder = InputFinder(conn, PRODUCTION)
        used = {(r.expnum, r.ccdnum) for r in finder.find(QUERY)}
        names = {o.filename for o in finder.omitted.values() if o.reason == JUNK}
    assert used == {(1, 1), (2, 1), (2, 2)}
    assert names == {"im12.fits"}
    assert shown(night) == []


def test_a_pruned_run_and_a_copy_that_is_gone_are_named(night: Database) -> None:
    with night.write() as conn:
        conn.execute(update(pfw_attempt).where(pfw_attempt.c.id == 1).values(data_state="PRUNED"))
        copies = file_archive_info
        conn.execute(update(copies).where(copies.c.desfile_id.in_([11, 12])).values(state="trash"))
        conn.execute(update(copies).where(copies.c.desfile_id == 21).values(state="missing"))
    used, left = plan(night)
    assert used == {2}
    assert left[1] == {"its run D00000001_r1p01 is PRUNED"}
    assert left[2] == {"no sound copy of it is in the archive (see: desdm audit)"}


def test_a_deleted_image_says_who_deleted_it_and_why(night: Database) -> None:
    now = datetime(2026, 1, 2)
    trash = {
        "archive_name": "primary",
        "deleted_by": "ann",
        "deleted_at": now,
        "purge_after": now,
        "reason": "ghost",
    }
    with night.write() as conn:
        copies = file_archive_info
        conn.execute(update(copies).where(copies.c.desfile_id == 21).values(state="trash"))
        conn.execute(insert(file_trash), {"desfile_id": 21, **trash})
    assert plan(night)[1][2] == {"it was deleted by ann: ghost (until its bytes go: desdm delete --undelete)"}


def test_an_exposure_of_a_failed_run_or_of_a_trial_alone_is_named(night: Database) -> None:
    with night.write() as conn:
        for expnum, more in ((6, {"run_class": "study"}), (7, {"state": "failed"})):
            attempt(conn, expnum, unit=f"D{expnum:08d}", req=1, pipeline="firstcut", **more)
            image(conn, expnum * 10 + 1, expnum, 1, expnum)
            judge(conn, expnum, "True", expnum)
    study = "its run D00000006_r1p01 is a study run; runs of class survey count"
    failed = "its run D00000007_r1p01 is failed, data NEW"
    used, left = plan(night)
    assert used == {1, 2}
    assert (left[6], left[7]) == ({study}, {failed})
    # The list is of production; who asks for one exposure is told of the trial too.
    assert shown(night) == [(7, "Unknown", "failed", f"no verdict counts: {failed}")]
    assert shown(night, 6) == [(6, "Unknown", "study", f"no verdict counts: {study}")]
    assert study in refusal(night, 6)
    assert failed in refusal(night, 7)
    trial = Scope("OPS", "C1", (RunClass.STUDY, RunClass.SURVEY))
    used, left = plan(night, trial)
    assert 6 in used
    assert 6 not in left


def test_what_another_campaign_has_is_not_named(night: Database) -> None:
    with night.write() as conn:
        attempt(conn, 8, unit="D00000008", req=8, pipeline="firstcut")
        image(conn, 81, 8, 1, 8)
    assert 8 not in plan(night)[1]


def test_files_of_a_named_junk_run_are_named_with_the_mark(night: Database) -> None:
    with night.write() as conn:
        junk(conn)
    assert plan(night, attempt="D00000001_r1p01") == (set(), {1: {JUNK}})
    with night.read() as conn:
        assert {r.filename for r in catalog.withheld_files(conn, {"filetype": "red_immask"})} == {
            "im11.fits",
            "im12.fits",
        }


@pytest.mark.parametrize("pipeline", ["finalcut", "firstcut"])
def test_a_better_processing_that_must_not_be_used_is_named_with_what_takes_its_place(
    night: Database, pipeline: str
) -> None:
    req = 4 if pipeline == "finalcut" else 1
    run = f"D00000001_r{req}p09"
    with night.write() as conn:
        attempt(conn, 90, unit="D00000001", req=req, att=9, pipeline=pipeline)
        conn.execute(update(pfw_request).values(campaign="C1"))
        for ccdnum in (1, 2):
            image(conn, 900 + ccdnum, 1, ccdnum, 90)
        junk(conn, run)
    used, left = plan(night)
    assert 1 in used
    assert left[1] == {
        f"its run {run} is JUNK: marked by ann: bad flat; firstcut run D00000001_r1p01 is used in place of "
        f"{pipeline} run {run}"
    }
    with night.write() as conn:
        mark(conn, run, DataState.ACTIVE, who="ann", reason="fine")
        # Its calibration is excluded instead.
        put(conn, 950, "bias_raw.fits", filetype="raw", expnum=950)
        derive(conn, 901, 950)
        derive(conn, 902, 950)
        exclude_exposure(conn, 950, 0, reason="lamp", who="ann", scope=PRODUCTION)
    used, left = plan(night)
    assert 1 in used
    (reason,) = left[1]
    assert reason == (
        "made from exposure D00000950, which is excluded: lamp (ann); firstcut run D00000001_r1p01 is used in place of "
        f"{pipeline} run {run}"
    )
