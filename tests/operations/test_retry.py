"""Repeat runs with named changes, and compare them: each change is named, and nothing else."""

from __future__ import annotations

import gzip
import json
import random
import re
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from desdm.facility import Facility
from desdm.framework import store
from desdm.framework.submit import submit
from desdm.operations.acceptance import exclude_exposure, lift_exclusion
from desdm.pipelines import get
from desdm.quality.qa.flags import read_flags
from tests.support.night import Processed
from tests.support.queuenight import NITE, command, desdm, small_night
from tests.support.wait import until

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
    assert plan["changes"] == [{"key": "skycompress.threshold", "before": "3.0", "after": "4"}]
    assert (plan["attempt"], plan["replaces"], plan["dry_run"]) == ("D00150014_r2p02", FIRST, True)
    assert any(i["filename"] == "DECam_00150014.fits.fz" for i in plan["inputs"])
    assert (plan["calibrations"], plan["inputs_only_first"], plan["inputs_only_second"]) == ([], [], [])
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
        (["--reason", "x", "--with", "setting=expnum:150015"], "desdm submit firstcut --set expnum=…"),
        (
            ["--reason", "x", "--with", "setting=UnitName:D00150015"],
            "a retry of D00150014_r2p01 is of D00150014",
        ),
        (["--reason", "x", "--with", "setting=reqnum:7"], "reqnum says which exposure"),
    ],
)
def test_what_cannot_be_repeated_so_is_refused(home: Path, arguments: list[str], text: str) -> None:
    assert text in str(desdm(home, "retry", FIRST, *arguments, status=(2,)))


def test_a_plan_says_that_its_exposure_is_excluded(home: Path) -> None:
    plans = (
        ("retry", FIRST, "--reason", "x", "--dry-run"),
        ("submit", "firstcut", "--set", "expnum=150014", "--again", "--dry-run"),
    )
    for option, words in (
        ((), "exposure 150014 is excluded (bad"),
        (("--ccd", "3"), "CCD 3 of exposure 150014"),
    ):
        desdm(home, "exclude", "150014", *option, "--reason", "bad")
        for plan in plans:
            assert any(words in note for note in desdm(home, *plan)["notes"])
            done = subprocess.run(command(home, *plan), capture_output=True, text=True)
            assert words in done.stderr, done.stderr
        desdm(home, "exclude", "150014", "--lift", "--reason", "it was another one")
    assert desdm(home, *plans[0])["notes"] == []


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


def test_a_trial_leaves_the_row_of_production_alone(home: Path) -> None:
    [before] = desdm(home, "queue", "why", "150014")
    trial = retried(home, FIRST, "setting=run_class:study")
    assert trial["state"] == "done"
    other = retried(home, FIRST, "setting=project:ACT")
    assert other["state"] == "done"
    [after] = desdm(home, "queue", "why", "150014")
    assert (after["state"], after["attempt"]) == (before["state"], before["attempt"])


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


# -- an independent comparison: WCL texts, rows of opm_used, numbers in JSON and FITS files, by other means than ours


def _rows(home: Path, query: str, *values: object) -> list[tuple[Any, ...]]:
    with sqlite3.connect(f"file:{home / 'desdm.sqlite'}?mode=ro", uri=True) as database:
        return database.execute(query, values).fetchall()


def _attempt(home: Path, run: str) -> int:
    unit, request, attempt = re.fullmatch(r"(.+)_r(\d+)p(\d+)", run).groups()  # type: ignore[union-attr]
    query = "SELECT id FROM pfw_attempt WHERE unitname = ? AND reqnum = ? AND attnum = ?"
    return int(_rows(home, query, unit, int(request), int(attempt))[0][0])


def _files(home: Path, run: str, filetype: str) -> dict[str, Path]:
    """Files of a run by their names without its number."""
    query = """SELECT filename || compression, path FROM desfile JOIN file_archive_info ON desfile_id = id
        WHERE pfw_attempt_id = ? AND filetype = ?"""
    number = f"_{run.rpartition('_')[2]}"
    return {
        name.replace(number, ""): home / "archive" / folder / name
        for name, folder in _rows(home, query, _attempt(home, run), filetype)
    }


def _wcl_settings(home: Path, run: str) -> dict[str, str]:
    """Settings by module and path in the text of the jobs: a parser of ten lines, for this text only."""
    (path,) = [p for name, p in _files(home, run, "wcl").items() if name.endswith("jobs.wcl.gz")]
    values: dict[str, str] = {}
    place: list[str] = []
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        text = line.strip()
        if re.fullmatch(r"<[^/>]+>", text):
            place.append(text[1:-1])
        elif re.fullmatch(r"</[^>]+>", text):
            place.pop()
        elif " = " in text and len(place) > 3 and (place[1], place[3]) == ("module", "settings"):
            key, _, value = text.partition(" = ")
            values[".".join([place[2], *place[4:], key]).lower()] = value
    return values


