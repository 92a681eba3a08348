"""A run goes through: planned, driven, registered; and every way in which it does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from desdm.archive import catalog
from desdm.errors import ConflictError, PlanError, StaleToken, UsageError
from desdm.facility import Facility
from desdm.framework import store
from desdm.framework.cancel import cancel
from desdm.framework.drive import drive
from desdm.framework.engines.local import LocalEngine
from desdm.framework.model import Attempt
from desdm.framework.pipeline import Block, Exec, FileSet, Module, Pipeline
from desdm.framework.register import register_job
from desdm.framework.watch import store as watch
from desdm.processes import process_start
from desdm.schema.states import AttemptState, JobState
from tests.support.toy import arrive, plan, talk_pipeline, text_pipeline

WHOLE = "\n".join(f"{n}:HELLO" for n in range(1, 5))


def run(facility: Facility, name: str) -> AttemptState:
    engine = LocalEngine(2, facility.config.runs / name)
    return drive(facility.config, facility.database, facility.archive, name, engine, who="test")


def product(facility: Facility, name: str) -> str:
    with facility.database.read() as conn:
        record = catalog.by_name(conn, name)
    assert record is not None, f"{name} is not registered"
    return facility.archive.path(record).read_text()


def attempt(facility: Facility, name: str) -> Attempt:
    with facility.database.read() as conn:
        return store.attempt_by_name(conn, name)


def wrapper_states(facility: Facility, name: str) -> dict[str, str]:
    with facility.database.read() as conn:
        rows = store.wrappers_of(conn, store.attempt_by_name(conn, name).id)
    return {f"{w.modname} {w.wrapkeys}".strip(): w.state for w in rows}


def test_a_run_goes_through_and_every_file_knows_where_it_came_from(facility: Facility) -> None:
    submission = plan(facility, text_pipeline())
    assert submission.run == "T1_r1p01"
    assert (submission.jobs, submission.wrappers) == (5, 9)
    assert run(facility, submission.run) is AttemptState.DONE
    assert product(facility, "T1_r1p01_whole.txt") == WHOLE
    from desdm.archive.provenance import lineage

    with facility.database.read() as conn:
        up = lineage(conn, "T1_r1p01_whole.txt", "up")
        metrics = watch.metrics(conn, attempt(facility, submission.run).id)
        software = watch.software(conn, attempt(facility, submission.run).id)
    names = {f.filename for f in up.files}
    halves = {f"T1_r1p01_{n:03d}_{kind}.txt" for n in range(1, 5) for kind in ("half", "big")}
    assert names == {"raw.txt", "T1_r1p01_whole.txt"} | halves
    assert [m["value"] for m in metrics] == [5.0] * 4
    assert {s["name"] for s in software} == {
        f"tests.support.toycodes.{n}" for n in ("split", "upper", "join")
    }


def test_the_same_work_is_not_done_twice_and_new_input_makes_a_new_attempt(
    facility: Facility, tmp_path: Path
) -> None:
    first = plan(facility, text_pipeline())
    run(facility, first.run)
    second = plan(facility, text_pipeline())
    assert second.reused
    assert second.run == first.run
    third = plan(facility, text_pipeline(), again=True)
    assert third.run == "T1_r1p02"
    cancel(facility.database, facility.archive, third.run, who="test", reason="not wanted")
    # What is done is done, whatever became of a later try.
    assert plan(facility, text_pipeline()).run == first.run
    other = plan(facility, text_pipeline(), {"part": "1:2"})
    assert not other.reused
    assert other.run == "T1_r1p03"


def test_another_build_of_a_program_makes_it_other_work(
    facility: Facility, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record of a run holds the digest of each program; what another one would make is not the same work."""
    program = tmp_path / "bin" / "copytext"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\ncp "$1" "$2"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    copy = Exec("copytext", {"_01_from": "${file.raw.fullname}", "_02_to": "${file.out.fullname}"})
    module = Module(
        "copy",
        "genwrap",
        inputs=(FileSet("raw", "misc", query={"filename": "raw.txt"}),),
        outputs=(FileSet("out", "misc", filename="${run}_copy.txt"),),
        execs=(copy,),
    )
    pipeline = Pipeline(
        "copying", "", (Block("one", (module,)),), unit="unitname", settings={"unitname": "T1"}
    )
    first = plan(facility, pipeline)
    assert run(facility, first.run) is AttemptState.DONE
    assert plan(facility, pipeline).reused
    program.write_text('#!/bin/sh\n# version 2\ncp "$1" "$2"\n')
    second = plan(facility, pipeline)
    assert (second.reused, second.run) == (False, "T1_r1p02")


