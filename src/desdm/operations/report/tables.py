"""The tables of a report: modules with their times, QA numbers by band, what failed and why, commands to do it again."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from pathlib import Path
from statistics import median
from typing import NamedTuple

from desdm.archive.filetypes import BY_NAME
from desdm.archive.verify import Expected, damage
from desdm.operations.report.gather import JobFacts, Metric, RunFacts
from desdm.operations.report.svg import number_text
from desdm.operations.report.timeline import colours_of
from desdm.pipelines import PIPELINES
from desdm.schema.states import AttemptState, WrapperState

__all__ = [
    "Failure",
    "FileType",
    "MetricRow",
    "ModuleRow",
    "commands",
    "failures",
    "filetypes",
    "metric_rows",
    "modules",
]

_TAIL = 14


class ModuleRow(NamedTuple):
    """A module: its runs by state, and how long they took, seconds."""

    name: str
    block: str
    colour: int
    runs: int
    states: str
    bad: bool
    median: float | None
    longest: float | None
    total: float


class MetricRow(NamedTuple):
    """A QA number: median by band, and its range over all."""

    module: str
    name: str
    text: str
    unit: str
    values: int
    bands: tuple[str, ...]
    low: str
    middle: str
    high: str


class Failure(NamedTuple):
    """A job that failed: why, and the last lines of its log up to the fault."""

    job: JobFacts
    log: str
    line: int
    tail: tuple[tuple[int, str], ...]


class FileType(NamedTuple):
    """Files of one type among the outputs of the run."""

    name: str
    text: str
    files: int
    bytes: int
    deleted: int


def modules(facts: RunFacts) -> list[ModuleRow]:
    """Modules in running order."""
    blocks = {m: b.name for b in facts.blocks for m in b.modulelist.split(",")}
    colours = colours_of(facts)
    times: dict[str, list[float]] = defaultdict(list)
    states: dict[str, Counter[str]] = defaultdict(Counter)
    for w in facts.wrappers:
        states[w.module][w.state] += 1
        if w.seconds is not None and w.state is not WrapperState.REUSED:
            times[w.module].append(w.seconds)
    return [
        ModuleRow(
            m,
            blocks.get(m, ""),
            colours[m],
            sum(states[m].values()),
            ", ".join(f"{n} {s}" for s, n in states[m].most_common()),
            "failed" in states[m],
            median(times[m]) if times[m] else None,
            max(times[m], default=None),
            sum(times[m]),
        )
        for m in colours
    ]


def metric_rows(facts: RunFacts) -> list[MetricRow]:
    """QA numbers in the order in which they were measured."""
    bands = facts.bands
    series: dict[tuple[str, str], list[Metric]] = defaultdict(list)
    for m in facts.metrics:
        series[m.module, m.name].append(m)
    rows = []
    for (module, name), metrics_of_name in series.items():
        by_band = []
        for band in bands:
            values = [m.value for m in metrics_of_name if m.band == band]
            by_band.append(number_text(median(values)) if values else "")
        values = [m.value for m in metrics_of_name]
        rows.append(
            MetricRow(
                module,
                name,
                metrics_of_name[0].text,
                metrics_of_name[0].unit,
                len(metrics_of_name),
                tuple(by_band),
                number_text(min(values)),
                number_text(median(values)),
                number_text(max(values)),
            )
        )
    return rows


def failures(facts: RunFacts) -> list[Failure]:
    """Jobs that failed or were lost, each with the end of its log, at most ten."""
    rows = []
    for job in facts.bad_jobs[:10]:
        logs = {w.log for w in facts.wrappers if w.job == job.number and w.log}
        errors = [m for m in facts.messages if m.level == 1 and m.log in logs]
        log, line = (errors[0].log, errors[0].line) if errors else (next(iter(sorted(logs)), ""), 0)
        rows.append(Failure(job, log, line, _tail(facts, job, log, line)))
    return rows


def _tail(facts: RunFacts, job: JobFacts, log: str, line: int) -> tuple[tuple[int, str], ...]:
    """Return the last lines of a job's log, up to its error."""
    stored = [(facts.archive.path(f), f) for f in facts.files if f.name == log]
    places = [path for path, f in stored if not damage(path, Expected(f.filesize, f.sha256))]
    places += sorted((facts.config.runs / facts.attempt.run / f"J{job.number:04d}").glob("try*/*.log"))[-1:]
    path = next((p for p in places if p.is_file()), None)
    if path is None:
        return ()
    rows = _last_lines(path, line)
    return tuple((number, text[:400]) for number, text in rows)


def _last_lines(path: Path, line: int) -> list[tuple[int, str]]:
    """Return the last lines of a log, up to a line number."""
    rows: list[tuple[int, str]] = []
    with path.open("r", encoding="utf-8", errors="replace") as file:
        for number, text in enumerate(file, 1):
            rows.append((number, text.rstrip("\n")))
            if len(rows) > _TAIL:
                del rows[0]
            # A few lines after the fault often say what follows from it.
            if line and number >= line + 3:
                break
    return rows


def filetypes(facts: RunFacts) -> list[FileType]:
    """File types with what they are, the largest first."""
    rows = [
        FileType(
            r.filetype, BY_NAME[r.filetype].text if r.filetype in BY_NAME else "", r.files, r.bytes, r.deleted
        )
        for r in facts.filetypes
    ]
    return sorted(rows, key=lambda r: -r.bytes)


def commands(facts: RunFacts) -> list[tuple[str, str]]:
    """(what for, command line): to look closer, to go on, and to do the same work again."""
    run, attempt = facts.attempt.run, facts.attempt
    keys = any(p.name == attempt.pipeline for p in PIPELINES)
    # A pipeline of somebody's own came as a submit WCL; where that lay, no record says.
    pipeline = attempt.pipeline if keys else f"{attempt.pipeline}.wcl"
    settings = " ".join(f"--set {shlex.quote(f'{k}={v}')}" for k, v in facts.settings.items())
    entries = [
        ("the same work again, as a new attempt", f"desdm submit {pipeline} {settings} --again --wait"),
        ("everything that is recorded of this run", f"desdm show {run} --jobs --wrappers --metrics"),
        ("its messages", f"desdm log {run} --messages"),
        ("its files", f"desdm files --attempt {run}"),
    ]
    if keys:
        entries.insert(
            1, ("the pipeline, to be read and changed", f"desdm pipeline show {attempt.pipeline} --wcl")
        )
    if attempt.state in (AttemptState.FAILED, AttemptState.INTERRUPTED, AttemptState.CANCELLED):
        entries.insert(0, ("to go on where it stopped", f"desdm resume {run}"))
        entries[1:1] = [
            (f"the log of job {j.number}", f"desdm log {run} --job {j.number}") for j in facts.bad_jobs[:5]
        ]
    return entries
