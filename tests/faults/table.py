"""Writes the table of the documents from a run of the families."""

from __future__ import annotations

import fcntl
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from desdm import __version__
from tests.faults.outcome import FAMILIES, Outcome

__all__ = ["write_table"]

BEGIN, END = "<!-- begin: written by make faults -->", "<!-- end: written by make faults -->"
_ROW = re.compile(r"^\| ([a-z][a-z-]*) \|")


def write_table(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Replace the rows of the families that were run between the two marks of a document; the others stay.

    Parameters
    ----------
    path
        The document, with both marks.
    outcomes
        What the families came to.

    Raises
    ------
    ValueError
        The document lacks the marks.
    """
    with path.open("r+", encoding="utf-8") as file:
        # Runs of other families may write their rows at the same time.
        fcntl.flock(file, fcntl.LOCK_EX)
        _replace(path, outcomes)


def _replace(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write the document with the new rows."""
    text = path.read_text("utf-8")
    if BEGIN not in text or END not in text:
        raise ValueError(f"{path} has no lines {BEGIN} and {END}")
    head, _, rest = text.partition(BEGIN)
    old, _, tail = rest.partition(END)
    lines = {
        found[1]: line for line in old.splitlines() if (found := _ROW.match(line)) and found[1] in FAMILIES
    }
    lines |= {outcome.family: _row(outcome) for outcome in outcomes}
    table = [
        "| family | what is injected | tried | lost | twice | hangs | damage found | false | wrong | seconds | when |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *(lines[name] for name in FAMILIES if name in lines),
    ]
    path.write_text(head + "\n".join([BEGIN, "", *table, "", END]) + tail, "utf-8")


def _row(outcome: Outcome) -> str:
    """One line of the table."""
    text = FAMILIES[outcome.family].text
    when = f"{datetime.now(UTC):%Y-%m-%d}, {__version__}, Python {platform.python_version()}"
    if outcome.skipped:
        return f"| {outcome.family} | {text} | not tried: {outcome.skipped} | | | | | | | | {when} |"
    share = f"{outcome.found} of {outcome.damaged}" if outcome.damaged else "–"
    counts = (outcome.tried, outcome.lost, outcome.twice, outcome.hangs, share, outcome.false, outcome.wrong)
    return f"| {outcome.family} | {text} | {' | '.join(map(str, counts))} | {outcome.seconds:.0f} | {when} |"
