"""A person's verdict, an exclusion and a trial act on tags, queries and selections; all is recorded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import insert, update

from desdm.archive import catalog, store
from desdm.archive.model import Scope
from desdm.errors import NotFoundError, UsageError
from desdm.framework.mark import mark
from desdm.operations.acceptance import (
    accepted_tag,
    exclude_exposure,
    lift_exclusion,
    refresh_tags_after_run,
    refresh_tags_of_attempts,
    refresh_tags_of_exposures,
    require_manual_tag,
    set_verdict,
    withdraw_verdict,
)
from desdm.quality.qa.selection import AssessmentPolicy, companions, select_images
from desdm.quality.qa.verdict import record, standings, verdicts
from desdm.schema import opm_was_derived_from, pfw_attempt, pfw_request
from desdm.schema.database import Database
from desdm.schema.states import DataState, EventKind, RunClass, Verdict
from desdm.schema.store import find_events
from tests.archive.test_find import attempt, ccds_of, put

NITE, TAG = "20121120", accepted_tag("20121120")
PRODUCTION = Scope("OPS", "C1")


def judge(conn: Any, expnum: int, accepted: str, attempt_id: int | None, cut: str = "firstcut") -> None:
    row = {
        "exposurename": f"D{expnum:08d}", "expnum": expnum, "nite": NITE, "band": "r", "accepted": accepted,
        "reason": "badT" if accepted == "False" else "",
    }  # fmt: skip
    record(conn, cut, row, attempt_id)


def image(conn: Any, number: int, expnum: int, ccdnum: int, attempt_id: int | None, **more: Any) -> None:
    put(
        conn,
        number,
        f"im{number}.fits",
        attempt_id,
        expnum=expnum,
        ccdnum=ccdnum,
        band="r",
        nite=NITE,
        **more,
    )


@pytest.fixture
def night(database: Database) -> Database:
    """Three exposures of two CCDs, each with a First Cut run: 1 accepted, 2 accepted, 3 rejected."""
    with database.write() as conn:
        for expnum, accepted in ((1, "True"), (2, "True"), (3, "False")):
            attempt(conn, expnum, unit=f"D{expnum:08d}", req=1, pipeline="firstcut")
            for ccdnum in (1, 2):
                image(conn, expnum * 10 + ccdnum, expnum, ccdnum, expnum)
            judge(conn, expnum, accepted, expnum)
        refresh_tags_of_exposures(conn, PRODUCTION, [1, 2, 3], who="nightly", reason="night processed")
    return database


def usable(
    database: Database, policy: AssessmentPolicy = AssessmentPolicy.ACCEPTED, **query: str
) -> set[tuple[int, int]]:
    with database.read() as conn:
        rows = catalog.find(conn, {"filetype": "red_immask", **query}, scope=PRODUCTION)
        return {(r.expnum, r.ccdnum) for r in select_images(conn, rows, policy, PRODUCTION).files}


def tagged(database: Database) -> set[int]:
    with database.read() as conn:
        return store.attempts_tagged(conn, TAG)


def tagged_in(conn: Any) -> set[int]:
    return store.attempts_tagged(conn, TAG)


def test_accepted_attempts_alone_carry_the_tag_with_author_and_reason(night: Database) -> None:
    assert tagged(night) == {1, 2}
    with night.read() as conn:
        (row,) = conn.exec_driver_sql("SELECT who, reason FROM proctag WHERE pfw_attempt_id = 1").all()
    assert tuple(row) == ("nightly", "night processed")


def test_a_rejection_withdraws_the_exposure_and_can_be_withdrawn_itself(night: Database) -> None:
    assert usable(night) == {(1, 1), (1, 2), (2, 1), (2, 2)}
    with night.write() as conn:
        changed = set_verdict(
            conn, "firstcut", 1, Verdict.REJECTED, reason="satellite", who="mary", scope=PRODUCTION
        )
    assert changed.removed == ((TAG, "D00000001_r1p01"),)
    assert tagged(night) == {2}
    assert usable(night) == {(2, 1), (2, 2)}
    assert usable(night, tag=TAG) == {(2, 1), (2, 2)}
    with night.write() as conn:
        withdraw_verdict(conn, "firstcut", 1, reason="it was a reflection", who="john", scope=PRODUCTION)
    assert tagged(night) == {1, 2}
    assert usable(night) == {(1, 1), (1, 2), (2, 1), (2, 2)}
    with night.read() as conn:
        told = [(e.who, e.reason) for e in find_events(conn, subject="1", kind=EventKind.VERDICT)]
    assert told == [("mary", "satellite"), ("john", "it was a reflection")]


def test_a_rejection_names_the_runs_that_used_the_exposure(night: Database) -> None:
    with night.write() as conn:
        attempt(conn, 20, unit="DES0001+0001", req=7, pipeline="coadd")
        put(conn, 900, "coadd.fits", 20, filetype="coadd", tilename="DES0001+0001", band="r")
        edge = {"child_desfile_id": 900, "parent_desfile_id": 11}
        conn.execute(insert(opm_was_derived_from), [edge])
        rejection = set_verdict(
            conn, "firstcut", 1, Verdict.REJECTED, reason="ghost", who="mary", scope=PRODUCTION
        )
        other = set_verdict(
            conn, "firstcut", 2, Verdict.REJECTED, reason="ghost", who="mary", scope=PRODUCTION
        )
    assert "coadd DES0001+0001_r7p01" in rejection.note and "cannot be published" in rejection.note
    assert other.note == ""


def test_a_person_s_verdict_stands_above_a_later_run(night: Database) -> None:
    with night.write() as conn:
        set_verdict(conn, "firstcut", 1, Verdict.REJECTED, reason="ghost", who="mary", scope=PRODUCTION)
        attempt(conn, 11, unit="D00000001", req=1, att=2, pipeline="firstcut")
        image(conn, 111, 1, 1, 11)
        judge(conn, 1, "True", 11)
        refresh_tags_of_exposures(conn, PRODUCTION, [1], who="nightly", reason="again")
    assert (1, 1) not in usable(night)
    assert tagged(night) == {2}


def test_a_withdrawn_verdict_leaves_the_program_s_with_its_author(night: Database) -> None:
    """A trial, or a run that was marked JUNK since, has no part in what counts again."""
    with night.write() as conn:
        attempt(conn, 11, unit="D00000001", req=1, att=2, pipeline="firstcut", run_class="study")
        judge(conn, 1, "False", 11)
        set_verdict(conn, "firstcut", 1, Verdict.UNKNOWN, reason="look again", who="mary", scope=PRODUCTION)
        withdraw_verdict(conn, "firstcut", 1, reason="looked", who="john", scope=PRODUCTION)
    with night.read() as conn:
        (row,) = verdicts(conn, "firstcut", [1], PRODUCTION)
        last = find_events(conn, subject="1", kind=EventKind.VERDICT)[-1]
    assert (row["accepted"], row["pfw_attempt_id"], row["analyst"]) == ("True", 1, "assess")
    assert last.who == "john"
    assert "True" in last.text
    assert "False" not in last.text


def test_a_person_s_verdict_tags_the_run_that_is_current(night: Database) -> None:
    """The word is on the exposure: a newer run carries the tag, and does so when the older one becomes JUNK."""
    with night.write() as conn:
        set_verdict(conn, "firstcut", 3, Verdict.ACCEPTED, reason="fine", who="mary", scope=PRODUCTION)
        assert tagged_in(conn) == {1, 2, 3}
        attempt(conn, 13, unit="D00000003", req=1, att=2, pipeline="firstcut")
        judge(conn, 3, "False", 13)
        refresh_tags_of_exposures(conn, PRODUCTION, [3], who="nightly", reason="again")
        assert tagged_in(conn) == {1, 2, 13}
        conn.exec_driver_sql("UPDATE pfw_attempt SET data_state = 'JUNK' WHERE id = 3")
        refresh_tags_of_exposures(conn, PRODUCTION, [3], who="mary", reason="marked")
        assert tagged_in(conn) == {1, 2, 13}
        (row,) = verdicts(conn, "firstcut", [3], PRODUCTION)
    assert (row["accepted"], row["pfw_attempt_id"], row["analyst"]) == ("True", 13, "mary")


def test_an_exclusion_of_what_is_not_there_says_so(night: Database) -> None:
    with night.write() as conn:
        unknown = exclude_exposure(conn, 999, 0, reason="x", who="mary", scope=PRODUCTION)
        ccd = exclude_exposure(conn, 1, 9, reason="x", who="mary", scope=PRODUCTION)
        known = exclude_exposure(conn, 1, 2, reason="x", who="mary", scope=PRODUCTION)
    assert "exposure 999 is not in the archive" in unknown.note
    assert "D00000001 has no image of CCD 9, only of CCDs 1, 2." in ccd.note
    assert known.note == ""


def test_a_person_accepts_what_the_program_rejected(night: Database) -> None:
    with night.write() as conn:
        set_verdict(
            conn, "firstcut", 3, Verdict.ACCEPTED, reason="catalogue at fault", who="mary", scope=PRODUCTION
        )
    assert {(3, 1), (3, 2)} <= usable(night)
    assert tagged(night) == {1, 2, 3}


def test_an_exclusion_takes_exactly_the_exposure_or_the_ccd(night: Database) -> None:
    with night.write() as conn:
        exclude_exposure(conn, 1, 2, reason="scattered light", who="mary", scope=PRODUCTION)
        exclude_exposure(conn, 2, 0, reason="wrong filter", who="mary", scope=PRODUCTION)
    assert usable(night) == {(1, 1)}
    assert tagged(night) == {1}
    # What is excluded is not taken under any policy; what is rejected is, when it is asked for.
    assert usable(night, AssessmentPolicy.ANY) == {(1, 1), (3, 1), (3, 2)}
    with night.write() as conn:
        lift_exclusion(conn, 2, 0, reason="the header was wrong", who="john", scope=PRODUCTION)
    assert usable(night) == {(1, 1), (2, 1), (2, 2)}
    assert tagged(night) == {1, 2}
    with night.read() as conn:
        (row,) = store.excluded(conn, [2], lifted=True)
        told = [
            (e.text, e.who, e.reason) for e in find_events(conn, subject="D00000002", kind=EventKind.EXCLUDE)
        ]
    assert (row["analyst"], row["lifted_by"], row["lift_reason"]) == ("mary", "john", "the header was wrong")
    assert told == [
        ("D00000002 excluded", "mary", "wrong filter"),
        ("D00000002: exclusion lifted", "john", "the header was wrong"),
    ]


def test_a_raw_file_of_many_ccds_keeps_all_but_the_excluded_one(night: Database) -> None:
    with night.write() as conn:
        put(conn, 900, "raw1.fits", filetype="raw", expnum=1, nite=NITE, ccds="1:62")
        exclude_exposure(conn, 1, 31, reason="amplifier", who="mary", scope=PRODUCTION)
    with night.read() as conn:
        rows = catalog.find(conn, {"filetype": "raw"})
        chosen = select_images(conn, rows, AssessmentPolicy.UNASSESSED)
    assert [r.columns()["excluded_ccds"] for r in chosen.files] == ["31"]
    assert [(o.filename, o.ccdnum) for o in chosen.omitted] == [("raw1.fits", 31)]


def test_acts_need_a_reason_and_something_to_act_on(night: Database) -> None:
    with night.write() as conn:
        for act in (exclude_exposure, lift_exclusion):
            with pytest.raises(UsageError, match="why"):
                act(conn, 1, 0, reason=" ", who="mary", scope=PRODUCTION)
        with pytest.raises(NotFoundError, match="D00000001 is not excluded"):
            lift_exclusion(conn, 1, 0, reason="x", who="mary", scope=PRODUCTION)
        with pytest.raises(NotFoundError, match="no person's verdict"):
            withdraw_verdict(conn, "firstcut", 1, reason="x", who="mary", scope=PRODUCTION)


@pytest.mark.parametrize(
    "trial",
    [
        {"run_class": "study"},
        {"run_class": "dev"},
        {"run_class": "qualify"},
        {"req": 2},  # another campaign, C2
    ],
)
def test_a_trial_replaces_nothing_of_production(night: Database, trial: dict[str, Any]) -> None:
    with night.write() as conn:
        more = {"req": 1, "att": 7, "pipeline": "firstcut", "unit": "D00000001", **trial}
        attempt(conn, 11, **more)
        image(conn, 111, 1, 1, 11)
        judge(conn, 1, "False", 11)
        refresh_tags_of_exposures(conn, PRODUCTION, [1], who="nightly", reason="again")
    with night.read() as conn:
        names = {r.filename for r in catalog.find(conn, {"expnum": "1"}, scope=PRODUCTION)}
        (row,) = verdicts(conn, "firstcut", [1], PRODUCTION)
    assert names == {"im11.fits", "im12.fits"}
    assert row["accepted"] == "True"
    assert tagged(night) == {1, 2}


def test_an_accepted_trial_is_never_tagged(night: Database) -> None:
    with night.write() as conn:
        attempt(conn, 11, unit="D00000003", req=1, att=2, pipeline="firstcut", run_class="study")
        judge(conn, 3, "True", 11)
        refresh_tags_of_exposures(conn, PRODUCTION, [3], who="nightly", reason="trial")
    assert tagged(night) == {1, 2}


@pytest.mark.parametrize("state", ["done", "flagged", "failed"])
def test_the_tag_follows_the_end_of_a_run(night: Database, state: str) -> None:
    """The newest run that is done takes the tag from the one before it; a flagged one waits for a person's mark."""
    with night.write() as conn:
        attempt(conn, 11, unit="D00000001", req=1, att=2, pipeline="firstcut", state=state)
        judge(conn, 1, "True", 11)
        changed = refresh_tags_after_run(conn, PRODUCTION, "D00000001_r1p02", who="operator")
        told = [(e.who, e.reason) for e in find_events(conn, subject=TAG, kind=EventKind.TAG)]
    if state == "done":
        assert changed.added == ((TAG, "D00000001_r1p02"),)
        assert changed.removed == ((TAG, "D00000001_r1p01"),)
        assert tagged(night) == {2, 11}
        assert told[-1] == ("operator", "run D00000001_r1p02 ended: done")
    else:
        assert tagged(night) == {1, 2}


