"""The receipt of a job: JSON lines, one for each wrapper that has ended, written while the job runs.

A line is complete or missing (each ends with its newline), so that the receipt of a job that was killed tells exactly
which wrappers were done. The first line names attempt, job and token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TypedDict, final

from desdm.framework.wrapper import ExecRecord, Finding, Metric
from desdm.schema.states import JobState, WrapperState

__all__ = ["Outcome", "OutcomeWriter", "OutputRecord", "WrapperOutcome", "read_outcome"]


@dataclass(frozen=True, slots=True)
class OutputRecord:
    """An output of a wrapper, to be registered if ``save`` is set."""

    filename: str
    filetype: str
    directory: str
    filesize: int
    save: bool
    parents: tuple[str, ...]
    row: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class WrapperOutcome:
    """Result of one wrapper: its outputs (``made``), the files it used, execs, messages and metrics."""

    wrapnum: int
    modname: str
    state: WrapperState
    start_time: float
    end_time: float
    host: str
    log: str
    comment: str = ""
    used: tuple[str, ...] = ()
    made: tuple[OutputRecord, ...] = ()
    execs: tuple[ExecRecord, ...] = ()
    findings: tuple[Finding, ...] = ()
    metrics: tuple[Metric, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """A job's receipt, as far as it was written."""

    attempt: str
    jobnum: int
    token: str
    wrappers: tuple[WrapperOutcome, ...] = ()
    #: DONE or FAILED; None: the job did not come to its end
    state: JobState | None = None


class _Head(TypedDict):
    """First line of a receipt."""

    attempt: str
    jobnum: int
    token: str


@final
class _End(TypedDict):
    """Last line of a receipt: the state of the job."""

    end: str


class _OutputFields(TypedDict):
    """Fields of an `OutputRecord` in JSON."""

    filename: str
    filetype: str
    directory: str
    filesize: int
    save: bool
    parents: list[str]
    row: dict[str, str]


class _ExecFields(TypedDict):
    """Fields of an `ExecRecord` in JSON."""

    execnum: int
    name: str
    version: str
    cmdargs: str
    status: int
    start_time: float
    end_time: float
    utime: float
    stime: float
    maxrss: int
    minflt: int
    majflt: int
    inblock: int
    oublock: int
    nvcsw: int
    nivcsw: int
    digest: str


class _FindingFields(TypedDict):
    """Fields of a `Finding` in JSON."""

    level: int
    text: str
    line: int
    pattern: str
    action: str


class _MetricFields(TypedDict):
    """Fields of a `Metric` in JSON."""

    name: str
    value: float
    unit: str
    band: str
    text: str


@final
class _WrapperRecord(TypedDict):
    """Line of a receipt for a wrapper."""

    wrapnum: int
    modname: str
    state: str
    start_time: float
    end_time: float
    host: str
    log: str
    comment: str
    used: list[str]
    made: list[_OutputFields]
    execs: list[_ExecFields]
    findings: list[_FindingFields]
    metrics: list[_MetricFields]


class OutcomeWriter:
    """Writes a job's receipt line by line."""

    def __init__(self, path: Path, attempt: str, jobnum: int, token: str) -> None:
        self._file: IO[str] = path.open("w", encoding="utf-8", buffering=1)
        self._write_line({"attempt": attempt, "jobnum": jobnum, "token": token})

    def wrapper(self, outcome: WrapperOutcome) -> None:
        """Write the line of a wrapper that has ended."""
        self._write_line(asdict(outcome))

    def end(self, state: JobState) -> None:
        """Write the last line, with the state of the job, and close the file."""
        self._write_line({"end": state})
        self._file.close()

    def _write_line(self, record: object) -> None:
        """Append a record as one line of JSON."""
        self._file.write(json.dumps(record) + "\n")


def read_outcome(path: Path) -> Outcome | None:
    """Read a receipt; None if there is none or not even its first line is whole."""
    try:
        text = path.read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return None
    lines = text.split("\n")[:-1]
    try:
        head: _Head = json.loads(lines[0])
    except (IndexError, json.JSONDecodeError):
        return None
    wrappers: list[WrapperOutcome] = []
    state: JobState | None = None
    for line in lines[1:]:
        try:
            record: _WrapperRecord | _End = json.loads(line)
        except json.JSONDecodeError:
            break  # after an incomplete line nothing can be trusted
        if "wrapnum" in record:
            wrappers.append(_wrapper_outcome(record))
        else:
            state = JobState(record["end"])
    return Outcome(head["attempt"], head["jobnum"], head["token"], tuple(wrappers), state)


def _wrapper_outcome(record: _WrapperRecord) -> WrapperOutcome:
    """Return the record of a wrapper from its line of the receipt."""
    return WrapperOutcome(
        wrapnum=record["wrapnum"],
        modname=record["modname"],
        state=WrapperState(record["state"]),
        start_time=record["start_time"],
        end_time=record["end_time"],
        host=record["host"],
        log=record["log"],
        comment=record["comment"],
        used=tuple(record["used"]),
        made=tuple(
            OutputRecord(
                output["filename"],
                output["filetype"],
                output["directory"],
                output["filesize"],
                output["save"],
                tuple(output["parents"]),
                output["row"],
            )
            for output in record["made"]
        ),
        execs=tuple(ExecRecord(**fields) for fields in record["execs"]),
        findings=tuple(Finding(**fields) for fields in record["findings"]),
        metrics=tuple(Metric(**fields) for fields in record["metrics"]),
    )
