"""Why this calibration: the operator's pin, the epoch table, the nearest good night, the tag; and the answer in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from desdm.archive import calibrations, store
from desdm.archive.catalog import attempt_number
from desdm.archive.provenance import ancestors
from desdm.archive.tags import tag
from desdm.errors import ConflictError, NotFoundError, PlanError
from desdm.facility import Facility
from desdm.framework.mark import mark
from desdm.framework.pipeline import Block, FileSet, Module, Pipeline
from desdm.framework.wrapper import Task
from desdm.schema.states import DataState
from tests.framework.test_drive import run
from tests.support.toy import plan

HERE = "tests.framework.test_calibration_choice"


def make(task: Task) -> None:
    """A calibration that says of which night it is; a campaign's is odd."""
    if task.keys["unitname"] == "CAMPAIGN":
        task.finding(1, "the lamp flickered")
    task.output("norm").write_text(json.dumps({"nite": task.keys["nite"], "ccd": task.keys["ccdnum"]}))


def use(task: Task) -> None:
    """Copies what it was given."""
    task.output("out").write_text(task.input("norm").read_text())


def fail(task: Task) -> None:
    """Makes its calibration, then the run fails."""
    raise ValueError("the shutter stuck")


def prefer_own(task: Task) -> None:
    """A product from the run's own calibration, else from the archive's; of odd CCDs only there is one of its own."""
    source = "own" if task.inputs.get("own") else "norm"
    task.output("out").write_text(task.input(source).read_text())
    task.set_parents("out", [task.input(source)])


def make_odd(task: Task) -> None:
    """A calibration of odd CCDs."""
    if int(task.keys["ccdnum"]) % 2:
        task.output("own").write_text(json.dumps({"nite": task.keys["nite"]}))


def calibrate(facility: Facility, nite: str, *, bad: bool = False, unit: str = "", ccds: str = "1:2") -> str:
    """Run a night's calibrations, of two CCDs unless told otherwise, and return the name of the run."""
    out = FileSet("norm", "flatnorm", filename="${run}_c${ccdnum:2}_flatnorm.json")
    modules = [Module("make", f"{HERE}.make", loop=("ccdnum",), outputs=(out,))]
    if bad:
        modules.append(Module("fail", f"{HERE}.fail", outputs=(FileSet("x", "misc", filename="${run}_x"),)))
    value = Pipeline(
        "cals", "a night's calibrations", (Block("one", tuple(modules)),), unit="nite",
        settings={"ccdnum": ccds, "nite": nite, "unitname": unit or f"N{nite}"},
    )  # fmt: skip
    name = plan(facility, value).run
    run(facility, name)
    return name


def expose(**settings: Any) -> Pipeline:
    """An exposure's run that needs the calibration of each CCD."""
    wanted = FileSet("norm", "flatnorm", calibration=True, match=("ccdnum",))
    module = Module(
        "use", f"{HERE}.use", loop=("ccdnum",), inputs=(wanted,),
        outputs=(FileSet("out", "misc", filename="${run}_c${ccdnum:2}.txt"),),
    )  # fmt: skip
    base = {"ccdnum": "1:2", "expnum": "100", "nite": "20121120", "unitname": "D00000100"}
    return Pipeline(
        "expose", "an exposure", (Block("one", (module,)),), unit="exposure", settings={**base, **settings}
    )


def chosen(facility: Facility, name: str) -> list[tuple[str, str, str]]:
    with facility.database.read() as conn:
        rows = store.calibrations_of(conn, attempt_number(conn, name))
    return [(r["filename"], r["how"], r["reason"]) for r in rows]


def test_the_nearest_good_night_is_chosen_and_said(facility: Facility) -> None:
    calibrate(facility, "20121117")
    calibrate(facility, "20121124")
    calibrate(facility, "20121121", bad=True)
    name = plan(facility, expose()).run
    rows = chosen(facility, name)
    assert [r[0] for r in rows] == ["N20121117_r1p01_c01_flatnorm.json", "N20121117_r1p01_c02_flatnorm.json"]
    assert {r[1] for r in rows} == {"night"}
    assert "20121117, 3 days before" in rows[0][2]
    assert "also available, but not nearer: 20121124" in rows[0][2]
    assert "skipped because the run did not end well: 20121121 (N20121121_r1p01 is failed)" in rows[0][2]
    # The run works with just these.
    assert run(facility, name).value == "done"


