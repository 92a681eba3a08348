"""The doctor finds what is wrong with an installation, each by its name, and nothing on a sound one; modes are closed."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from desdm.config import load
from desdm.facility import Facility, initialise, open_database
from desdm.operations.doctor import State, examine
from desdm.operations.doctor.places import open_places
from desdm.operations.doctor.software import check_packages, check_programs
from desdm.schema import pfw_attempt
from desdm.schema.service import prepare
from tests.support.toy import arrive, plan, text_pipeline


@pytest.fixture(params=[0o000, 0o022])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    before = os.umask(request.param)
    try:
        initialise(tmp_path / "home")
        yield tmp_path / "home"
    finally:
        os.umask(before)


def problems(home: Path) -> dict[str, str]:
    """Text of each problem, but those of the machine's own programs and packages."""
    config = load(home)
    database = open_database(config)
    try:
        found = list(examine(config, database))
    finally:
        database.close()
    return {
        c.name: c.text
        for c in found
        if c.state is State.PROBLEM and not c.name.startswith(("program", "packages", "space"))
    }


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_installation_is_closed_and_sound(home: Path) -> None:
    assert problems(home) == {}
    assert [mode(home / name) for name in ("", "archive", "runs", "releases")] == [0o700] * 4
    assert [mode(home / name) for name in ("desdm.toml", "desdm.sqlite")] == [0o600] * 2


def test_what_commands_make_is_closed_whatever_the_umask(home: Path, tmp_path: Path) -> None:
    (tmp_path / "raw.txt").write_text("raw")
    for words in (
        ["ingest", str(tmp_path / "raw.txt"), "--filetype", "misc"],
        ["release", "create", "R1", "--empty"],
    ):
        subprocess.run(
            [sys.executable, "-m", "desdm.cli.main", "--home", str(home), *words],
            check=True,
            capture_output=True,
        )
    every = list(home.rglob("*"))
    assert home / "releases" / "R1" in every
    assert any(path.name == "raw.txt" for path in every)
    assert {path: oct(mode(path)) for path in every if mode(path) & 0o077} == {}


@pytest.mark.parametrize("name", ["", "desdm.sqlite", "desdm.toml", "archive", "runs", "releases"])
def test_an_open_place_is_named_with_its_remedy(home: Path, name: str) -> None:
    path = home / name if name else home
    path.chmod(0o755 if path.is_dir() else 0o644)
    assert [one.path for one in open_places(load(home))] == [path]
    assert f"chmod {'700' if path.is_dir() else '600'} {path}" in problems(home)["modes"]


def test_damage_of_the_database_is_found(home: Path) -> None:
    path = home / "desdm.sqlite"
    whole = path.read_bytes()
    with path.open("r+b") as file:
        for start in range(40 * 4096, len(whole), 8192):
            file.seek(start)
            file.write(bytes(4096))
    assert "restore it from a backup" in problems(home)["database"]
    path.write_bytes(whole[: len(whole) // 2])
    assert "restore it from a backup" in problems(home)["database"]
    path.write_bytes(whole)
    assert problems(home) == {}


def test_an_old_schema_a_lost_archive_and_a_lost_submitter_are_found(home: Path, tmp_path: Path) -> None:
    facility = Facility.open(home)
    arrive(facility, tmp_path)
    made = plan(facility, text_pipeline())
    with facility.database.write() as conn:
        conn.execute(update(pfw_attempt).values(state="running", submitter_pid=2**22 + 7, submitter_start=1))
    assert f"desdm resume {made.run}" in problems(home)["runs"]
    with facility.database.write() as conn:
        conn.exec_driver_sql("UPDATE alembic_version SET version_num = '0005'")
    facility.close()
    assert "desdm init --upgrade" in problems(home)["schema"]
    (home / "archive").rename(home / "gone")
    assert "is no directory" in problems(home)["archive"]


def test_programs_that_lack_and_packages_that_differ_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("numpy==0.1 \\\n    --hash=sha256:00\nclick==0.2\n")
    text = {c.name: c.text for c in check_packages(lock)}["packages"]
    assert "locked is 0.1" in text and "locked is 0.2" in text
    monkeypatch.setenv("PATH", str(tmp_path))
    found = {c.name: c for c in check_programs()}
    assert found["program source-extractor"].state is State.PROBLEM
    assert "not installed" in found["program scamp"].text
    assert found["program piffify"].state is State.NOTE
    fake = tmp_path / "psfex"
    fake.write_text("#!/bin/sh\necho PSFEx version 9.8.7\n")
    fake.chmod(0o755)
    assert {c.name: c for c in check_programs()}["program psfex"].text == f"{fake}, version 9.8.7"


@pytest.mark.parametrize("damage", ["cut", "overwritten", "emptied"])
def test_a_damaged_database_of_the_service_is_named(home: Path, damage: str) -> None:
    path = home / "service.sqlite"
    facility = Facility.open(home)
    prepare(facility.service)
    facility.close()
    assert problems(home) == {}
    if damage == "cut":
        os.truncate(path, path.stat().st_size // 2)
    elif damage == "emptied":
        os.truncate(path, 0)
    else:
        with path.open("r+b") as file:
            file.write(b"no database at all " * 300)
    found = problems(home)
    assert list(found) == ["service database"]
    assert "service.sqlite" in found["service database"]
    path.unlink()
    assert problems(home) == {}
