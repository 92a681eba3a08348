"""The review queue, thresholds and outliers: what is put up when a run ends, leases, samples, bounds as rows."""

from __future__ import annotations

import statistics
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.stats import median_abs_deviation
from sqlalchemy import insert, update

from desdm.archive.model import Scope
from desdm.errors import ConflictError, NotFoundError, UsageError
from desdm.operations.qa.badnumbers import propose_bad_numbers
from desdm.operations.qa.focalplane import focal_plane, focal_plane_svg
from desdm.quality.qa import store
from desdm.quality.qa.model import Threshold
from desdm.quality.qa.outliers import deviation, outliers_of
from desdm.quality.qa.review import (
    LEASE,
    ask_review,
    next_review,
    put_up_after_run,
    sample_reviews,
    take_review,
)
from desdm.quality.qa.thresholds import LAST_EXPOSURE, end_threshold, set_threshold
from desdm.quality.qa.verdict import overrule, record
from desdm.release.problems import problems
from desdm.schema import pfw_attempt, qa_metric, qa_review, task
from desdm.schema.database import Database
from desdm.schema.operationstates import ReviewCause, ReviewState
from desdm.schema.states import Verdict
from tests.archive.test_find import attempt, put

NOW = datetime(2026, 11, 29, 12, 0)
SCOPE = Scope("OPS", "C1")
RUNS = 15


def run(conn: Any, number: int, accepted: str = "True", **more: Any) -> None:
    """A First Cut run of an exposure in r with a sky level for each of two CCDs, and a zero point."""
    attempt(conn, number, unit=f"D{number:08d}", pipeline="firstcut", **more)
    row = {
        "exposurename": f"D{number:08d}", "expnum": number, "nite": "20121120", "band": "r", "accepted": accepted,
        "reason": "",
    }  # fmt: skip
    record(conn, "firstcut", row, number)


def numbers(conn: Any, number: int, **values: float) -> None:
    for place, (name, value) in enumerate(values.items()):
        metric, _, ccd = name.partition("_c")
        task_id = number * 100 + place
        conn.execute(insert(task), {"id": task_id, "name": "wrapper", "info_table": "pfw_wrapper"})
        keys = f"expnum={number},ccdnum={ccd}" if ccd else f"expnum={number}"
        conn.execute(insert(qa_metric), {
            "task_id": task_id, "name": metric, "band": "", "pfw_attempt_id": number, "wrapkeys": keys, "value": value,
            "unit": "e", "text": "",
        })  # fmt: skip


@pytest.fixture
def history(database: Database) -> Database:
    rng = np.random.default_rng(5)
    with database.write() as conn:
        for number in range(1, RUNS + 1):
            run(conn, number)
            numbers(
                conn, number, sky_c1=100 + 2 * rng.normal(), sky_c2=200 + 2 * rng.normal(), zeropoint=25.0
            )
    return database


def bounds(metric: str = "sky", **more: Any) -> Threshold:
    row = Threshold(
        0, metric, "*", 0, None, None, None, None, "", 0, LAST_EXPOSURE, "ann", NOW, None, "season 1"
    )
    return replace(row, **more)


def texts(database: Database, number: int) -> list[tuple[str, str]]:
    with database.write() as conn:
        put_up_after_run(conn, number, NOW)
        return [(e.subject, e.cause.value) for e in store.reviews(conn)]


def test_the_deviation_is_that_of_scipy() -> None:
    values = list(np.random.default_rng(3).normal(100, 4, 40))
    scale = float(median_abs_deviation(values)) * 1.4826
    assert deviation(120.0, values) == pytest.approx((120 - statistics.median(values)) / scale)
    assert deviation(120.0, values[:9]) is None
    assert deviation(101.0, [100.0] * 20) == pytest.approx(1.0), "a history without scatter: 1 % of the level"


def test_a_run_like_the_others_is_not_put_up(history: Database) -> None:
    with history.write() as conn:
        run(conn, 20)
        numbers(conn, 20, sky_c1=101.0, sky_c2=201.0, zeropoint=25.0)
    assert texts(history, 20) == []


def test_an_outlier_of_one_ccd_is_put_up_as_that_ccd(history: Database) -> None:
    with history.write() as conn:
        run(conn, 20)
        numbers(conn, 20, sky_c1=101.0, sky_c2=101.0, zeropoint=25.0)
    assert texts(history, 20) == [("D00000020_c02", "outlier")]
    assert texts(history, 20) == [("D00000020_c02", "outlier")], "once"
    with history.read() as conn:
        (entry,) = store.reviews(conn)
    assert "sky of CCD 2 = 101 e, " in entry.text and " sigma from 199.5 of 15 runs" in entry.text
    assert (entry.nite, entry.band, entry.run) == ("20121120", "r", "D00000020_r1p01")


