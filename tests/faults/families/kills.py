"""SIGKILL at random moments: in ingest, in a coadd, in a night, in release create and publish."""

from __future__ import annotations

from pathlib import Path

from tests.faults.outcome import Fault, Outcome, family
from tests.faults.processes import Victim, command, finish, start
from tests.faults.testbed import COADD, NITE, RUN, Testbed
from tests.faults.truth import on_disk, registered, rows

_WHICH = ("all", "submitter", "worker", "child")


def _check_deposit(testbed: Testbed, home: Path, outcome: Outcome, where: str) -> None:
    """No row without its file; the audit lists every file without a row, and nothing else."""
    files, known = on_disk(home), {path for path, *_ in registered(home)}
    report = testbed.audit(home)
    for path in known - files:
        outcome.broken(Fault.LOST, f"{where}: {path} is registered and not there")
    for path in files - known:
        outcome.damage(path in report["orphan"], f"{where}: orphan {path}")
    for path in set(report["orphan"]) - (files - known):
        outcome.broken(Fault.FALSE, f"{where}: the audit calls {path} an orphan")
    for kind in ("corrupt", "truncated", "grown", "missing", "misplaced"):
        for name in report.get(kind, []):
            outcome.broken(Fault.FALSE, f"{where}: the audit calls {name} {kind}")


@family(
    "kill-ingest", "SIGKILL at random moments of `ingest` of 400 files, repeated until all are registered"
)
def kill_ingest(testbed: Testbed, outcome: Outcome) -> None:
    words = ("ingest", testbed.small_files, "--filetype", "misc")
    names = {p.name for p in testbed.small_files.iterdir()}
    empty = testbed.empty(testbed.folder / "empty-ingest")
    with testbed.copy(empty) as home:
        whole = testbed.must(home, *words).seconds
    chains = 0
    while outcome.tried < testbed.times(16) and chains < testbed.times(40):
        chains += 1
        with testbed.copy(empty) as home:
            for _ in range(2):
                victim = Victim(start(command(home, *words)))
                # The first third of it is the start of the interpreter.
                struck = victim.kill(testbed.moments.uniform(0.3, 1.0) * whole, "all", testbed.moments)
                finish(victim.process)
                outcome.tried += bool(struck)
                where = f"chain {chains}"
                testbed.nothing_left(home, outcome, where)
                if struck:
                    _check_deposit(testbed, home, outcome, where)
            done = testbed.desdm(home, *words)
            outcome.expect(done.status is not None, Fault.HANG, f"{where}: the repetition hung")
            outcome.expect(done.status == 0, Fault.WRONG, f"{where}: the repetition: {done.short}")
            found = [name for _, name, *_ in registered(home)]
            for name in names - set(found):
                outcome.broken(Fault.LOST, f"{where}: {name} is not registered after the repetition")
            for name in {n for n in found if found.count(n) > 1}:
                outcome.broken(Fault.TWICE, f"{where}: {name}")
            testbed.audited_clean(home, outcome, where)
            stage = [p.name for p in (home / "archive" / ".stage").iterdir()]
            outcome.expect(stage in ([], ["flights"]), Fault.WRONG, f"{where}: staging holds {stage}")


def kill_runs(testbed: Testbed, outcome: Outcome, words: tuple[str, ...], base: Path, true: Path, whole: float,
              count: int, again: tuple[str, ...]) -> None:  # fmt: skip
    """Kill a command that drives runs at random moments, repeat it, and compare its products with the undisturbed.

    Parameters
    ----------
    words, again
        The command, and the one that goes on with its work.
    base, true
        Installation to begin from, and the one where the same work was not disturbed.
    whole
        How long the undisturbed work takes, seconds.
    count
        How many kills must hit; a command that ends before its kill is tried again.
    """
    wanted, number = testbed.times(count), 0
    while outcome.tried < wanted and number < 4 * wanted:
        which = _WHICH[number % len(_WHICH)]
        number += 1
        with testbed.copy(base) as home:
            victim = Victim(start(command(home, *words)))
            struck = victim.kill(testbed.moments.uniform(0.08, 0.95) * whole, which, testbed.moments)
            where = f"kill {number} of {which}"
            outcome.expect(finish(victim.process).status is not None, Fault.HANG, f"{where}: it did not end")
            outcome.tried += bool(struck)
            if not struck:
                # The undisturbed work took longer than this one, as on a machine with other work: strike earlier.
                whole *= 0.7
            testbed.nothing_left(home, outcome, where)
            done = testbed.desdm(home, *again)
            outcome.expect(done.status is not None, Fault.HANG, f"{where}: the repetition hung")
            outcome.expect(done.status in (0, 1), Fault.WRONG, f"{where}: the repetition: {done.short}")
            outcome.expect(not done.traceback, Fault.WRONG, f"{where}: {done.short}")
            testbed.nothing_left(home, outcome, f"{where}, repeated")
            testbed.equal(home, true, outcome, where)
            testbed.audited_clean(home, outcome, where)
            states = rows(home, "SELECT unitname, attnum, state FROM pfw_attempt")
            for unit, attempt, state in states:
                outcome.expect(
                    state in ("done", "flagged"), Fault.LOST, f"{where}: {unit} p{attempt:02d} is {state}"
                )
            for unit in {u for u, *_ in states if sum(v == u for v, *_ in states) > 1}:
                outcome.broken(Fault.TWICE, f"{where}: {unit} was run twice")


