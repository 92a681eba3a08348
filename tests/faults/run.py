"""Inject every family of faults into real installations: run.py [--only NAME,…] [--scale N] [--seed N] [--table FILE].

One line of JSON a family goes to standard output, every broken invariant to standard error. Exit status 1: a family
lost something, did it twice, hung, raised a false alarm, answered wrongly, or did not find what was damaged.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.faults import families as families  # registers them
from tests.faults.outcome import FAMILIES, Outcome
from tests.faults.table import write_table
from tests.faults.testbed import Testbed


def main(words: list[str] | None = None) -> int:
    """Run the families that are asked for; the exit status."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--only", default="", help="families, with commas between; all without it")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the number of tries")
    parser.add_argument("--seed", type=int, default=1, help="of the random moments")
    parser.add_argument("--table", type=Path, help="the document whose table is written from the run")
    parser.add_argument(
        "--scratch", type=Path, help="folder for the installations (default: a temporary one)"
    )
    given = parser.parse_args(words)
    wanted = [name for name in given.only.split(",") if name] or list(FAMILIES)
    for name in wanted:
        if name not in FAMILIES:
            parser.error(f"no family {name}; known: {', '.join(FAMILIES)}")
    return 0 if all(outcome.good for outcome in _run(wanted, given)) else 1


def _run(wanted: list[str], given: argparse.Namespace) -> list[Outcome]:
    """Run the families one after another and print a line for each."""
    folder = given.scratch or Path(tempfile.mkdtemp(prefix="desdm-faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    testbed = Testbed(folder, given.seed, given.scale)
    outcomes = []
    try:
        for name in wanted:
            outcomes.append(FAMILIES[name].run(testbed))
            sys.stdout.write(outcomes[-1].line() + "\n")
            sys.stdout.flush()
            if given.table is not None:
                write_table(given.table, outcomes[-1:])
    finally:
        testbed.close()
        if given.scratch is None:
            shutil.rmtree(folder, ignore_errors=True)
    return outcomes


if __name__ == "__main__":
    sys.exit(main())
