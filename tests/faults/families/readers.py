"""Readers while something is deleted or published."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable

from tests.faults.families.loads import without_times
from tests.faults.floods import ask
from tests.faults.outcome import Fault, Outcome, family
from tests.faults.processes import command, finish, start
from tests.faults.testbed import COADD, RUN, Testbed
from tests.faults.truth import registered, rows
from tests.support.server import served


@family(
    "delete-under-reader",
    "`delete` and `release discard` while `fetch`, `quicklook`, `release create`, a coadd and an `audit` read the files",
)
def delete_under_reader(testbed: Testbed, outcome: Outcome) -> None:
    for number in range(testbed.times(3)):
        _fetch(testbed, outcome, f"fetch {number + 1}")
    for number in range(testbed.times(2)):
        _run(testbed, outcome, f"run {number + 1}")
        _release(testbed, outcome, f"release {number + 1}")


def _fetch(testbed: Testbed, outcome: Outcome, where: str) -> None:
    """Files that are fetched while they go into the trash are whole, or refused; then they come back whole."""
    with testbed.copy(testbed.coadded) as home, testbed.scratch() as folder:
        known = {name: (digest, path) for path, name, _, _, digest in registered(home) if RUN in name}
        names = sorted(known)
        fetching = start(command(home, "fetch", *names, "--to", folder))
        auditing = start(command(home, "audit", "--json"))
        time.sleep(testbed.moments.uniform(0.3, 0.9))
        deleted = testbed.desdm(home, "delete", "--attempt", RUN, "--yes", "--reason", "faults")
        ends = [finish(fetching), finish(auditing)]
        outcome.tried += 3
        for done in (*ends, deleted):
            outcome.expect(done.status is not None, Fault.HANG, f"{where}: hung: {done.short}")
            outcome.expect(not done.traceback, Fault.WRONG, f"{where}: {done.short}")
        outcome.expect(deleted.status == 0, Fault.WRONG, f"{where}: delete: {deleted.short}")
        for path in folder.iterdir():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            outcome.expect(
                digest == known[path.name][0], Fault.WRONG, f"{where}: {path.name} was fetched in part"
            )
        report = json.loads(ends[1].out) if ends[1].out.startswith("{") else {}
        for kind in ("missing", "corrupt", "truncated", "grown", "misplaced", "orphan"):
            for name in report.get(kind, ()):
                outcome.broken(Fault.FALSE, f"{where}: the audit calls {name} {kind} while it is deleted")
        back = testbed.desdm(home, "delete", "--undelete", *names)
        outcome.expect(back.status == 0, Fault.LOST, f"{where}: undelete: {back.short}")
        testbed.equal(home, testbed.coadded, outcome, where)
        testbed.audited_clean(home, outcome, where)


def _run(testbed: Testbed, outcome: Outcome, where: str) -> None:
    """Inputs of a run cannot be deleted while it runs, or it says by name that they are gone."""
    with testbed.copy(testbed.ingested) as home:
        names = [name for _, name, kind, *_ in registered(home) if kind == "red_immask"]
        process = start(command(home, *COADD, "--wait"))
        time.sleep(testbed.moments.uniform(0.5, 0.7) * testbed.seconds.get("coadd", 8.0) * 0.6)
        deleted = testbed.desdm(home, "delete", *names, "--yes", "--reason", "faults")
        done = finish(process)
        outcome.tried += 1
        outcome.expect(
            None not in (done.status, deleted.status), Fault.HANG, f"{where}: {done.short} {deleted.short}"
        )
        outcome.expect(not done.traceback and not deleted.traceback, Fault.WRONG, f"{where}: {done.short}")
        if deleted.status == 0 and done.status != 0:
            told = (
                done.out
                + done.err
                + testbed.desdm(home, "log", RUN).out
                + testbed.desdm(home, "show", RUN).out
            )
            named = any(name in told for name in names) or "no " in told
            outcome.damage(named, f"{where}: the run does not name its deleted input: {done.short}")
            testbed.desdm(home, "delete", "--undelete", *names)
        state = rows(home, "SELECT state FROM pfw_attempt")
        if done.status != 0 or state != [("done",)]:
            again = testbed.desdm(home, *COADD, "--wait", "--resume")
            outcome.expect(again.status == 0, Fault.LOST, f"{where}: resumed: {again.short}")
        else:
            testbed.desdm(home, "delete", "--undelete", *names)
        testbed.equal(home, testbed.coadded, outcome, where)
        testbed.audited_clean(home, outcome, where)


def _release(testbed: Testbed, outcome: Outcome, where: str) -> None:
    """A release that is made while its files are deleted, and a draft that is discarded while it is validated."""
    with testbed.copy(testbed.coadded) as home:
        making = start(command(home, "release", "create", "R1"))
        time.sleep(testbed.moments.uniform(0.8, 3.0))
        deleted = testbed.desdm(home, "delete", "--attempt", RUN, "--yes", "--reason", "faults")
        done = finish(making)
        outcome.tried += 1
        outcome.expect(None not in (done.status, deleted.status), Fault.HANG, f"{where}: {done.short}")
        outcome.expect(not done.traceback and not deleted.traceback, Fault.WRONG, f"{where}: {done.short}")
        if done.status == 0:
            published = testbed.desdm(home, "release", "publish", "R1")
            outcome.expect(not published.traceback, Fault.WRONG, f"{where}: {published.short}")
            if published.status == 0:
                verified = testbed.desdm(home, "release", "verify", "R1")
                outcome.expect(verified.status == 0, Fault.WRONG, f"{where}: {verified.short}")
    testbed.drafted  # noqa: B018 - made here, so that only what follows is at the same time
    with testbed.copy(testbed.drafted) as home:
        reading = [start(command(home, "release", act, "R1")) for act in ("validate", "publish")]
        time.sleep(testbed.moments.uniform(0.6, 1.6))
        gone = testbed.desdm(home, "release", "discard", "R1")
        ends = [finish(process) for process in reading]
        outcome.tried += 1
        for one in (*ends, gone):
            outcome.expect(one.status is not None, Fault.HANG, f"{where}: {one.short}")
            outcome.expect(not one.traceback, Fault.WRONG, f"{where}: {one.short}")
        state = {r["release"]: r["state"] for r in testbed.ask(home, "release", "list")}
        if state.get("R1") == "published":
            verified = testbed.desdm(home, "release", "verify", "R1")
            outcome.expect(
                verified.status == 0, Fault.LOST, f"{where}: published and not whole: {verified.short}"
            )
        else:
            testbed.desdm(home, "release", "discard", "R1")
            again = testbed.desdm(home, "release", "create", "R1")
            outcome.expect(again.status == 0, Fault.LOST, f"{where}: created anew: {again.short}")


@family(
    "publish-while-serving",
    "a second release made and published beside `serve` with readers: no answer about the first changes, and what is "
    "listed of the second is answered whole",
)
def publish_while_serving(testbed: Testbed, outcome: Outcome) -> None:
    stable = (
        "/tap/sync?LANG=ADQL&FORMAT=csv&QUERY=SELECT+COUNT(*)+AS+n+FROM+R1.objects", "/files/R1/manifest.json",
        "/footprint?ra=30&dec=-5&release=R1", "/api/releases/R1", "/hips/R1/color/properties",
    )  # fmt: skip
    for number in range(testbed.times(2)):
        where = f"publish {number + 1}"
        with testbed.copy(testbed.released) as home, served(home) as url:
            before = {path: _told(url, path) for path in stable}
            ended = threading.Event()
            readers = [
                threading.Thread(target=_read, args=(url, stable, before, ended, outcome, where)),
                threading.Thread(target=_follow, args=(url, ended, outcome, where)),
            ]
            for reader in readers:
                reader.start()
            made = testbed.desdm(home, "release", "create", "R2")
            published = testbed.desdm(home, "release", "publish", "R2")
            outcome.expect(
                (made.status, published.status) == (0, 0), Fault.WRONG, f"{where}: {published.short}"
            )
            time.sleep(3.0)
            ended.set()
            for reader in readers:
                reader.join()
            listed = ask(url, "/api/releases")[1]
            outcome.expect(b"R2" in listed, Fault.LOST, f"{where}: R2 is not served without a restart")
            _whole(url, outcome, where)


def _told(url: str, path: str) -> tuple[int, bytes]:
    """Status and body of an answer, without times."""
    status, body, _ = ask(url, path)
    return status, without_times(body)


#: Seconds between two requests of a reader: fewer than the 200 a second that one caller may send.
_PAUSE = 0.01


def _read(url: str, stable: tuple[str, ...], before: dict[str, tuple[int, bytes]], ended: threading.Event,
          outcome: Outcome, where: str) -> None:  # fmt: skip
    """Read the first release again and again."""
    while not ended.is_set():
        for path in stable:
            found = _told(url, path)
            outcome.tried += 1
            outcome.expect(
                found == before[path], Fault.WRONG, f"{where}: {path} changed: {found[0]} {found[1][:80]!r}"
            )
            time.sleep(_PAUSE)


def _follow(url: str, ended: threading.Event, outcome: Outcome, where: str) -> None:
    """Ask for the second release as soon as it is listed."""
    while not ended.is_set():
        status, body, _ = ask(url, "/api/releases")
        outcome.expect(status == 200, Fault.WRONG, f"{where}: /api/releases: {status}")
        if b'"R2"' in body:
            _whole(url, outcome, where)
        time.sleep(0.05)


def _whole(url: str, outcome: Outcome, where: str) -> None:
    """A release that is listed is answered by every service."""
    checks: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
        (
            "/tap/sync?LANG=ADQL&FORMAT=csv&QUERY=SELECT+COUNT(*)+AS+n+FROM+R2.objects",
            lambda b: int(b.split()[1]) > 0,
        ),
        ("/files/R2/manifest.json", lambda b: len(json.loads(b)["files"]) > 10),
        ("/footprint?ra=30&dec=-5&release=R2", lambda b: len(b) > 0),
        ("/hips/R2/color/properties", lambda b: b"hips" in b),
    )
    for path, good in checks:
        status, body, _ = ask(url, path)
        outcome.tried += 1
        outcome.expect(status == 200 and good(body), Fault.WRONG, f"{where}: {path}: {status} {body[:80]!r}")
