"""Rules of the queue on both database engines: policies, order, refusals, holds, acts, tries and giving up."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.exc import DBAPIError

from desdm import config as settings
from desdm.archive.model import Scope
from desdm.config import Config
from desdm.errors import ConflictError, LostJob, MissingCalibration, NotFoundError, PlanError, UsageError
from desdm.facility import initialise
from desdm.operations.acceptance import exclude_exposure, lift_exclusion
from desdm.operations.queue import acts, store
from desdm.operations.queue.acts import Act, Selection
from desdm.operations.queue.campaign import Campaign, queue_campaign
from desdm.operations.queue.enqueue import enqueue, queue_again, refused_no_longer
from desdm.operations.queue.failures import failure_of
from desdm.operations.queue.holds import apply_problems
from desdm.operations.queue.model import Policy, QueueRow
from desdm.operations.queue.policies import add_policy, end_policy, policies_in_force
from desdm.operations.queue.settle import Settler
from desdm.operations.queue.why import explain
from desdm.quality.qa.verdict import verdicts
from desdm.schema import pfw_attempt, pfw_block, pfw_job, pfw_wrapper, problem, task, task_message
from desdm.schema.arrival import delivery, ops_propid
from desdm.schema.database import Database
from desdm.schema.operationstates import QueueState
from desdm.schema.queue import ops_auto_queue
from desdm.schema.states import EventKind
from desdm.schema.store import find_events
from tests.archive.test_find import attempt, put

NITE, NOW = "20121120", datetime(2012, 11, 21, 12)
PRODUCTION = Scope("OPS", "MAIN")
ACT = Act("mary", "a reason", NOW)


def raw(conn: Any, expnum: int, obstype: str = "object", **more: Any) -> None:
    values = {"obstype": obstype, "nite": NITE, "band": "r", "object": "field", "propid": "P1", **more}
    put(conn, expnum, f"DECam_{expnum:08d}.fits", filetype="raw", expnum=expnum, **values)


@pytest.fixture
def night(database: Database) -> Database:
    """Two biases, two science exposures in r and one in g of another proposal, one that is junk."""
    with database.write() as conn:
        for number in (1, 2):
            raw(conn, number, "zero")
        raw(conn, 11)
        raw(conn, 12)
        raw(conn, 13, band="g", propid="P2")
        raw(conn, 14, object="junk frame")
        conn.execute(insert(ops_propid), [
            {"propid": p, "programme": name, "project": "OPS", "accept": True, "who": "t", "since": NOW}
            for p, name in (("P1", "survey"), ("P2", "supernova"))
        ])  # fmt: skip
    return database


@pytest.fixture
def config(tmp_path: Any) -> Config:
    initialise(tmp_path / "home")
    return settings.load(tmp_path / "home")


def queue_night(database: Database, now: datetime = NOW) -> list[QueueRow]:
    with database.write() as conn:
        enqueue(conn, PRODUCTION, store.uncovered_nites(conn, "MAIN"), now=now)
        queue_again(conn, refused_no_longer(conn, PRODUCTION, now=now), now=now)
        assert store.uncovered_nites(conn, "MAIN") == []
        return store.find_rows(conn)


def states(database: Database) -> dict[str, str]:
    with database.read() as conn:
        return {row.unitname: row.state.value for row in store.find_rows(conn)}


def policy(**values: Any) -> Policy:
    return replace(
        Policy(None, "*", "firstcut", "*", "00010101", "99991231", 50, 12.0, 2, "agreed on Monday"), **values
    )


def test_without_a_policy_precal_goes_first_and_junk_gets_a_verdict_and_no_attempt(night: Database) -> None:
    rows = queue_night(night)
    assert [(r.unitname, r.pipeline, r.state.value) for r in rows] == [
        (NITE, "precal", "waiting"),
        ("D00000011", "firstcut", "waiting"),
        ("D00000012", "firstcut", "waiting"),
        ("D00000013", "firstcut", "waiting"),
        ("D00000014", "firstcut", "dismissed"),
    ]
    assert rows[1].due_at == NOW + timedelta(hours=24)
    assert rows[4].why == "not processed: its title says junk"
    with night.read() as conn:
        [verdict] = verdicts(conn, "firstcut", [14], PRODUCTION)
        assert (verdict["accepted"], verdict["reason"]) == ("False", rows[4].why)
        # The exposures wait until the night's calibrations have ended, well or not.
        assert [r.unitname for r in store.ready_rows(conn, NOW, 9)] == [NITE]
        [told] = explain(conn, rows[1:2], now=NOW)
    assert f"it waits for precal {NITE}, which is waiting" in told.reasons
    assert queue_night(night) == rows


def test_policies_choose_by_programme_band_and_rank_and_cite_their_statement(night: Database) -> None:
    with night.write() as conn:
        first = add_policy(conn, policy(programme="supernova", rank=1), who="mary", now=NOW)
        add_policy(conn, policy(programme="survey", band="r", rank=9), who="mary", now=NOW)
        add_policy(conn, policy(programme="survey", band="g", rank=2), who="mary", now=NOW)
    rows = {row.unitname: row for row in queue_night(night)}
    assert (rows["D00000013"].rank, rows["D00000013"].policy_id) == (1, first.id)
    assert rows["D00000013"].why == f"queued by policy {first.id} (agreed on Monday)"
    assert rows["D00000011"].rank == 9 and rows["D00000011"].max_tries == 2
    # No policy queues the night: its exposures do not wait for it.
    assert (rows[NITE].state, rows[NITE].why) == (QueueState.DISMISSED, "no policy queues it")
    with night.read() as conn:
        assert [r.unitname for r in store.ready_rows(conn, NOW, 9)] == ["D00000013", "D00000011", "D00000012"]
    with night.write() as conn:
        add_policy(conn, policy(pipeline="precal"), who="mary", now=NOW)
    assert {r.unitname: r.state for r in queue_night(night)}[NITE] is QueueState.WAITING


def test_a_policy_needs_a_statement_and_ends_with_a_reason(database: Database) -> None:
    with database.write() as conn:
        assert [p.pipeline for p in policies_in_force(conn)] == ["precal", "firstcut"]
        with pytest.raises(UsageError, match="--statement"):
            add_policy(conn, policy(statement=" "), who="mary", now=NOW)
        with pytest.raises(UsageError, match="a campaign queues the rest"):
            add_policy(conn, policy(pipeline="coadd"), who="mary", now=NOW)
        entered = add_policy(conn, policy(), who="mary", now=NOW)
        assert policies_in_force(conn) == [entered]
        with pytest.raises(UsageError, match="say why"):
            end_policy(conn, entered.id or 0, reason="", who="mary", now=NOW)
        end_policy(conn, entered.id or 0, reason="the season is over", who="mary", now=NOW)
        # Where a policy was entered and ended, nothing is queued: the default does not come back by itself.
        assert policies_in_force(conn) == []
        with pytest.raises(NotFoundError):
            end_policy(conn, entered.id or 0, reason="again", who="mary", now=NOW)
        told = [(e.who, e.reason) for e in find_events(conn, kind=EventKind.QUEUE)]
    assert told == [("mary", "agreed on Monday"), ("mary", "the season is over")]


def test_a_policy_that_says_the_same_or_has_a_rank_below_0_is_refused(database: Database) -> None:
    with database.write() as conn:
        entered = add_policy(conn, policy(), who="mary", now=NOW)
        for twin in (policy(statement="again"), policy(nite_from="00000000", nite_to="99999999")):
            with pytest.raises(ConflictError, match=f"policy {entered.id} "):
                add_policy(conn, twin, who="john", now=NOW)
        with pytest.raises(UsageError, match="below 0"):
            add_policy(conn, policy(rank=-1), who="mary", now=NOW)
        add_policy(conn, policy(band="r"), who="mary", now=NOW)
        end_policy(conn, entered.id or 0, reason="over", who="mary", now=NOW)
        add_policy(conn, policy(), who="mary", now=NOW)


def test_the_time_of_a_delivery_counts_for_deadline_and_age(night: Database) -> None:
    late = NOW - timedelta(hours=5)
    with night.write() as conn:
        conn.execute(insert(delivery), {
            "source": "s", "filename": "f", "path": "p", "state": "ingested", "tries": 1, "desfile_id": 12,
            "noticed_at": late, "ingested_at": late,
        })  # fmt: skip
    rows = queue_night(night)
    assert [r.unitname for r in rows][:3] == [NITE, "D00000012", "D00000011"]
    assert rows[1].due_at == late + timedelta(hours=24)


def test_an_exclusion_that_is_lifted_queues_the_exposure(night: Database) -> None:
    with night.write() as conn:
        exclude_exposure(conn, 11, 0, reason="ghost", who="mary", scope=PRODUCTION)
    queue_night(night)
    assert states(night)["D00000011"] == "dismissed"
    with night.write() as conn:
        lift_exclusion(conn, 11, 0, reason="no ghost", who="mary", scope=PRODUCTION)
    queue_night(night)
    assert states(night)["D00000011"] == "waiting"


def test_calibrations_that_arrive_later_queue_the_night_again(night: Database) -> None:
    queue_night(night)
    change(night, NITE, QueueState.SUBMITTED, QueueState.DONE)
    with night.write() as conn:
        raw(conn, 90, "dome flat")
    [row] = [r for r in queue_night(night) if r.unitname == NITE]
    assert (row.state, row.why) == (QueueState.WAITING, "more calibration frames have arrived: 3 now")


def change(database: Database, unit: str, *to: QueueState) -> None:
    with database.write() as conn:
        for state in to:
            [row] = store.find_rows(conn, unit=unit)
            assert store.change_row(conn, row, state, why="test", now=NOW)


def test_people_hold_release_reorder_and_dismiss_with_a_reason(night: Database) -> None:
    queue_night(night)
    unit = Selection("D00000011")
    with night.write() as conn:
        with pytest.raises(UsageError, match="say why"):
            acts.hold(conn, unit, replace(ACT, reason=" "))
        acts.hold(conn, unit, replace(ACT, dry_run=True))
        assert store.find_rows(conn, unit="D00000011")[0].state is QueueState.WAITING
        acts.hold(conn, unit, ACT)
        [row] = store.find_rows(conn, unit="D00000011")
        assert (row.state, row.held_by, row.why) == (QueueState.HELD, "mary", "held by mary: a reason")
        with pytest.raises(ConflictError, match="is held"):
            acts.hold(conn, unit, ACT)
        acts.release(conn, unit, ACT)
        acts.set_priority(conn, Selection("D00000012"), 3, ACT)
        acts.dismiss(conn, Selection("D00000013"), ACT)
        with pytest.raises(NotFoundError):
            acts.hold(conn, Selection("D00000099"), ACT)
        held = acts.hold(conn, Selection(NITE, whole_night=True), ACT)
        assert sorted(c.row.unitname for c in held) == [NITE, "D00000011", "D00000012"]
        order = [(r.unitname, r.rank) for r in store.find_rows(conn, states=[QueueState.HELD])]
        assert order[0] == ("D00000012", 3)
        told = [(e.subject, e.who, e.reason) for e in find_events(conn, kind=EventKind.QUEUE, who="mary")]
    assert told.count(("D00000011", "mary", "a reason")) == 3 and len(told) == 7


def test_a_submitted_row_is_not_held_and_the_database_keeps_the_states(night: Database) -> None:
    queue_night(night)
    change(night, NITE, QueueState.SUBMITTED)
    with night.write() as conn, pytest.raises(ConflictError, match="desdm cancel"):
        acts.hold(conn, Selection(NITE), ACT)
    with pytest.raises(DBAPIError, match="unlawful change of queue state"), night.write() as conn:
        conn.execute(update(ops_auto_queue).where(ops_auto_queue.c.unitname == NITE).values(state="held"))


@pytest.mark.parametrize(
    ("kind", "subject", "held"),
    [
        ("pipeline", "firstcut", {"D00000011", "D00000012", "D00000013"}),
        ("nite", NITE, {NITE, "D00000011", "D00000012", "D00000013"}),
        ("exposure", "D00000012", {"D00000012"}),
        ("nite", "20121121", set()),
    ],
)
def test_a_confirmed_problem_of_severity_stop_holds_rows_until_it_is_gone(
    night: Database, kind: str, subject: str, held: set[str]
) -> None:
    queue_night(night)
    values = {
        "subject_kind": kind, "subject": subject, "text": "t", "blocks": False, "opened_by": "mary",
        "opened_at": NOW, "severity": "stop", "state": "new",
    }  # fmt: skip
    with night.write() as conn:
        conn.execute(insert(problem), values)
        assert apply_problems(conn, now=NOW) == []
        conn.execute(update(problem).values(state="confirmed"))
        assert {c.row.unitname for c in apply_problems(conn, now=NOW)} == held
    assert {unit for unit, state in states(night).items() if state == "held"} == held
    with night.write() as conn:
        conn.execute(update(problem).values(state="fixed"))
        apply_problems(conn, now=NOW)
    assert "held" not in states(night).values()


def failed_attempt(conn: Any, number: int, *, lost: bool = False, comment: str = "") -> None:
    """An attempt of exposure 11 whose first job failed in its second step, or was lost."""
    attempt(conn, number, unit="D00000011", req=9, att=number, pipeline="firstcut", state="failed")
    conn.execute(
        insert(task),
        [{"id": n, "name": "t", "info_table": "x"} for n in (number + 1, number + 2, number + 3, number + 4)],
    )
    conn.execute(insert(pfw_block), {
        "task_id": number + 1, "pfw_attempt_id": number, "blknum": 1, "name": "b", "modulelist": "m", "numexpjobs": 1,
    })  # fmt: skip
    conn.execute(insert(pfw_job), {
        "task_id": number + 2, "pfw_attempt_id": number, "pfw_block_task_id": number + 1, "jobnum": 1, "jobkeys": "",
        "expect_num_wrap": 2, "state": "lost" if lost else "failed", "tries": 1, "comment": comment,
    })  # fmt: skip
    for n, state in ((1, "done"), (2, "planned" if lost else "failed")):
        conn.execute(insert(pfw_wrapper), {
            "task_id": number + 2 + n, "pfw_attempt_id": number, "pfw_job_task_id": number + 2, "wrapnum": n,
            "modname": f"step{n}", "name": "w", "wrapkeys": f"ccdnum={n}", "state": state, "log": "j.log",
        })  # fmt: skip
    for line, text in ((7, "first bad line"), (9, "second bad line")):
        conn.execute(insert(task_message), {
            "task_id": number + 4, "pfw_attempt_id": number, "message_time": NOW, "message_lvl": 1, "pattern": "p",
            "action": "none", "message": text, "log_file": "j.log", "log_line": line,
        })  # fmt: skip


def submitted(conn: Any, number: int, tries: int) -> QueueRow:
    """The row of exposure 11, submitted as that attempt."""
    [row] = store.find_rows(conn, unit="D00000011")
    assert store.change_row(
        conn, row, QueueState.SUBMITTED, why="t", now=NOW, pfw_attempt_id=number, tries=tries
    )
    return store.row_by_id(conn, row.id)


def test_a_lost_job_is_tried_again_with_growing_pauses_as_often_as_allowed(
    night: Database, config: Config
) -> None:
    queue_night(night)
    settler = Settler(config, timedelta(seconds=30))
    with night.write() as conn:
        failed_attempt(conn, 100, lost=True)
        row = submitted(conn, 100, 1)
        assert settler.ended(conn, row, None, NOW) is QueueState.WAITING
        row = store.row_by_id(conn, row.id)
        assert (row.tries, row.not_before) == (1, NOW + timedelta(seconds=30))
        assert row not in store.ready_rows(conn, NOW, 9)
        assert settler.ended(conn, submitted(conn, 100, 2), None, NOW) is QueueState.WAITING
        assert store.row_by_id(conn, row.id).not_before == NOW + timedelta(seconds=60)
        assert settler.ended(conn, submitted(conn, 100, 3), None, NOW) is QueueState.GAVE_UP
        assert "3 tries failed" in store.row_by_id(conn, row.id).why


def test_what_would_fail_alike_gives_up_at_once_with_the_first_bad_line_as_a_problem(
    night: Database, config: Config
) -> None:
    queue_night(night)
    settler = Settler(config, timedelta(seconds=30))
    with night.write() as conn:
        failed_attempt(conn, 100, comment="ProgramFailed: scamp ended with status 1")
        row = submitted(conn, 100, 1)
        assert settler.ended(conn, row, None, NOW) is QueueState.GAVE_UP
        text = "module step2 (ccdnum=2): first bad line [j.log:7]"
        [p] = conn.execute(select(problem)).all()
        assert (p.subject_kind, p.subject, p.text, p.state, p.severity, p.blocks) == (
            "exposure", "D00000011", text, "new", "degrade", False,
        )  # fmt: skip
        [verdict] = verdicts(conn, "firstcut", [11], PRODUCTION)
        assert (verdict["accepted"], verdict["processed"]) == ("Unknown", "True")
        acts.release(conn, Selection("D00000011"), ACT)
        failed_attempt(conn, 200, comment="ProgramFailed: scamp ended with status 1")
        settler.ended(conn, submitted(conn, 200, 1), None, NOW + timedelta(hours=1))
        [p] = conn.execute(select(problem)).all()
        assert (p.occurrences, p.pfw_attempt_id) == (2, 200)


@pytest.mark.parametrize(
    ("comment", "transient"),
    [
        ("StorageFull: no room", True),
        ("LostJob: gone", True),
        ("UsageError: no such key", False),
        ("", False),
    ],
)
def test_the_kind_of_an_error_decides_whether_another_try_may_help(
    night: Database, comment: str, transient: bool
) -> None:
    with night.write() as conn:
        failed_attempt(conn, 100, comment=comment)
        assert failure_of(conn, 100).transient is transient


def test_without_calibrations_an_exposure_waits_until_it_is_due(night: Database, config: Config) -> None:
    queue_night(night)
    settler = Settler(config, timedelta(seconds=30))
    error = MissingCalibration("no cal_biascor")
    with night.write() as conn:
        [row] = store.find_rows(conn, unit="D00000011")
        assert settler.not_submitted(conn, row, error, NOW) is None
        row = store.row_by_id(conn, row.id)
        assert (row.state, row.tries, row.not_before) == (QueueState.WAITING, 0, NOW + timedelta(minutes=10))
        assert verdicts(conn, "firstcut", [11], PRODUCTION)[0]["accepted"] == "Unknown"
        assert settler.not_submitted(conn, row, error, NOW + timedelta(hours=24)) is QueueState.GAVE_UP


def test_a_plan_that_cannot_be_gives_up_and_a_transient_error_of_planning_does_not(
    night: Database, config: Config
) -> None:
    queue_night(night)
    settler = Settler(config, timedelta(seconds=30))
    with night.write() as conn:
        [row] = store.find_rows(conn, unit=NITE)
        assert settler.not_submitted(conn, row, LostJob("gone"), NOW) is QueueState.WAITING
        row = store.row_by_id(conn, row.id)
        assert row.tries == 1
        assert settler.not_submitted(conn, row, PlanError("too few biases"), NOW) is QueueState.GAVE_UP
        # Its exposures go on: near nights' calibrations may serve.
        assert [r.unitname for r in store.ready_rows(conn, NOW, 9)] == ["D00000011", "D00000012", "D00000013"]


def test_a_campaign_is_a_frozen_set_under_a_name_of_its_own(night: Database, config: Config) -> None:
    queue_night(night)
    wanted = Campaign("Y5", "firstcut", exposures=(11, 13), settings={"skycompress.threshold": "4"})
    with night.write() as conn:
        planned = queue_campaign(conn, config, wanted, reason="test", who="mary", now=NOW, dry_run=True)
        assert store.find_rows(conn, campaign="Y5") == [] and len(planned) == 2
        queue_campaign(conn, config, wanted, reason="test", who="mary", now=NOW)
        rows = store.find_rows(conn, campaign="Y5")
        assert [(r.unitname, dict(r.settings)) for r in rows] == [
            (name, {"expnum": number, "skycompress.threshold": "4"})
            for name, number in (("D00000011", "11"), ("D00000013", "13"))
        ]
        # They do not wait for the night's precal of production.
        assert {r.campaign for r in store.ready_rows(conn, NOW, 9)} == {"MAIN", "Y5"}
        for bad, error in (
            (replace(wanted, exposures=(12,)), ConflictError),
            (replace(wanted, name="MAIN"), ConflictError),
            (replace(wanted, name="Y6", exposures=(12, 77)), NotFoundError),
            (replace(wanted, name="Y6", exposures=(), tiles=("T",)), UsageError),
            (replace(wanted, name="Y6", settings={"no.such": "1"}), UsageError),
        ):
            with pytest.raises(error):
                queue_campaign(conn, config, bad, reason="test", who="mary", now=NOW)


def test_an_act_without_a_campaign_is_on_the_nightly_row(night: Database, config: Config) -> None:
    queue_night(night)
    with night.write() as conn:
        for name, numbers in (("DEEP2", (11, 12)), ("DEEP3", (11,))):
            wanted = Campaign(name, "firstcut", exposures=numbers)
            queue_campaign(conn, config, wanted, reason="test", who="mary", now=NOW)
        [change] = acts.hold(conn, Selection("D00000011", production="MAIN"), ACT)
        assert (change.row.campaign, change.state) == ("MAIN", QueueState.HELD)
        [change] = acts.hold(conn, Selection("D00000011", campaign="DEEP3", production="MAIN"), ACT)
        assert change.row.campaign == "DEEP3"
        with pytest.raises(NotFoundError, match="campaigns that have: DEEP2, DEEP3"):
            acts.hold(conn, Selection("D00000011", production="MAIN2"), ACT)
        whole = acts.hold(conn, Selection(NITE, whole_night=True, production="MAIN"), ACT)
        assert {c.row.campaign for c in whole} == {"MAIN"}
        [waiting] = store.find_rows(conn, unit="D00000011", campaign="DEEP2")
        assert waiting.state is QueueState.WAITING


def test_a_runner_shortens_the_wait_for_calibrations_of_an_earlier_one(night: Database) -> None:
    later = NOW + timedelta(seconds=300)
    with night.write() as conn:
        enqueue(conn, PRODUCTION, [NITE], now=NOW, quiet=timedelta(seconds=300))
        [paused] = store.find_rows(conn, unit="D00000011")
        store.change_row(conn, paused, paused.state, why="", now=NOW, not_before=later, tries=1)
        assert store.waiting_rows(conn, NOW) == (4, later)
        assert store.waiting_rows(conn, later) == (4, None)
        assert store.shorten_quiet(conn, NOW) == 1
        assert store.shorten_quiet(conn, NOW) == 0
        assert store.find_rows(conn, unit=NITE)[0].not_before == NOW
        # A pause after a failed try stands.
        assert store.find_rows(conn, unit="D00000011")[0].not_before == later
        assert [r.unitname for r in store.ready_rows(conn, NOW, 9)] == [NITE]


def test_rows_are_attempts_of_the_database(night: Database) -> None:
    queue_night(night)
    with night.write() as conn:
        failed_attempt(conn, 100)
        row = submitted(conn, 100, 1)
    assert row.run == "D00000011_r9p100"
    with night.read() as conn:
        assert conn.execute(select(pfw_attempt.c.id)).scalars().all() == [100]
