"""The doctor finds what is wrong with an installation, each by its name, and nothing on a sound one; modes are closed."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime, tzinfo
from pathlib import Path

import pytest
from sqlalchemy import update

from desdm.archive.audit import audit
from desdm.archive.deposit import deposit
from desdm.archive.model import Deposit
from desdm.config import load
from desdm.facility import Facility, initialise, open_database, open_service
from desdm.operations.doctor import State, examine
from desdm.operations.doctor import database as doctor_database
from desdm.operations.doctor.database import check_database, check_service_database
from desdm.operations.doctor.places import open_places
from desdm.operations.doctor.software import check_packages, check_programs
from desdm.schema import pfw_attempt
from desdm.schema.database import Database
from desdm.schema.service import prepare
from tests.support.postgres import Cluster
from tests.support.server import served
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
    database, service = open_database(config), open_service(config)
    try:
        found = list(examine(config, database, service))
    finally:
        service.close()
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


@pytest.mark.parametrize(("others", "closed"), [((), True), (("notes.txt",), False)])
def test_an_empty_directory_is_closed_and_one_with_other_files_is_left(
    tmp_path: Path, others: tuple[str, ...], closed: bool
) -> None:
    home = tmp_path / "survey"
    home.mkdir()
    home.chmod(0o755)
    for name in others:
        (home / name).write_text("mine")
    initialise(home)
    assert mode(home) == (0o700 if closed else 0o755)


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


@pytest.mark.parametrize(
    "name", ["", "desdm.sqlite", "service.sqlite", "desdm.toml", "archive", "runs", "releases"]
)
def test_an_open_place_is_named_with_its_remedy(home: Path, name: str) -> None:
    path = home / name if name else home
    if name == "service.sqlite":
        prepare(Facility.open(home).service)
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


def test_damaged_missing_and_suspect_files_are_named(home: Path, tmp_path: Path) -> None:
    facility = Facility.open(home)
    (tmp_path / "in").mkdir()
    for name, parents in (
        ("raw.txt", ()),
        ("lost.txt", ()),
        *((f"red_{n}.txt", ("raw.txt",)) for n in range(6)),
    ):
        (tmp_path / "in" / name).write_text(name)
        report = deposit(
            facility.database,
            facility.archive,
            [Deposit(tmp_path / "in" / name, "misc", directory="d", parents=parents)],
            who="me",
        )
        assert not report.refused
    assert problems(home) == {}
    (facility.archive.root / "d" / "raw.txt").write_text("rat.txt")
    (facility.archive.root / "d" / "lost.txt").unlink()
    audit(facility.database, facility.archive, who="me")
    facility.close()
    said = problems(home)["files"]
    assert "1 file is corrupt: raw.txt" in said
    assert "1 file is missing: lost.txt" in said
    # Made from the damaged one: itself and six others, of which the first five are named.
    assert "7 files are suspect: raw.txt, red_0.txt, red_1.txt, red_2.txt, red_3.txt …" in said
    assert "desdm audit" in said


def test_a_postgresql_installation_is_examined(
    postgres: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    url = postgres.url(postgres.database())
    monkeypatch.setenv("DESDM_DB_PASSWORD", str(url.password))
    initialise(home, database=url._replace(password=None).render_as_string())
    config = load(home)
    database = open_database(config)
    found = {c.name: c for c in check_database(database)}
    assert {name: c.state for name, c in found.items()} == dict.fromkeys(
        ("database", "schema", "server", "clock", "runs", "files"), State.OK
    )
    with database.read() as conn:
        version = str(conn.exec_driver_sql("SHOW server_version").scalar_one())
    assert found["server"].text.startswith(f"PostgreSQL {version}, extensions: plpgsql")
    assert "the database server's clock agrees" in found["clock"].text

    # The machine's clock set forward, as a broken NTP does.
    class Fast(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Fast:
            return cls.fromtimestamp(time.time() + 300, tz)

    monkeypatch.setattr(doctor_database, "datetime", Fast)
    clock = {c.name: c for c in check_database(database)}["clock"]
    assert clock.state is State.PROBLEM and "-300 s" in clock.text and "NTP" in clock.text
    monkeypatch.setattr(doctor_database, "datetime", datetime)
    with database.write() as conn:
        conn.exec_driver_sql("ALTER TABLE file_suspect RENAME TO gone")
    assert [c.name for c in check_database(database) if c.state is State.PROBLEM] == ["database"]
    with database.write() as conn:
        conn.exec_driver_sql("ALTER TABLE gone RENAME TO file_suspect")
        conn.exec_driver_sql("UPDATE alembic_version SET version_num = '0005'")
    assert "desdm init --upgrade" in {c.name: c.text for c in check_database(database)}["schema"]
    database.close()
    nobody = Database(postgres.url("no_such_database"))
    (only,) = check_database(nobody)
    assert (only.name, only.state) == ("database", State.PROBLEM)
    nobody.close()


def test_a_server_says_at_its_start_what_the_doctor_finds_open(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (home / "releases").chmod(0o755)
    assert [one.path for one in open_places(load(home))] == [home / "releases"]
    with served(home) as url, urllib.request.urlopen(f"{url}/tap/availability", timeout=30) as answer:
        assert answer.status == 200
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{url}/health", timeout=30)
        document = json.loads(caught.value.read())
    assert "modes" in document["troubles"]


def test_damage_of_the_service_database_is_found(home: Path) -> None:
    facility = Facility.open(home)
    service = facility.service
    assert [c.state for c in check_service_database(service)] == [State.OK]
    facility.close()
    path = home / "service.sqlite"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    (found,) = check_service_database(open_service(load(home)))
    assert found.state is State.PROBLEM and found.name == "service database"
    path.unlink()
    (found,) = check_service_database(open_service(load(home)))
    assert found.state is State.OK and "not there yet" in found.text


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
    assert "is not a directory" in problems(home)["archive"]


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


def test_the_demo_begins_only_with_its_programs_and_names_their_packages(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    (tmp_path / "bin").mkdir()
    scamp = tmp_path / "bin" / "scamp"
    scamp.write_text("#!/bin/sh\n")
    scamp.chmod(0o755)
    command = [sys.executable, "-m", "desdm.cli.main", "demo", "--out", str(out)]
    env = {**os.environ, "PATH": str(tmp_path / "bin")}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    assert "not installed: SWarp, fpack, psfex, source-extractor; " in done.stderr
    # The packages of Debian 12 and 13 in which these programs are.
    assert "apt-get install swarp libcfitsio-bin psfex source-extractor" in done.stderr
    assert not out.exists()
