"""Disks without room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.floods import ask
from tests.faults.outcome import Fault, Outcome, family
from tests.faults.test_job_ends import BIG
from tests.faults.test_job_ends import start as start_job
from tests.faults.testbed import COADD, Testbed
from tests.faults.truth import on_disk, registered, wait_for
from tests.support.release import small_release
from tests.support.server import served


@contextmanager
def small_disk(folder: Path, megabytes: float) -> Iterator[Path]:
    """A file system of some MB at ``folder``; only root may mount one."""
    folder.mkdir()
    size = f"size={int(megabytes * 1024)}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


def _enlarge(folder: Path) -> None:
    """Make room."""
    subprocess.run(["mount", "-o", "remount,size=256m", str(folder)], check=True)


def _megabytes(folder: Path) -> float:
    """What a folder takes on a disk."""
    return int(subprocess.check_output(["du", "-sk", str(folder)]).split()[0]) / 1024


@family(
    "full-disk",
    "a file system without room under `ingest`, `submit coadd` and asynchronous queries, then with room",
)
def full_disk(testbed: Testbed, outcome: Outcome) -> None:
    if os.geteuid() != 0:
        outcome.skipped = "needs root, to mount a small file system"
        outcome.note(f"not tried: {outcome.skipped}")
        return
    _ingest(testbed, outcome)
    _submit(testbed, outcome)
    _results(testbed, outcome)


def _ingest(testbed: Testbed, outcome: Outcome) -> None:
    empty = testbed.empty(testbed.folder / "empty-disk")
    needed, taken = _megabytes(testbed.patch), _megabytes(empty)
    for number in range(testbed.times(5)):
        room = taken + needed * (number + 0.5) / testbed.times(5)
        where = f"ingest with {room:.1f} MB"
        with small_disk(testbed.folder / "disk", room) as disk:
            subprocess.run(["cp", "-a", str(empty), str(disk / "home")], check=True)
            home = disk / "home"
            done = testbed.desdm(home, "ingest", testbed.patch)
            outcome.tried += 1
            outcome.expect(done.status is not None, Fault.HANG, f"{where}: hung")
            outcome.expect(done.status == 3 and not done.traceback, Fault.WRONG, f"{where}: {done.short}")
            _enlarge(disk)
            left = on_disk(home) - {path for path, *_ in registered(home)}
            stage = {p.name for p in (home / "archive" / ".stage").glob("*")} - {"flights"}
            outcome.expect(not left | stage, Fault.WRONG, f"{where}: left {sorted(left | stage)}")
            again = testbed.desdm(home, "ingest", testbed.patch)
            outcome.expect(again.status in (0, 1), Fault.LOST, f"{where}: with room: {again.short}")
            outcome.expect(
                len(registered(home)) == 5, Fault.LOST, f"{where}: {len(registered(home))} of 5 files"
            )
            testbed.audited_clean(home, outcome, where)


def _submit(testbed: Testbed, outcome: Outcome) -> None:
    base, true = testbed.ingested, testbed.coadded
    taken = _megabytes(base)
    needed = _megabytes(true) - taken
    for number in range(testbed.times(4)):
        room = taken + needed * (number + 0.5) / testbed.times(4)
        where = f"submit with {room:.1f} MB"
        with small_disk(testbed.folder / "disk", room) as disk:
            subprocess.run(["cp", "-a", str(base), str(disk / "home")], check=True)
            home = disk / "home"
            done = testbed.desdm(home, *COADD, "--wait")
            outcome.tried += 1
            outcome.expect(done.status is not None, Fault.HANG, f"{where}: hung")
            outcome.expect(done.status == 3 and not done.traceback, Fault.WRONG, f"{where}: {done.short}")
            _enlarge(disk)
            testbed.nothing_left(home, outcome, where)
            again = testbed.desdm(home, *COADD, "--wait", "--resume")
            outcome.expect(again.status == 0, Fault.LOST, f"{where}: resumed with room: {again.short}")
            testbed.equal(home, true, outcome, where)
            testbed.audited_clean(home, outcome, where)


def _results(testbed: Testbed, outcome: Outcome) -> None:
    with small_disk(testbed.folder / "disk", 24) as disk:
        home = small_release(disk / "home", rows=2000)
        settings = home / "desdm.toml"
        settings.write_text(settings.read_text() + "\n[services]\nkeep_free_mb = 0\n")
        with served(home) as url:
            jobs = [start_job(url, BIG) for _ in range(3)]
            outcome.tried += len(jobs)
            for job in jobs:
                ended = wait_for(lambda job=job: _phase(url, job) in ("ERROR", "ABORTED"), 90)
                outcome.expect(ended, Fault.HANG, f"a job without room is {_phase(url, job)}")
            left = list((home / "results").rglob("*.part"))
            outcome.expect(not left, Fault.WRONG, f"a job without room left {left}")
            job = start_job(url, "SELECT TOP 5 id FROM T1.objects")
            ended = wait_for(lambda: _phase(url, job) == "COMPLETED", 30)
            outcome.expect(ended, Fault.HANG, f"a job with room is {_phase(url, job)}")


def _phase(url: str, job: str) -> str:
    """Phase of a job."""
    return ask(url, f"{job}/phase")[1].decode()