def test_an_amplifier_without_light_is_bad_without_history_or_threshold(database: Database) -> None:
    with database.write() as conn:
        run(conn, 1)
        numbers(conn, 1, amp_balance_c1=0.99, amp_balance_c2=0.01)
    assert texts(database, 1) == [("D00000001_c02", "outlier")]
    with database.write() as conn:
        (one,) = outliers_of(conn, 1, SCOPE)
        assert one.bad and one.text == "amp_balance of CCD 2 = 0.01 e, below 0.5"
        set_threshold(conn, bounds("amp_balance", low_bad=0.001))
        assert outliers_of(conn, 1, SCOPE) == [], "a threshold that a person sets counts"


def test_a_few_saturated_pixels_more_make_no_outlier(database: Database) -> None:
    with database.write() as conn:
        for number in range(1, RUNS + 1):
            run(conn, number)
            numbers(conn, number, saturated_frac_c1=0.0, cray_frac_c1=1.0e-3 + 1e-6 * number)
        run(conn, 20)
        numbers(conn, 20, saturated_frac_c1=4e-5, cray_frac_c1=2.0e-3)
        run(conn, 21)
        numbers(conn, 21, saturated_frac_c1=4e-2, cray_frac_c1=1.0e-3)
    assert texts(database, 20) == []
    assert texts(database, 21) == [("D00000021_c01", "outlier")]


def test_junk_runs_and_trials_are_no_history_and_are_not_reviewed(history: Database) -> None:
    with history.write() as conn:
        conn.execute(update(pfw_attempt).where(pfw_attempt.c.id > 8).values(data_state="JUNK"))
        run(conn, 20)
        numbers(conn, 20, sky_c1=999.0)
        run(conn, 21, state="flagged", run_class="study")
    assert texts(history, 20) == []
    assert texts(history, 21) == []


def test_flagged_and_unknown_are_put_up_with_the_run_and_the_verdict(database: Database) -> None:
    with database.write() as conn:
        run(conn, 1, state="flagged")
        run(conn, 2, accepted="Unknown")
        run(conn, 3)
        assert [(e.subject, e.cause) for e in store.reviews(conn)] == [("D00000002", ReviewCause.UNKNOWN)]
        overrule(conn, "firstcut", 3, Verdict.UNKNOWN, "look again", "mary", SCOPE)
        for number in (1, 2, 3):
            put_up_after_run(conn, number, NOW)
        found = [(e.subject, e.cause.value) for e in store.reviews(conn)]
    assert found == [("D00000002", "unknown"), ("D00000003", "unknown"), ("D00000001", "flagged")]


def test_thresholds_overrule_the_history_and_the_narrowest_counts(history: Database) -> None:
    with history.write() as conn:
        run(conn, 20)
        numbers(conn, 20, sky_c1=130.0, sky_c2=250.0, zeropoint=25.0)
        set_threshold(conn, bounds(high_warn=140.0, high_bad=300.0))
        set_threshold(conn, bounds(ccdnum=2, high_warn=210.0, high_bad=240.0))
        set_threshold(conn, bounds(ccdnum=1, high_warn=90.0, expnum_to=19))
        wide = set_threshold(conn, bounds(relative_to="history", low_warn=-1e3, high_warn=1e3))
        found = outliers_of(conn, 20, SCOPE)
        assert [(o.number.ccdnum, o.bad) for o in found] == [(2, True)]
        assert found[0].text == "sky of CCD 2 = 250 e, above 240"
        end_threshold(conn, wide, reason="too wide", who="ann", now=NOW)
        assert [o.number.ccdnum for o in outliers_of(conn, 20, SCOPE)] == [2, 1]


def test_a_bad_number_is_proposed_once_as_a_problem_of_its_ccd(history: Database) -> None:
    with history.write() as conn:
        run(conn, 20)
        numbers(conn, 20, sky_c1=101.0, sky_c2=250.0)
        set_threshold(conn, bounds(high_warn=210.0, high_bad=240.0))
        for _ in range(2):
            propose_bad_numbers(conn, SCOPE, "D00000020_r1p01", who="thresholds", now=NOW)
        assert propose_bad_numbers(conn, SCOPE, "D00000001_r1p01", who="thresholds", now=NOW) == []
        (problem,) = problems(conn)
    assert (problem.subject_kind, problem.subject, problem.state) == ("ccd", "D00000020_c02", "new")
    assert (problem.text, problem.occurrences, problem.blocks) == ("sky of CCD 2 = 250 e, above 240", 2, True)


