"""Two processes that submit the same work at the same time: one runs it, the other is told, on both engines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from sqlalchemy import func, select

from desdm.errors import ConflictError
from desdm.facility import Facility
from desdm.schema import pfw_attempt, pfw_job, pfw_wrapper
from desdm.schema.states import AttemptState
from tests.framework.test_drive import attempt, run
from tests.support.toy import plan, text_pipeline

ROOT = Path(__file__).parents[2]

_SUBMIT = """
import sys, time
from pathlib import Path
from desdm.errors import ConflictError
from desdm.facility import Facility
from tests.support.toy import plan, text_pipeline
from tests.framework.test_drive import run
facility = Facility.open(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
try:
    made = plan(facility, text_pipeline(nap="1"))
    print("ran", made.run, run(facility, made.run).value)
except ConflictError as err:
    print("refused", err)
"""


def test_one_runs_and_the_other_is_told(facility: Facility) -> None:
    both = [
        subprocess.Popen(
            [sys.executable, "-c", _SUBMIT, str(facility.config.home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for _ in range(2)
    ]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = sorted(process.communicate(timeout=120)[0].strip() for process in both)
    assert said[0] == "ran T1_r1p01 done", said
    assert said[1].startswith("refused T1_r1p01 is the same work and under way, by process "), said
    with facility.database.read() as conn:
        assert conn.execute(select(func.count()).select_from(pfw_attempt)).scalar_one() == 1


def test_a_plan_whose_process_is_gone_holds_nobody_back(facility: Facility) -> None:
    code = _SUBMIT.replace("run(facility, made.run).value", "made.state.value")
    process = subprocess.run(
        [sys.executable, "-c", code, str(facility.config.home)],
        input="go\n", capture_output=True, text=True, cwd=ROOT, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout == "ready\nran T1_r1p01 planned\n"
    again = plan(facility, text_pipeline(nap="1"), resume=True)
    assert (again.run, again.state) == ("T1_r1p01", AttemptState.PLANNED)
    with facility.database.read() as conn:
        of_run = [
            conn.execute(select(func.count()).select_from(t)).scalar_one() for t in (pfw_job, pfw_wrapper)
        ]
    assert [again.jobs, again.wrappers] == of_run and all(of_run)
    try:
        second = plan(facility, text_pipeline(nap="1"))
    except ConflictError as err:
        raise AssertionError("a process that is gone is taken for one at work") from err
    assert run(facility, second.run) is AttemptState.DONE
    assert attempt(facility, second.run).state is AttemptState.DONE
