"""What the pages of the desk stand on: steps through the queue, numbers beside the night's, pictures within their bound."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import insert

from desdm.accounts import offices, people
from desdm.archive.archive import Archive
from desdm.archive.model import FileRecord
from desdm.errors import NotFoundError
from desdm.operations.qa import deskstore
from desdm.operations.qa.dispatch import answer_dispatch, open_dispatch
from desdm.operations.qa.marks import MarkOrder, mark_subject
from desdm.operations.qa.pictures import Pictures, Sources, picture_sources
from desdm.operations.qa.subjectfacts import SubjectFacts, default_reason, number_lines, read_subject, remarks
from desdm.pixels.maskbits import MaskBit
from desdm.quality.qa import store
from desdm.quality.qa.beside import numbers_beside_night
from desdm.quality.qa.model import NewReview, ReviewFilter, Threshold
from desdm.quality.qa.overview import overview
from desdm.quality.qa.reviewsteps import step_review
from desdm.quality.qa.subjects import find_subject
from desdm.quality.qa.thresholds import LAST_EXPOSURE, set_threshold
from desdm.quality.qa.verdict import record
from desdm.release.problems import Proposal, open_problem, propose_problem
from desdm.schema import pfw_block, pfw_job, pfw_wrapper, qa_metric, task
from desdm.schema.database import Database
from desdm.schema.operationstates import (
    AnswerVerdict,
    Mark,
    Office,
    ReviewCause,
    ReviewState,
    Severity,
    SubjectKind,
)
from desdm.schema.states import Role
from tests.archive.test_find import attempt, put
from tests.operations.test_acceptance import PRODUCTION, night

__all__ = ["night"]

NOW = datetime(2026, 11, 29, 12, 0)


def put_up(database: Database, causes: dict[int, ReviewCause]) -> None:
    entries = [
        NewReview(SubjectKind.EXPOSURE, f"D{n:08d}", n, "20121120", "r" if n < 3 else "g", cause, "x")
        for n, cause in causes.items()
    ]
    with database.write() as conn:
        insert_at = store.insert_reviews(conn, entries, NOW)
    assert insert_at == len(causes)


def step(database: Database, number: int | None, who: str = "mary", **more: Any) -> str:
    with database.write() as conn:
        entry = step_review(conn, number, who=who, now=more.pop("now", NOW), **more)
    return "" if entry is None else f"{entry.id} {entry.taken_by}"


def test_steps_go_through_the_queue_in_its_order_and_give_back_what_is_left(night: Database) -> None:
    put_up(night, {1: ReviewCause.SAMPLE, 2: ReviewCause.ASKED, 3: ReviewCause.FLAGGED})
    # What a person asked for, then flagged, then the sample.
    assert step(night, None) == "2 mary"
    assert step(night, 2) == "3 mary"
    assert step(night, 3) == "1 mary"
    assert step(night, 1) == "", "nothing further on"
    with night.read() as conn:
        states = {e.id: (e.state, e.taken_by) for e in store.reviews(conn)}
    assert states == {
        1: (ReviewState.TAKEN, "mary"),
        2: (ReviewState.OPEN, None),
        3: (ReviewState.OPEN, None),
    }
    assert step(night, 1, back=True) == "3 mary"
    assert step(night, 3, back=True) == "2 mary"
    assert step(night, 2, back=True) == ""


def test_what_another_person_has_is_passed_over_until_the_lease_ends(night: Database) -> None:
    put_up(night, {1: ReviewCause.FLAGGED, 2: ReviewCause.FLAGGED, 3: ReviewCause.FLAGGED})
    assert step(night, None) == "1 mary"
    assert step(night, None, who="john") == "2 john"
    assert step(night, 1) == "3 mary"
    assert step(night, None, who="john") == "2 john", "the one that is john's already"
    assert step(night, 2, who="john") == "", "mary has the next one"
    assert step(night, 2, who="john", back=True) == "1 john", "given back by mary"
    later = NOW + timedelta(minutes=31)
    assert step(night, None, who="ann", now=later) == "1 ann"
    green = ReviewFilter(band="g")
    assert step(night, None, who="ann", now=later, chosen=green) == "3 ann"
    assert step(night, 3, who="ann", now=later, chosen=green) == ""


def test_a_decided_entry_is_found_by_its_mark_and_not_given_back(night: Database) -> None:
    put_up(night, {1: ReviewCause.FLAGGED, 2: ReviewCause.FLAGGED})
    with night.write() as conn:
        step_review(conn, None, who="mary", now=NOW)
        order = MarkOrder(Mark.BLESSED, "good")
        done = mark_subject(conn, "1", order, who="mary", scope=PRODUCTION, now=NOW)
        taken = step_review(conn, 1, who="mary", now=NOW)
        assert done.number is not None and taken is not None and taken.id == 2
        (entry,) = store.reviews_decided_by(conn, done.number)
        assert (entry.id, entry.state) == (1, ReviewState.DECIDED)
        mark = store.mark_by_number(conn, done.number)
        assert mark is not None and mark.subject == "D00000001"
        assert [m.id for m in store.marks_of_exposure(conn, "D00000001")] == [done.number]


@pytest.fixture
def numbers(night: Database) -> np.ndarray[Any, Any]:
    """Sky of CCD 1 of 14 exposures in r, the first of which is far from the others; and their verdicts."""
    values = np.array([300.0, *np.random.default_rng(5).normal(100, 4, 13)])
    with night.write() as conn:
        for n in range(4, 15):
            attempt(conn, n, unit=f"D{n:08d}", req=1, pipeline="firstcut")
        for n in range(1, 15):
            row = {
                "exposurename": f"D{n:08d}", "expnum": n, "nite": "20121120", "band": "r", "accepted": "True",
                "reason": "", "fwhm_asec": 0.9 + 0.01 * n, "t_eff": 1.0,
            }  # fmt: skip
            record(conn, "firstcut", row, n)
        for n, value in enumerate(values, 1):
            for ccdnum, more in ((1, 0.0), (2, 7.0)):
                row = {
                    "task_id": n, "name": "sky", "band": f"{'r' if ccdnum == 1 else ''}", "pfw_attempt_id": n,
                    "wrapkeys": f"expnum={n},ccdnum={ccdnum}", "value": value + more, "unit": "e", "text": "",
                }  # fmt: skip
                conn.execute(insert(qa_metric), row)
    return values


def test_numbers_stand_beside_those_of_the_night(night: Database, numbers: np.ndarray[Any, Any]) -> None:
    others = numbers[1:]
    middle = np.median(others)
    spread = 1.4826 * np.median(np.abs(others - middle))
    with night.write() as conn:
        row = Threshold(
            0, "fwhm_asec", "r", 0, None, 0.905, None, 2.0, "", 0, LAST_EXPOSURE, "mary", NOW, None, "site"
        )
        set_threshold(conn, row)
        ccd = numbers_beside_night(conn, find_subject(conn, "D00000001_c01", PRODUCTION))
        whole = numbers_beside_night(conn, find_subject(conn, "1", PRODUCTION))
    assert ccd is not None and whole is not None
    (sky,) = ccd.rows
    assert (ccd.exposures, sky.others, sky.value) == (14, 13, 300.0)
    assert sky.middle == pytest.approx(middle) and sky.spread == pytest.approx(spread)
    assert sky.deviation == pytest.approx((300.0 - middle) / spread)
    assert sky.look and not sky.bad
    by_name = {(r.metric, r.ccdnum, r.over_ccds): r for r in whole.rows}
    seeing = by_name["fwhm_asec", 0, 0]
    assert (seeing.look, seeing.bad, seeing.bounds) == (True, False, "look above 0.905; bad above 2")
    assert seeing.middle == pytest.approx(0.9 + 0.01 * np.median(np.arange(2, 15)))
    assert by_name["sky", 0, 2].value == pytest.approx(303.5), "the median of both CCDs"
    assert by_name["sky", 1, 0].look and by_name["sky", 2, 0].look
    with night.read() as conn:
        assert numbers_beside_night(conn, find_subject(conn, "D00000001_r1p01", PRODUCTION)) is None


def test_the_reason_offered_for_a_blessing_tells_what_is_beyond_thresholds(
    night: Database, numbers: np.ndarray[Any, Any]
) -> None:
    def look(name: str) -> SubjectFacts:
        with night.read() as conn:
            return read_subject(conn, name, PRODUCTION)

    def bound(high_warn: float, high_bad: float) -> None:
        values = ("sky", "*", 0, None, high_warn, None, high_bad, "", 0, LAST_EXPOSURE)
        with night.write() as conn:
            set_threshold(conn, Threshold(0, *values, "mary", NOW, None, "site"))

    assert default_reason(look("D00000002_c01")) == "looked at picture and numbers: numbers as of the night"
    assert remarks(look("D00000001_c01")) == ["1 number outside the night's"]
    bound(200, 1000)
    facts = look("D00000001_c01")
    assert default_reason(facts) == "looked at picture and numbers: 1 number beyond the thresholds"
    bound(200, 305)
    # Of the whole exposure both CCDs are counted; of their median the distance from the night.
    facts = look("1")
    assert remarks(facts)[0] == "2 numbers beyond the thresholds, 1 of them bad"
    assert default_reason(facts) == "", "a person must say why it is good all the same"
    with night.read() as conn:
        cut = numbers_beside_night(conn, find_subject(conn, "1", PRODUCTION), most=1)
    assert cut is not None and (cut.beyond, cut.bad, len(cut.left_out)) == (2, 1, 1)
    assert default_reason(look("D00000001_c01")) != "", "that CCD is not bad"
    with night.write() as conn:
        people.add(conn, "wim", Role.COLLABORATOR, who="mary", name="Wim")
        offices.give(conn, "wim", Office.WG_MEMBER, "weak-lensing", who="mary", reason="season 1")
        one = open_dispatch(
            conn,
            "weak-lensing",
            "D00000002_c01",
            "good?",
            "residuals",
            NOW + timedelta(days=9),
            who="mary",
            scope=PRODUCTION,
            now=NOW,
        )
        answer_dispatch(conn, one.id, AnswerVerdict.PARTLY, "a ring", who="wim", now=NOW)
    facts = look("D00000002_c01")
    assert (remarks(facts), default_reason(facts)) == (["weak-lensing: partly"], "")


def test_the_numbers_of_a_ccd_are_its_own_with_the_module_where_a_name_is_not_unique(
    night: Database, numbers: np.ndarray[Any, Any]
) -> None:
    with night.write() as conn:
        conn.execute(insert(task), [{"id": n, "name": "t", "info_table": "x"} for n in range(99, 103)])
        block = {"blknum": 1, "name": "b", "modulelist": "detrend,sky", "numexpjobs": 1}
        conn.execute(insert(pfw_block), {"task_id": 99, "pfw_attempt_id": 1, **block})
        job = {"jobnum": 1, "jobkeys": "", "expect_num_wrap": 2, "state": "done", "tries": 1}
        conn.execute(insert(pfw_job), {"task_id": 100, "pfw_attempt_id": 1, "pfw_block_task_id": 99, **job})
        for task_id, module in ((101, "detrend"), (102, "sky")):
            conn.execute(insert(pfw_wrapper), {
                "task_id": task_id, "pfw_attempt_id": 1, "pfw_job_task_id": 100, "wrapnum": task_id, "modname": module,
                "name": "w", "wrapkeys": "expnum=1,ccdnum=1", "state": "done",
            })  # fmt: skip
            row = {
                "task_id": task_id, "name": "fwhm", "band": "r", "pfw_attempt_id": 1,
                "wrapkeys": "expnum=1,ccdnum=1", "value": 4.0 + task_id, "unit": "pixel", "text": "",
            }  # fmt: skip
            conn.execute(insert(qa_metric), row)
    with night.read() as conn:
        one, two = (read_subject(conn, f"D00000001_c0{n}", PRODUCTION) for n in (1, 2))
    assert {n.keys["ccdnum"] for n in one.numbers} == {"1"} and {n.keys["ccdnum"] for n in two.numbers} == {
        "2"
    }
    seen = one.standing.view.parts["QA numbers"]
    assert len(seen) == 3 and not [line for line in seen if "ccdnum=2" in line]
    assert one.night is not None
    lines = number_lines(one)
    # The order of the page: what stands out is first.
    assert (
        [line.split()[0] for line in lines]
        == [row.metric for row in one.night.rows]
        == ["sky", "fwhm", "fwhm"]
    )
    assert lines[0].startswith("sky 300 e (look; night ")
    assert lines[1:] == ["fwhm (detrend) 105 pixel", "fwhm (sky) 106 pixel"]


def test_the_problem_list_comes_in_pages_by_number(night: Database) -> None:
    with night.write() as conn:
        for n in range(7):
            open_problem(conn, "exposure", f"D{n + 1:08d}", f"text {n}", who="ann", severity=Severity.DEGRADE)
        propose_problem(conn, Proposal("tile", "DES1", "t", "x", Severity.BLOCK, "k"), who="robot", now=NOW)
        first = deskstore.problem_lines(conn, limit=3)
        second = deskstore.problem_lines(conn, before=first[-1].id, limit=3)
        assert [p.id for p in first + second] == [8, 7, 6, 5, 4, 3]
        assert [p.id for p in deskstore.problem_lines(conn, kind="tile")] == [8]
        assert [p.id for p in deskstore.problem_lines(conn, severity=Severity.DEGRADE, limit=1)] == [7]
        assert deskstore.problem_lines(conn, owner="ann") == []
        assert sum(deskstore.problem_counts(conn).values()) == 8
        about = deskstore.problems_about(conn, [("exposure", "D00000002"), ("tile", "DES1")])
    assert [p.id for p in about] == [8, 2]


def image(path: Path, level: float, detsec: str, bit: int = 0) -> None:
    """A CCD of 64 x 128 pixels with noise, and a mask of one row."""
    rng = np.random.default_rng(int(level))
    sci = rng.normal(level, 5, (128, 64)).astype(np.float32)
    msk = np.zeros((128, 64), np.int32)
    msk[10:12] = bit
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(sci, name="SCI"), fits.ImageHDU(msk, name="MSK")])
    hdus["SCI"].header["DETSEC"] = detsec
    hdus.writeto(path)


def test_an_overview_puts_ccds_at_their_places_and_masks_in_colour(tmp_path: Path) -> None:
    paths = [tmp_path / f"c{n}.fits" for n in range(4)]
    places = ("[1:64,1:128]", "[65:128,1:128]", "[1:64,129:256]", "[65:128,129:256]")
    for n, (path, place) in enumerate(zip(paths, places, strict=True)):
        image(path, 100 + 60 * (n == 3), place, int(MaskBit.TRAIL))
    drawn = overview(paths, 300)
    high, wide = drawn.plain.shape[:2]
    # The last one, brighter than the others, lies at the upper right.
    quarter = drawn.plain[: high // 2 - 4, wide // 2 + 4 :].mean()
    assert quarter > drawn.plain[high // 2 + 4 :, : wide // 2 - 4].mean() + 30
    assert drawn.masked is not None and drawn.masked.shape == drawn.plain.shape
    assert [(b.name, round(b.fraction, 6)) for b in drawn.bits] == [("TRAIL", round(2 / 128, 6))]
    changed = np.abs(drawn.masked.astype(int) - drawn.plain).max(axis=(1, 2)) > 20
    assert 0 < changed.sum() < 0.1 * high


def test_pictures_are_kept_by_digest_within_a_bound(tmp_path: Path) -> None:
    archive = Archive("primary", tmp_path / "archive")
    archive.root.mkdir()
    records = []
    for n in range(4):
        path = archive.root / f"i{n}.fits"
        image(path, 100 + n, "[1:64,1:128]", int(MaskBit.CRAY))
        data = path.read_bytes()
        sha = hashlib.sha256(data).hexdigest()
        records.append(
            FileRecord(n, path.name, "", "red_immask", len(data), sha, "", None, "primary", "", "r")
        )
    pictures = Pictures(archive, tmp_path / "cache", limit=60_000)
    first = Sources((records[0],), "first")
    made = pictures.make(first, mask=False)
    assert made is not None and made.has_mask and len(made.data) <= 60_000
    stamp = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "cache").glob("*.json")}
    again = pictures.make(first, mask=False)
    assert again is not None and again.data == made.data
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "cache").glob("*.json")} == stamp, (
        "not drawn again"
    )
    for one in records[1:]:
        pictures.make(Sources((one,), "more"), mask=True)
        total = sum(p.stat().st_size for p in (tmp_path / "cache").iterdir())
        assert total <= 60_000
    # Bytes that are not as registered are not shown.
    damaged = records[0]._replace(sha256="0" * 64)
    with pytest.raises(NotFoundError, match="no picture"):
        pictures.make(Sources((damaged,), "damaged"), mask=False)


def test_the_picture_of_an_exposure_is_of_its_run_or_of_its_raw_frame(night: Database) -> None:
    with night.write() as conn:
        put(conn, 900, "raw9.fits", filetype="raw", expnum=9, nite="20121120")
        put(conn, 901, "sky.fits", 1, filetype="minisky", expnum=1)
        sources = picture_sources(conn, find_subject(conn, "1", PRODUCTION))
        assert [r.filename for r in sources.files] == ["im11.fits", "im12.fits"]
        (ccd,) = picture_sources(conn, find_subject(conn, "D00000001_c02", PRODUCTION)).files
        assert ccd.filename == "im12.fits"
        (raw,) = picture_sources(conn, find_subject(conn, "9", PRODUCTION)).files
        assert raw.filename == "raw9.fits"