def _own_settings(home: Path, run: str) -> dict[str, str]:
    """Settings of the run as its row keeps them, flat."""
    (text,) = _rows(
        home, "SELECT settings FROM pfw_attempt_config WHERE pfw_attempt_id = ?", _attempt(home, run)
    )[0]
    pending, flat = [("", json.loads(text))], {}
    while pending:
        path, value = pending.pop()
        if isinstance(value, dict):
            pending += [(f"{path}.{k}".lstrip("."), v) for k, v in value.items()]
        else:
            flat[path.lower()] = str(value)
    return flat


def _used(home: Path, run: str) -> tuple[set[str], set[str]]:
    """Names of the files of others that the wrappers of a run used: those that are no calibration, and those that are."""
    query = """SELECT DISTINCT f.filename || f.compression, f.filetype FROM opm_used u
        JOIN pfw_wrapper w ON w.task_id = u.task_id JOIN desfile f ON f.id = u.desfile_id
        WHERE w.pfw_attempt_id = ? AND f.pfw_attempt_id IS NOT w.pfw_attempt_id"""
    rows = _rows(home, query, _attempt(home, run))
    calibrations = {name for name, kind in rows if kind.startswith("cal_")}
    return {name for name, _ in rows} - calibrations, calibrations


def _metrics(home: Path, run: str) -> dict[tuple[str, ...], float]:
    query = """SELECT w.modname, m.wrapkeys, m.band, m.name, m.value FROM qa_metric m
        JOIN pfw_wrapper w ON w.task_id = m.task_id WHERE m.pfw_attempt_id = ?"""
    return {tuple(row[:4]): row[4] for row in _rows(home, query, _attempt(home, run))}


def _programs(home: Path, run: str) -> dict[str, set[tuple[str, str | None]]]:
    found: dict[str, set[tuple[str, str | None]]] = {}
    query = "SELECT name, version, digest FROM pfw_exec WHERE pfw_attempt_id = ?"
    for name, version, digest in _rows(home, query, _attempt(home, run)):
        found.setdefault(name, set()).add((version, digest))
    return found


def _different(one: dict[Any, Any], two: dict[Any, Any]) -> set[Any]:
    return {key for key in one.keys() | two.keys() if one.get(key) != two.get(key)}


def _columns(path: Path) -> dict[str, Any]:
    """Planes and columns of a FITS file by name, without the texts of headers and of runs."""
    arrays: dict[str, Any] = {}
    with fits.open(path, memmap=False) as hdus:
        for number, hdu in enumerate(hdus):
            if hdu.data is not None and hdu.data.dtype.names is None:
                arrays[hdu.name or f"HDU {number}"] = np.array(hdu.data)
            elif hdu.data is not None:
                for name in hdu.data.dtype.names:
                    if np.asarray(hdu.data[name]).dtype.kind in "iufb":
                        arrays[f"{hdu.name or f'HDU {number}'}.{name}"] = np.array(hdu.data[name])
    return arrays


def _equal(one: Any, two: Any) -> bool:
    return one.shape == two.shape and bool(np.array_equal(one, two, equal_nan=one.dtype.kind == "f"))


