"""A full exposure of DECam through precal and First Cut: wall and CPU seconds, and the peak memory of each process.

``full_exposure.py [--ccds 62] [--place FOLDER]``: one line of JSON. The night is simulated first, which is not measured;
with ``--place`` it stays in that folder and is used again. 62 CCDs take an hour and 20 GB of disk, so that `make bench`
takes four.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common import clock, workplace
from desdm.facility import Facility, initialise
from desdm.framework import store
from desdm.framework.drive import drive
from desdm.framework.engines.local import LocalEngine
from desdm.framework.submit import submit
from desdm.framework.watch import store as watch
from desdm.operations.mainjob import hand_over, ingest_folder
from desdm.pipelines import get

SEED = 3
#: The fewest that precal combines.
FRAMES = 5


def simulate(night: Path, ccds: int) -> None:
    """A night with one exposure in r, of so many CCDs in the middle of the focal plane."""
    from desdm.simulate.cameras import camera_of
    from desdm.simulate.night import make_night
    from desdm.simulate.plan import plan_night

    camera = camera_of("decam")
    numbers = [ccd.ccdnum for ccd in camera.ccds]
    first = (len(numbers) - ccds) // 2
    if ccds < len(numbers):
        camera = camera.only(tuple(numbers[first : first + ccds]))
    plan = plan_night(SEED, bands=("r",), biases=FRAMES, flats=FRAMES, exposures=1)
    make_night(night, plan, camera)


def install(home: Path, night: Path) -> None:
    """An installation with the night's files."""
    initialise(home)
    facility = Facility.open(home)
    ingest_folder(facility.database, facility.archive, night, "bench", without=("truth",))
    hand_over(facility.database, "decam", "bench")
    facility.close()


def run(home: Path, pipeline: str, settings: Mapping[str, str], workers: int) -> dict[str, Any]:
    """Run a pipeline and say what it cost, and what the largest process of each program took."""
    facility = Facility.open(home)
    with clock(children=True) as spent:
        planned = submit(
            facility.config,
            facility.database,
            facility.archive,
            get(pipeline),
            settings,
            who="bench",
            again=True,
        )
        engine = LocalEngine(workers, facility.config.runs)
        state = drive(facility.config, facility.database, facility.archive, planned.run, engine, who="bench")
    assert state.value in ("done", "flagged"), f"{planned.run} is {state.value}"
    with facility.database.read() as conn:
        rows = watch.software(conn, store.attempt_by_name(conn, planned.run).id)
    facility.close()
    peaks: dict[str, float] = {}
    for row in rows:
        name = "worker" if row["name"].startswith("desdm.") else row["name"]
        peaks[name] = max(peaks.get(name, 0.0), round(row["maxrss_kb"] / 1048576, 3))
    return {
        "state": state.value,
        "wall_s": round(spent.wall, 1),
        "cpu_s": round(spent.cpu, 1),
        "peak_gb": peaks,
    }


def alone(*args: str) -> str:
    """Run this file in a process of its own, which nothing that ran before weighs upon; gives its output."""
    done = subprocess.run([sys.executable, __file__, *args], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def measure(place: Path, ccds: int) -> None:
    """Everything, each step in a process of its own."""
    night, home = place / f"night{ccds}", place / f"home{ccds}_{int(time.time())}"
    if not (night / "truth" / "night.json").is_file():
        alone("simulate", str(night), str(ccds))
    alone("install", str(home), str(night))
    facts = json.loads((night / "truth" / "night.json").read_text())
    precal = json.loads(alone("run", str(home), "precal", f"nite={facts['nite']}", "2"))
    firstcut = json.loads(
        alone("run", str(home), "firstcut", f"expnum={facts['exposures'][-1]['expnum']}", "1")
    )
    peak = max(*precal["peak_gb"].values(), *firstcut["peak_gb"].values())
    line = {"bench": "full_exposure", "value": peak, "unit": "GB peak a process", "n": ccds, "peer": None}
    line |= {
        "floor": None,
        "wall_s": precal["wall_s"] + firstcut["wall_s"],
        "cpu_s": precal["cpu_s"] + firstcut["cpu_s"],
    }
    sys.stdout.write(json.dumps({**line, "precal": precal, "firstcut": firstcut}) + "\n")


def main() -> None:
    """Four CCDs, for the bench of everything."""
    measure(workplace(), 4)


def command() -> None:
    """What the command line asks for: the measurement, or one of its steps."""
    if sys.argv[1:2] == ["simulate"]:
        simulate(Path(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1:2] == ["install"]:
        install(Path(sys.argv[2]), Path(sys.argv[3]))
    elif sys.argv[1:2] == ["run"]:
        key, _, value = sys.argv[4].partition("=")
        sys.stdout.write(
            json.dumps(run(Path(sys.argv[2]), sys.argv[3], {key: value}, int(sys.argv[5]))) + "\n"
        )
    else:
        parser = argparse.ArgumentParser(description="Memory and time of a full exposure of DECam.")
        parser.add_argument("--ccds", type=int, default=62, help="how many CCDs (1 to 62; default 62)")
        parser.add_argument("--place", type=Path, help="folder for the night and the installation; it stays")
        asked = parser.parse_args()
        measure(asked.place or workplace(), asked.ccds)


if __name__ == "__main__":
    command()
