"""Writes the tables of the document from months that were played."""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from desdm import __version__
from tests.month.judge import Judgement, Line

__all__ = ["write_tables"]

BEGIN, END = "<!-- begin: written by make month -->", "<!-- end: written by make month -->"


def write_tables(path: Path, command: str, months: Sequence[tuple[Judgement, Mapping[str, object]]]) -> None:
    """Replace what stands between the two marks of a document.

    Parameters
    ----------
    path
        The document, with both marks.
    command
        The command as it was run.
    months
        What each month came to, and its figures.

    Raises
    ------
    ValueError
        The document lacks the marks.
    """
    text = path.read_text("utf-8")
    if BEGIN not in text or END not in text:
        raise ValueError(f"{path} has no lines {BEGIN} and {END}")
    head, _, rest = text.partition(BEGIN)
    tail = rest.partition(END)[2]
    when = f"{datetime.now(UTC):%Y-%m-%d}, desdm {__version__}, Python {platform.python_version()}"
    lines = [BEGIN, "", f"    {command}", "", f"{when}:", "", *_figures([f for _, f in months]), ""]
    lines += [
        "| trouble | times | expected | found |",
        "|---|---|---|---|",
        *_troubles([j for j, _ in months]),
    ]
    path.write_text(head + "\n".join([*lines, "", END]) + tail, "utf-8")


def _figures(months: Sequence[Mapping[str, object]]) -> list[str]:
    """Return the figures of the months, a row a figure."""
    names = [name for name in months[0] if name != "kills"]
    kills = [_kills(month["kills"]) for month in months]
    rows = [
        "| | " + " | ".join(kills) + " |",
        "|---|" + "---|" * len(months),
    ]
    return rows + [
        f"| {name.replace('_', ' ')} | " + " | ".join(str(m[name]) for m in months) + " |" for name in names
    ]


def _kills(kills: object) -> str:
    """Return the kills of a month in words."""
    if not isinstance(kills, Mapping) or not kills:
        return "no kills"
    return ", ".join(f"{count} kills of {name}" for name, count in sorted(kills.items()))


def _troubles(judgements: Sequence[Judgement]) -> list[str]:
    """Return a row for each kind of trouble: how often it came, and in how many of each month it was found."""
    by_kind: dict[str, list[list[Line]]] = defaultdict(lambda: [[] for _ in judgements])
    for i, judgement in enumerate(judgements):
        for line in judgement.lines:
            by_kind[line.kind][i].append(line)
    rows = []
    for kind, months in by_kind.items():
        found = ", ".join(f"{sum(x.good for x in lines)} of {len(lines)}" for lines in months)
        rows.append(f"| {kind} | {len(months[0])} | {_general(months[0][0].expected)} | {found} |")
    return rows


def _general(expected: str) -> str:
    """Return an expectation without the name of one CCD."""
    return expected.split(": ", 1)[1] if expected.startswith("D0") else expected
