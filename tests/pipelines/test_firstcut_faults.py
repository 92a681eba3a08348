"""A night in which everything is delivered that a night can go wrong with: each is told by name, and the rest goes on."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from desdm.archive import catalog
from desdm.archive.deposit import deposit
from desdm.archive.model import Deposit
from desdm.facility import Facility, initialise
from desdm.framework import store
from desdm.framework.engines.local import LocalEngine
from desdm.framework.watch import store as watch
from desdm.operations.mainjob import hand_over
from desdm.operations.nightly import Night, Work, run_night
from desdm.quality.qa.verdict import verdicts
from desdm.simulate.cameras import camera_of
from desdm.simulate.night import make_night
from desdm.simulate.plan import plan_night


class Told:
    """What the night came to."""

    def __init__(
        self, home: Path, folder: Path, night: Night, refused: dict[str, str], odd: dict[str, str]
    ) -> None:
        self.home, self.folder, self.night, self.refused, self.odd = home, folder, night, refused, odd
        truth = json.loads((folder / "truth" / "night.json").read_text())
        self.shots: dict[str, dict[str, Any]] = {e["corner"]: e for e in truth["exposures"] if e["corner"]}
        opened = Facility.open(home)
        with opened.database.read() as conn:
            self.verdicts = {v["expnum"]: v for v in verdicts(conn, "firstcut")}
            self.findings = {
                run: watch.messages(conn, store.attempt_by_name(conn, run).id, level=2) for run in night.runs
            }
            self.images = [r.filename for r in catalog.find(conn, {"filetype": "red_immask"})]
        opened.close()

    def verdict(self, corner: str) -> dict[str, Any]:
        return self.verdicts[self.shots[corner]["expnum"]]

    def said(self, corner: str) -> str:
        """The findings of the exposure's run, as an operator reads them."""
        name = f"D{self.shots[corner]['expnum']:08d}_"
        (run,) = [r for r in self.findings if r.startswith(name)]
        return "\n".join(f"{m.level} {m.module} {m.wrapkeys}: {m.text}" for m in self.findings[run])

    def ccds(self, corner: str) -> list[int]:
        """CCDs of the exposure that have a reduced image."""
        name = f"D{self.shots[corner]['expnum']:08d}_"
        return sorted(int(i.split("_c")[1][:2]) for i in self.images if i.startswith(name))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    base = tmp_path_factory.mktemp("faults")
    folder, home = base / "night", base / "home"
    plan = plan_night(5, bands=("r", "g"), biases=7, flats=6, exposures=1, corner_cases=True)
    # One flat of g is left over: too few to make a calibration of.
    shots = [s for s in plan.shots if not (s.kind == "dome flat" and s.band == "g" and not s.corner)]
    lone = next(s for s in plan.shots if s.kind == "dome flat" and s.band == "g")
    made = make_night(folder, replace(plan, shots=(*shots, lone)), camera_of("mini"), threads=2)
    initialise(home)
    opened = Facility.open(home)
    paths = sorted(
        p for d in ("raw", "instrument", "refcat", "delivered-again") for p in (folder / d).iterdir()
    )
    report = deposit(opened.database, opened.archive, [Deposit(p) for p in paths], who="test")
    hand_over(opened.database, "mini", "test")
    work = Work(opened.config, opened.database, opened.archive, lambda: LocalEngine(2, opened.config.runs))
    night = run_night(work, made.document["nite"])
    opened.close()
    refused = {Path(r.path).name: r.reason for r in report.refused}
    odd: dict[str, str] = {}
    for name, finding in report.findings:
        odd[name] = f"{odd.get(name, '')}{finding}\n"
    return Told(home, folder, night, refused, odd)


def test_a_good_exposure_among_all_this_is_accepted(told: Told) -> None:
    every = json.loads((told.folder / "truth" / "night.json").read_text())["exposures"]
    first = next(e for e in every if e["kind"] == "object" and e["band"] == "r" and not e["corner"])
    assert told.verdicts[first["expnum"]]["accepted"] == "True"


def test_junk_focus_and_pointing_are_not_processed_and_say_why(told: Told) -> None:
    assert "title says junk" in told.verdict("junk")["reason"]
    assert "its type is focus" in told.verdict("focus")["reason"]
    assert "its type is pointing" in told.verdict("pointing")["reason"]
    for corner in ("junk", "focus", "pointing"):
        assert (told.verdict(corner)["processed"], told.verdict(corner)["accepted"]) == ("False", "False")
        assert told.ccds(corner) == []


