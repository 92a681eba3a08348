"""First Cut of full-size CCDs: what it costs beside its programs bare, and how near it comes to the truth."""

from __future__ import annotations

import resource
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from common import clock, emit, workplace
from desdm.archive import catalog
from desdm.facility import Facility, initialise
from desdm.framework.drive import drive
from desdm.framework.engines import JobEvent, JobEventKind
from desdm.framework.engines.local import LocalEngine
from desdm.framework.job import JobRequest, WorkerCache, run_job
from desdm.framework.submit import submit
from desdm.framework.wrapper import Task
from desdm.operations.mainjob import hand_over, ingest_folder
from desdm.pipelines import get
from desdm.survey.images import read_planes

#: Two neighbours in the middle of DECam's focal plane.
CCDS = (28, 35)
SEED = 3
#: Rounds of pipeline and bare programs in turns: the CPU time of one program alone varies by a tenth.
ROUNDS = 3
#: Each of them several times on end, as a worker of a night does: memory that was free for some seconds goes back to the
#: host of a virtual machine, and taking it again costs the first run after a pause up to a second.
REPEATS = 2


class Inline:
    """An engine that runs each job at once in this process, as a warm worker would."""

    name = "inline"

    def __init__(self, cache: WorkerCache) -> None:
        self.cache = cache
        self.told: list[JobEvent] = []

    def submit(self, request: JobRequest) -> None:
        run_job(request, self.cache)
        self.told = [
            JobEvent(request.token, JobEventKind.STARTED),
            JobEvent(request.token, JobEventKind.ENDED),
        ]

    def events(self, timeout: float) -> Sequence[JobEvent]:
        told, self.told = self.told, []
        return told

    def cancel(self, token: str) -> None:
        """Nothing runs on."""

    def close(self) -> None:
        """Nothing to let go of."""


def prepare(home: Path) -> int:
    """An installation with the raw files of a small night and its precal; gives the exposure's number."""
    from desdm.simulate.cameras import camera_of
    from desdm.simulate.night import make_night
    from desdm.simulate.plan import plan_night

    folder = home.parent / "night"
    plan = plan_night(SEED, bands=("r",), biases=5, flats=5, exposures=1, truth="full")
    made = make_night(folder, plan, camera_of("decam").only(CCDS), threads=2)
    initialise(home)
    facility = Facility.open(home)
    ingest_folder(facility.database, facility.archive, folder, "bench", without=("truth",))
    hand_over(facility.database, "decam", "bench")
    planned = submit(
        facility.config, facility.database, facility.archive, get("precal"), {"nite": made.document["nite"]}, who="bench"
    )  # fmt: skip
    engine = LocalEngine(2, facility.config.runs)
    state = drive(facility.config, facility.database, facility.archive, planned.run, engine, who="bench")
    assert state.value == "done", f"precal is {state}"
    facility.close()
    return int(made.document["exposures"][-1]["expnum"])


def firstcut(facility: Facility, expnum: int, cache: WorkerCache) -> str:
    """One run of First Cut, from its submission to its last row."""
    planned = submit(
        facility.config, facility.database, facility.archive, get("firstcut"), {"expnum": str(expnum)}, who="bench",
        again=True,
    )  # fmt: skip
    state = drive(
        facility.config, facility.database, facility.archive, planned.run, Inline(cache), who="bench"
    )
    assert state.value in ("done", "flagged"), f"{planned.run} is {state}"
    return planned.run


def programs_of(facility: Facility, run: str) -> float:
    """CPU seconds of the programs that a run started, as the kernel counted them."""
    from desdm.framework import store
    from desdm.framework.watch import store as watch

    with facility.database.read() as conn:
        rows = watch.software(conn, store.attempt_by_name(conn, run).id)
    return float(sum(r["cpu_s"] for r in rows if not r["name"].startswith("desdm.")))


def record(kept: Path, commands: list[str]) -> Any:
    """Have every program's command written down, with its inputs as they are at that moment; gives the way back."""
    plain = Task._run_measured

    def measured(self: Task, argv: Sequence[str], execname: str, version: str) -> Any:
        folder = kept / f"{len(commands):03d}"
        folder.mkdir(parents=True)
        for path in self.workdir.iterdir():
            if path.is_file():
                # Also of a file on disk: through a link the bare program would write into the archive.
                shutil.copyfile(path, folder / path.name)
        moved = [a.replace(str(self.workdir), str(folder)) for a in argv]
        commands.append(f"cd {shlex.quote(str(folder))} && {shlex.join(moved)} > program.log 2>&1")
        return plain(self, argv, execname, version)

    Task._run_measured = measured  # type: ignore[method-assign]
    return plain


