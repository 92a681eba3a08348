"""While a stranger floods the server, another address is answered; afterwards everything works without a restart."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from desdm.accounts import people
from desdm.facility import Facility
from desdm.schema.states import Role
from tests.faults import floods
from tests.faults.floods import FLOODS, ask, held_lock, run
from tests.support.release import small_release
from tests.support.server import Served, served

PASSWORD = "correct horse battery"
#: Longest answer to another address during a flood, seconds.
MOST = 2.0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = small_release(tmp_path_factory.mktemp("flooded") / "home", rows=2000)
    facility = Facility.open(made)
    with facility.database.write() as conn:
        people.add(conn, "victim", Role.COLLABORATOR, who="tester")
        people.set_password(conn, "victim", PASSWORD, who="tester")
    facility.close()
    return made


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Served]:
    with served(home) as url:
        ask(url, floods.SIMPLE)
        yield url


def works(url: str) -> None:
    """A query, and a job that is run to its end."""
    assert ask(url, floods.SIMPLE, address="127.0.0.3")[0] == 200
    data = {"LANG": "ADQL", "QUERY": "SELECT 1 AS one", "PHASE": "RUN"}
    _, _, headers = ask(url, "/tap/async", data=data, address="127.0.0.3")
    job = re.sub(r"^http://[^/]*", "", headers["location"])
    end = time.monotonic() + 20
    while ask(url, f"{job}/phase", address="127.0.0.3")[1] != b"COMPLETED":
        assert time.monotonic() < end, "a job is not run after the flood"
        time.sleep(0.1)
    assert ask(url, "/health")[0] == 200


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_does_not_stop_the_server_for_others(server: Served, name: str) -> None:
    seen = run(server, FLOODS[name])
    assert seen.statuses == {200}
    assert seen.health < MOST
    assert seen.query < MOST
    works(server)


def test_guesses_do_not_lock_the_victim_out(server: Served) -> None:
    floods.wrong_logins(server, 15)
    assert ask(server, "/login", data={"login": "victim", "password": PASSWORD})[0] == 429
    assert (
        ask(server, "/login", data={"login": "victim", "password": PASSWORD}, address="127.0.0.4")[0] == 303
    )


@pytest.mark.parametrize("name", ["desdm.sqlite", "service.sqlite"])
def test_a_held_lock_does_not_stop_the_server(server: Served, home: Path, name: str) -> None:
    seen = run(server, held_lock(home / name))
    assert 200 in seen.statuses
    assert seen.health < MOST
    assert seen.query < MOST
    works(server)


def test_a_stranger_writes_no_row_into_the_operations_database(server: Served, home: Path) -> None:
    before = (home / "desdm.sqlite").stat().st_size, (home / "desdm.sqlite-wal").stat().st_size
    floods.denials(server, 20)
    floods.jobs(server, 5)
    floods.wrong_logins(server, 5)
    assert ((home / "desdm.sqlite").stat().st_size, (home / "desdm.sqlite-wal").stat().st_size) == before


def test_jobs_that_are_not_started_have_a_bound(server: Served) -> None:
    floods.jobs(server, 250)
    status, body, headers = ask(server, "/tap/async", data={"LANG": "ADQL", "QUERY": "SELECT 1 AS one"})
    assert status == 429
    assert int(headers["retry-after"]) >= 1
    assert b"jobs of yours" in body


@pytest.mark.parametrize("path", ["results", "service.sqlite"])
def test_what_the_service_writes_is_closed_to_others(home: Path, server: Served, path: str) -> None:
    works(server)
    for one in [home / path, *(home / path).rglob("*")]:
        assert one.stat().st_mode & 0o077 == 0, one


def test_the_jobs_of_one_stranger_hold_up_no_other(server: Served) -> None:
    """A stranger's slow jobs take his own share of the places, and his long queue is not another's."""
    data = {"LANG": "ADQL", "QUERY": floods.SLOW, "PHASE": "RUN"}
    made = []
    for _ in range(200):
        status, _, headers = ask(server, "/tap/async", data=data, address="127.0.0.22")
        assert status == 303
        made.append(re.sub(r"^http://[^/]*", "", headers["location"]))
    try:
        works(server)
    finally:
        for job in made:
            ask(server, f"{job}/phase", data={"PHASE": "ABORT"}, address="127.0.0.22")


def test_no_completed_job_loses_its_result_while_the_queue_is_looked_at(server: Served, home: Path) -> None:
    """The loop that writes late ends must not take one that its own thread is writing for a job that is gone."""
    made = []
    for number in range(150):
        data = {
            "LANG": "ADQL",
            "FORMAT": "csv",
            "QUERY": f"SELECT TOP 1 {number} AS n FROM T1.objects",
            "PHASE": "RUN",
        }
        address = f"127.0.0.{30 + number % 4}"
        _, _, headers = ask(server, "/tap/async", data=data, address=address)
        made.append((address, re.sub(r"^http://[^/]*", "", headers["location"])))
    for number, (address, job) in enumerate(made):
        end = time.monotonic() + 60
        while (phase := ask(server, f"{job}/phase", address=address)[1]) in (b"QUEUED", b"EXECUTING"):
            assert time.monotonic() < end
            time.sleep(0.05)
        assert phase == b"COMPLETED"
        status, body, _ = ask(server, f"{job}/results/result", address=address)
        assert (status, body.split()) == (200, [b"n", b"%d" % number])
