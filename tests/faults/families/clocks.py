"""A wall clock that is stepped forward and back while the program works.

A small library, compiled here and loaded before the C library, adds an offset to the wall clock of each process; this
process steps the offset through a shared file. The monotonic clock and the times of the file system go on as they are.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import requests

from tests.faults import floods
from tests.faults.outcome import Fault, Outcome, family
from tests.faults.processes import command, finish, run, start
from tests.faults.testbed import COADD, NITE, Testbed
from tests.faults.truth import registered, rows, wait_for
from tests.support.release import small_release
from tests.support.server import served

HOUR, DAY = 3600, 86_400
STEPS = (HOUR, -HOUR, 2 * DAY, -2 * DAY, 30, -30, 0, 400 * DAY, -3 * HOUR)


#: The functions of the C library that tell the wall clock, by an offset in seconds that stands in a shared file.
SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long *offset;
static int (*real)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULTS_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file >= 0) {
        void *at = mmap(NULL, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
        offset = at == MAP_FAILED ? NULL : at;
        close(file);
    }
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(clock, at);
    if (!status && offset && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) at->tv_sec += *offset;
    return status;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    int status = clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return status;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


def _library(folder: Path) -> Path | None:
    """Compile the library; None: there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    source, made = folder / "clock.c", folder / "clock.so"
    source.write_text(SOURCE)
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", str(made), str(source), "-ldl"], check=True)
    return made