@pytest.mark.parametrize(
    ("run_class", "request_"),
    [("study", {}), ("survey", {"campaign": "TRIAL"}), ("survey", {"project": "ACT"})],
)
def test_the_end_of_a_trial_changes_no_tag(night: Database, run_class: str, request_: dict[str, str]) -> None:
    with night.write() as conn:
        attempt(conn, 11, unit="D00000001", req=9, pipeline="firstcut", run_class=run_class)
        conn.execute(
            update(pfw_request).where(pfw_request.c.reqnum == 9).values(**{"campaign": "C1", **request_})
        )
        judge(conn, 1, "False", 11)
        refresh_tags_after_run(conn, PRODUCTION, "D00000001_r9p01", who="operator")
    assert tagged(night) == {1, 2}


def test_the_tag_follows_the_deletion_of_the_newest_run_and_its_recovery(night: Database) -> None:
    """Of two good runs the newest judges; without its files the one before it does."""
    with night.write() as conn:
        attempt(conn, 13, unit="D00000003", req=1, att=2, pipeline="firstcut")
        judge(conn, 3, "True", 13)
        refresh_tags_after_run(conn, PRODUCTION, "D00000003_r1p02", who="operator")
    assert tagged(night) == {1, 2, 13}
    for before, after, expected in (("NEW", "PRUNED", {1, 2}), (None, "NEW", {1, 2, 13})):
        with night.write() as conn:
            conn.execute(
                update(pfw_attempt).where(pfw_attempt.c.id == 13).values(data_state=after, pruned_from=before)
            )
            refresh_tags_of_attempts(conn, PRODUCTION, [13], who="operator", reason="files moved")
        assert tagged(night) == expected


