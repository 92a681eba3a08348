"""A job whose end cannot be written (locked database, full disk) ends when that is possible again."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.floods import ask
from tests.support.release import small_release
from tests.support.server import served

BIG = "SELECT a.id, a.ra, a.dec, a.name, b.id AS other FROM T1.objects AS a, T1.objects AS b"


def start(url: str, query: str, **more: str) -> str:
    """Path of a job that is started."""
    _, body, headers = ask(url, "/tap/async", data={"LANG": "ADQL", "QUERY": query, "PHASE": "RUN", **more})
    assert "location" in headers, body
    return re.sub(r"^http://[^/]*", "", headers["location"])


def phase(url: str, job: str) -> str:
    return ask(url, f"{job}/phase")[1].decode()


def ended(url: str, job: str, seconds: float = 30.0) -> str:
    end = time.monotonic() + seconds
    while (found := phase(url, job)) in ("QUEUED", "EXECUTING"):
        assert time.monotonic() < end, f"{job} is {found} for {seconds:g} s"
        time.sleep(0.2)
    return found


def test_the_end_of_a_job_is_written_when_the_lock_is_gone(tmp_path: Path) -> None:
    home = small_release(tmp_path / "home", rows=500)
    with served(home) as url:
        job = start(url, "SELECT count(*) AS n FROM T1.objects AS a, T1.objects AS b, T1.objects AS c "
                         "WHERE sin(a.ra) * cos(b.dec) * sin(c.ra) > 2")  # fmt: skip
        while phase(url, job) == "QUEUED":
            time.sleep(0.02)
        assert phase(url, job) == "EXECUTING", "the query is too fast for this test"
        other = sqlite3.connect(home / "service.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        time.sleep(8)  # longer than the server waits for the lock, and than the query takes
        other.execute("ROLLBACK")
        other.close()
        assert ended(url, job) == "COMPLETED"
        assert ask(url, "/health")[0] == 200


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB; only root may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_jobs_on_a_full_disk_end_with_an_error_and_leave_no_file(small_disk: Path) -> None:
    home = small_release(small_disk / "home", rows=2000)
    settings = home / "desdm.toml"
    settings.write_text(settings.read_text() + "\n[services]\nkeep_free_mb = 0\n")
    with served(home) as url:
        found = [start(url, BIG) for _ in range(3)]
        assert {ended(url, job, 60) for job in found} <= {"ERROR", "ABORTED"}
        assert not list((home / "results").rglob("*.part"))
        # With room again everything works, without a restart.
        assert ended(url, start(url, "SELECT TOP 5 id FROM T1.objects")) == "COMPLETED"


def test_no_job_is_made_when_the_disk_is_nearly_full(tmp_path: Path) -> None:
    home = small_release(tmp_path / "home", rows=50)
    settings = home / "desdm.toml"
    settings.write_text(settings.read_text() + "\n[services]\nkeep_free_mb = 1000000000\n")
    with served(home) as url:
        status, _, headers = ask(url, "/tap/async", data={"LANG": "ADQL", "QUERY": "SELECT 1 AS one"})
        assert (status, "retry-after" in headers) == (503, True)
        assert ask(url, "/tap/sync?LANG=ADQL&QUERY=SELECT+1+AS+one")[0] == 200
        health = ask(url, "/health")
        assert health[0] == 503
        assert b"disk" in health[1]
