"""What a release contains is found along the lineage: rejected and excluded exposures with the path; the notes are true."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import insert, update

from desdm.archive.model import Scope
from desdm.operations.acceptance import exclude_exposure, lift_exclusion, set_verdict
from desdm.operations.qa.marks import MarkOrder, mark_subject
from desdm.quality.qa.verdict import record
from desdm.release.contents import contents_of
from desdm.release.defects import check_defects
from desdm.release.document import Document
from desdm.release.exposures import check_exposures, exposure_uses
from desdm.release.notes import _dropped, _exposures, ranges
from desdm.release.select import verdict_scopes
from desdm.schema import opm_was_derived_from, pfw_request
from desdm.schema.database import Database
from desdm.schema.operationstates import Mark
from desdm.schema.states import Verdict
from tests.archive.test_find import attempt, put

ALL = Scope("", "")
PRODUCTION = Scope("OPS", "C1")
RELEASE_FILE = "images/DES0001+0001_r.fits.fz"


@pytest.fixture
def coadd(database: Database) -> Database:
    """A coadd (100) of two CCDs of exposure 1 and one of exposure 2; exposure 3 was rejected and is not in it.

    Exposure 9 is a dome flat: flat 90 <- raw 91, used by the image of exposure 2.
    """
    with database.write() as conn:
        for number, unit in ((1, "D00000001"), (2, "D00000002"), (3, "DES0001+0001")):
            attempt(conn, number, unit=unit, req=number, pipeline="coadd" if number == 3 else "firstcut")
        put(conn, 91, "raw9.fits", filetype="raw", expnum=9, nite="20121120")
        put(conn, 90, "flat_r_c01.fits", None, filetype="cat_scamp", expnum=9)
        for number, expnum, ccdnum in ((11, 1, 1), (12, 1, 2), (21, 2, 1)):
            facts = {"expnum": expnum, "ccdnum": ccdnum, "band": "r", "nite": "20121120"}
            put(conn, number, f"D{expnum:08d}_c{ccdnum:02d}_immask.fits", expnum, **facts)
            put(
                conn,
                number * 10,
                f"D{expnum:08d}_c{ccdnum:02d}_nwgint.fits",
                3,
                filetype="coadd_nwgint",
                **facts,
            )
        put(conn, 100, "coadd_r.fits", 3, filetype="coadd", band="r")
        edges = [(100, 110), (100, 120), (100, 210), (110, 11), (120, 12), (210, 21), (21, 90), (90, 91)]
        conn.execute(
            insert(opm_was_derived_from), [{"child_desfile_id": c, "parent_desfile_id": p} for c, p in edges]
        )
        for expnum, accepted in ((1, "True"), (2, "True"), (3, "False")):
            row = {
                "exposurename": f"D{expnum:08d}", "expnum": expnum, "nite": "20121120", "band": "r", "accepted": accepted,
                "reason": "badT" if accepted == "False" else "",
            }  # fmt: skip
            record(conn, "firstcut", row, expnum if expnum < 3 else None)
    return database


def faults(database: Database, selection: str = "", production: Scope = ALL) -> list[str]:
    scopes = verdict_scopes(selection, production)
    with database.read() as conn:
        found = check_exposures(conn, "R", contents_of(conn, {100: RELEASE_FILE}), scopes)
    assert all(c.subject == RELEASE_FILE for c in found if c.outcome == "error")
    return [c.text for c in found if c.outcome == "error"]


def test_a_release_of_accepted_exposures_passes(coadd: Database) -> None:
    assert faults(coadd) == []


def test_a_rejection_after_the_coadd_is_found_with_its_path(coadd: Database) -> None:
    with coadd.write() as conn:
        set_verdict(conn, "firstcut", 2, Verdict.REJECTED, reason="ghost", who="mary", scope=ALL)
    (text,) = faults(coadd)
    assert "D00000002" in text
    assert "ghost" in text
    assert "mary" in text
    assert "path: coadd_r.fits <- D00000002_c01_nwgint.fits" in text


def test_an_excluded_ccd_is_found_and_only_that_one(coadd: Database) -> None:
    with coadd.write() as conn:
        exclude_exposure(conn, 1, 2, reason="scattered light", who="mary", scope=ALL)
        exclude_exposure(conn, 2, 7, reason="CCD 7 is not in the coadd", who="mary", scope=ALL)
    (text,) = faults(coadd)
    assert "D00000001, CCD 2" in text
    assert "coadd_r.fits <- D00000001_c02_nwgint.fits" in text
    with coadd.write() as conn:
        lift_exclusion(conn, 1, 2, reason="it was another night", who="mary", scope=ALL)
    assert faults(coadd) == []


def test_an_excluded_calibration_frame_is_found_through_the_calibration(coadd: Database) -> None:
    with coadd.write() as conn:
        exclude_exposure(conn, 9, 0, reason="lamp off", who="mary", scope=ALL)
    (text,) = faults(coadd)
    assert (
        "path: coadd_r.fits <- D00000002_c01_nwgint.fits <- D00000002_c01_immask.fits <- flat_r_c01.fits"
        in text
    )
    # Nobody's run made this flat; what was made with it must be made again in this order, the coadd alone does not help.
    assert "make again, in this order: firstcut of D00000002, coadd of DES0001+0001, the draft" in text


def test_what_was_made_from_a_defective_image_is_made_again_and_not_the_image(coadd: Database) -> None:
    order = MarkOrder(Mark.DEFECTIVE, "ghost")
    with coadd.write() as conn:
        mark_subject(
            conn, "D00000002_c01_immask.fits", order, who="mary", scope=ALL, now=datetime(2026, 11, 29)
        )
        found = list(check_defects(conn, contents_of(conn, {100: RELEASE_FILE}), {}, "R1", published=False))
    assert found
    for check in found:
        assert "make again, in this order: coadd of DES0001+0001, the draft" in check.text


def test_notes_tell_what_was_used_and_what_was_dropped(coadd: Database) -> None:
    with coadd.read() as conn:
        uses = exposure_uses(conn, contents_of(conn, {100: RELEASE_FILE}))
    assert [(u.expnum, u.used, u.ccds, u.verdict) for u in uses] == [
        (1, True, (1, 2), Verdict.ACCEPTED),
        (2, True, (1,), Verdict.ACCEPTED),
        (3, False, (), Verdict.REJECTED),
    ]
    page = Document("notes")
    _exposures(page, uses)
    inside = page.markdown()
    page = Document("notes")
    _dropped(page, {}, {}, uses)
    dropped = page.markdown()
    assert "D00000001" in inside
    assert "1-2" in inside
    assert "D00000003" not in inside
    assert "exposure 3 (r, night 20121120)" in dropped
    assert "exposure 1 " not in dropped


def judge(conn: Any, expnum: int, accepted: str, attempt_id: int | None) -> None:
    row = {
        "exposurename": f"D{expnum:08d}", "expnum": expnum, "nite": "20121120", "band": "r", "accepted": accepted,
        "reason": "badT" if accepted == "False" else "",
    }  # fmt: skip
    record(conn, "firstcut", row, attempt_id)


def trial(conn: Any, accepted: str, **request: str) -> None:
    """A ``survey`` run of exposure 1 for another project or campaign, newer than production's."""
    attempt(conn, 61, unit="D00000001", req=61, pipeline="firstcut")
    conn.execute(
        update(pfw_request).where(pfw_request.c.reqnum == 61).values(**{"campaign": "C1", **request})
    )
    judge(conn, 1, accepted, 61)