@pytest.mark.parametrize("name", [TAG, "FIRSTCUT_ACCEPTED", "firstcut_accepted_20121120"])
def test_the_tags_of_accepted_runs_are_not_set_by_hand(name: str) -> None:
    with pytest.raises(UsageError, match="desdm verdict EXPNUM --set"):
        require_manual_tag(name)
    require_manual_tag("Y6A1_FIRSTCUT_ACCEPTED")


def test_a_trial_sees_its_own_class_before_production(night: Database) -> None:
    with night.write() as conn:
        attempt(conn, 11, unit="D00000001", req=1, att=2, pipeline="firstcut", run_class="study")
        attempt(conn, 12, unit="D00000002", req=1, att=2, pipeline="firstcut", run_class="dev")
        image(conn, 111, 1, 1, 11)
        image(conn, 112, 2, 1, 12)
        # A newer production run does not win over the trial's own.
        attempt(conn, 13, unit="D00000001", req=1, att=3, pipeline="firstcut")
        image(conn, 113, 1, 1, 13)
    with night.read() as conn:
        scope = Scope("OPS", "C1", (RunClass.STUDY, RunClass.SURVEY))
        names = {r.filename for r in catalog.find(conn, {"expnum": "1:2", "ccdnum": "1"}, scope=scope)}
    assert names == {"im111.fits", "im21.fits"}