def assert_named(home: Path, first: str, second: str) -> dict[str, Any]:
    """The comparison names exactly what the independent one finds; returns it."""
    said: dict[str, Any] = desdm(home, "compare", first, second, "--pixels")

    def run(read: Callable[[Path, str], Any]) -> tuple[Any, Any]:
        return read(home, first), read(home, second)

    settings = _different(*run(_wcl_settings)) | _different(*run(_own_settings))
    assert {d["key"] for d in said["settings"]} == settings
    wcl = run(_wcl_settings)
    for row in said["settings"]:
        if row["key"] in wcl[1]:
            assert (row["before"], row["after"]) == (wcl[0].get(row["key"]), wcl[1][row["key"]])
    (inputs, cals), (inputs_after, cals_after) = run(_used)
    assert {i["filename"] for i in said["inputs_only_first"]} == inputs - inputs_after
    assert {i["filename"] for i in said["inputs_only_second"]} == inputs_after - inputs
    assert {n for d in said["calibrations"] for n in d["before"].split(", ") if n} == cals - cals_after
    assert {n for d in said["calibrations"] for n in d["after"].split(", ") if n} == cals_after - cals
    assert {d["key"] for d in said["software"]} == _different(*run(_programs))
    numbers = run(_metrics)
    assert {
        (m["module"], m["keys"], m["band"], m["name"]): (m["before"], m["after"]) for m in said["metrics"]
    } == {key: (numbers[0].get(key), numbers[1].get(key)) for key in _different(*numbers)}
    for m in said["metrics"]:
        if m["before"] is not None and m["after"] is not None:
            assert m["difference"] == pytest.approx(m["after"] - m["before"], abs=1e-12)
    assessed = [
        json.loads(next(iter(_files(home, r, "qa_assess").values())).read_text()) for r in (first, second)
    ]
    for name in ("t_eff", "fwhm_asec", "skybrightness", "cloud", "magzero"):
        if name in assessed[0]:
            named = any(d["key"] == f"firstcut.{name}" for d in said["verdicts"])
            assert named == (assessed[0][name] != assessed[1][name]), name
    parts: set[tuple[str, str]] = set()
    known: set[tuple[str, str]] = set()
    for kind in ("red_immask", "cat_firstcut"):
        images = [_files(home, r, kind) for r in (first, second)]
        assert images[0].keys() == images[1].keys() and len(images[0]) == 4
        for name, path in images[0].items():
            one, two = _columns(path), _columns(images[1][name])
            # Tables of unlike lengths differ as a whole.
            unlike = {
                part.partition(".")[0] for part in one if "." in part and len(one[part]) != len(two[part])
            }
            columns = {part for part in one if part.partition(".")[0] not in unlike}
            known |= {(name, part) for part in columns | unlike}
            parts |= {(name, part) for part in columns if not _equal(one[part], two[part])}
            parts |= {(name, part) for part in unlike}
    assert {(f["name"], f["part"]) for f in said["files"]} & known == parts
    same = not (settings or parts or said["verdicts"] or said["files"] or said["software"] or said["outputs"])
    same = same and not said["metrics"] and (inputs, cals) == (inputs_after, cals_after)
    messages = [
        m for m in said["messages"] if m["only_before"] or m["only_after"] or m["before"] != m["after"]
    ]
    assert said["same"] == (same and not messages)
    return said


#: Calibrations that the run took at first; there are newer ones, which the rules prefer.
PINNED = tuple(f"calibration={kind}:20121120_r1p01" for kind in ("cal_biascor", "cal_dflatcor"))


@pytest.fixture(scope="module")
def newer(home: Path) -> None:
    """Calibrations of the night that are newer than those that the run took."""
    retried(home, "20121120_r1p01")


@pytest.mark.usefixtures("newer")
def test_calibrations_that_the_rules_choose_otherwise_today_are_said_before_the_run(home: Path) -> None:
    new = retried(home, FIRST)
    said = assert_named(home, FIRST, new["attempt"])
    assert said["calibrations"] and new["calibrations"] == said["calibrations"]
    assert (new["inputs_only_first"], new["inputs_only_second"]) == ([], [])