def test_an_empty_query_is_told_with_the_query(facility: Facility) -> None:
    pipeline = text_pipeline()
    object.__setattr__(pipeline.blocks[0].modules[0].inputs[0], "query", {"filename": "nothing.txt"})
    with pytest.raises(PlanError, match=r"filename = nothing\.txt"):
        plan(facility, pipeline)
    with facility.database.read() as conn:
        assert watch.runs(conn, {}, None) == []


def test_an_input_that_is_gone_from_disk_stops_the_submission(facility: Facility) -> None:
    with facility.database.read() as conn:
        record = catalog.by_name(conn, "raw.txt")
    assert record is not None
    facility.archive.path(record).unlink()
    with pytest.raises(PlanError, match=r"raw\.txt is registered but not in the archive"):
        plan(facility, text_pipeline())


def test_a_bug_in_a_code_fails_its_job_keeps_the_work_folder_and_resume_reuses_the_rest(
    facility: Facility, tmp_path: Path
) -> None:
    fault = tmp_path / "fault"
    fault.write_text("3")
    name = plan(facility, text_pipeline(fault_file=str(fault))).run
    assert run(facility, name) is AttemptState.FAILED
    states = wrapper_states(facility, name)
    assert states["upper part=3"] == "failed"
    assert states["split part=3"] == "done"
    assert [states[f"upper part={n}"] for n in (1, 2, 4)] == ["done"] * 3
    assert states["join"] == "planned"
    with facility.database.read() as conn:
        a = store.attempt_by_name(conn, name)
        errors = watch.messages(conn, a.id, 1)
        junk = catalog.files(conn, attempt=name, filetype="junktar")
        job = next(j for j in watch.jobs(conn, a.id) if j["state"] == "failed")
        first = catalog.by_name(conn, f"{name}_001_big.txt")
    assert any("this code has a bug" in m.text for m in errors)
    assert "this code has a bug" in job["comment"]
    with tarfile.open(facility.archive.path(junk[0])) as tar:
        assert any(member.name.endswith("_003_half.txt") for member in tar)
    fault.unlink()
    assert run(facility, name) is AttemptState.DONE
    assert product(facility, f"{name}_whole.txt") == WHOLE
    with facility.database.read() as conn:
        assert catalog.by_name(conn, f"{name}_001_big.txt") == first


def test_an_output_that_was_not_made_is_an_error_that_names_it(facility: Facility, tmp_path: Path) -> None:
    fault = tmp_path / "fault"
    fault.write_text("2")
    name = plan(facility, text_pipeline(fault_file=str(fault), fault="silent")).run
    assert run(facility, name) is AttemptState.FAILED
    with facility.database.read() as conn:
        errors = watch.messages(conn, store.attempt_by_name(conn, name).id, 1)
    assert any("output big, T1_r1p01_002_big.txt, was not made" in m.text for m in errors)


def test_a_worker_killed_in_its_job_costs_one_more_try(facility: Facility, tmp_path: Path) -> None:
    fault = tmp_path / "fault"
    fault.write_text("2")
    name = plan(facility, text_pipeline(fault_file=str(fault), fault="die")).run
    assert run(facility, name) is AttemptState.DONE
    assert product(facility, f"{name}_whole.txt") == WHOLE
    with facility.database.read() as conn:
        jobs = watch.jobs(conn, store.attempt_by_name(conn, name).id)
    assert sorted(j["tries"] for j in jobs) == [1, 1, 1, 1, 2]


SUBMITTER = """
import sys
from desdm.facility import Facility
from desdm.framework.drive import drive
from desdm.framework.engines.local import LocalEngine
f = Facility.open(sys.argv[1])
drive(f.config, f.database, f.archive, sys.argv[2], LocalEngine(2, f.config.runs / sys.argv[2]), who="test")
"""


def submitter(facility: Facility, name: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", SUBMITTER, str(facility.config.home), name], stderr=subprocess.DEVNULL
    )


