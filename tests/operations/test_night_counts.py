"""Counts of a night: exposures by the attempt that counts; trials and other campaigns stand apart."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import insert, update

from desdm.operations.desk.products import night_products
from desdm.operations.nightreport import gather_night, render_night
from desdm.operations.nightreport.model import CalibrationUse
from desdm.schema import pfw_attempt, pfw_calibration
from desdm.schema.database import Database
from desdm.schema.operationstates import QueueState
from desdm.schema.queue import ops_auto_queue
from tests.archive.test_find import attempt, put
from tests.operations.test_acceptance import NITE, PRODUCTION, judge
from tests.operations.test_surveytable import expose

NOW = datetime(2012, 11, 21, 12)


def took(conn: Any, attempt_id: int, how: str = "nite") -> None:
    row = {"pfw_attempt_id": attempt_id, "desfile_id": 90, "filetype": "cal_biascor", "ccdnum": 1}
    conn.execute(insert(pfw_calibration), {**row, "how": how, "reason": ""})


def night(conn: Any) -> None:
    """Two exposures; the first was repeated in production and tried twice, the second processed by campaign C2 too."""
    put(conn, 90, "bias.fits", None, filetype="cal_biascor", ccdnum=1, nite=NITE)
    for expnum in (1, 2):
        expose(conn, expnum, "", 10.0, -48.3, 0.4)
        took(conn, expnum)
    attempt(conn, 11, unit="D00000001", req=1, att=2, pipeline="firstcut")
    judge(conn, 1, "True", 11)
    took(conn, 11)
    for number, att in ((12, 3), (13, 4)):
        attempt(conn, number, unit="D00000001", req=1, att=att, pipeline="firstcut", run_class="study")
        judge(conn, 1, "True", number)
        took(conn, number, "setting")
    attempt(conn, 14, unit="D00000002", req=2, pipeline="firstcut")
    judge(conn, 2, "True", 14)
    took(conn, 14)


def test_calibrations_are_counted_by_exposure_and_production_alone(database: Database) -> None:
    with database.write() as conn:
        night(conn)
        report = gather_night(conn, NITE, PRODUCTION)
    assert report.calibrations == (CalibrationUse("cal_biascor", "nite", NITE, "", 0, 2, 1),)
    assert report.processed.runs == {"firstcut": {"done": 3}}
    assert report.processed.others == {"firstcut": {"done": 3}}
    page = render_night(report)
    assert "campaign C1" in page and "trials and other campaigns" in page


def test_a_delay_is_that_of_production(database: Database) -> None:
    with database.write() as conn:
        night(conn)
        conn.execute(insert(ops_auto_queue), queued("C1", QueueState.DONE, 11))
        conn.execute(update(pfw_attempt).where(pfw_attempt.c.id == 12).values(endtime=NOW.replace(hour=13)))
        conn.execute(update(pfw_attempt).where(pfw_attempt.c.id == 11).values(endtime=NOW.replace(hour=14)))
        report = gather_night(conn, NITE, PRODUCTION)
    assert report.times.verdict_minutes_median == 120


def queued(campaign: str, state: QueueState, attempt_id: int | None = None, unit: int = 1) -> dict[str, Any]:
    """A row of the queue."""
    return {
        "unitname": f"D{unit:08d}", "pipeline": "firstcut", "campaign": campaign, "nite": NITE, "expnum": unit,
        "state": state.value, "rank": 1, "why": "", "tries": 0, "max_tries": 1, "settings": "{}",
        "arrived_at": NOW, "updated_at": NOW, "pfw_attempt_id": attempt_id,
    }  # fmt: skip


def test_campaigns_have_lines_of_their_own(database: Database) -> None:
    with database.write() as conn:
        night(conn)
        without = night_products(conn, [NITE], "C1")
        for campaign, state in (("C1", QueueState.WAITING), ("C2", QueueState.HELD), ("C3", QueueState.HELD)):
            conn.execute(insert(ops_auto_queue), queued(campaign, state))
        with_queue = night_products(conn, [NITE], "C1")
        of_one = night_products(conn, [NITE], "C1", campaign="C3")
    # Without the queue: the newest attempt of production at each exposure; the trial is newer and does not count.
    assert [(n.campaign, n.pipelines) for n in without] == [
        ("C1", {"firstcut": {"done": 2}}),
        ("C2", {"firstcut": {"done": 1}}),
    ]
    assert [(n.campaign, n.pipelines) for n in with_queue] == [
        ("C1", {"firstcut": {"waiting": 1}}),
        ("C2", {"firstcut": {"held": 1}}),
        ("C3", {"firstcut": {"held": 1}}),
    ]
    assert [(n.campaign, n.pipelines) for n in of_one] == [("C3", {"firstcut": {"held": 1}})]