@pytest.mark.usefixtures("newer")
def test_the_plan_in_words_names_calibrations_that_differ(home: Path) -> None:
    [chosen, *_] = desdm(home, "retry", FIRST, "--reason", "x", "--dry-run")["calibrations"]
    done = subprocess.run(
        command(home, "retry", FIRST, "--reason", "x", "--dry-run"), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert chosen["before"] in done.stdout and chosen["after"] in done.stdout
    assert "the same inputs" not in done.stdout and "with the same settings" in done.stdout


@pytest.mark.usefixtures("newer")
def test_the_same_again_differs_in_its_pins_only_by_an_independent_comparison(home: Path) -> None:
    new = retried(home, FIRST, *PINNED)
    said = assert_named(home, FIRST, new["attempt"])
    assert {d["key"] for d in said["settings"]} == {"calibration.cal_biascor", "calibration.cal_dflatcor"}
    assert not (said["calibrations"] or said["metrics"] or said["files"] or said["inputs_only_first"])
    assert (new["calibrations"], new["inputs_only_first"], new["inputs_only_second"]) == ([], [], [])


def test_nested_settings_are_named_with_every_number_pixel_and_row_that_follows(home: Path) -> None:
    changes = {"psfex.psfex_keys.psfvar_degrees": "1", "skycompress.threshold": "4"}
    new = retried(home, FIRST, *(f"setting={key}:{value}" for key, value in changes.items()), *PINNED)
    said = assert_named(home, FIRST, new["attempt"])
    assert {
        d["key"]: d["after"] for d in said["settings"] if not d["key"].startswith("calibration.")
    } == changes
    assert said["metrics"] and said["files"] and not said["calibrations"] and not said["software"]


def test_a_named_calibration_is_named_with_every_number_pixel_and_row_that_follows(home: Path) -> None:
    again = retried(home, "20121120_r1p01", "setting=mkbiascor.pilot:3", reason="other clipping")
    bias = f"{again['attempt']}_c02_biascor.fits"
    pinned = [f"calibration={kind}:20121120_r1p01" for kind in ("cal_dflatcor",)]
    new = retried(home, FIRST, f"calibration=cal_biascor:{bias}", *pinned)
    said = assert_named(home, FIRST, new["attempt"])
    assert (2, bias) in {(d["ccdnum"], d["after"]) for d in said["calibrations"]}
    assert {d["filetype"] for d in said["calibrations"]} == {"cal_biascor"}


def test_what_goes_on_where_it_was_ended_differs_in_its_program_only(home: Path, tmp_path: Path) -> None:
    program, closed = tmp_path / "source-extractor", tmp_path / "closed"
    real = shutil.which("source-extractor")
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *--version*) ;; *) while [ -e {closed} ]; do sleep 0.2; done;; esac\nexec {real} "$@"\n'
    )
    program.chmod(0o755)
    closed.touch()
    changes = [word for change in (f"software=sextractor:{program}", *PINNED) for word in ("--with", change)]
    run = desdm(home, "retry", FIRST, "--reason", "new build", *changes, "--no-wait")["attempt"]
    query = """SELECT w.wrapnum FROM pfw_wrapper w WHERE w.pfw_attempt_id = ? AND w.state = 'done'"""
    assert until(lambda: desdm(home, "show", run)["state"] == "running", 60)
    time.sleep(3)
    desdm(home, "cancel", run)
    assert until(lambda: desdm(home, "show", run)["state"] in ("cancelled", "interrupted", "failed"), 60)
    done = _rows(home, query, _attempt(home, run))
    closed.unlink()
    on = desdm(home, "retry", run, "--only-failed", "--reason", "it goes on")
    assert (on["attempt"], on["state"], on["replaces"]) == (run, "done", None)
    assert set(done) <= set(
        _rows(home, query.replace("= 'done'", "IN ('done', 'reused')"), _attempt(home, run))
    )
    assert _rows(home, "SELECT count(*) FROM pfw_attempt WHERE id > ?", _attempt(home, run)) == [(0,)]
    said = assert_named(home, FIRST, run)
    assert [d["key"] for d in said["software"]] == ["sextractor"]
    assert not (said["calibrations"] or said["metrics"] or said["inputs_only_first"] or said["files"])


def test_a_campaign_of_tiles_is_coadded_by_the_queue_with_images_of_production(home: Path) -> None:
    with sqlite3.connect(f"file:{home / 'desdm.sqlite'}?mode=ro", uri=True) as database:
        query = "SELECT expnum, ra_cent, dec_cent FROM image JOIN desfile ON desfile_id = id WHERE filetype = 'red_immask'"
        places = database.execute(query).fetchall()
    ra, dec = (sum(p[i] for p in places) / len(places) for i in (1, 2))
    assert "add it: desdm tile add" in str(
        desdm(
            home,
            "queue",
            "campaign",
            "C1",
            "--pipeline",
            "coadd",
            "--tiles",
            "T1",
            "--reason",
            "x",
            status=(1, 2, 4),
        )
    )
    desdm(home, "tile", "add", "T1", f"{ra}", f"{dec}", "--naxis", "900")
    desdm(home, "tile", "add", "T2", f"{ra}", f"{dec + 0.02}", "--naxis", "700")
    made = desdm(
        home, "queue", "campaign", "C1", "--pipeline", "coadd", "--tiles", "T1,T2", "--reason", "first coadd"
    )
    assert [row["unit"] for row in made["rows"]] == ["T1", "T2"]
    desdm(home, "queue", "run", "--until-idle")
    rows = _rows(
        home, "SELECT unitname, state, campaign FROM ops_auto_queue WHERE campaign = 'C1' ORDER BY unitname"
    )
    assert rows == [("T1", "done", "C1"), ("T2", "done", "C1")]
    sizes = _rows(
        home,
        """SELECT a.unitname, i.naxis1, r.campaign FROM image i JOIN desfile f ON f.id = i.desfile_id
        JOIN pfw_attempt a ON a.id = f.pfw_attempt_id JOIN pfw_request r ON r.reqnum = a.reqnum
        WHERE f.filetype = 'coadd' ORDER BY 1""",
    )
    assert sizes == [("T1", 900, "C1"), ("T2", 700, "C1")]
    text = desdm(
        home,
        "queue",
        "campaign",
        "C1",
        "--pipeline",
        "coadd",
        "--tiles",
        "T1",
        "--reason",
        "more",
        status=(1, 2, 4),
    )
    assert "its set is frozen" in str(text)