def test_the_reason_names_only_what_lies_nearer_for_the_same_ccd(facility: Facility) -> None:
    calibrate(facility, "20121117")
    junk = calibrate(facility, "20121119", ccds="1")
    failed = calibrate(facility, "20121121", bad=True, ccds="2")
    later = calibrate(facility, "20121123", bad=True)
    farther = calibrate(facility, "20121128", bad=True)
    with facility.database.write() as conn:
        mark(conn, junk, DataState.JUNK, who="ann", reason="light leak")
    rows = chosen(facility, plan(facility, expose()).run)
    assert [r[0] for r in rows] == ["N20121117_r1p01_c01_flatnorm.json", "N20121117_r1p01_c02_flatnorm.json"]
    first, second = rows[0][2], rows[1][2]
    assert f"nearer calibrations were rejected: its run {junk} is JUNK: marked by ann: light leak" in first
    assert failed not in first
    assert f"skipped because the run did not end well: 20121121 ({failed} is failed)" in second
    assert junk not in second
    # Of two equally distant nights the earlier one is taken, whatever became of the later; and farther ones do not count.
    assert not [text for text in (first, second) if later in text or farther in text]


def test_of_two_nights_as_far_away_the_earlier_one_serves(facility: Facility) -> None:
    for nite in ("20121122", "20121118"):
        calibrate(facility, nite)
    assert "20121118" in chosen(facility, plan(facility, expose()).run)[0][0]


@pytest.mark.parametrize("rule", ["night", "tag"])
def test_a_flagged_run_of_another_unit_does_not_take_the_place_of_one_that_is_done(
    facility: Facility, rule: str
) -> None:
    """A campaign's and a night's own run can serve the same night: the flagged one does when it is marked."""
    nite = "20121120" if rule == "night" else "20110101"
    done = calibrate(facility, nite)
    flagged = calibrate(facility, nite, unit="CAMPAIGN")
    settings = {} if rule == "night" else {"calibration_tag": "SPARE"}
    with facility.database.write() as conn:
        tag(conn, "SPARE", [], [done, flagged], who="me")
    rows = chosen(facility, plan(facility, expose(**settings)).run)
    assert {(r[0].rpartition("_c")[0], r[1]) for r in rows} == {(done, rule)}
    with facility.database.write() as conn:
        mark(conn, flagged, DataState.ACTIVE, who="me", reason="harmless")
    rows = chosen(facility, plan(facility, expose(**settings)).run)
    assert {(r[0].rpartition("_c")[0], r[1]) for r in rows} == {(flagged, rule)}


def test_the_epoch_table_goes_before_any_night(facility: Facility) -> None:
    calibrate(facility, "20121120")
    old = calibrate(facility, "20120101")
    newer = calibrate(facility, "20120301")
    with facility.database.write() as conn:
        calibrations.define_epoch(conn, "E1", 1, 999, "first light", who="me")
        with pytest.raises(ConflictError, match="overlap E1"):
            calibrations.define_epoch(conn, "E2", 999, 2000, "a warm-up", who="me")
        with pytest.raises(NotFoundError, match="no epoch E9"):
            calibrations.assign(conn, "E9", "flatnorm", attempt=old, who="me")
        with pytest.raises(NotFoundError, match="no cal_bpm"):
            calibrations.assign(conn, "E1", "cal_bpm", attempt=old, who="me")
        assert calibrations.assign(conn, "E1", "flatnorm", attempt=old, who="me") == 2
        assert calibrations.assign(conn, "E1", "flatnorm", attempt=newer, campaign="Y6A1", who="me") == 2
    rows = chosen(facility, plan(facility, expose(campaign="Y1")).run)
    assert {r[1] for r in rows} == {"epoch"}
    assert old in rows[0][2]
    # The campaign's own row is more particular, whichever was written last.
    assert newer in chosen(facility, plan(facility, expose(campaign="Y6A1")).run)[0][2]
    # Outside the epoch the night counts.
    assert chosen(facility, plan(facility, expose(expnum="1000")).run)[0][1] == "night"


def test_a_tag_is_the_last_resort_and_a_pin_the_first(facility: Facility) -> None:
    far = calibrate(facility, "20110101")
    with pytest.raises(PlanError, match="no flatnorm for exposure 100 of night 20121120") as refused:
        plan(facility, expose())
    assert "within 10 days" in str(refused.value)
    assert "desdm epoch use" in str(refused.value)
    with facility.database.write() as conn:
        tag(conn, "SPARE", [], [far], who="me")
    assert chosen(facility, plan(facility, expose(calibration_tag="SPARE")).run)[0][1] == "tag"
    calibrate(facility, "20121120")
    pinned = plan(facility, expose(), {"calibration.flatnorm": far})
    assert chosen(facility, pinned.run)[0][1:] == (
        "operator",
        f"the operator set calibration.flatnorm = {far}",
    )