def test_a_threshold_ends_the_one_before_it_and_keeps_it(database: Database) -> None:
    with database.write() as conn:
        first = set_threshold(conn, bounds(high_warn=1.0))
        second = set_threshold(conn, bounds(high_warn=2.0, since=NOW + timedelta(days=1)))
        assert [t.id for t in store.thresholds(conn)] == [second]
        assert [t.id for t in store.thresholds(conn, at=NOW)] == [first]
        assert len(store.thresholds(conn, everything=True)) == 2
        with pytest.raises(NotFoundError, match="no threshold 1 is in force"):
            end_threshold(conn, first, reason="x", who="ann", now=NOW)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({}, "at least one bound"),
        ({"low_warn": 2.0, "high_warn": 1.0}, "order"),
        ({"high_bad": 1.0, "reason": " "}, "why"),
        ({"high_bad": 1.0, "expnum_from": 5, "expnum_to": 4}, "after the last"),
        ({"high_bad": 1.0, "metric": ""}, "metric"),
    ],
)
def test_bounds_that_make_no_sense_are_refused(database: Database, wrong: dict[str, Any], words: str) -> None:
    with database.write() as conn, pytest.raises(UsageError, match=words):
        set_threshold(conn, replace(bounds(), **wrong))


@pytest.fixture
def queue(database: Database) -> Database:
    with database.write() as conn:
        for number in range(1, 6):
            run(conn, number, state="flagged")
            put(conn, number, f"im{number}.fits", number, expnum=number, ccdnum=1, band="r", nite="20121120")
            put_up_after_run(conn, number, NOW)
    return database


def test_an_entry_is_kept_for_half_an_hour(queue: Database) -> None:
    with queue.write() as conn:
        entry = next_review(conn, who="mary", now=NOW)
        assert entry is not None and entry.lease_until == NOW + LEASE
        assert next_review(conn, who="mary", now=NOW) == entry, "one's own first"
        other = next_review(conn, who="john", now=NOW)
        assert other is not None and other.id != entry.id
        with pytest.raises(ConflictError, match="mary has taken entry 1, until 12:30"):
            take_review(conn, entry.id, who="john", now=NOW)
        late = NOW + timedelta(minutes=31)
        assert take_review(conn, entry.id, who="john", now=late).taken_by == "john"
        with pytest.raises(NotFoundError, match="no entry 99"):
            take_review(conn, 99, who="john", now=NOW)


def test_people_at_once_take_each_entry_once(queue: Database) -> None:
    def one(who: str) -> int | None:
        with queue.write() as conn:
            entry = next_review(conn, who=who, now=NOW)
            return entry.id if entry else None

    with ThreadPoolExecutor(5) as pool:
        assert sorted(filter(None, pool.map(one, "abcde"))) == [1, 2, 3, 4, 5]


def test_the_database_refuses_an_unlawful_state(queue: Database) -> None:
    with queue.write() as conn:
        conn.execute(update(qa_review).where(qa_review.c.id == 1).values(state="decided"))
    with pytest.raises(Exception, match="unlawful change of review state"), queue.write() as conn:
        conn.execute(update(qa_review).where(qa_review.c.id == 1).values(state="taken"))


def test_a_sample_is_drawn_again_by_its_seed_from_what_nobody_has_seen(database: Database) -> None:
    with database.write() as conn:
        for number in range(1, 21):
            run(conn, number)
    drawn = []
    for _ in range(2):
        with database.read() as conn:
            more: dict[str, Any] = {
                "pipeline": "firstcut",
                "who": "ann",
                "reason": "weekly",
                "scope": SCOPE,
                "now": NOW,
            }
            drawn.append([s.name for s in sample_reviews(conn, 5, 7, **more)])
    assert drawn[0] == drawn[1] and len(set(drawn[0])) == 5
    with database.write() as conn:
        first = {s.name for s in sample_reviews(conn, 15, 7, **more)}
        rest = {s.name for s in sample_reviews(conn, 15, 8, **more)}
        assert len(rest) == 5 and not first & rest
        assert {e.state for e in store.reviews(conn)} == {ReviewState.OPEN}


def test_a_person_asks_once(queue: Database) -> None:
    with queue.write() as conn:
        assert ask_review(conn, "D00000001_c01", "a ring", who="ann", scope=SCOPE, now=NOW) == 1
        assert ask_review(conn, "D00000001_c01", "a ring", who="ann", scope=SCOPE, now=NOW) == 0
        assert store.reviews(conn)[0].text == "ann: a ring"
        assert store.undecided_counts(conn) == {ReviewCause.ASKED: 1, ReviewCause.FLAGGED: 5}


def test_a_number_over_the_focal_plane_is_a_table_and_a_picture(history: Database) -> None:
    with history.read() as conn:
        found = focal_plane(conn, "sky", "D00000001_r1p01")
        with pytest.raises(NotFoundError, match="it has sky"):
            focal_plane(conn, "fwhm", "D00000001_r1p01")
    assert [n.ccdnum for n in found] == [1, 2]
    picture = ElementTree.fromstring(focal_plane_svg(found))
    assert len(picture.findall(".//{*}rect")) == 4
    whole = [n._replace(ccdnum=c, value=float(c)) for c in range(1, 63) for n in found[:1]]
    assert len(ElementTree.fromstring(focal_plane_svg(whole)).findall(".//{*}rect")) == 62