def test_the_verdict_of_a_failed_or_junk_run_does_not_count(night: Database) -> None:
    with night.write() as conn:
        attempt(conn, 11, unit="D00000001", req=1, att=2, pipeline="firstcut", state="failed")
        judge(conn, 1, "False", 11)
        attempt(conn, 12, unit="D00000002", req=1, att=2, pipeline="firstcut", data_state="JUNK")
        judge(conn, 2, "False", 12)
    with night.read() as conn:
        assert [v["accepted"] for v in verdicts(conn, "firstcut", [1, 2])] == ["True", "True"]


def test_verdict_tag_and_images_come_from_one_run(night: Database) -> None:
    """A second First Cut of exposure 1 is flagged and rejects it: until somebody marks it, the first one stands."""
    with night.write() as conn:
        attempt(conn, 11, unit="D00000001", req=1, att=2, pipeline="firstcut", state="flagged")
        for ccdnum in (1, 2):
            image(conn, 110 + ccdnum, 1, ccdnum, 11)
        judge(conn, 1, "False", 11)
        refresh_tags_of_exposures(conn, PRODUCTION, [1], who="nightly", reason="again")
    assert tagged(night) == {1, 2}
    assert {(1, 1), (1, 2)} <= usable(night)
    with night.write() as conn:
        set_verdict(conn, "firstcut", 1, Verdict.REJECTED, reason="ghost", who="mary", scope=PRODUCTION)
        withdraw_verdict(conn, "firstcut", 1, reason="no ghost", who="mary", scope=PRODUCTION)
        assert "True of assess counts again" in find_events(conn, kind=EventKind.VERDICT)[-1].text
        assert [v["accepted"] for v in verdicts(conn, "firstcut", [1], PRODUCTION)] == ["True"]
        mark(conn, "D00000001_r1p02", DataState.ACTIVE, who="mary", reason="the flag is harmless")
        refresh_tags_of_exposures(conn, PRODUCTION, [1], who="mary", reason="marked")
    assert tagged(night) == {2}
    assert not {(1, 1), (1, 2)} & usable(night)