def measure(home: Path, expnum: int) -> None:
    """Warm up, then measure First Cut and the same programs bare in turns; the least of the rounds counts."""
    facility = Facility.open(home)
    cache = WorkerCache()
    commands: list[str] = []
    plain = record(home.parent / "kept", commands)
    run = firstcut(facility, expnum, cache)
    Task._run_measured = plain  # type: ignore[method-assign]
    script = home.parent / "bare.sh"
    # A program that ends badly there ended badly in the run too; the pipeline goes on, and so does the script.
    script.write_text("".join(f"( {c} ) || true\n" for c in commands))
    pipeline, programs, bare, walls = [], [], [], []
    for _ in range(ROUNDS):
        for _ in range(REPEATS):
            with clock(children=True) as spent:
                run = firstcut(facility, expnum, cache)
            pipeline.append(spent.cpu)
            walls.append(spent.wall)
            programs.append(programs_of(facility, run))
        for _ in range(REPEATS):
            with clock(children=True) as spent:
                subprocess.run(["sh", str(script)], check=True)
            bare.append(spent.cpu)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    accuracy(facility, run, home.parent / "night" / "truth")
    facility.close()
    count = len(CCDS)
    ours = min(all_ - theirs for all_, theirs in zip(pipeline, programs, strict=True))
    emit(
        "firstcut.ccd",
        min(pipeline) / count,
        "cpu s",
        count,
        floor=min(bare) / count,
        wall=min(walls) / count,
    )
    emit("firstcut.over_bare_programs", min(pipeline) / min(bare), "ratio", len(commands), floor=1.0)
    emit("firstcut.share_of_ours", ours / min(pipeline), "of all cpu s", count)
    emit("firstcut.memory", memory / 1024, "GB peak", count)


def accuracy(facility: Facility, run: str, truth: Path) -> None:
    """The reduced images of full-size CCDs against their truth: pixels, weights, world coordinates."""
    with facility.database.read() as conn:
        rows = catalog.find(conn, {"attempt": run, "filetype": "red_immask"})
    pulls, chi2, off = [], [], []
    for row in rows:
        planes = read_planes(facility.archive.root / row.fullname)
        name = f"truth_D{planes.header['EXPNUM']:08d}_c{planes.header['CCDNUM']:02d}.fits"
        with fits.open(truth / name, memmap=False) as true:
            light, variance = (np.asarray(true[k].data, "f4") for k in ("NOISELESS", "VAR"))
            good = (planes.msk == 0) & (planes.wgt > 0) & (np.asarray(true["MSK"].data) == 0)
            world = WCS(true["TRUTH"].header, naxis=2)
        error = planes.sci - light
        pulls.append((error / np.sqrt(variance))[good])
        blank = good & (light < 0.02 * variance)
        chi2.append((error**2 * planes.wgt)[blank])
        ny, nx = planes.shape
        x, y = (a.ravel() for a in np.meshgrid(np.linspace(1, nx, 33), np.linspace(1, ny, 65)))
        (ra, dec), (ra0, dec0) = (w.all_pix2world(x, y, 1) for w in (WCS(planes.header, naxis=2), world))
        off.append(3.6e6 * np.hypot((ra - ra0) * np.cos(np.radians(dec0)), dec - dec0))
    pull, far = np.concatenate(pulls), np.concatenate(off)
    emit("firstcut.pull_mean", float(pull.mean()), "sigma", len(pull))
    emit("firstcut.pull_rms", float(pull.std()), "sigma", len(pull))
    emit("firstcut.weight_chi2", float(np.concatenate(chi2).mean()), "", len(pull))
    emit("firstcut.wcs_rms", float(np.sqrt(np.mean(far**2) / 2)), "mas", len(far))
    emit("firstcut.wcs_worst", float(far.max()), "mas", len(far))


def main() -> None:
    """The preparation takes memory of its own, so the measurement is a process of its own."""
    if len(sys.argv) == 3:
        measure(Path(sys.argv[1]), int(sys.argv[2]))
        return
    place = workplace()
    expnum = prepare(place / "home")
    subprocess.run([sys.executable, __file__, str(place / "home"), str(expnum)], check=True)
    shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
