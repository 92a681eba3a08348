"""A simulated night run by its queue: in order, killed at any moment, with a damaged file, with a lost worker."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.night import Processed
from tests.support.queuenight import NITE, command, desdm, small_night
from tests.support.wait import until


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Processed:
    return small_night(tmp_path_factory)


@pytest.fixture
def home(ingested: Processed, tmp_path: Path) -> Path:
    """An installation of the test's own with the night's raw files."""
    shutil.copytree(ingested.home, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture(scope="module")
def undisturbed(ingested: Processed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The night run by its queue in one go."""
    path = tmp_path_factory.mktemp("undisturbed") / "home"
    shutil.copytree(ingested.home, path)
    done = desdm(path, "queue", "run", "--until-idle")
    assert done == {"queued": 5, "ended": {"done": 4}, "waiting": 0, "until": None}
    return path


def end(home: Path) -> dict[str, Any]:
    """What the night came to: rows, attempts, verdicts, tags and files, without times and digests."""
    rows = desdm(home, "queue")["rows"]
    files = desdm(home, "files")
    by_type: dict[str, int] = {}
    for file in files:
        by_type[file["filetype"]] = by_type.get(file["filetype"], 0) + 1
    verdicts = desdm(home, "verdict")
    return {
        "rows": [(r["unit"], r["state"], r["tries"], r["attempt"], r["why"]) for r in rows],
        "runs": sorted((r["attempt"], r["state"]) for r in desdm(home, "status", "--all")),
        "verdicts": [(v["expnum"], v["accepted"], v["reason"], v["t_eff"]) for v in verdicts],
        "files": {k: v for k, v in by_type.items() if k not in ("log", "wcl", "junktar")},
        "problems": desdm(home, "problem", "list"),
    }


def test_precal_goes_before_the_exposures_and_each_gets_a_verdict(
    undisturbed: Path, ingested: Processed
) -> None:
    got = end(undisturbed)
    assert [(unit, state) for unit, state, *_ in got["rows"]] == [
        (NITE, "done"),
        ("D00150014", "done"),
        ("D00150015", "done"),
        ("D00150016", "done"),
        ("D00150017", "dismissed"),
    ]
    truth = {
        e["expnum"]: e["verdict"] for e in ingested.truth["exposures"] if e["expnum"] in range(150014, 150017)
    }
    assert {number: word for number, word, *_ in got["verdicts"] if number in truth} == truth
    assert got["verdicts"][-1][:3] == (150017, "False", "not processed: its title says junk")
    precal = next(r for r in desdm(undisturbed, "history") if r["run"].startswith(NITE))
    others = [r for r in desdm(undisturbed, "history") if not r["run"].startswith(NITE)]
    assert all(r["submittime"] >= precal["endtime"] for r in others)


def test_nothing_is_done_twice(undisturbed: Path) -> None:
    assert desdm(undisturbed, "queue", "run", "--until-idle") == {
        "queued": 0,
        "ended": {},
        "waiting": 0,
        "until": None,
    }
    assert len(desdm(undisturbed, "status", "--all")) == 4


def test_why_names_the_calibrations_and_their_reason(undisturbed: Path) -> None:
    [row] = desdm(undisturbed, "queue", "why", "150014")
    assert row["reasons"][0] == "D00150014_r2p01 is done"
    [bias] = [r for r in row["reasons"] if r.startswith("cal_biascor")]
    assert "20121120, the same night (20121120_r1p01) (4 files)" in bias