def test_a_missing_ccd_is_named_and_the_other_three_are_processed(told: Told) -> None:
    name = told.shots["missing ccd"]["filename"]
    assert "NEXTEND = 4: the file has 3 images" in told.odd[name]
    assert f"{name}" in told.said("missing ccd")
    assert "CCD 2" in told.said("missing ccd")
    assert told.ccds("missing ccd") == [1, 3, 4]
    assert told.verdict("missing ccd")["accepted"] == "True"


def test_a_truncated_file_is_refused_by_name_and_kept_out_of_the_archive(told: Told) -> None:
    name = told.shots["truncated"]["filename"]
    assert name in told.refused
    assert told.shots["truncated"]["expnum"] not in told.verdicts


def test_one_hdu_too_many_is_said_and_every_ccd_goes_through(told: Told) -> None:
    assert "NEXTEND = 4" in told.odd[told.shots["wrong hdus"]["filename"]]
    assert "NEXTEND says 4" in told.said("wrong hdus")
    assert told.ccds("wrong hdus") == [1, 2, 3, 4]


def test_pixels_that_are_no_numbers_are_masked_and_said(told: Told) -> None:
    assert f"{told.shots['nan']['filename']} CCD 1: 4000 pixels have no value" in told.said("nan")
    assert told.ccds("nan") == [1, 2, 3, 4]


def test_without_reference_stars_an_analyst_must_decide(told: Told) -> None:
    assert "no reference stars over the field" in told.said("no reference")
    row = told.verdict("no reference")
    assert row["accepted"] == "Unknown"
    assert row["reason"].startswith("unkn")
    assert told.ccds("no reference") == [1, 2, 3, 4]


def test_the_same_file_again_changes_nothing_and_other_bytes_are_refused(told: Told) -> None:
    assert told.ccds("delivered again") == [1, 2, 3, 4]
    name = told.shots["other bytes"]["filename"]
    assert name in told.refused
    assert "bytes" in told.refused[name]
    assert told.ccds("other bytes") == [1, 2, 3, 4]


def test_odd_flats_and_too_few_of_them_are_told_and_their_band_waits(told: Told) -> None:
    (precal,) = [r for r in told.findings if r.startswith("20")]
    said = "\n".join(m.text for m in told.findings[precal])
    for corner in ("lamp off", "flat gradient", "flat of wrong band"):
        assert told.shots[corner]["filename"] in said, f"{corner}: {said}"
    assert any(m.level == 1 and "band g" in m.text for m in told.findings[precal]), said
    waiting = [v for v in told.verdicts.values() if v["band"] == "g"]
    assert [v["accepted"] for v in waiting] == ["Unknown"]
    assert "no cal_dflatcor" in waiting[0]["reason"]


def test_called_again_the_night_takes_over_what_is_done_and_adds_no_word(told: Told) -> None:
    opened = Facility.open(told.home)
    work = Work(opened.config, opened.database, opened.archive, lambda: LocalEngine(2, opened.config.runs))
    again = run_night(work, told.night.nite)
    opened.close()
    assert dict(again.runs) == dict(told.night.runs)
    assert [v["id"] for v in again.verdicts] == [v["id"] for v in told.night.verdicts]


def test_scamp_that_does_not_converge_leaves_the_first_wcs_and_the_verdict_open(
    told: Told, tmp_path: Path
) -> None:
    """The telescope was half a degree off: the stars seen are not those of the catalogue about its pointing."""
    import fitsio

    from desdm.framework.drive import drive
    from desdm.framework.submit import submit
    from desdm.pipelines import get

    source = told.folder / "raw" / told.shots["delivered again"]["filename"]
    lost = tmp_path / "DECam_00990001.fits.fz"
    shutil.copyfile(source, lost)
    with fitsio.FITS(str(lost), "rw") as out:
        for number in range(len(out)):
            out[number].write_key("EXPNUM", 990001)
            if number:
                out[number].write_key("CRVAL1", out[number].read_header()["CRVAL1"] + 0.12)
    opened = Facility.open(told.home)
    assert not deposit(opened.database, opened.archive, [Deposit(lost)], who="test").refused
    run = submit(
        opened.config, opened.database, opened.archive, get("firstcut"), {"expnum": "990001"}, who="test"
    ).run
    state = drive(
        opened.config, opened.database, opened.archive, run, LocalEngine(1, opened.config.runs), who="test"
    )
    with opened.database.read() as conn:
        messages = watch.messages(conn, store.attempt_by_name(conn, run).id, level=2)
        row = next(v for v in verdicts(conn, "firstcut") if v["expnum"] == 990001)
    opened.close()
    assert state.value in ("done", "flagged")
    assert any(m.module == "scamp" and "every CCD keeps its first WCS" in m.text for m in messages)
    assert row["accepted"] == "Unknown"
