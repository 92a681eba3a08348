"""Leases: one holder at a time, on each engine; the lease of a process that was killed is free at once."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import update

from desdm.errors import LeaseHeld, LeaseLost
from desdm.operations.lease import Lease, acquire, current_lease, give_up, renew, require
from desdm.operations.lease.model import holder_exists, holder_name
from desdm.processes import process_start
from desdm.schema.database import Database
from desdm.schema.queue import ops_lease

NOW = datetime(2026, 11, 29, 20, 0)
ELSEWHERE = "another-machine 4711 99"


def seconds(number: float) -> datetime:
    return NOW + timedelta(seconds=number)


def test_a_lease_that_another_process_has_is_refused_until_it_ends(database: Database) -> None:
    first = acquire(database, "queue", now=NOW, seconds=60, holder=ELSEWHERE)
    assert (first.since, first.until) == (NOW, seconds(60))
    with pytest.raises(LeaseHeld, match=r"queue runs already: another-machine 4711 99"):
        acquire(database, "queue", now=seconds(59), holder="a-third-machine 1 1")
    other = acquire(database, "dts", now=seconds(59))  # another name is another lease
    assert other.holder == holder_name()
    taken = acquire(database, "queue", now=seconds(60), holder="a-third-machine 1 1")
    assert taken.token != first.token
    with pytest.raises(LeaseLost, match="a-third-machine 1 1 has it"):
        renew(database, first, now=seconds(61))
    with pytest.raises(LeaseLost), database.write() as conn:
        require(conn, first)
    with database.write() as conn:
        require(conn, taken)


def test_a_renewed_lease_is_the_holder_s_and_one_that_was_given_up_is_free(database: Database) -> None:
    first = acquire(database, "queue", now=NOW, seconds=60, holder=ELSEWHERE)
    longer = renew(database, first, now=seconds(50), seconds=60)
    assert longer == Lease("queue", ELSEWHERE, first.token, NOW, seconds(110))
    with pytest.raises(LeaseHeld):
        acquire(database, "queue", now=seconds(100))
    # The lease as it was acquired is still good for writing: its token counts.
    with database.write() as conn:
        require(conn, first)
        assert current_lease(conn, "queue") == longer
    give_up(database, longer)
    mine = acquire(database, "queue", now=seconds(100))
    give_up(database, longer)  # the lease of another process stays
    with database.read() as conn:
        assert current_lease(conn, "queue") == mine
    give_up(database, mine)
    with pytest.raises(LeaseLost, match="given up"):
        renew(database, mine, now=seconds(101))


def test_a_lease_that_ended_and_that_nobody_took_is_still_the_holder_s(database: Database) -> None:
    lease = acquire(database, "queue", now=NOW, seconds=1)
    with database.write() as conn:
        require(conn, lease)
    assert renew(database, lease, now=seconds(500), seconds=10).until == seconds(510)


def test_what_was_written_without_the_lease_is_rolled_back(database: Database) -> None:
    stale = acquire(database, "queue", now=NOW, seconds=60, holder=ELSEWHERE)
    acquire(database, "queue", now=seconds(70), holder="a-third-machine 1 1")
    with pytest.raises(LeaseLost), database.write() as conn:
        conn.execute(update(ops_lease).values(until=seconds(9999)))
        require(conn, stale)
    with database.read() as conn:
        current = current_lease(conn, "queue")
    assert current is not None
    assert current.until == seconds(130)


def test_the_lease_of_a_killed_process_of_this_machine_is_free_at_once(database: Database) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    host = holder_name().split()[0]
    holder = f"{host} {child.pid} {process_start(child.pid)}"
    acquire(database, "queue", now=NOW, seconds=3600, holder=holder)
    with pytest.raises(LeaseHeld):
        acquire(database, "queue", now=seconds(1))
    child.kill()
    child.wait()
    assert acquire(database, "queue", now=seconds(2)).holder == holder_name()


def test_of_many_processes_one_gets_the_lease(database: Database) -> None:
    def attempt(number: int) -> Lease | None:
        try:
            return acquire(database, "queue", now=NOW, holder=f"machine-{number} 1 1")
        except LeaseHeld:
            return None

    with ThreadPoolExecutor(8) as pool:
        leases = [lease for lease in pool.map(attempt, range(16)) if lease is not None]
        # And when it has ended, one gets it again.
        again = [lease for lease in pool.map(lambda n: _later(database, n), range(16)) if lease is not None]
    assert len(leases) == 1
    assert len(again) == 1


def _later(database: Database, number: int) -> Lease | None:
    try:
        return acquire(database, "queue", now=seconds(100), holder=f"later-{number} 1 1")
    except LeaseHeld:
        return None


def test_nobody_takes_a_lease_while_its_holder_writes(database: Database) -> None:
    lease = acquire(database, "queue", now=NOW, seconds=60, holder=ELSEWHERE)
    with ThreadPoolExecutor(1) as pool:
        with database.write() as conn:
            require(conn, lease)
            taker = pool.submit(acquire, database, "queue", now=seconds(100), holder="taker 1 1")
            with pytest.raises(TimeoutError):
                taker.result(timeout=0.5)
            conn.execute(update(ops_lease).where(ops_lease.c.name == "none").values(until=NOW))
        assert taker.result(timeout=30).holder == "taker 1 1"


@pytest.mark.parametrize("holder", ["", "one", "one two three", "another-machine 1 1"])
def test_a_holder_that_cannot_be_looked_up_is_assumed_to_exist(holder: str) -> None:
    assert holder_exists(holder)
    assert holder_exists(holder_name())