@pytest.mark.parametrize("campaigns", ["C1", "any"])
def test_a_flagged_run_of_another_campaign_is_not_the_better_one(night: Database, campaigns: str) -> None:
    scope = PRODUCTION if campaigns == "C1" else Scope("OPS", "")
    with night.write() as conn:
        attempt(conn, 11, unit="D00000001", req=7, pipeline="firstcut", state="flagged")
        image(conn, 111, 1, 1, 11)
        judge(conn, 1, "True", 11)
    with night.read() as conn:
        rows = catalog.find(conn, {"filetype": "red_immask", "expnum": "1"}, scope=scope)
        chosen = select_images(conn, rows, AssessmentPolicy.ACCEPTED, scope).files
    assert {r.filename for r in chosen} == {"im11.fits", "im12.fits"}


def final_cut(conn: Any, expnum: int, number: int, accepted: str | None) -> None:
    attempt(conn, number, unit=f"D{expnum:08d}", req=5, pipeline="finalcut")
    for ccdnum in (1, 2):
        image(conn, number * 10 + ccdnum, expnum, ccdnum, number)
    if accepted is not None:
        judge(conn, expnum, accepted, number, "finalcut")


@pytest.mark.parametrize(
    ("first", "final", "expected"),
    [
        ("True", "True", {"im501.fits", "im502.fits"}),
        ("False", "True", {"im501.fits", "im502.fits"}),
        ("True", "Unknown", {"im11.fits", "im12.fits"}),
        ("True", None, {"im11.fits", "im12.fits"}),
        ("True", "False", set()),
        ("False", "Unknown", set()),
    ],
)
def test_the_better_cut_of_an_exposure_is_used(
    database: Database, first: str, final: str | None, expected: set[str]
) -> None:
    with database.write() as conn:
        attempt(conn, 1, unit="D00000001", req=1, pipeline="firstcut")
        for ccdnum in (1, 2):
            image(conn, 10 + ccdnum, 1, ccdnum, 1)
        judge(conn, 1, first, 1)
        final_cut(conn, 1, 50, final)
    with database.read() as conn:
        rows = catalog.find(conn, {"filetype": "red_immask"})
        chosen = select_images(conn, rows, AssessmentPolicy.ACCEPTED)
    assert {r.filename for r in chosen.files} == expected
    assert len(chosen.files) + len(chosen.omitted) == 4
    assert all(o.reason for o in chosen.omitted)


