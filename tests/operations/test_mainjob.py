"""The main job on nine real DECam exposures, from the command line to the report, checked by independent tools."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from astropy_healpix import HEALPix

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "data" / "real" / "decam-cp-stack"
pytestmark = pytest.mark.real_data
Z_EXPOSURES = {431608, 630780, 640615, 720558}


def desdm(home: Path, *args: str) -> Any:
    """Run the command and give back its JSON document."""
    command = [sys.executable, "-m", "desdm.cli.main", "--home", str(home), *args, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=home.parent)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mainjob") / "demo"
    command = [
        sys.executable,
        "-m",
        "desdm.cli.main",
        "demo",
        "--out",
        str(folder),
        "--data",
        str(REAL),
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((folder / "summary.json").read_text())
    return folder


@pytest.fixture(scope="module")
def summary(home: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((home / "summary.json").read_text())
    return document


@pytest.fixture(scope="module")
def run(summary: dict[str, Any]) -> str:
    return str(summary["attempts"][0]["attempt"])


def test_all_nine_exposures_arrive_with_mask_and_weight(home: Path) -> None:
    for filetype in ("cp_image", "cp_mask", "cp_weight"):
        found = desdm(home, "files", "--filetype", filetype)
        assert len(found) == 9
        assert sorted(f["band"] for f in found) == ["g", "g", "r", "r", "r", "z", "z", "z", "z"]


def test_the_coadd_finds_what_bare_programs_find_and_more(summary: dict[str, Any]) -> None:
    # Bare SExtractor at 1.5 sigma finds 7 to 9 objects in a z exposure, and 16 in a bare SWarp coadd of the four.
    assert set(summary["detections"]) == {"g", "r", "z"}
    assert summary["detections"]["z"] >= 16
    assert len(summary["single_exposure_detections"]["z"]) == 4
    assert all(n >= 7 for n in summary["single_exposure_detections"]["z"])
    assert summary["attempts"][0]["state"] == "done"


def test_positions_agree_with_gaia_in_every_exposure(home: Path, run: str) -> None:
    metrics = desdm(home, "show", run)["metrics"]
    offsets = [m for m in metrics if m["modname"] == "check" and m["name"] in ("dra_median", "ddec_median")]
    assert len(offsets) == 18
    # The Community Pipeline calibrates to Gaia; with three stars a CCD the centroids leave some tens of mas.
    assert max(abs(m["value"]) for m in offsets) < 100


def test_every_fits_product_is_clean_to_fitsverify(home: Path, run: str) -> None:
    products = [
        f["path"] for f in desdm(home, "files", "--attempt", run) if f["path"].endswith((".fits", ".fz"))
    ]
    assert len(products) > 50
    done = subprocess.run(["fitsverify", "-q", *products], capture_output=True, text=True)
    bad = [line for line in done.stdout.splitlines() if "verification OK" not in line]
    assert bad == []


def test_the_lineage_of_the_z_coadd_is_its_four_images_and_every_task_between(home: Path, run: str) -> None:
    [coadd] = desdm(home, "files", "--attempt", run, "--filetype", "coadd", "--band", "z")
    up = desdm(home, "lineage", coadd["filename"], "--up")
    raw = [f for f in up["files"] if f["filetype"] in ("cp_image", "cp_mask", "cp_weight")]
    stamps = {f["filename"].split("_oo")[0] for f in raw}
    assert len(raw) == 12
    assert len(stamps) == 4
    assert {f["filename"] for f in raw} == {
        p.name for stamp in stamps for p in REAL.glob(f"{stamp}_oo[idw]_z*")
    }
    # Beside them only the PSF model that came with each of the four: their catalogues, which tie the nominal
    # zero points to the calibrated ones, are made with it. Nothing that was looked at and left.
    rest = {f["filetype"] for f in up["files"]} - {"cp_image", "cp_mask", "cp_weight"}
    assert rest == {"coadd", "coadd_nwgint", "cat_finalcut", "cat_psfex", "psfex_model", "cp_psfex"}
    delivered = [f["filename"] for f in up["files"] if f["filetype"] == "cp_psfex"]
    assert len(delivered) == 4
    assert {name.split("_oo")[0] for name in delivered} == stamps
    modules = {t["module"] for t in up["tasks"]}
    assert {"nwgint", "swarp"} <= modules
    programs = {p["name"]: p["version"] for t in up["tasks"] for p in t["programs"]}
    asked = subprocess.run(["SWarp", "--version"], capture_output=True, text=True).stdout.split()
    assert programs["swarp"] in asked


def test_the_catalogue_is_in_order_of_its_healpix_cells(home: Path, run: str) -> None:
    [record] = desdm(home, "files", "--attempt", run, "--filetype", "coadd_objects")
    table = pq.read_table(record["path"])
    cells = table["hpix29"].to_pylist()
    assert cells == sorted(cells)
    from astropy import units as u

    healpix = HEALPix(nside=2**29, order="nested")
    again = healpix.lonlat_to_healpix(table["ra"].to_numpy() * u.deg, table["dec"].to_numpy() * u.deg)
    assert again.tolist() == cells


def test_a_second_run_takes_the_work_over_and_registers_nothing(home: Path, summary: dict[str, Any]) -> None:
    again = desdm(home, "demo", "--out", str(home), "--data", str(REAL))
    assert again["attempts"] == summary["attempts"]
    assert again["registered_files"] == summary["registered_files"]


def test_nothing_in_the_archive_is_amiss_afterwards(home: Path, summary: dict[str, Any]) -> None:
    report = desdm(home, "audit")
    assert report["checked"] == summary["registered_files"]
    assert [report[k] for k in ("corrupt", "truncated", "grown", "missing", "orphan")] == [[]] * 5
