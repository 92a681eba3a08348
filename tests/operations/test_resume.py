"""A submitter of the real main job is killed; what resume makes equals what an undisturbed run makes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "data" / "real" / "decam-cp-stack"
pytestmark = pytest.mark.real_data
RUN = "FIELD_r1p01"


def command(home: Path, *args: str) -> list[str]:
    return [sys.executable, "-m", "desdm.cli.main", "--home", str(home), *args]


def desdm(home: Path, *args: str) -> Any:
    done = subprocess.run(command(home, *args, "--json"), capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def installation(home: Path) -> Path:
    subprocess.run(command(home, "init", str(home)), check=True, capture_output=True)
    desdm(home, "ingest", str(REAL))
    return home


def catalogue(home: Path) -> dict[str, list[str]]:
    [record] = desdm(home, "files", "--attempt", RUN, "--filetype", "coadd_objects")
    # As text, to the last digit: a NaN equals a NaN.
    return {
        name: [repr(v) for v in values] for name, values in pq.read_table(record["path"]).to_pydict().items()
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    home = installation(tmp_path_factory.mktemp("calm") / "home")
    assert desdm(home, "submit", "coadd", "--set", "unitname=FIELD", "--wait")["state"] == "done"
    return catalogue(home)


@pytest.mark.parametrize("moment", [1.5, 3.0, 4.5])
def test_a_killed_run_goes_on_to_the_same_catalogue(
    tmp_path: Path, undisturbed: dict[str, list[str]], moment: float
) -> None:
    home = installation(tmp_path / "home")
    process = subprocess.Popen(
        command(home, "submit", "coadd", "--set", "unitname=FIELD", "--wait", "--json"),
        stdout=subprocess.DEVNULL,
    )
    time.sleep(moment)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    again = desdm(home, "submit", "coadd", "--set", "unitname=FIELD", "--wait", "--resume")
    assert (again["attempt"], again["state"]) == (RUN, "done")
    assert catalogue(home) == undisturbed
    amiss = desdm(home, "audit")
    assert [amiss[k] for k in ("corrupt", "truncated", "grown", "missing", "orphan")] == [[]] * 5
