"""Many runs share one engine: each ends as it would alone, and an operator's Ctrl-C leaves all of them resumable."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from desdm.facility import Facility
from desdm.framework import store
from desdm.framework.drive import drive
from desdm.framework.engines.local import LocalEngine
from desdm.framework.parallel import drive_many
from desdm.schema.states import AttemptState
from tests.framework.test_drive import WHOLE, product
from tests.support.toy import plan, text_pipeline


def states(facility: Facility, runs: list[str]) -> set[AttemptState]:
    with facility.database.read() as conn:
        return {store.attempt_by_name(conn, run).state for run in runs}


def units(facility: Facility, count: int, **settings: str) -> list[str]:
    return [plan(facility, text_pipeline(unitname=f"E{n}", **settings)).run for n in range(count)]


def test_six_runs_on_two_workers_each_make_their_own(facility: Facility) -> None:
    runs = units(facility, 6)
    engine = LocalEngine(2, facility.config.runs)
    ends = drive_many(
        facility.config, facility.database, facility.archive, runs, engine, who="test", at_once=3
    )
    assert ends == dict.fromkeys(runs, AttemptState.DONE)
    assert {product(facility, f"{run}_whole.txt") for run in runs} == {WHOLE}


def test_a_run_that_fails_or_is_done_says_so_and_the_others_go_on(facility: Facility, tmp_path: Path) -> None:
    done = plan(facility, text_pipeline(unitname="OLD")).run
    drive(
        facility.config, facility.database, facility.archive, done, LocalEngine(1, facility.config.runs), who="test"
    )  # fmt: skip
    (tmp_path / "fault").write_text("3")
    bad = plan(facility, text_pipeline(unitname="BAD", fault_file=str(tmp_path / "fault"))).run
    good = units(facility, 2)
    engine = LocalEngine(2, facility.config.runs)
    ends = drive_many(
        facility.config,
        facility.database,
        facility.archive,
        [bad, done, *good],
        engine,
        who="test",
        at_once=2,
    )
    assert ends[bad] is AttemptState.FAILED
    assert "a new attempt is made by" in str(ends[done])
    assert [ends[run] for run in good] == [AttemptState.DONE] * 2


def test_ctrl_c_interrupts_every_run_and_each_can_be_resumed(facility: Facility) -> None:
    runs = units(facility, 3, nap="0.4")
    engine = LocalEngine(2, facility.config.runs)
    threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        drive_many(facility.config, facility.database, facility.archive, runs, engine, who="test", at_once=3)
    assert states(facility, runs) <= {AttemptState.INTERRUPTED, AttemptState.PLANNED, AttemptState.DONE}
    assert AttemptState.INTERRUPTED in states(facility, runs)
    left = [r for r in runs if states(facility, [r]) != {AttemptState.DONE}]
    engine = LocalEngine(2, facility.config.runs)
    drive_many(facility.config, facility.database, facility.archive, left, engine, who="test", at_once=3)
    assert {product(facility, f"{run}_whole.txt") for run in runs} == {WHOLE}