def test_an_operator_asks_why_this_bias(facility: Facility, tmp_path: Path) -> None:
    from desdm.cli.main import desdm

    calibrate(facility, "20121119")
    name = plan(facility, expose()).run
    home = str(facility.config.home)
    answer = CliRunner().invoke(
        desdm, ["--home", home, "explain", name, "--why", "N20121119_r1p01_c02_flatnorm.json"]
    )
    assert answer.exit_code == 0, answer.output
    assert "nearest good night within 10 days of 20121120: 20121119, 1 day before" in answer.output
    every = CliRunner().invoke(desdm, ["--home", home, "explain", name, "--json"])
    assert len(json.loads(every.output)["calibrations"]) == 2
    wrong = CliRunner().invoke(desdm, ["--home", home, "explain", name, "--why", "cal_bpm"])
    assert wrong.exit_code != 0


def test_a_units_own_earlier_attempt_does_not_serve_it(facility: Facility) -> None:
    """A night's second attempt would otherwise take the first one's bias, and never be the same work."""
    calibrate(facility, "20121118")
    calibrate(facility, "20121120")
    own = plan(facility, expose(unitname="N20121120"))
    assert "20121118" in chosen(facility, own.run)[0][0]


def test_a_missing_calibration_names_the_runs_that_must_not_be_used(facility: Facility) -> None:
    junk = calibrate(facility, "20121118")
    failed = calibrate(facility, "20121121", bad=True)
    calibrate(facility, "20110101")  # too far away to be named
    with facility.database.write() as conn:
        mark(conn, junk, DataState.JUNK, who="ann", reason="light leak")
    with pytest.raises(PlanError) as caught:
        plan(facility, expose())
    text = str(caught.value)
    assert f"its run {junk} is JUNK: marked by ann: light leak" in text
    assert f"its run {failed} is failed" in text
    assert "N20110101" not in text
    with pytest.raises(PlanError, match=f"its run {junk} is JUNK: marked by ann: light leak"):
        plan(facility, expose(**{"calibration": {"flatnorm": junk}}))


def with_own(ccds: str) -> Pipeline:
    """A night's run that makes calibrations of odd CCDs, and takes the archive's for the others."""
    own = FileSet("own", "flatnorm", filename="${run}_c${ccdnum:2}_own.json", optional=True)
    wanted = FileSet("norm", "flatnorm", calibration=True, fallback=True, match=("ccdnum",), optional=True)
    make_own = Module("make_own", f"{HERE}.make_odd", loop=("ccdnum",), outputs=(own,))
    product = Module(
        "product", f"{HERE}.prefer_own", loop=("ccdnum",),
        inputs=(FileSet("own", depends="make_own.own", match=("ccdnum",), optional=True), wanted),
        outputs=(FileSet("out", "misc", filename="${run}_c${ccdnum:2}.txt"),),
    )  # fmt: skip
    return Pipeline(
        "night", "a night", (Block("one", (make_own, product)),), unit="nite",
        settings={"ccdnum": ccds, "nite": "20121120", "unitname": "20121120"},
    )  # fmt: skip


def test_a_fallback_that_is_not_read_makes_no_other_work(facility: Facility) -> None:
    """Another night's calibration that arrives later changes nothing where the run made its own."""
    name = plan(facility, with_own("1")).run
    assert run(facility, name).value == "done"
    other = calibrate(facility, "20121121")
    again = plan(facility, with_own("1"))
    assert (again.run, again.reused) == (name, True)
    with facility.database.read() as conn:
        files = store.list_files(conn, {"attempt": attempt_number(conn, name)}, None)
        parents = {p for f in files for p in ancestors(conn, f.id)}
        assert len(files) >= 2
        assert not [p.name for p in store.files_by_id(conn, sorted(parents)) if p.name.startswith(other)]


def test_a_fallback_that_was_read_makes_other_work_when_another_serves(facility: Facility) -> None:
    calibrate(facility, "20121118")
    name = plan(facility, with_own("2")).run
    assert run(facility, name).value == "done"
    assert plan(facility, with_own("2")).run == name
    calibrate(facility, "20121121")
    near = plan(facility, with_own("2"))
    assert not near.reused
    assert run(facility, near.run).value == "done"
    # Both attempts stand at the same settings; the one that read what serves now is the same work.
    assert plan(facility, with_own("2")).run == near.run
