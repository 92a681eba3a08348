"""Tables of a release or of a user that are damaged: nobody gets their rows, and the other releases are served."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import requests

from desdm.accounts import people, tokens
from desdm.facility import Facility
from desdm.schema.states import Role
from tests.support.postgres import Cluster
from tests.support.release import objects, small_release
from tests.support.server import served
from tests.support.wait import until

Damage = Callable[[Path], object]
#: The mean that the rows of `objects` have, by numpy.
MEAN = float(np.mean(objects(300)["ra"].to_numpy()))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A release that stays sound."""
    return small_release(tmp_path / "home", "SOUND", 300)


def mean(url: str, release: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    given = {"LANG": "ADQL", "QUERY": f"SELECT AVG(ra) AS mean FROM {release}.objects", "FORMAT": "csv"}
    answer = requests.get(f"{url}/tap/sync", given, headers=headers, timeout=30)
    return answer.status_code, answer.text


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 8
    path.write_bytes(content)


def swap_for_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def swap_for_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def parquet(home: Path, release: str) -> Path:
    found = sorted((home / "releases" / release).rglob("*.parquet"))
    return next(p for p in found if "dataset" in p.parts)


def test_a_damaged_file_keeps_its_release_from_being_served_and_no_other(home: Path) -> None:
    damages: list[Damage] = [flip, Path.unlink, swap_for_fifo, swap_for_folder, truncate, empty]
    names = [f"T{i}" for i in range(len(damages))]
    for name, damage in zip(names, damages, strict=True):
        small_release(home, name, 300)
        damage(parquet(home, name))
    with served(home) as url:
        for name in names:
            status, text = mean(url, name)
            assert status == 400 and f"{name}.objects" in text
        status, text = mean(url, "SOUND")
        assert (status, float(text.split()[1])) == (200, pytest.approx(MEAN, rel=1e-12))
        until(lambda: requests.get(f"{url}/health", timeout=10).status_code == 503)
        troubles = requests.get(f"{url}/health", timeout=10).json()["troubles"]
        assert f"{len(names)} published releases cannot be served" in json.dumps(troubles)


def test_postgresql_does_not_load_a_damaged_file(home: Path, postgres: Cluster) -> None:
    small_release(home, "T1", 300)
    flip(parquet(home, "T1"))
    name = postgres.database()
    with served(home, postgres.url(name).render_as_string(hide_password=False)) as url:
        assert mean(url, "T1")[0] == 400
        status, text = mean(url, "SOUND")
        assert (status, float(text.split()[1])) == (200, pytest.approx(MEAN, rel=1e-12))
    postgres.drop(name)


def test_damaged_copies_are_made_anew(home: Path) -> None:
    damages: list[Damage] = [flip, swap_for_fifo, swap_for_folder, truncate, empty]
    names = [f"T{i}" for i in range(len(damages))]
    for name in names:
        small_release(home, name, 300)
    with served(home) as url:
        assert {mean(url, name)[0] for name in names} == {200}
    for name, damage in zip(names, damages, strict=True):
        damage(next((home / "serving").glob(f"{name}-*.duckdb")))
    with served(home) as url:
        for name in names:
            seen = [mean(url, name) for _ in range(2)]
            assert {status for status, _ in seen} <= {200, 503}, "never wrong rows"
            status, text = seen[-1]
            assert (status, float(text.split()[1])) == (200, pytest.approx(MEAN, rel=1e-12))


def test_a_server_that_cannot_start_does_not_end_well(home: Path) -> None:
    (home / "serving").mkdir(exist_ok=True)
    program = Path(sys.executable).parent / "desdm"
    shutil.rmtree(home / "serving")
    (home / "serving").write_text("a file where the copies go")
    ended = subprocess.run(
        [program, "--home", str(home), "serve", "--port", "0"], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode not in (0, 1)
    assert "Traceback" not in ended.stderr
    assert "serving" in ended.stderr


def token(home: Path, login: str) -> dict[str, str]:
    facility = Facility.open(home)
    with facility.database.write() as conn:
        person = people.add(conn, login, Role.COLLABORATOR, who="tester")
        made = tokens.make(conn, person)
    facility.close()
    return {"Authorization": f"Bearer {made}"}


def test_a_second_server_answers_what_reads_no_table_of_ones_own(home: Path) -> None:
    ada = token(home, "ada")
    csv = {**ada, "Content-Type": "text/csv"}
    with served(home) as first, served(home) as second:
        made = requests.put(f"{first}/api/mydb/mine", b"a\n1\n", headers=csv, timeout=30)
        assert made.status_code == 201
        assert mean(second, "SOUND", ada)[0] == 200
        given = {"LANG": "ADQL", "QUERY": "SELECT a FROM mydb.mine", "FORMAT": "csv"}
        assert requests.get(f"{first}/tap/sync", given, headers=ada, timeout=30).status_code == 200
        other = requests.get(f"{second}/tap/sync", given, headers=ada, timeout=30)
        assert (other.status_code, "another server" in other.text) == (503, True)
        more = requests.put(f"{second}/api/mydb/more", b"a\n1\n", headers=csv, timeout=30)
        assert (more.status_code, "another server" in more.text) == (503, True)


def test_damage_of_ones_own_tables_is_said_and_the_doctor_sees_it(home: Path) -> None:
    damages: list[Damage] = [swap_for_fifo, swap_for_folder, empty, truncate, Path.unlink]
    people_ = {f"user{i}": token(home, f"user{i}") for i in range(len(damages))}
    with served(home) as url:
        for headers in people_.values():
            csv = {**headers, "Content-Type": "text/csv"}
            made = requests.put(f"{url}/api/mydb/mine", b"a\n1\n", headers=csv, timeout=30)
            assert made.status_code == 201
    for login, damage in zip(people_, damages, strict=True):
        damage(home / f"mydb/{login}.duckdb")
    given = {"LANG": "ADQL", "QUERY": "SELECT a FROM mydb.mine", "FORMAT": "csv"}
    with served(home) as url:
        for headers in people_.values():
            begun = time.monotonic()
            answer = requests.get(f"{url}/tap/sync", given, headers=headers, timeout=30)
            assert answer.status_code == 503 and "your own tables" in answer.text
            assert time.monotonic() - begun < 20, "it does not wait for a pipe"
            assert mean(url, "SOUND", headers)[0] == 200
    program = Path(sys.executable).parent / "desdm"
    said = subprocess.run(
        [program, "--home", str(home), "doctor", "--json"], capture_output=True, text=True, timeout=120
    )
    faults = [c for c in json.loads(said.stdout)["checks"] if c["name"] == "engine files"]
    assert {c["state"] for c in faults} == {"problem"}
    there = {login for login in people_ if (home / f"mydb/{login}.duckdb").exists()}
    assert {next(n for n in people_ if n in c["text"]) for c in faults} == there
