"""People who exclude, judge and mark while plans are made and attempts run."""

from __future__ import annotations

from pathlib import Path

from desdm.facility import Facility
from tests.faults.outcome import Fault, Outcome, family
from tests.faults.testbed import Testbed
from tests.support.interleave import Interleavings

#: Plans in one database: what is asked of an exposure takes longer with each of its plans.
_BLOCK = 100


@family(
    "flags-interleaved",
    "exclusions, verdicts and marks, and their ends, at a random statement of 1,000 plans each on SQLite and PostgreSQL: a "
    "plan obeys what had ended before it was written, a running attempt of an earlier plan is listed, no act is lost",
)
def flags_interleaved(testbed: Testbed, outcome: Outcome) -> None:
    for dialect in ("sqlite", "postgresql"):
        left = testbed.times(1000)
        while left:
            count = min(left, _BLOCK)
            with testbed.scratch() as folder:
                _interleave(testbed, outcome, folder / "home", dialect, count)
            left -= count


def _interleave(testbed: Testbed, outcome: Outcome, home: Path, dialect: str, count: int) -> None:
    """Make so many plans in an installation of their own."""
    name = testbed.on_postgres(home) if dialect == "postgresql" else ""
    if not name:
        testbed.empty(home)
    facility = Facility.open(home)
    try:
        seed = testbed.moments.randrange(1 << 30)
        report = Interleavings(facility.database, facility.archive, facility.config, seed).run(count)
    finally:
        facility.close()
        if name:
            testbed.cluster.drop(name)
    outcome.tried += report.plans
    for fault, texts in ((Fault.WRONG, [*report.disobeyed, *report.not_listed]), (Fault.LOST, report.lost)):
        for text in texts:
            outcome.broken(fault, f"{dialect}, seed {seed}: {text}")
