"""Where SQLite databases lie: relative to the installation, made by init alone, readable where nothing can be written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DESDM = str(Path(sys.executable).parent / "desdm")


def run(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([DESDM, *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=120)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_relative_url_is_taken_from_the_installation(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    assert run("init", "home", "--database", "sqlite:///x.sqlite", cwd=here).returncode == 0
    assert (here / "home" / "x.sqlite").is_file()
    assert run("--home", here / "home", "status", cwd=there).returncode == 0
    assert names(there) == [] and names(here) == ["home"]


def test_reading_makes_no_database(tmp_path: Path) -> None:
    assert run("init", "home", cwd=tmp_path).returncode == 0
    (tmp_path / "home" / "desdm.sqlite").unlink()
    done = run("--home", "home", "status", cwd=tmp_path)
    assert done.returncode == 2 and "desdm.sqlite is not there" in " ".join(done.stderr.split())
    assert not (tmp_path / "home" / "desdm.sqlite").exists()


def test_an_init_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "mine.txt").write_text("mine")
    for folder in ("new/deep", "kept"):
        done = run("init", folder, "--database", "postgresql+psycopg://nobody@127.0.0.1:1/none", cwd=tmp_path)
        assert done.returncode != 0
    assert names(tmp_path) == ["kept"] and names(tmp_path / "kept") == ["mine.txt"]


def test_a_read_only_file_system_is_named_and_lists_work(tmp_path: Path) -> None:
    """A bind mount that is read only, in a mount name space of its own."""
    assert run("init", "home", cwd=tmp_path).returncode == 0
    bind = 'mount --bind home home && mount -o remount,bind,ro home && exec "$@"'

    def inside(*words: str) -> subprocess.CompletedProcess[str]:
        command = ["unshare", "-m", "sh", "-c", bind, "sh", DESDM, "--home", "home", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    listed = inside("status")
    if "unshare" in listed.stderr or "mount:" in listed.stderr:
        pytest.skip("mounting needs privileges")
    assert listed.returncode == 0, listed.stderr
    (tmp_path / "a.txt").write_text("one")
    refused = inside("exclude", "7", "--reason", "clouds")
    words = " ".join(refused.stderr.split())
    assert refused.returncode == 3 and "desdm.sqlite cannot be written" in words and "read only" in words
    assert "is read only: lists work" in " ".join(inside("doctor").stdout.split())