def verdict_in_notes(database: Database, selection: str = "") -> str:
    """The verdict on exposure 1 as the table of the notes shows it."""
    with database.read() as conn:
        uses = exposure_uses(
            conn, contents_of(conn, {100: RELEASE_FILE}), verdict_scopes(selection, PRODUCTION)
        )
    page = Document("notes")
    _exposures(page, uses)
    (line,) = [text for text in page.markdown().splitlines() if "D00000001" in text]
    return line.split("|")[-2].strip().partition(":")[0]


@pytest.mark.parametrize("request_", [{"campaign": "TRIAL"}, {"project": "ACT"}])
def test_the_verdict_of_a_trial_holds_no_release_back(coadd: Database, request_: dict[str, str]) -> None:
    """A trial is a run outside production's project and campaign, of whatever class; what `desdm verdict` says counts."""
    with coadd.write() as conn:
        trial(conn, "False", **request_)
    assert faults(coadd, production=PRODUCTION) == []
    assert verdict_in_notes(coadd) == "True"


def test_a_trial_does_not_hide_production_s_rejection(coadd: Database) -> None:
    with coadd.write() as conn:
        attempt(conn, 51, unit="D00000001", req=1, att=2, pipeline="firstcut")
        judge(conn, 1, "False", 51)
        trial(conn, "True", campaign="TRIAL")
    (text,) = faults(coadd, production=PRODUCTION)
    assert "D00000001, rejected: badT" in text
    assert verdict_in_notes(coadd) == "False"


def test_a_release_of_another_campaign_counts_the_verdicts_of_that_campaign_first(coadd: Database) -> None:
    with coadd.write() as conn:
        trial(conn, "False", campaign="TRIAL")
    (text,) = faults(coadd, "campaign=TRIAL", PRODUCTION)
    assert "D00000001, rejected: badT" in text
    # Exposure 1 has no verdict in this campaign: production's holds.
    assert faults(coadd, "campaign=OTHER", PRODUCTION) == []
    assert verdict_in_notes(coadd, "campaign=OTHER") == "True"


def test_numbers_are_written_as_ranges() -> None:
    assert ranges([1, 2, 3, 5, 7, 8]) == "1-3, 5, 7-8"