def test_a_runner_that_is_killed_again_and_again_comes_to_the_same_end(home: Path, undisturbed: Path) -> None:
    draw = random.Random(5)
    for _ in range(6):
        process = subprocess.Popen(
            command(home, "queue", "run", "--until-idle"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(draw.uniform(1.5, 7.0))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    desdm(home, "queue", "run", "--until-idle")
    assert end(home) == end(undisturbed)
    amiss = desdm(home, "audit")
    assert [amiss[k] for k in ("corrupt", "truncated", "grown", "missing", "orphan")] == [[]] * 5


def test_one_process_at_a_time_runs_the_queue_and_a_polite_end_is_gone_on_from(
    home: Path, undisturbed: Path
) -> None:
    with subprocess.Popen(
        command(home, "queue", "run", "--quiet", "0"), stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        while "20121120_r1p01" not in first.stdout.readline():
            assert first.poll() is None
        second = subprocess.run(command(home, "queue", "run"), capture_output=True, text=True)
        assert second.returncode == 3 and "runs already" in second.stderr
        first.terminate()
    assert first.returncode == 0
    [night] = [r for r in desdm(home, "queue")["rows"] if r["unit"] == NITE]
    assert night["state"] == "submitted"
    desdm(home, "queue", "run", "--until-idle")
    assert end(home) == end(undisturbed)


def test_the_quiet_of_a_command_that_ends_overrules_that_of_an_earlier_one(home: Path) -> None:
    with subprocess.Popen(command(home, "queue", "run"), stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        while "rows queued" not in first.stdout.readline():
            assert first.poll() is None
        first.terminate()

    def until_of_night() -> datetime:
        [night] = [r for r in desdm(home, "queue")["rows"] if r["unit"] == NITE]
        return datetime.fromisoformat(night["not_before"])

    before = until_of_night()
    done = subprocess.run(
        command(home, "queue", "run", "--until-idle", "--quiet", "120"), capture_output=True, text=True
    )
    assert before - until_of_night() > timedelta(seconds=100)
    assert f"4 rows wait, the first until {until_of_night():%Y-%m-%d %H:%M:%S} UTC" in done.stdout


def test_a_lost_worker_is_tried_again_and_not_given_up(home: Path, undisturbed: Path) -> None:
    with (home / "desdm.toml").open("a") as settings:
        settings.write("\n[engine]\nmax_tries = 1\n")
    text = (home / "desdm.toml").read_text()
    (home / "desdm.toml").write_text(
        text.replace("[engine]\n", "", 1) if text.count("[engine]") > 1 else text
    )
    with subprocess.Popen(
        command(home, "queue", "run", "--until-idle", "--pause", "1"), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        while "20121120_r1p01" not in process.stdout.readline():
            assert process.poll() is None
        workers: list[int] = []
        while not workers:
            time.sleep(0.2)
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            workers = [int(child) for child in children]
        os.kill(workers[0], signal.SIGKILL)
        printed = process.stdout.read()
    assert process.returncode == 0
    assert "precal 20121120: waiting" in printed
    got = end(home)
    assert (got["rows"][0][1], got["rows"][0][2]) == ("done", 2)
    assert got["problems"] == []
    assert got["verdicts"] == end(undisturbed)["verdicts"]


def test_a_run_whose_runner_is_lost_each_time_goes_on_alone_and_gives_up(home: Path) -> None:
    """Killed as soon as it goes on with the night's precal: it would be taken up for ever."""
    printed = ""
    for number in range(1, 12):
        with subprocess.Popen(
            command(home, "queue", "run", "--until-idle"), stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                printed += line
                if "gave_up" in line:
                    break
                if "20121120_r1p01" in line:
                    _until_running(home, number)
                    break
            process.kill()
        if "gave_up" in printed:
            break
    assert printed.count("going on with 20121120_r1p01\n") == 3
    assert printed.count("going on with 20121120_r1p01 alone\n") == 6
    assert number == 11
    [row] = [r for r in desdm(home, "queue")["rows"] if r["unit"] == NITE]
    assert (row["state"], row["tries"]) == ("gave_up", 1)
    assert row["why"].startswith("its runner was lost 10 times while jobs of 20121120_r1p01 ran")
    [problem] = desdm(home, "problem", "list")
    assert (problem["subject"], problem["opened_by"]) == (NITE, "queue")


def _until_running(home: Path, number: int) -> None:
    """Wait until a job of the night's precal was handed out so many times."""
    query = "SELECT max(tries) FROM pfw_job WHERE state IN ('queued', 'running')"
    with sqlite3.connect(home / "desdm.sqlite", timeout=30) as conn:
        assert until(lambda: conn.execute(query).fetchone()[0] == number, 60.0)


def test_an_exclusion_dismisses_a_row_and_its_end_queues_it_again(home: Path) -> None:
    desdm(home, "exclude", "150015", "--reason", "satellite")
    assert desdm(home, "queue", "run", "--until-idle")["ended"] == {"done": 3}
    [row] = [r for r in desdm(home, "queue")["rows"] if r["unit"] == "D00150015"]
    assert (row["state"], row["why"], row["attempt"]) == ("dismissed", "excluded: satellite", None)
    desdm(home, "exclude", "150015", "--lift", "--reason", "it was another exposure")
    assert desdm(home, "queue", "run", "--until-idle")["ended"] == {"done": 1}


def test_the_report_on_a_night_agrees_with_verdicts_and_truth(undisturbed: Path, ingested: Processed) -> None:
    report = desdm(undisturbed, "night", "report", NITE)
    assert report["arrived"] == {
        "expected": 0, "missing": 0, "deliveries": {}, "calibrations": 13, "exposures": 3, "others": 1,
    }  # fmt: skip
    assert report["processed"]["queue"] == {"firstcut": {"dismissed": 1, "done": 3}, "precal": {"done": 1}}
    judged = {v["expnum"]: v for v in desdm(undisturbed, "verdict")}
    assert [(e["expnum"], e["accepted"], e["t_eff"]) for e in report["exposures"]] == [
        (number, v["accepted"], v["t_eff"]) for number, v in sorted(judged.items())
    ]
    shots = [e for e in ingested.truth["exposures"] if e["expnum"] in judged]
    assert report["times"]["open_h"] * 3600 == pytest.approx(sum(e["exptime"] for e in shots))
    accepted = [n for n, v in judged.items() if v["accepted"] == "True"]
    effective = sum(e["exptime"] * judged[e["expnum"]]["t_eff"] for e in shots if e["expnum"] in accepted)
    assert report["times"]["effective_h"] * 3600 == pytest.approx(effective)
    biases = [c for c in report["calibrations"] if c["filetype"] == "cal_biascor"]
    assert [(c["nite"], c["run"], c["exposures"], c["files"]) for c in biases] == [
        (NITE, "20121120_r1p01", 3, 4)
    ]
    page = Path(report["report"]).read_text()
    assert page.count("<figure>") == 4 and "http" not in page.replace("http-equiv", "")
