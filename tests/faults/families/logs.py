"""Logs that are made to be hard to read."""

from __future__ import annotations

import time
from pathlib import Path

from desdm.errors import WCLError
from desdm.facility import Facility
from desdm.quality.qc import Action, Controls, Level, Pattern, save_controls
from tests.faults.outcome import Fault, Outcome, family
from tests.faults.testbed import Testbed
from tests.faults.truth import rows
from tests.support.toy import plan, talk_pipeline

#: Patterns with which a backtracking matcher needs exponential time, and the text that makes it so.
HARD = (
    (r"(a+)+$", "a" * 60_000 + "!"),
    (r"(a|aa)+$", "a" * 60_000 + "!"),
    (r"(a|a?)+$", "a" * 60_000 + "!"),
    (r"(.*a){20}$", "a" * 60_000 + "!"),
    (r"(x+x+)+y", "x" * 60_000),
    (r"([a-zA-Z]+)*[0-9]$", "a" * 60_000 + "!"),
    (r"^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 60_000),
    (r"(\w+\s?)+:$", "aaaa " * 12_000 + "!"),
    (r"(a*)*b", "a" * 60_000),
    (r"(?=(a+)+$)a", "a" * 60_000 + "!"),
    (r"(a+)\1+$", "a" * 60_000 + "!"),
    (r"(?<!b)(a+)+c", "a" * 60_000),
)
#: A run on such a log that takes longer has hung, seconds.
LIMIT = 120.0
PLAIN = Pattern("plain", r"a plain finding", Level.WARNING)


@family(
    "logs",
    "QC patterns with catastrophic backtracking on lines made for them; a log line of 500 MB with a finding in its middle",
)
def logs(testbed: Testbed, outcome: Outcome) -> None:
    for number, (expression, text) in enumerate(HARD):
        with testbed.scratch() as folder:
            home = testbed.empty(folder / "home")
            outcome.tried += 1
            begun = time.monotonic()
            try:
                hard = Pattern("hard", expression, Level.INFO)
            except WCLError as err:
                outcome.note(f"{expression}: refused: {str(err)[:100]}")
                _in_time(outcome, begun, f"refusal of {expression}")
                continue
            log = folder / "text.log"
            log.write_text(f"begin\n{text}\nthere is a plain finding here\n")
            _scan(testbed, home, outcome, log, (hard, PLAIN), 3, f"pattern {number + 1}, {expression}")
    with testbed.scratch() as folder:
        home, log = testbed.empty(folder / "home"), folder / "long.log"
        half = max(1, int(250 * min(testbed.scale, 1.0)))
        with log.open("wb") as file:
            file.write(b"begin\n")
            for part in range(2):
                for _ in range(half):
                    file.write(b"x" * 1_000_000)
                file.write(b" there is a plain finding here " if part == 0 else b"\n")
            file.write(b"there is a plain finding here\n")
        outcome.tried += 1
        stop = Pattern("never", r"this is not in the log", action=Action.STOP)
        _scan(testbed, home, outcome, log, (PLAIN, stop), 2, f"line of {2 * half} MB", both=True)


def _in_time(outcome: Outcome, begun: float, where: str) -> None:
    seconds = time.monotonic() - begun
    outcome.expect(seconds < LIMIT, Fault.HANG, f"{where}: {seconds:.0f} s")


def _scan(testbed: Testbed, home: Path, outcome: Outcome, log: Path, patterns: tuple[Pattern, ...], line: int, where: str,
          both: bool = False) -> None:  # fmt: skip
    """Run a program that writes the log, and hold the findings against the lines that are in it.

    Parameters
    ----------
    log
        What the program writes.
    line
        Line of the log, from 1, in which the plain finding stands; with ``both`` the next one has it too.
    """
    facility = Facility.open(home)
    try:
        with facility.database.write() as conn:
            save_controls(conn, Controls(patterns, (), ()))
        run = plan(facility, talk_pipeline("program", script=f"cat {log}; echo done > %s")).run
    finally:
        facility.close()
    done = testbed.desdm(home, "resume", run, "--wait", limit=LIMIT)
    outcome.expect(done.status is not None, Fault.HANG, f"{where}: the run hung")
    outcome.expect(done.status == 0, Fault.WRONG, f"{where}: {done.short}")
    found = rows(
        home, "SELECT log_line, message FROM task_message WHERE message LIKE '%a plain finding%' ORDER BY 1"
    )
    text = [m for _, m in found]
    for number in (line, line + 1) if both else (line,):
        outcome.damage(len(text) > number - line, f"{where}: the finding of line {number}: {found!r:.200}")
    outcome.expect(len(text) <= 1 + both, Fault.FALSE, f"{where}: findings {found!r:.300}")
    if len(text) == 1 + both:
        first, last = found[0][0], found[-1][0]
        outcome.expect(
            last - first == int(both), Fault.WRONG, f"{where}: the findings are in lines {first} and {last}"
        )