@pytest.mark.parametrize("moment", [0.3, 0.9, 1.3, 1.8])
def test_a_submitter_killed_at_any_moment_loses_nothing(facility: Facility, moment: float) -> None:
    name = plan(facility, text_pipeline(nap="0.2")).run
    process = submitter(facility, name)
    time.sleep(moment)
    process.kill()
    process.wait()
    while _workers(process.pid):  # they die with it
        time.sleep(0.02)
    if attempt(facility, name).state is not AttemptState.DONE:
        assert run(facility, name) is AttemptState.DONE
    assert product(facility, f"{name}_whole.txt") == WHOLE
    with facility.database.read() as conn:
        made = [f.filename for f in catalog.files(conn, attempt=name, filetype="misc")]
    assert len(made) == len(set(made)) == 9
    from desdm.archive.audit import audit

    report = audit(facility.database, facility.archive, who="test")
    assert (report.corrupt, report.missing, report.orphan) == ([], [], [])


def _workers(parent: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"desdm.framework.engines.worker" in line and str(parent).encode() in line:
            found.append(int(folder.name))
    return [pid for pid in found if process_start(pid)]


def test_a_run_that_is_driven_cannot_be_driven_twice_but_can_be_cancelled(
    facility: Facility, tmp_path: Path
) -> None:
    fault = tmp_path / "fault"
    fault.write_text("1")
    name = plan(facility, text_pipeline(fault_file=str(fault), fault="wait")).run
    process = submitter(facility, name)
    while attempt(facility, name).state is not AttemptState.RUNNING:
        time.sleep(0.05)
    with pytest.raises(ConflictError, match="is driven by process"):
        run(facility, name)
    assert cancel(facility.database, facility.archive, name, who="test") is AttemptState.CANCELLED
    process.wait(timeout=10)
    with pytest.raises(UsageError, match="cancelled already"):
        cancel(facility.database, facility.archive, name, who="test")
    fault.unlink()
    assert run(facility, name) is AttemptState.DONE
    assert product(facility, f"{name}_whole.txt") == WHOLE


def test_a_late_twin_of_a_job_can_register_nothing(facility: Facility) -> None:
    name = plan(facility, text_pipeline()).run
    run(facility, name)
    a = attempt(facility, name)
    with facility.database.read() as conn:
        job = store.jobs_of(conn, a.id)[0]
        before = len(catalog.files(conn))
    twin = job._replace(token="0123456789abcdef")
    workdir = Path(job.jobroot or "") / "try1"
    workdir.mkdir(parents=True, exist_ok=True)
    with pytest.raises(StaleToken):
        register_job(facility.database, facility.archive, a, twin, workdir, JobState.DONE)
    with facility.database.read() as conn:
        assert len(catalog.files(conn)) == before


def test_a_program_is_measured_asked_its_version_and_its_failure_told(facility: Facility) -> None:
    good = plan(facility, talk_pipeline("program", script="echo hello; echo made > %s")).run
    assert run(facility, good) is AttemptState.DONE
    bad = plan(facility, talk_pipeline("program", script="echo alas; exit 3")).run
    assert run(facility, bad) is AttemptState.FAILED
    with facility.database.read() as conn:
        software = watch.software(conn, attempt(facility, good).id)
        errors = watch.messages(conn, attempt(facility, bad).id, 1)
    assert software[0]["name"] == "sh"
    assert software[0]["maxrss_kb"] > 100
    assert any("ended with status 3" in m.text for m in errors)


def test_an_interrupted_submitter_leaves_a_run_that_goes_on(facility: Facility) -> None:
    name = plan(facility, text_pipeline(nap="0.3")).run
    process = submitter(facility, name)
    while attempt(facility, name).state is not AttemptState.RUNNING:
        time.sleep(0.05)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGINT)
    process.wait(timeout=10)
    assert attempt(facility, name).state is AttemptState.INTERRUPTED
    assert run(facility, name) is AttemptState.DONE
    assert product(facility, f"{name}_whole.txt") == WHOLE


def test_a_superseded_raw_file_never_mixes_into_an_older_attempt(facility: Facility, tmp_path: Path) -> None:
    name = plan(facility, text_pipeline()).run
    arrive(facility, tmp_path, "other text", "raw2.txt")
    assert run(facility, name) is AttemptState.DONE
    assert product(facility, f"{name}_whole.txt") == WHOLE
