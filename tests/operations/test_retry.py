"""Repeat runs with named changes, and compare them: each change is named, and nothing else."""

from __future__ import annotations

import random
import shutil
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from desdm.facility import Facility
from desdm.framework import store
from desdm.framework.submit import submit
from desdm.operations.acceptance import exclude_exposure, lift_exclusion
from desdm.pipelines import get
from desdm.quality.qa.flags import read_flags
from tests.support.night import Processed
from tests.support.queuenight import NITE, desdm, small_night

FIRST = "D00150014_r2p01"


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Processed:
    return small_night(tmp_path_factory)


@pytest.fixture(scope="module")
def home(ingested: Processed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The night, run by its queue."""
    path = tmp_path_factory.mktemp("retry") / "home"
    shutil.copytree(ingested.home, path)
    desdm(path, "queue", "run", "--until-idle")
    return path


def retried(home: Path, run: str, *changes: str, reason: str = "a test") -> Any:
    texts = [text for change in changes for text in ("--with", change)]
    return desdm(home, "retry", run, "--reason", reason, *texts)


def dump(home: Path) -> list[str]:
    with sqlite3.connect(home / "desdm.sqlite") as database:
        return list(database.iterdump())


def test_a_dry_run_says_what_it_will_do_and_writes_nothing(home: Path) -> None:
    before = dump(home)
    change = "setting=skycompress.threshold:4"
    plan = desdm(home, "retry", FIRST, "--reason", "faint objects", "--with", change, "--dry-run")
    assert plan["changes"] == [{"key": "skycompress.threshold", "before": "", "after": "4"}]
    assert (plan["attempt"], plan["replaces"], plan["dry_run"]) == ("D00150014_r2p02", FIRST, True)
    assert any(i["filename"] == "DECam_00150014.fits.fz" for i in plan["inputs"])
    assert dump(home) == before


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "say why"),
        (["--reason", "x", "--with", "threshold=4"], "setting=KEY:VALUE"),
        (["--reason", "x", "--with", "setting=skycompress.treshold:4"], "skycompress.threshold"),
        (["--reason", "x", "--with", "calibration=cal_biascor:none.fits"], "no such file"),
        (["--reason", "x", "--with", "calibration=cal_none:none.fits"], "takes cal_"),
        (["--reason", "x", "--with", "software=gimp:/usr/bin/gimp"], "calls"),
        (["--reason", "x", "--only-failed"], "nothing of it failed"),
    ],
)
def test_what_cannot_be_repeated_so_is_refused(home: Path, arguments: list[str], text: str) -> None:
    assert text in str(desdm(home, "retry", FIRST, *arguments, status=(2,)))


def test_the_same_again_is_the_same_and_names_what_it_replaces(home: Path) -> None:
    new = retried(home, FIRST)
    assert new["state"] == "done" and new["changes"] == []
    shown = [desdm(home, "show", run) for run in (FIRST, new["attempt"])]
    assert shown[0]["fingerprint"] == shown[1]["fingerprint"]
    comparison = desdm(home, "compare", FIRST, new["attempt"], "--pixels")
    assert comparison["same"], comparison
    with sqlite3.connect(home / "desdm.sqlite") as database:
        query = "SELECT o.attnum FROM pfw_attempt n JOIN pfw_attempt o ON o.id = n.replaces_id WHERE n.unitname = ?"
        assert (1,) in database.execute(query, ["D00150014"]).fetchall()
    told = desdm(home, "events", "--subject", new["attempt"])
    assert f"repeats {FIRST}: a test" in [e["reason"] for e in told]
    [row] = desdm(home, "queue", "why", "150014")
    assert (row["state"], row["attempt"]) == ("done", new["attempt"])


def test_a_changed_setting_is_named_and_its_numbers_and_nothing_else(home: Path) -> None:
    new = retried(home, FIRST, "setting=skycompress.threshold:4")
    comparison = desdm(home, "compare", FIRST, new["attempt"], "--pixels")
    assert comparison["settings"] == [{"key": "skycompress.threshold", "before": "3.0", "after": "4"}]
    assert [
        comparison[k] for k in ("calibrations", "software", "inputs_only_first", "inputs_only_second")
    ] == [[]] * 4
    shown = [desdm(home, "show", run)["metrics"] for run in (FIRST, new["attempt"])]
    numbers = [{(m["modname"], m["wrapkeys"], m["band"], m["name"]): m["value"] for m in s} for s in shown]
    expected = {k: (v, numbers[1][k]) for k, v in numbers[0].items() if v != numbers[1][k]}
    assert expected
    assert {
        (m["module"], m["keys"], m["band"], m["name"]): (m["before"], m["after"])
        for m in comparison["metrics"]
    } == expected
    assert any(f["name"].endswith("immask.fits.fz") and f["count"] > 0 for f in comparison["files"])


def test_a_named_calibration_is_used_where_others_would_be(home: Path) -> None:
    again = retried(home, "20121120_r1p01")
    assert again["attempt"] == "20121120_r1p02"
    named = "20121120_r1p01_c01_biascor.fits"
    new = retried(home, FIRST, f"calibration=cal_biascor:{named}")
    comparison = desdm(home, "compare", FIRST, new["attempt"])
    assert [d["key"] for d in comparison["settings"]] == ["calibration.cal_biascor"]
    taken = {(d["filetype"], d["ccdnum"]): d["after"] for d in comparison["calibrations"]}
    assert taken == {
        (kind, ccd): f"20121120_r1p02_{band}c{ccd:02d}_{name}.fits"
        for kind, band, name in (("cal_biascor", "", "biascor"), ("cal_dflatcor", "r_", "dflatcor"))
        for ccd in (1, 2, 3, 4)
        if (kind, ccd) != ("cal_biascor", 1)
    }
    calibrations = desdm(home, "show", new["attempt"])["calibrations"]
    [mine] = [c for c in calibrations if c["filename"] == named]
    assert (mine["how"], named in mine["reason"]) == ("operator", True)


def test_another_program_is_named(home: Path, tmp_path: Path) -> None:
    program = tmp_path / "source-extractor"
    program.write_text(f'#!/bin/sh\nexec {shutil.which("source-extractor")} "$@"\n')
    program.chmod(0o755)
    new = retried(home, FIRST, f"software=sextractor:{program}", "calibration=cal_biascor:20121120_r1p01",
                  "calibration=cal_dflatcor:20121120_r1p01")  # fmt: skip
    comparison = desdm(home, "compare", FIRST, new["attempt"])
    assert [d["key"] for d in comparison["software"]] == ["sextractor"]
    assert comparison["calibrations"] == [] == comparison["metrics"]
    # Each module of the three codes whose config.wcl declares the program.
    modules = ("scampcat", "combine_cats", "scamp", "updatewcs", "psfcat", "psfex", "catalog")
    keys = {d["key"] for d in comparison["settings"]}
    assert keys - {"calibration.cal_biascor", "calibration.cal_dflatcor"} == {
        f"{module}.exec.sextractor.program" for module in modules
    }


def test_an_exclusion_names_the_runs_that_used_the_frame_and_those_planned_before_it(home: Path) -> None:
    effect = desdm(home, "exclude", "150001", "--effect")
    runs = {a["attempt"]: a for a in effect["attempts"]}
    assert not runs["20121120_r1p01"]["outdated"] and runs["20121120_r1p01"]["used"]
    assert runs[FIRST]["used"] and "FIRSTCUT_ACCEPTED_20121120" in effect["tags"]
    desdm(home, "exclude", "150001", "--reason", "light leak")
    after = {a["attempt"]: a for a in desdm(home, "exclude", "150001", "--effect")["attempts"]}
    assert after["20121120_r1p01"]["outdated"] and after.keys() == runs.keys()
    desdm(home, "exclude", "150001", "--lift", "--reason", "it was another one")
    again = {a["attempt"]: a for a in desdm(home, "exclude", "150001", "--effect")["attempts"]}
    assert not again["20121120_r1p01"]["outdated"]


def test_a_plan_obeys_the_exclusions_that_its_digest_says(ingested: Processed, tmp_path: Path) -> None:
    """Exclusions change while plans are made: each plan leaves out exactly what its digest says."""
    shutil.copytree(ingested.home, tmp_path / "home")
    facility = Facility.open(tmp_path / "home")
    database, scope = facility.database, facility.production
    frames = (150001, 150002)
    done = threading.Event()
    draw = random.Random(3)

    def flip() -> None:
        excluded: set[int] = set()
        while not done.is_set():
            number = draw.choice(frames)
            with database.write() as conn:
                if number in excluded:
                    lift_exclusion(conn, number, 0, reason="back", who="mary", scope=scope)
                else:
                    exclude_exposure(conn, number, 0, reason="out", who="mary", scope=scope)
            excluded ^= {number}
            time.sleep(draw.uniform(0.0, 0.1))

    thread = threading.Thread(target=flip)
    thread.start()
    try:
        runs = [
            submit(
                facility.config,
                database,
                facility.archive,
                get("precal"),
                {"nite": NITE},
                who="test",
                again=True,
            ).run
            for _ in range(12)
        ]
    finally:
        done.set()
        thread.join()
    digests: dict[str, set[int]] = {}
    with database.read() as conn:
        plans = store.plans_of_exposure(conn, frames[0])
        expnums = plans[0].expnums
        planned = {
            plan.attempt_id: {
                int(row[0].split("expnum=")[1].split(",")[0])
                for row in conn.exec_driver_sql(
                    f"SELECT wrapkeys FROM pfw_wrapper WHERE modname = 'minibias' AND pfw_attempt_id = {plan.attempt_id}"
                )
            }
            for plan in plans
        }
    for state in ((), (frames[0],), (frames[1],), frames):
        with database.write() as conn:
            now = {n for n in frames if any(e for e in conn.exec_driver_sql(
                f"SELECT 1 FROM exclude_list WHERE expnum = {n} AND lifted_at IS NULL"))}  # fmt: skip
            for n in now - set(state):
                lift_exclusion(conn, n, 0, reason="back", who="mary", scope=scope)
            for n in set(state) - now:
                exclude_exposure(conn, n, 0, reason="out", who="mary", scope=scope)
            digests[read_flags(conn, expnums).digest] = set(state)
    facility.close()
    assert len(plans) == len(runs) == 12
    for plan in plans:
        assert planned[plan.attempt_id] & set(frames) == set(frames) - digests[plan.digest]
