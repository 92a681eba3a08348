"""Two who do the same at the same time."""

from __future__ import annotations

from pathlib import Path

from tests.faults.outcome import Fault, Outcome, family
from tests.faults.processes import Done, command, finish, start
from tests.faults.testbed import COADD, NITE, Testbed
from tests.faults.truth import registered, rows


def _both(
    testbed: Testbed, home: Path, words: tuple[object, ...], outcome: Outcome, where: str
) -> list[Done]:
    """Run the same command twice at the same time."""
    pair = [start(command(home, *words)) for _ in range(2)]
    done = [finish(process) for process in pair]
    outcome.tried += 1
    for one in done:
        outcome.expect(one.status is not None, Fault.HANG, f"{where}: hung")
        outcome.expect(not one.traceback, Fault.WRONG, f"{where}: {one.short}")
    testbed.nothing_left(home, outcome, where)
    return done


@family(
    "two-at-once",
    "two `ingest`, `submit` of a unit, `run night`, `release create` and `publish` at the same time",
)
def two_at_once(testbed: Testbed, outcome: Outcome) -> None:
    for number in range(testbed.times(3)):
        _ingest(testbed, outcome, f"ingest {number + 1}")
    for number in range(testbed.times(2)):
        _submit(testbed, outcome, f"submit {number + 1}")
    for number in range(testbed.times(1)):
        _night(testbed, outcome, f"night {number + 1}")
    for number in range(testbed.times(2)):
        _release(testbed, outcome, f"release {number + 1}")


def _ingest(testbed: Testbed, outcome: Outcome, where: str) -> None:
    with testbed.scratch() as folder:
        home = testbed.empty(folder / "home")
        done = _both(testbed, home, ("ingest", testbed.small_files, "--filetype", "misc"), outcome, where)
        outcome.expect([d.status for d in done] == [0, 0], Fault.WRONG, f"{where}: {[d.short for d in done]}")
        found = [name for _, name, *_ in registered(home)]
        outcome.expect(len(set(found)) == 400, Fault.LOST, f"{where}: {len(set(found))} of 400 registered")
        outcome.expect(len(set(found)) == len(found), Fault.TWICE, f"{where}: {len(found)} rows")
        testbed.audited_clean(home, outcome, where)


def _submit(testbed: Testbed, outcome: Outcome, where: str) -> None:
    true = testbed.coadded
    with testbed.copy(testbed.ingested) as home:
        done = _both(testbed, home, (*COADD, "--wait"), outcome, where)
        statuses = sorted(d.status or 0 for d in done)
        outcome.expect(statuses in ([0, 0], [0, 2]), Fault.WRONG, f"{where}: {[d.short for d in done]}")
        states = rows(home, "SELECT state FROM pfw_attempt")
        outcome.expect(states == [("done",)], Fault.TWICE, f"{where}: attempts {states}")
        testbed.equal(home, true, outcome, where)


def _night(testbed: Testbed, outcome: Outcome, where: str) -> None:
    true = testbed.processed
    with testbed.copy(testbed.arrived) as home:
        done = _both(testbed, home, ("run", "night", NITE), outcome, where)
        # The one that finds a run driven by the other leaves it, and may end before it has calibrations.
        outcome.expect(any(d.status == 0 for d in done), Fault.WRONG, f"{where}: {[d.short for d in done]}")
        last = testbed.desdm(home, "run", "night", NITE)
        outcome.expect(last.status == 0, Fault.LOST, f"{where}: the repetition: {last.short}")
        testbed.equal(home, true, outcome, where)
        states = rows(home, "SELECT unitname, state FROM pfw_attempt")
        for unit in {u for u, _ in states if sum(v == u for v, _ in states) > 1}:
            outcome.broken(Fault.TWICE, f"{where}: {unit} was run twice")
        verdicts = rows(home, "SELECT expnum, count(*) FROM firstcut_eval GROUP BY expnum")
        once = rows(true, "SELECT expnum, count(*) FROM firstcut_eval GROUP BY expnum")
        outcome.expect(
            {n for n, _ in verdicts} == {n for n, _ in once}, Fault.LOST, f"{where}: verdicts {verdicts}"
        )


def _release(testbed: Testbed, outcome: Outcome, where: str) -> None:
    with testbed.copy(testbed.coadded) as home:
        for act in ("create", "publish"):
            done = _both(testbed, home, ("release", act, "R1"), outcome, f"{where}: {act}")
            statuses = sorted(9 if d.status is None else d.status for d in done)
            outcome.expect(statuses[0] == 0, Fault.LOST, f"{where}: {act}: {[d.short for d in done]}")
            outcome.expect(statuses[1] in (0, 2), Fault.WRONG, f"{where}: {act}: {[d.short for d in done]}")
        verified = testbed.desdm(home, "release", "verify", "R1")
        outcome.expect(verified.status == 0, Fault.WRONG, f"{where}: verify: {verified.short}")
        events = rows(home, "SELECT text FROM event WHERE kind = 'release' AND subject = 'R1'")
        published = [text for (text,) in events if "published" in text]
        outcome.expect(len(published) <= 1, Fault.TWICE, f"{where}: published twice: {published}")