@pytest.mark.parametrize("pipeline", ["firstcut", "finalcut"])
def test_a_run_of_one_ccd_neither_judges_nor_replaces_the_whole_exposure(
    night: Database, pipeline: str
) -> None:
    """The images and the verdict of exposure 1 are those of the run of both CCDs, until that one is no good."""
    with night.write() as conn:
        attempt(conn, 8, unit="D00000001", req=1 if pipeline == "firstcut" else 8, att=2, pipeline=pipeline)
        if pipeline == "finalcut":
            conn.execute(update(pfw_request).where(pfw_request.c.reqnum == 8).values(campaign="C1"))
        ccds_of(conn, 1, "1:2")
        ccds_of(conn, 8, "2")
        image(conn, 82, 1, 2, 8)
        judge(conn, 1, "True", 8, cut=pipeline)
    with night.read() as conn:
        rows = catalog.find(conn, {"filetype": "red_immask", "expnum": "1"}, scope=PRODUCTION)
        used = select_images(conn, rows, AssessmentPolicy.ACCEPTED, PRODUCTION).files
        assert [r.filename for r in used] == ["im11.fits", "im12.fits"]
        (counting,) = verdicts(conn, "firstcut", [1], PRODUCTION)
        assert counting["pfw_attempt_id"] == 1
    with night.write() as conn:
        mark(conn, "D00000001_r1p01", DataState.JUNK, who="qa", reason="bad flat")
    with night.read() as conn:
        rows = catalog.find(conn, {"filetype": "red_immask", "expnum": "1"}, scope=PRODUCTION)
        used = select_images(conn, rows, AssessmentPolicy.ACCEPTED, PRODUCTION).files
        assert [r.filename for r in used] == ["im82.fits"]
        (counting,) = verdicts(conn, pipeline, [1], PRODUCTION)
        assert counting["pfw_attempt_id"] == 8


def test_exposures_without_a_verdict_are_used_only_when_asked_for(night: Database) -> None:
    with night.write() as conn:
        attempt(conn, 4, unit="D00000004", req=1, pipeline="firstcut")
        image(conn, 41, 4, 1, 4)
    assert (4, 1) not in usable(night)
    assert (4, 1) in usable(night, AssessmentPolicy.UNASSESSED)
    assert (3, 1) not in usable(night, AssessmentPolicy.UNASSESSED)


