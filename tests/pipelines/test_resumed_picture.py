"""An exposure that is resumed after a SIGKILL has the same focal-plane picture as an undisturbed one, bit for bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from desdm.archive import catalog, store
from desdm.archive.deposit import deposit
from desdm.archive.model import Deposit
from desdm.facility import Facility, initialise
from desdm.framework.engines.local import LocalEngine
from desdm.operations.acceptance import accepted_tag
from desdm.operations.mainjob import hand_over
from desdm.operations.nightly import Work, run_night
from desdm.operations.report.gather import gather
from desdm.operations.report.pictures import singles
from desdm.quality.qa.verdict import verdicts
from desdm.simulate.cameras import camera_of
from desdm.simulate.night import make_night
from desdm.simulate.plan import plan_night


def _desdm(home: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "desdm.cli.main", "--home", str(home), *words]


def _picture(facility: Facility, run: str) -> bytes:
    """The picture of the focal plane that a run made."""
    with facility.database.read() as conn:
        (found,) = [
            record
            for row in catalog.find(conn, {"attempt": run, "filetype": "qa_plot"})
            if (record := catalog.by_name(conn, row.filename)) is not None and "focalplane" in record.filename
        ]
    return facility.archive.path(found).read_bytes()


def _finished(folder: Path, name: str) -> int:
    """Images that jobs of a try have finished (compressed), as their receipts say."""
    count = 0
    for path in folder.glob(f"J*/{name}/outcome.jsonl"):
        for line in path.read_text("utf-8").splitlines():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:  # it is being written
                continue
            count += record.get("modname") == "finish" and record.get("state") == "done"
    return count


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A processed night of one exposure, and the exposure's run."""
    base = tmp_path_factory.mktemp("picture")
    folder, home = base / "night", base / "home"
    plan = plan_night(11, bands=("r",), biases=5, flats=5, exposures=1)
    made = make_night(folder, plan, camera_of("mini"), threads=2)
    initialise(home)
    facility = Facility.open(home)
    paths = sorted(p for d in ("raw", "instrument", "refcat") for p in (folder / d).iterdir())
    deposit(facility.database, facility.archive, [Deposit(p) for p in paths], who="test")
    hand_over(facility.database, "mini", "test")
    work = Work(
        facility.config, facility.database, facility.archive, lambda: LocalEngine(2, facility.config.runs)
    )
    done = run_night(work, made.document["nite"])
    facility.close()
    (run,) = [run for run in done.runs if run.startswith("D")]
    return home, run


def test_the_report_of_the_calibrations_leads_with_the_combined_frames(night: tuple[Path, str]) -> None:
    home, _ = night
    facility = Facility.open(home)
    (run,) = [path.name for path in facility.config.runs.iterdir() if path.name[:1].isdigit()]
    facts = gather(facility.database, facility.archive, facility.config, run)
    shown, left = singles(facts, [])
    facility.close()
    kinds = [picture.name.rpartition("_")[2].removesuffix(".fits") for picture in shown]
    # Four CCDs have a bias and a flat each; what they were judged by follows.
    assert (kinds[:8], left) == (["biascor"] * 4 + ["dflatcor"] * 4, 0)
    assert set(kinds[8:]) == {"miniflat"}


def test_the_picture_of_a_resumed_exposure_is_that_of_an_undisturbed_one(night: tuple[Path, str]) -> None:
    images = 2  # of four are compressed when it is killed
    home, run = night
    facility = Facility.open(home)
    undisturbed = _picture(facility, run)
    expnum = int(run[1:9])
    words = ("submit", "firstcut", "--set", f"expnum={expnum}", "--again", "--wait", "--json")
    before = {path.name for path in facility.config.runs.iterdir()}
    process = subprocess.Popen(
        _desdm(home, *words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    again = ""
    end = time.monotonic() + 300
    while time.monotonic() < end and process.poll() is None:
        again = next(
            (
                p.name
                for p in facility.config.runs.iterdir()
                if p.name not in before and p.name.startswith("D")
            ),
            "",
        )
        if again and _finished(facility.config.runs / again, "try1") >= images:
            break
        time.sleep(0.01)
    assert process.poll() is None, "it ended before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = _finished(facility.config.runs / again, "try1")
    resumed = subprocess.run(
        _desdm(home, "resume", again, "--wait"), capture_output=True, text=True, check=False
    )
    assert resumed.returncode in (0, 1), resumed.stderr
    # What was compressed before the kill is taken from its file, so that the picture has mixed sources.
    assert kept >= images and _finished(facility.config.runs / again, "try2") <= 4 - images
    assert _picture(facility, again) == undisturbed
    # The tag of accepted runs went over to the newer run when that ended well.
    with facility.database.read() as conn:
        counting = verdicts(conn, "firstcut", [expnum], facility.production)[0]
        tagged = {
            name
            for name, _ in store.attempt_names(
                conn, sorted(store.attempts_tagged(conn, accepted_tag(counting["nite"])))
            ).values()
        }
    assert (resumed.returncode, counting["accepted"]) == (0, "True")
    assert tagged == {again}
    facility.close()
