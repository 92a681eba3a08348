"""Long queues: asynchronous jobs of the service, and jobs of one run."""

from __future__ import annotations

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from desdm.facility import Facility
from tests.faults.families.loads import works
from tests.faults.floods import ask
from tests.faults.outcome import Fault, Outcome, family
from tests.faults.processes import Victim, command, finish, start
from tests.faults.testbed import Testbed
from tests.faults.truth import registered, rows, wait_for
from tests.support.release import small_release
from tests.support.server import served
from tests.support.toy import arrive, plan, text_pipeline


@family(
    "queue",
    "5,000 asynchronous jobs of 50 addresses, the server killed among them and started again: each ends once, rightly",
)
def queue(testbed: Testbed, outcome: Outcome) -> None:
    home = small_release(testbed.folder / "queued", rows=50)
    count = testbed.times(5000)
    jobs: dict[int, str] = {}

    def make(number: int) -> None:
        data = {
            "LANG": "ADQL",
            "FORMAT": "csv",
            "PHASE": "RUN",
            "QUERY": f"SELECT TOP 1 {number} AS number FROM T1.objects",
        }
        for _ in range(3):
            status, body, headers = ask(
                url, "/tap/async", data=data, address=f"127.0.2.{number % 50 + 1}", timeout=60
            )
            if "location" in headers:
                jobs[number] = headers["location"].rsplit("/", 1)[1]
                return
            time.sleep(0.5)
        outcome.broken(Fault.LOST, f"job {number} was not taken: {status} {body[:100]!r}")

    with served(home) as url:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(make, range(count)))
        outcome.tried += count
        url.process.kill()
        url.process.wait()
    with served(home) as url:
        ended = wait_for(lambda: _open(home) == 0, 600, 1.0)
        outcome.expect(ended, Fault.HANG, f"{_open(home)} jobs have not ended")
        found = {job: (phase, tries) for job, phase, tries in _jobs(home)}
        for number, job in jobs.items():
            phase, tries = found.get(job, ("", 0))
            if not outcome.expect(phase == "COMPLETED", Fault.LOST, f"job {number} is {phase or 'gone'}"):
                continue
            outcome.expect(tries <= 2, Fault.TWICE, f"job {number} was run {tries} times")
        for job in found.keys() - set(jobs.values()):
            outcome.broken(Fault.TWICE, f"nobody made job {job}, or heard of it")
        results = {p.parent.name: p for p in (home / "results").rglob("result*") if p.is_file()}
        for number, job in jobs.items():
            text = results[job].read_text().split() if job in results else []
            outcome.expect(text == ["number", str(number)], Fault.LOST, f"job {number}: its result is {text}")
        for number in testbed.moments.sample(range(count), min(count, 100)):
            body = ask(
                url, f"/tap/async/{jobs[number]}/results/result", address=f"127.0.2.{number % 50 + 1}"
            )[1]
            outcome.expect(
                body.split() == [b"number", b"%d" % number], Fault.WRONG, f"job {number}: {body[:60]!r}"
            )
        works(url, outcome, "the queue")


def _jobs(home: Path) -> list[tuple[str, str, int]]:
    """Every job of the service: number, phase, tries."""
    with sqlite3.connect(f"file:{home}/service.sqlite?mode=ro", uri=True) as conn:
        return conn.execute("SELECT id, phase, tries FROM uws_job").fetchall()


def _open(home: Path) -> int:
    """How many jobs have not ended."""
    return sum(phase in ("PENDING", "QUEUED", "EXECUTING") for _, phase, _ in _jobs(home))


@family(
    "queue-of-a-run",
    "a run of 600 jobs (5,000 with SCALE=8.4) whose submitter is killed in its midst, resumed: each job is done once",
)
def queue_of_a_run(testbed: Testbed, outcome: Outcome) -> None:
    count = testbed.times(600)
    with testbed.scratch() as folder:
        home = testbed.empty(folder / "home")
        facility = Facility.open(home)
        arrive(facility, folder / "in")
        run = plan(facility, text_pipeline(part=f"1:{count}")).run
        facility.close()
        victim = Victim(start(command(home, "resume", run, "--wait")))
        ended = wait_for(lambda: _done(home) > count // 3 or victim.process.poll() is not None, 900, 0.2)
        outcome.expect(ended, Fault.HANG, f"{_done(home)} of {count} jobs are done after 900 s")
        victim.kill(0.0, "submitter", testbed.moments)
        finish(victim.process)
        testbed.nothing_left(home, outcome, "after the kill")
        done = testbed.desdm(home, "resume", run, "--wait", limit=1800)
        outcome.tried += count
        outcome.expect(done.status is not None, Fault.HANG, "the resumed run hung")
        outcome.expect(done.status == 0, Fault.WRONG, f"resumed: {done.short}")
        states = rows(home, "SELECT jobnum, state FROM pfw_job")
        for number, state in states:
            outcome.expect(state == "done", Fault.LOST, f"job {number} is {state}")
        outcome.expect(len(states) == count + 1, Fault.LOST, f"{len(states)} of {count + 1} jobs")
        found = {name: path for path, name, *_ in registered(home)}
        text = (
            (home / "archive" / found[f"{run}_whole.txt"]).read_text() if f"{run}_whole.txt" in found else ""
        )
        lines = text.splitlines()
        for number in range(1, count + 1):
            times = lines.count(f"{number}:HELLO")
            outcome.expect(times > 0, Fault.LOST, f"part {number} is not in the product")
            outcome.expect(times < 2, Fault.TWICE, f"part {number} is in the product {times} times")
        testbed.audited_clean(home, outcome, "after it")


def _done(home: Path) -> int:
    """How many jobs of the run are done."""
    return int(rows(home, "SELECT count(*) FROM pfw_job WHERE state = 'done'")[0][0])
