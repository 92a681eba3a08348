"""A run on a disk that is really full: status 3, nothing torn under a final name, and a resume completes it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from desdm import wcl
from desdm.archive import catalog
from desdm.errors import ProgramFailed, StorageFull
from desdm.facility import Facility, initialise
from desdm.framework.submitwcl import to_wcl
from desdm.framework.wrapper import LogTee, Task
from tests.support.toy import arrive, text_pipeline

ROOT = Path(__file__).parents[2]
#: longer than the write-ahead log grows between two checkpoints, so that the pixels are what fills the disk
TEXT = "pixels " * 30_000
SIZE = 12  # MB of the disk


def _mounted(folder: Path) -> bool:
    """Mount a small file system of its own in memory, which only root may."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}m", "tmpfs", str(folder)],
        capture_output=True, check=False,
    )  # fmt: skip
    return done.returncode == 0


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("disk")
    if shutil.which("mount") is None or not _mounted(folder):
        pytest.skip("a file system of its own can be mounted by root only")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    initialise(folder / "home")
    facility = Facility.open(folder / "home")
    arrive(facility, folder, TEXT)
    facility.close()
    (folder / "text.wcl").write_text(wcl.dumps(to_wcl(text_pipeline())))
    return folder


def _desdm(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "desdm.cli.main", "--home", str(home), *words],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip


def _fill(disk: Path, left: int) -> Path:
    """Fill the disk up to ``left`` kB."""
    room = os.statvfs(disk)
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(room.f_bavail * room.f_frsize - left * 1024))
    return ballast


def _nothing_torn(home: Path) -> None:
    """Look at every product under its final name: whole, and registered or at least known to the audit as not yet."""
    said = _desdm(home, "audit")
    _, *findings = said.stdout.splitlines()
    assert said.returncode == 0 or all(line.startswith("orphan: ") for line in findings), said
    for path in (home / "archive" / "OPS").rglob("*/misc/T1_r1p01_*_*.txt"):
        part, kind = int(path.stem.split("_")[2]), path.stem.split("_")[3]
        text = f"{part}:{TEXT}"
        assert path.read_text() == (text.upper() if kind == "big" else text), path


# Where the disk is full, and how much room there was: none, for the plan, for some jobs, for some products.
@pytest.mark.parametrize(
    ("part", "left"),
    [
        ("", 0), ("", 40), ("", 240), ("", 700), ("", 1600), ("runs", 0), ("runs", 12), ("runs", 44),
        ("runs", 600), ("archive", 0), ("archive", 300), ("archive", 1500),
    ],
)  # fmt: skip
def test_a_run_on_a_full_disk(disk: Path, installation: Path, tmp_path: Path, part: str, left: int) -> None:
    for old in disk.iterdir():
        shutil.rmtree(old)
    home = tmp_path / "home"
    if not part:
        home = disk / "home"
    shutil.copytree(installation / "home", home)
    if part:
        (home / part).mkdir(exist_ok=True)
        shutil.move(home / part, disk / part)
        (home / part).symlink_to(disk / part)
    submission = ("submit", str(installation / "text.wcl"), "--wait")
    ballast = _fill(disk, left)
    full = _desdm(home, *submission)
    ballast.unlink()
    assert full.returncode == 3, full.stdout + full.stderr
    assert full.stderr.startswith("error: "), full.stderr
    assert "Traceback" not in full.stdout + full.stderr
    assert "make room" in full.stderr
    assert [p.read_text() for p in home.rglob("workers.log") if p.stat().st_size] == []
    _nothing_torn(home)
    resumed = _desdm(home, *submission, "--resume")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    facility = Facility.open(home)
    try:
        with facility.database.read() as conn:
            record = catalog.by_name(conn, "T1_r1p01_whole.txt")
        assert record is not None
        expected = "\n".join(f"{part}:{TEXT}" for part in range(1, 5)).upper()
        assert facility.archive.path(record).read_text() == expected
    finally:
        facility.close()
    sound = _desdm(home, "audit")
    assert sound.returncode == 0, sound.stdout + sound.stderr


def test_a_program_that_fails_on_a_full_disk(disk: Path, tmp_path: Path) -> None:
    """It ends with status 1 as for any fault of its own; the disk tells the difference."""
    work = disk / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    log = LogTee(tmp_path / "log")
    task = Task("resample", {}, {"exec": {"dd": {}}}, {}, {}, work, log)
    with pytest.raises(
        StorageFull, match=r"dd ended with status 1, and .*/work has room for \d+ bytes only; make room"
    ):
        task.run("dd", ["if=/dev/zero", "of=image.fits", "bs=64k"])
    (work / "image.fits").unlink()
    # SWarp removes what it could not write whole before it ends.
    task.settings["exec"]["sh"] = {"write_error": "*Error* while writing"}
    with pytest.raises(StorageFull, match="sh ended with status 1, and "):
        task.run("sh", ["-c", "echo '> *Error* while writing image.fits'; echo; exit 1"])
    with pytest.raises(ProgramFailed, match="dd ended with status 1; its log is"):
        task.run("dd", ["if=nothing.fits", "of=image.fits"])
    log.close()