class Clock:
    """A wall clock that can be set from outside; ``environment`` makes a process live by it."""

    def __init__(self, file: Path, library: Path) -> None:
        self._file = file
        file.write_bytes(struct.pack("l", 0))
        self.environment = {"LD_PRELOAD": str(library), "FAULTS_CLOCK": str(file)}

    def set(self, seconds: int) -> None:
        """Step the clock to so many seconds from the true time."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("l", seconds))

    @contextmanager
    def stepped(self, moments: Random, pause: float) -> Iterator[list[int]]:
        """Step it at random, again and again; yields the list of the steps."""
        ended, made = threading.Event(), list[int]()

        def go() -> None:
            while not ended.wait(pause * moments.uniform(0.5, 1.5)):
                made.append(moments.choice(STEPS))
                self.set(made[-1])

        thread = threading.Thread(target=go, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            ended.set()
            thread.join()
            self.set(0)


@family(
    "clock-steps",
    "the wall clock stepped by 30 s to 400 days, forward and back, during `ingest`, a coadd, a night, two submits, "
    "sessions, tokens, queries and asynchronous jobs",
)
def clock_steps(testbed: Testbed, outcome: Outcome) -> None:
    library = _library(testbed.folder)
    if library is None:
        outcome.skipped = "needs a C compiler"
        outcome.note(f"not tried: {outcome.skipped}")
        return
    clock = Clock(testbed.folder / "clock", library)
    _ingest(testbed, outcome, clock)
    _runs(testbed, outcome, clock)
    _submits(testbed, outcome, clock)
    _server(testbed, outcome, clock)


def _ingest(testbed: Testbed, outcome: Outcome, clock: Clock) -> None:
    for number in range(testbed.times(3)):
        where = f"ingest {number + 1}"
        with testbed.scratch() as folder:
            home = testbed.empty(folder / "home")
            words = ("ingest", testbed.small_files, "--filetype", "misc")
            with clock.stepped(testbed.moments, 0.1) as made:
                done = run(command(home, *words), more=clock.environment)
            outcome.tried += len(made)
            outcome.expect(done.status is not None, Fault.HANG, f"{where}: hung")
            outcome.expect(done.status == 0, Fault.WRONG, f"{where}: {done.short}")
            found = [name for _, name, *_ in registered(home)]
            outcome.expect(
                len(set(found)) == 400, Fault.LOST, f"{where}: {len(set(found))} of 400 registered"
            )
            outcome.expect(len(set(found)) == len(found), Fault.TWICE, f"{where}: {len(found)} rows")
            testbed.audited_clean(home, outcome, where)


def _runs(testbed: Testbed, outcome: Outcome, clock: Clock) -> None:
    for base, true, words in (
        (testbed.ingested, testbed.coadded, (*COADD, "--wait")),
        (testbed.arrived, testbed.processed, ("run", "night", NITE)),
    ):
        where = words[1]
        with testbed.copy(base) as home:
            with clock.stepped(testbed.moments, 0.7) as made:
                done = run(command(home, *words), more=clock.environment)
            outcome.tried += len(made)
            outcome.expect(done.status is not None, Fault.HANG, f"{where}: hung")
            outcome.expect(
                done.status in (0, 1) and not done.traceback, Fault.WRONG, f"{where}: {done.short}"
            )
            testbed.nothing_left(home, outcome, where)
            testbed.equal(home, true, outcome, where)
            testbed.audited_clean(home, outcome, where)
            for unit, state in rows(home, "SELECT unitname, state FROM pfw_attempt"):
                outcome.expect(state in ("done", "flagged"), Fault.LOST, f"{where}: {unit} is {state}")


def _submits(testbed: Testbed, outcome: Outcome, clock: Clock) -> None:
    """A second submit whose clock is days ahead, or behind, does not take a living run for a dead one."""
    for offset in (2 * DAY, -2 * DAY):
        where = f"second submit at {offset:+d} s"
        with testbed.copy(testbed.ingested) as home:
            first = start(command(home, *COADD, "--wait"))
            wait_for(
                lambda home=home: bool(rows(home, "SELECT 1 FROM pfw_attempt WHERE state = 'running'")), 30
            )
            clock.set(offset)
            second = run(command(home, *COADD, "--wait", "--resume"), more=clock.environment)
            clock.set(0)
            done = finish(first)
            outcome.tried += 1
            outcome.expect(None not in (done.status, second.status), Fault.HANG, f"{where}: {second.short}")
            outcome.expect(done.status == 0, Fault.LOST, f"{where}: the first: {done.short}")
            outcome.expect(not second.traceback, Fault.WRONG, f"{where}: {second.short}")
            states = rows(home, "SELECT state FROM pfw_attempt")
            outcome.expect(states == [("done",)], Fault.TWICE, f"{where}: attempts {states}")
            testbed.equal(home, testbed.coadded, outcome, where)


def _server(testbed: Testbed, outcome: Outcome, clock: Clock) -> None:
    """Sessions, tokens, queries and jobs of a server whose clock is stepped by hours."""
    from desdm.accounts import people, tokens
    from desdm.facility import Facility
    from desdm.schema.states import Role

    home = small_release(testbed.folder / "stepped", rows=400)
    facility = Facility.open(home)
    with facility.database.write() as conn:
        person = people.add(conn, "alice", Role.COLLABORATOR, who="faults")
        people.set_password(conn, "alice", "correct horse battery", who="faults")
        token = tokens.make(conn, person)
    facility.close()
    kept = dict(os.environ)
    os.environ.update(clock.environment)
    try:
        with served(home) as url:
            session = requests.Session()
            session.post(
                f"{url}/login", data={"login": "alice", "password": "correct horse battery"}, timeout=30
            )
            for offset in (0, HOUR, -HOUR, 3 * HOUR, -20, 0, -5 * HOUR, 0):
                clock.set(offset)
                outcome.tried += 1
                for name, headers in (("token", {"Authorization": f"Bearer {token}"}), ("session", {})):
                    asked = session if name == "session" else requests
                    answer = asked.get(f"{url}/api/whoami", headers=headers, timeout=20)
                    outcome.expect(
                        "alice" in answer.text, Fault.FALSE, f"{name} at {offset:+d} s: {answer.status_code}"
                    )
                status = floods.ask(url, floods.SIMPLE)[0]
                outcome.expect(status == 200, Fault.FALSE, f"a query at {offset:+d} s: {status}")
                _job(url, outcome, clock, offset)
            outcome.expect(floods.ask(url, "/health")[0] == 200, Fault.WRONG, "health after the steps")
    finally:
        os.environ.clear()
        os.environ.update(kept)
        clock.set(0)


def _job(url: str, outcome: Outcome, clock: Clock, offset: int) -> None:
    """A job of some seconds, during which the clock is stepped by half an hour and back."""
    text = (
        "SELECT COUNT(*) AS n FROM T1.objects AS a, T1.objects AS b, T1.objects AS c "
        "WHERE sin(a.ra) * cos(b.dec) * sin(c.ra) > 2"
    )
    data = {"LANG": "ADQL", "QUERY": text, "PHASE": "RUN"}
    status, body, headers = floods.ask(url, "/tap/async", data=data)
    if not outcome.expect(
        "location" in headers, Fault.LOST, f"a job at {offset:+d} s: {status} {body[:100]!r}"
    ):
        return
    job = "/tap/async/" + headers["location"].rsplit("/", 1)[1]
    for step in (offset + 3000, offset - 3000, offset):
        clock.set(step)
        time.sleep(0.3)
    ended = wait_for(lambda: floods.ask(url, f"{job}/phase")[1] not in (b"QUEUED", b"EXECUTING"), 120)
    phase = floods.ask(url, f"{job}/phase")[1]
    outcome.expect(ended, Fault.HANG, f"a job at {offset:+d} s is {phase!r}")
    outcome.expect(phase == b"COMPLETED", Fault.LOST, f"a job at {offset:+d} s is {phase!r}")
