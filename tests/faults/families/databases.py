"""PostgreSQL that stops or cuts its clients, and a lock that is held."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.faults import floods
from tests.faults.outcome import Fault, Outcome, family
from tests.faults.processes import Done, command, finish, start
from tests.faults.testbed import COADD, Testbed
from tests.faults.truth import registered, rows
from tests.support.release import small_release
from tests.support.server import served

#: Longest answer of the server to another address while a fault lasts, seconds.
MOST = 2.0


def _crash(testbed: Testbed) -> None:
    """Stop the server at once and start it again."""
    testbed.cluster.crash()
    time.sleep(1.0)
    testbed.cluster.start()


def _cut(testbed: Testbed) -> None:
    """Terminate every back end but our own."""
    with testbed.cluster.connect() as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        )


def _during(testbed: Testbed, home: Path, words: tuple[object, ...], after: float,
            fault: Callable[[Testbed], None]) -> tuple[bool, Done]:  # fmt: skip
    """Run a command and inject a fault after some seconds; whether it still ran then, and how it ended."""
    process = start(command(home, *words))
    time.sleep(after)
    running = process.poll() is None
    fault(testbed)
    return running, finish(process)


@family(
    "postgres-stop",
    "PostgreSQL stopped at once and restarted, and its back ends terminated, during `ingest` and `submit coadd`",
)
def postgres_stop(testbed: Testbed, outcome: Outcome) -> None:
    base = testbed.folder / "postgres"
    template = testbed.on_postgres(base)
    words = ("ingest", testbed.small_files, "--filetype", "misc")
    with testbed.copy(base) as home:
        testbed.on_postgres(home, template)
        whole = testbed.must(home, *words).seconds
    for number in range(testbed.times(6)):
        fault = (_crash, _cut)[number % 2]
        with testbed.copy(base) as home:
            name, where = testbed.on_postgres(home, template), f"ingest, {fault.__name__[1:]} {number + 1}"
            running, done = _during(testbed, home, words, testbed.moments.uniform(0.3, 0.95) * whole, fault)
            outcome.tried += running
            outcome.expect(done.status is not None, Fault.HANG, f"{where}: ingest hung")
            outcome.expect(
                done.status in (0, 3, None) and not done.traceback, Fault.WRONG, f"{where}: {done.short}"
            )
            testbed.must(home, *words)
            found = [n for _, n, *_ in registered(home)]
            for _ in range(400 - len(set(found))):
                outcome.broken(Fault.LOST, f"{where}: {len(set(found))} of 400 files are registered")
            outcome.expect(len(found) == len(set(found)), Fault.TWICE, f"{where}: a file is registered twice")
            testbed.audited_clean(home, outcome, where)
            testbed.cluster.drop(name)
    base, template = testbed.ingested_on_postgres
    true = testbed.coadded
    for number in range(testbed.times(4)):
        fault = (_crash, _cut)[number % 2]
        with testbed.copy(base) as home:
            name, where = testbed.on_postgres(home, template), f"run, {fault.__name__[1:]} {number + 1}"
            after = testbed.moments.uniform(0.1, 0.9) * testbed.seconds["coadd"]
            running, done = _during(testbed, home, (*COADD, "--wait"), after, fault)
            outcome.tried += running
            outcome.expect(done.status is not None, Fault.HANG, f"{where}: the run hung")
            outcome.expect(
                done.status in (0, 3, None) and not done.traceback, Fault.WRONG, f"{where}: {done.short}"
            )
            if done.status != 0:
                testbed.nothing_left(home, outcome, where)
                testbed.must(home, *COADD, "--wait", "--resume")
            testbed.equal(home, true, outcome, where)
            testbed.audited_clean(home, outcome, where)
            states = rows(home, "SELECT state FROM pfw_attempt")
            outcome.expect(states == [("done",)], Fault.TWICE, f"{where}: attempts {states}")
            testbed.cluster.drop(name)


@family(
    "lock-held",
    "the write lock of each database held for 45 s beside `serve` with denials, and beside `ingest`",
)
def lock_held(testbed: Testbed, outcome: Outcome) -> None:
    seconds = 45.0
    home = small_release(testbed.folder / "locked", rows=500)
    with served(home) as url:
        floods.ask(url, floods.SIMPLE)
        for name in ("desdm.sqlite", "service.sqlite"):
            seen = floods.run(url, floods.held_lock(home / name, seconds))
            outcome.tried += seen.answers
            outcome.expect(seen.health < MOST, Fault.HANG, f"{name}: health took {seen.health:.1f} s")
            outcome.expect(seen.query < MOST, Fault.HANG, f"{name}: a query took {seen.query:.1f} s")
            outcome.expect(200 in seen.statuses, Fault.WRONG, f"{name}: statuses {sorted(seen.statuses)}")
            status = floods.ask(url, floods.SIMPLE)[0]
            outcome.expect(status == 200, Fault.WRONG, f"{name}: status {status} after the lock")
    other = sqlite3.connect(home / "desdm.sqlite", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(seconds, lambda: other.execute("ROLLBACK"))
    timer.start()
    done = testbed.desdm(home, "ingest", testbed.small_files, "--filetype", "misc", limit=120)
    timer.join()
    other.close()
    outcome.tried += 1
    outcome.expect(done.status is not None, Fault.HANG, "ingest did not end after the lock was gone")
    outcome.expect(done.status == 0, Fault.WRONG, f"ingest beside the lock: {done.short}")
    found = {n for _, n, *_ in registered(home)}
    for path in testbed.small_files.iterdir():
        outcome.expect(path.name in found, Fault.LOST, f"{path.name} is not registered")