def test_of_two_deliveries_of_an_image_the_newer_is_used_with_its_own_mask(database: Database) -> None:
    with database.write() as conn:
        for number, name, filetype in (
            (1, "c4d_150411_035242_ooi_z_ls9.N3.fits", "cp_image"),
            (2, "c4d_150411_035242_ooi_z_ls10.N3.fits", "cp_image"),
            (3, "c4d_150411_035242_ood_z_ls10.N3.fits", "cp_mask"),
            (4, "c4d_150411_035242_ood_z_ls9.N3.fits", "cp_mask"),
        ):
            put(conn, number, name, filetype=filetype, expnum=7, ccdnum=31, band="z")
    with database.read() as conn:
        images = select_images(
            conn, catalog.find(conn, {"filetype": "cp_image"}), AssessmentPolicy.ACCEPTED
        ).files
        masks = companions(catalog.find(conn, {"filetype": "cp_mask"}), images)
    assert [r.filename for r in images] == ["c4d_150411_035242_ooi_z_ls10.N3.fits"]
    assert [r.filename for r in masks] == ["c4d_150411_035242_ood_z_ls10.N3.fits"]


def test_a_person_s_verdict_counts_for_both_cuts(database: Database) -> None:
    with database.write() as conn:
        attempt(conn, 1, unit="D00000001", req=1, pipeline="firstcut")
        judge(conn, 1, "True", 1)
        final_cut(conn, 1, 50, "True")
        set_verdict(conn, "firstcut", 1, Verdict.REJECTED, reason="ghost", who="mary", scope=Scope("", ""))
    with database.read() as conn:
        assert standings(conn, [1])[1].of("finalcut")[0] is Verdict.REJECTED
        rows = catalog.find(conn, {"filetype": "red_immask"})
        assert select_images(conn, rows, AssessmentPolicy.ACCEPTED).files == []


def test_a_person_s_verdict_after_final_cut_acts_on_the_first_cut_s_list_and_tag(night: Database) -> None:
    with night.write() as conn:
        final_cut(conn, 1, 50, "True")
        conn.execute(update(pfw_request).values(campaign="C1"))
        set_verdict(conn, "finalcut", 1, Verdict.REJECTED, reason="trail", who="mary", scope=PRODUCTION)
        (row,) = verdicts(conn, "firstcut", [1], PRODUCTION)
        assert (row["accepted"], row["analyst"], row["pfw_attempt_id"]) == ("False", "mary", 1)
        assert row["reason"] == "overruled: trail (after finalcut)"
        assert tagged_in(conn) == {2}
        with pytest.raises(NotFoundError, match="--cut finalcut"):
            withdraw_verdict(conn, "firstcut", 1, reason="no", who="mary", scope=PRODUCTION)
        # The newer word of a person counts, whichever cut it was given after.
        set_verdict(conn, "firstcut", 1, Verdict.ACCEPTED, reason="looked again", who="ann", scope=PRODUCTION)
        assert tagged_in(conn) == {1, 2}
        withdraw_verdict(conn, "firstcut", 1, reason="mistake", who="ann", scope=PRODUCTION)
        assert tagged_in(conn) == {2}
        withdraw_verdict(conn, "finalcut", 1, reason="no trail", who="mary", scope=PRODUCTION)
        assert tagged_in(conn) == {1, 2}
        assert verdicts(conn, "firstcut", [1], PRODUCTION)[0]["program"] == "assess"


def test_ten_people_at_once_make_one_exclusion(night: Database) -> None:
    def act(number: int) -> str:
        with night.write() as conn:
            return exclude_exposure(
                conn, 1, 2, reason=f"reason {number}", who=f"person{number}", scope=PRODUCTION
            ).note

    with ThreadPoolExecutor(10) as pool:
        notes = list(pool.map(act, range(10)))
    with night.read() as conn:
        (row,) = store.excluded(conn, [1])
    assert sum("is already excluded" in note for note in notes) == 9
    assert all(f"by {row['analyst']}" in note for note in notes if "already" in note)