@family(
    "kill-coadd",
    "SIGKILL at random moments of `submit coadd --wait`, of all processes, the submitter, a worker, a program; resumed; "
    "products against an undisturbed run",
)
def kill_coadd(testbed: Testbed, outcome: Outcome) -> None:
    base, true = testbed.ingested, testbed.coadded
    words = (*COADD, "--wait")
    kill_runs(
        testbed, outcome, words, base, true, testbed.seconds["coadd"], 8, (*words, "--resume"),
    )  # fmt: skip
    outcome.expect(RUN.endswith("p01"), Fault.WRONG, "the run is the first attempt")


@family("kill-night", "the same in `run night`: calibrations, First Cut of two exposures, verdicts")
def kill_night(testbed: Testbed, outcome: Outcome) -> None:
    words = ("run", "night", NITE)
    base, true = testbed.arrived, testbed.processed
    kill_runs(testbed, outcome, words, base, true, testbed.seconds["night"], 4, words)


@family(
    "kill-release",
    "SIGKILL at random moments of `release create` and `release publish`, then `discard` or repeated",
)
def kill_release(testbed: Testbed, outcome: Outcome) -> None:
    true = testbed.released
    for number in range(testbed.times(3)):
        with testbed.copy(testbed.coadded) as home:
            where = f"create, kill {number + 1}"
            _kill_release(testbed, home, "create", outcome, where)
            states = {r["release"]: r["state"] for r in testbed.ask(home, "release", "list")}
            if states.get("R1") == "draft":
                tried = testbed.desdm(home, "release", "publish", "R1")
                outcome.expect(tried.status is not None, Fault.HANG, f"{where}: publish hung")
                outcome.expect(not tried.traceback, Fault.WRONG, f"{where}: {tried.short}")
                # If it was published it must be whole, which is seen below.
                if tried.status != 0:
                    testbed.must(home, "release", "discard", "R1")
                    testbed.must(home, "release", "create", "R1")
            elif "R1" not in states:
                testbed.must(home, "release", "create", "R1")
            _publish(testbed, home, outcome, where, true)
    for number in range(testbed.times(4)):
        with testbed.copy(testbed.drafted) as home:
            where = f"publish, kill {number + 1}"
            _kill_release(testbed, home, "publish", outcome, where)
            _publish(testbed, home, outcome, where, true)


def _kill_release(testbed: Testbed, home: Path, act: str, outcome: Outcome, where: str) -> None:
    """SIGKILL at a random moment of ``release create`` or ``release publish``."""
    victim = Victim(start(command(home, "release", act, "R1")))
    moment = testbed.moments.uniform(0.2, 0.98) * testbed.seconds[act]
    outcome.tried += bool(victim.kill(moment, "all", testbed.moments))
    finish(victim.process)
    testbed.nothing_left(home, outcome, where)


def _publish(testbed: Testbed, home: Path, outcome: Outcome, where: str, true: Path) -> None:
    """Publish, verify, and compare with the undisturbed release."""
    states = {r["release"]: r["state"] for r in testbed.ask(home, "release", "list")}
    if states.get("R1") != "published":
        done = testbed.desdm(home, "release", "publish", "R1")
        if not outcome.expect(done.status == 0, Fault.LOST, f"{where}: not published: {done.short}"):
            return
    done = testbed.desdm(home, "release", "verify", "R1")
    outcome.expect(done.status == 0, Fault.FALSE, f"{where}: verify: {done.short}")
    listed, known = _released(home), _released(true)
    for path in sorted(known.keys() - listed.keys()):
        outcome.broken(Fault.LOST, f"{where}: the release lacks {path}")
    for path in sorted(listed.keys() - known.keys()):
        outcome.broken(Fault.TWICE, f"{where}: the release has {path} too")
    for path, digest in known.items():
        if path in listed and not path.startswith("docs/"):
            outcome.expect(
                listed[path] == digest, Fault.WRONG, f"{where}: {path} differs from the undisturbed"
            )


def _released(home: Path) -> dict[str, str]:
    """Digest of every file of the release by its path, as the manifest tells them."""
    import json

    document = json.loads((home / "releases" / "R1" / "manifest.json").read_text())
    return {row["path"]: row["sha256"] for row in document["files"]}
