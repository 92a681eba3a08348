"""A supercal of simulated nights, entered into the epoch table, and the Final Cut of an exposure that lives on it alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from desdm.archive import calibrations, catalog, store
from desdm.facility import Facility, initialise
from desdm.framework.drive import drive
from desdm.framework.engines.local import LocalEngine
from desdm.framework.submit import submit
from desdm.operations.mainjob import ingest_folder
from desdm.pipelines import get
from desdm.pixels.maskbits import MaskBit
from desdm.quality.qa.verdict import verdicts
from desdm.simulate.cameras import camera_of
from desdm.simulate.night import make_night
from desdm.simulate.plan import plan_night
from desdm.survey.images import read_planes
from tests.support.night import flat_electrons, plane


class Campaign:
    """An installation after its supercal and one Final Cut in z, where fringes are strong."""

    def __init__(self, home: Path, folder: Path, supercal: str, finalcut: str) -> None:
        self.home, self.folder, self.supercal, self.finalcut = home, folder, supercal, finalcut

    def files(self, attempt: str, filetype: str) -> list[Path]:
        opened = Facility.open(self.home)
        with opened.database.read() as conn:
            rows = catalog.find(conn, {"attempt": attempt, "filetype": filetype})
        root = opened.archive.root
        opened.close()
        return [root / r.fullname for r in rows]


def run(facility: Facility, pipeline: str, settings: dict[str, str]) -> str:
    name = submit(
        facility.config, facility.database, facility.archive, get(pipeline), settings, who="test"
    ).run
    engine = LocalEngine(2, facility.config.runs)
    state = drive(facility.config, facility.database, facility.archive, name, engine, who="test")
    assert state.value in ("done", "flagged"), f"{name} is {state}"
    return name


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    base = tmp_path_factory.mktemp("supercal")
    folder, home = base / "nights", base / "home"
    plan = plan_night(4, program="supercal", bands=("z",), biases=8, flats=6, exposures=10, truth="full")
    made = make_night(folder, plan, camera_of("mini"), threads=2)
    initialise(home)
    opened = Facility.open(home)
    ingest_folder(opened.database, opened.archive, folder, "test", without=("truth", "instrument"))
    # Of the instrument team's constants only the brighter-fatter kernel is used: it is made off-line.
    ingest_folder(opened.database, opened.archive, folder / "instrument", "test")
    with opened.database.write() as conn:
        calibrations.define_epoch(conn, "Y1E1", 1, 999_999, "first light", who="me")
        calibrations.assign(conn, "Y1E1", "cal_bf", filepat="mini_bf.fits", who="test")
    supercal = run(opened, "supercal", {"nitemin": "20121101", "nitemax": "20121231"})
    with opened.database.write() as conn:
        calibrations.assign_all(conn, "Y1E1", supercal, who="test")
    sky = [
        e for e in made.document["exposures"] if e["obstype"] == "object" and e["object"].startswith("DES")
    ]
    finalcut = run(opened, "finalcut", {"expnum": str(sky[-1]["expnum"])})
    opened.close()
    return Campaign(home, folder, supercal, finalcut)


def test_every_calibration_of_the_final_cut_is_the_supercals_own(campaign: Campaign) -> None:
    opened = Facility.open(campaign.home)
    with opened.database.read() as conn:
        rows = store.calibrations_of(conn, catalog.attempt_number(conn, campaign.finalcut))
    opened.close()
    own = {r["filetype"] for r in rows if r["filename"].startswith(campaign.supercal)}
    assert own == set(calibrations.SERVING) - {"cal_bf"}
    assert {r["filetype"] for r in rows} - own == {"cal_bf"}
    assert {r["how"] for r in rows} == {"epoch"}


def test_crosstalk_and_bad_pixels_are_those_of_the_camera(campaign: Campaign) -> None:
    camera: dict[str, Any] = json.loads((campaign.folder / "truth" / "camera.json").read_text())
    (path,) = campaign.files(campaign.supercal, "cal_crosstalk")
    found = {}
    for line in path.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            victim, source, value = line.split()[:3]
            found[victim, source] = float(value)
    truth = {(victim, source): value for victim, source, value in camera["crosstalk"]}
    assert truth
    for pair, value in truth.items():
        assert found.get(pair, 0.0) == pytest.approx(value, abs=2e-5), pair
    good = bad = seen = false = 0
    for path in campaign.files(campaign.supercal, "cal_bpm"):
        with fits.open(path, memmap=False) as hdus:
            ours = plane(hdus, "MSK") & int(MaskBit.BPM) != 0
            ccdnum = int(hdus["MSK"].header.get("CCDNUM", hdus[0].header.get("CCDNUM", 0)))
        with fits.open(campaign.folder / "truth" / f"truth_camera_c{ccdnum:02d}.fits", memmap=False) as hdus:
            true = plane(hdus, "BPM") != 0
        bad, seen = bad + int(true.sum()), seen + int((ours & true).sum())
        good, false = good + int((~true).sum()), false + int((ours & ~true).sum())
    assert seen / bad >= 0.99
    assert false / good < 0.001


def test_the_fringed_sky_is_gone_and_the_pixels_are_the_truth(campaign: Campaign) -> None:
    shots = json.loads((campaign.folder / "truth" / "night.json").read_text())["exposures"]
    electrons = flat_electrons(shots, "z")
    pulls = []
    for path in campaign.files(campaign.finalcut, "red_immask"):
        planes = read_planes(path)
        name = f"truth_D{planes.header['EXPNUM']:08d}_c{planes.header['CCDNUM']:02d}.fits"
        with fits.open(campaign.folder / "truth" / name, memmap=False) as true:
            good = (planes.msk == 0) & (planes.wgt > 0) & (plane(true, "MSK") == 0)
            light = plane(true, "NOISELESS") + plane(true, "SKY")
            camera = campaign.folder / "truth" / f"truth_camera_c{planes.header['CCDNUM']:02d}.fits"
            with fits.open(camera, memmap=False) as hdus:
                flat = plane(hdus, "FLAT_z")
            # VAR is of this exposure alone; the photons of the dome flats add to it.
            variance = plane(true, "VAR")[good] + light[good] ** 2 / (flat[good] * electrons)
            pulls.append((planes.sci - plane(true, "NOISELESS"))[good] / np.sqrt(variance))
    pull = np.concatenate(pulls)
    assert abs(pull.mean()) < 0.02
    assert 0.98 < pull.std() < 1.02


def test_final_cut_makes_every_late_product_and_judges(campaign: Campaign) -> None:
    for filetype, count in (
        ("cat_finalcut", 4),
        ("red_bkg", 4),
        ("segmap", 4),
        ("hpix_map", 1),
        ("qa_plot", 1),
    ):
        assert len(campaign.files(campaign.finalcut, filetype)) == count, filetype
    with fits.open(campaign.files(campaign.finalcut, "cat_finalcut")[0]) as hdus:
        assert "SPREAD_MODEL" in hdus["LDAC_OBJECTS"].columns.names
    truth = json.loads((campaign.folder / "truth" / "night.json").read_text())["exposures"]
    opened = Facility.open(campaign.home)
    with opened.database.read() as conn:
        (row,) = verdicts(conn, "finalcut")
    opened.close()
    true = next(e for e in truth if e["expnum"] == row["expnum"])
    assert row["accepted"] == true["verdict"]
    assert row["t_eff"] == pytest.approx(true["t_eff"], rel=0.03)