def test_one_exclusion_is_in_force_and_a_further_reason_is_on_record(night: Database) -> None:
    with night.write() as conn:
        exclude_exposure(conn, 1, 2, reason="again", who="mary", scope=PRODUCTION)
        again = exclude_exposure(conn, 1, 2, reason="again", who="mary", scope=PRODUCTION)
        further = exclude_exposure(conn, 1, 2, reason="half dead", who="john", scope=PRODUCTION)
        reject = {"reason": "satellite", "who": "mary", "scope": PRODUCTION}
        set_verdict(conn, "firstcut", 2, Verdict.REJECTED, **reject)
        twice = set_verdict(conn, "firstcut", 2, Verdict.REJECTED, **reject)
        rows = catalog.find(conn, {"filetype": "red_immask"}, scope=PRODUCTION)
        left = select_images(conn, rows, AssessmentPolicy.ANY, PRODUCTION).omitted
        excluded = store.excluded(conn, [1])
        events = [e for e in find_events(conn, subject="D00000001") if e.kind == EventKind.EXCLUDE.value]
        judged = [e for e in find_events(conn, subject="2") if e.kind == EventKind.VERDICT.value]
    assert "nothing was changed" in again.note and "nothing was changed" in twice.note
    assert "already excluded, by mary" in further.note
    assert [row["reason"] for row in excluded] == ["again"]
    assert sorted((e.who, e.reason) for e in events) == [("john", "half dead"), ("mary", "again")]
    assert len(judged) == 1
    assert [o.reason for o in left] == ["excluded: again (mary)"]


def test_events_of_an_exposure_tell_the_tag_that_it_lost_and_got_back(night: Database) -> None:
    with night.write() as conn:
        exclude_exposure(conn, 1, 0, reason="clouds", who="mary", scope=PRODUCTION)
        lift_exclusion(conn, 1, None, reason="they passed", who="john", scope=PRODUCTION)
        told = [(e.who, e.text, e.reason) for e in find_events(conn, subject="1", kind=EventKind.TAG)]
    assert told[-2:] == [
        ("mary", f"D00000001_r1p01 lost the tag {TAG}", "excluded: clouds"),
        ("john", f"D00000001_r1p01 received the tag {TAG}", "exclusion lifted: they passed"),
    ]


@pytest.mark.parametrize("ccdnum", [63, 500])
def test_a_ccd_that_the_camera_lacks_is_refused(night: Database, ccdnum: int) -> None:
    """DECam images the sky with CCDs 1 to 62 (Flaugher et al. 2015)."""
    with pytest.raises(UsageError, match="CCDs 1 to 62"), night.write() as conn:
        exclude_exposure(conn, 1, ccdnum, reason="dead", who="mary", scope=PRODUCTION)
    with night.read() as conn:
        assert store.excluded(conn, [1]) == []


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        ({"data_digest": "ab"}, {"data_digest": "ab"}, "the same pixels"),
        (
            {"mjd_obs": 56251.1, "instrument": "DECam", "data_digest": "a"},
            {"mjd_obs": 56251.1, "instrument": "DECam", "data_digest": "b"},
            "the same instrument and begin of the exposure",
        ),
    ],
)
def test_an_exposure_that_was_registered_under_two_numbers_counts_once(
    night: Database, one: dict[str, Any], other: dict[str, Any], why: str
) -> None:
    """Both are accepted; the one that was registered first is used, and the other as soon as that one is excluded."""
    with night.write() as conn:
        put(conn, 101, "raw1.fits", filetype="raw", expnum=1, nite=NITE, **one)
        put(conn, 102, "raw2.fits", filetype="raw", expnum=2, nite=NITE, **other)
    assert usable(night) == {(1, 1), (1, 2)}
    with night.write() as conn:
        rows = catalog.find(conn, {"filetype": "red_immask"}, scope=PRODUCTION)
        omitted = select_images(conn, rows, AssessmentPolicy.ACCEPTED, PRODUCTION).omitted
        assert {(o.expnum, o.ccdnum, o.reason) for o in omitted if o.expnum == 2} == {
            (2, ccd, f"it has {why} as raw1.fits of exposure 1, which is used") for ccd in (1, 2)
        }
        exclude_exposure(conn, 1, 0, reason="clouds", who="ann", scope=PRODUCTION)
    assert usable(night) == {(2, 1), (2, 2)}


def test_exposures_of_other_pixels_and_times_all_count(night: Database) -> None:
    with night.write() as conn:
        for n in (1, 2):
            put(
                conn,
                100 + n,
                f"raw{n}.fits",
                filetype="raw",
                expnum=n,
                nite=NITE,
                data_digest=f"d{n}",
                mjd_obs=56251.0 + n,
                instrument="DECam",
            )
    assert usable(night) == {(1, 1), (1, 2), (2, 1), (2, 2)}
