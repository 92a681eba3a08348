"""A server under floods, a long load, and a long queue."""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

from tests.faults import floods
from tests.faults.floods import ask
from tests.faults.outcome import Fault, Outcome, family
from tests.faults.testbed import Testbed
from tests.faults.truth import wait_for
from tests.support.release import small_release
from tests.support.server import served

#: Longest answer to another address, seconds.
MOST = 2.0


def _query(text: str) -> str:
    """Address of a query whose answer is CSV."""
    return "/tap/sync?" + urlencode({"LANG": "ADQL", "FORMAT": "csv", "QUERY": text})


def resources(pid: int) -> tuple[float, int]:
    """Resident memory (MB) and open files of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    return int(found[1]) / 1024 if found else 0.0, sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def works(url: str, outcome: Outcome, where: str) -> None:
    """A query, a job and a health request are answered, without a restart."""
    outcome.expect(
        ask(url, floods.SIMPLE, address="127.0.0.3")[0] == 200, Fault.WRONG, f"{where}: no query after it"
    )
    data = {"LANG": "ADQL", "QUERY": "SELECT 1 AS one", "PHASE": "RUN"}
    status, _, headers = ask(url, "/tap/async", data=data, address="127.0.0.3")
    if outcome.expect("location" in headers, Fault.WRONG, f"{where}: no job after it: {status}"):
        job = re.sub(r"^http://[^/]*", "", headers["location"])
        ended = wait_for(lambda: ask(url, f"{job}/phase", address="127.0.0.3")[1] == b"COMPLETED", 30)
        outcome.expect(ended, Fault.HANG, f"{where}: a job is not run after it")
    outcome.expect(ask(url, "/health")[0] == 200, Fault.WRONG, f"{where}: health after it")


@family(
    "floods",
    "anonymous floods (slow queries, wrong logins, jobs, denials, large head, long address, half requests) while another "
    "address asks for health and a query: < 2 s, and everything works afterwards",
)
def flood(testbed: Testbed, outcome: Outcome) -> None:
    from desdm.accounts import people
    from desdm.facility import Facility
    from desdm.schema.states import Role

    home = small_release(testbed.folder / "flooded", rows=2000)
    facility = Facility.open(home)
    with facility.database.write() as conn:
        people.add(conn, "victim", Role.COLLABORATOR, who="faults")
        people.set_password(conn, "victim", "correct horse battery", who="faults")
    facility.close()
    with served(home) as url:
        ask(url, floods.SIMPLE)
        for name, begin in floods.FLOODS.items():
            try:
                seen = floods.run(url, begin)
            except AssertionError as err:
                outcome.broken(Fault.HANG, f"{name}: {err}")
                continue
            outcome.tried += 1
            outcome.expect(seen.statuses == {200}, Fault.WRONG, f"{name}: statuses {sorted(seen.statuses)}")
            outcome.expect(seen.health < MOST, Fault.HANG, f"{name}: health took {seen.health:.1f} s")
            outcome.expect(seen.query < MOST, Fault.HANG, f"{name}: a query took {seen.query:.1f} s")
            works(url, outcome, name)
        size = (home / "desdm.sqlite").stat().st_size
        outcome.expect(size < 20_000_000, Fault.WRONG, f"strangers made the operations database {size} bytes")


class Client(threading.Thread):
    """A client with an address of its own that asks for the same mix again and again, on one connection."""

    def __init__(self, url: str, number: int, mix: Sequence[tuple[str, int, bytes]], count: int) -> None:
        super().__init__(daemon=True)
        self.parts, self.number, self.mix, self.count = urlsplit(url), number, mix, count
        self.wrong: list[str] = []
        self.done = 0

    def _connect(self) -> http.client.HTTPConnection:
        assert self.parts.hostname is not None
        address = (f"127.0.1.{self.number + 1}", 0)
        return http.client.HTTPConnection(self.parts.hostname, self.parts.port, 60, source_address=address)

    def run(self) -> None:
        connection = self._connect()
        for n in range(self.count):
            path, status, body = self.mix[(n + self.number) % len(self.mix)]
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                found = answer.status, without_times(answer.read())
            except (OSError, http.client.HTTPException) as err:
                connection.close()
                connection = self._connect()
                found = 0, repr(err).encode()
            if found != (status, body):
                self.wrong.append(f"{path}: {found[0]} {found[1][:120]!r}")
            self.done += 1
        connection.close()


def without_times(body: bytes) -> bytes:
    """A body without the times of its making."""
    return re.sub(rb"\d{4}-\d\d-\d\dT[\d:.]+Z?", b"", body)


@family(
    "soak",
    "20,000 requests of 16 clients over queries, cones, cutouts, files, pages, maps, errors; each answer against the first",
)
def soak(testbed: Testbed, outcome: Outcome) -> None:
    with testbed.copy(testbed.released) as home, served(home) as url:
        paths = (
            _query("SELECT TOP 20 * FROM R1.objects ORDER BY coadd_object_id"),
            _query("SELECT COUNT(*) AS n FROM R1.objects WHERE ra > 29"),
            "/scs/R1.objects?RA=30&DEC=-5&SR=0.01", "/files/R1/docs/notes.md", "/files/R1/manifest.json",
            "/hips/R1/color/properties", "/footprint?ra=30&dec=-5&release=R1", "/releases/R1", "/", "/health",
            "/sia/query?COLLECTION=R1", "/api/releases", "/files/R1/none", _query("SELECT nothing FROM R1.objects"),
            f"/datalink/links?ID={quote('ivo://desdm/R1?images/DES0200-0500/DES0200-0500_r.fits.fz')}",
            "/soda/sync?ID=" + quote("ivo://desdm/R1?images/DES0200-0500/DES0200-0500_r.fits.fz") + "&CIRCLE=30+-5+0.001",
        )  # fmt: skip
        mix = []
        for path in paths:
            status, body, _ = ask(url, path)
            outcome.expect(status < 500, Fault.WRONG, f"{path}: {status}")
            again = without_times(ask(url, path)[1])
            # A page that differs from one request to the next by itself says nothing.
            if again == without_times(body):
                mix.append((path, status, again))
            else:
                outcome.note(f"left out of the mix, its answers differ by themselves: {path[:60]}")
        clients = [Client(url, n, mix, testbed.times(20_000) // 16) for n in range(16)]
        Client(url, 40, mix, 500).run()
        rss, fds = resources(url.process.pid)
        until = time.monotonic() + 900
        for client in clients:
            client.start()
        highest = [rss, float(fds)]
        while any(c.is_alive() for c in clients):
            time.sleep(0.5)
            highest = [max(a, b) for a, b in zip(highest, resources(url.process.pid), strict=True)]
            if time.monotonic() > until:
                outcome.broken(Fault.HANG, "the clients are not done after 900 s")
                break
        outcome.tried += sum(c.done for c in clients)
        for text in [t for c in clients for t in c.wrong][:50]:
            outcome.broken(Fault.WRONG, text)
        time.sleep(2)
        after = resources(url.process.pid)
        outcome.note(
            f"memory {rss:.0f} MB, highest {highest[0]:.0f}, after {after[0]:.0f}; "
            f"files {fds}, highest {highest[1]:.0f}, after {after[1]}"
        )
        outcome.expect(highest[0] < rss + 300, Fault.WRONG, "memory grows with requests")
        outcome.expect(after[1] < fds + 30, Fault.WRONG, "files stay open")
