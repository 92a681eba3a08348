"""What comes out of a job: a receipt of JSON lines, one a finished wrapper, written while the job runs.

A line is whole or it is not there (each ends with its newline), so that whoever reads the receipt of a job
that was killed knows just which wrappers were done. The first line names attempt, job and token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from desdm.framework.wrapper import ExecRecord, Finding, Metric

__all__ = ["Made", "Outcome", "OutcomeWriter", "WrapperOutcome", "read_outcome"]


@dataclass(frozen=True, slots=True)
class Made:
    """An output that a wrapper made."""

    filename: str
    filetype: str
    directory: str
    filesize: int
    save: bool
    parents: tuple[str, ...]
    row: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class WrapperOutcome:
    """What one wrapper did."""

    wrapnum: int
    modname: str
    state: str
    start_time: float
    end_time: float
    host: str
    log: str
    comment: str = ""
    used: tuple[str, ...] = ()
    made: tuple[Made, ...] = ()
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
    #: done or failed; empty: the job did not come to its end
    state: str = ""


class OutcomeWriter:
    """Writes a job's receipt line by line."""

    def __init__(self, path: Path, attempt: str, jobnum: int, token: str) -> None:
        self._file: IO[str] = path.open("w", encoding="utf-8", buffering=1)
        self._line({"attempt": attempt, "jobnum": jobnum, "token": token})

    def wrapper(self, outcome: WrapperOutcome) -> None:
        """One wrapper is at its end."""
        self._line(asdict(outcome))

    def end(self, state: str) -> None:
        """The job is at its end."""
        self._line({"end": state})
        self._file.close()

    def _line(self, record: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(record) + "\n")


def read_outcome(path: Path) -> Outcome | None:
    """Read a receipt; None if there is none or not even its first line is whole."""
    try:
        text = path.read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return None
    records: list[dict[str, Any]] = []
    for line in text.split("\n")[:-1]:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break  # a torn line ends what can be believed
    if not records:
        return None
    head, rest = records[0], records[1:]
    state = next((r["end"] for r in rest if "end" in r), "")
    wrappers = tuple(_wrapper(r) for r in rest if "wrapnum" in r)
    return Outcome(head["attempt"], head["jobnum"], head["token"], wrappers, state)


def _wrapper(record: dict[str, Any]) -> WrapperOutcome:
    def tuples(key: str, kind: Any) -> tuple[Any, ...]:
        return tuple(kind(**item) for item in record[key])

    made = tuple(Made(**{**item, "parents": tuple(item["parents"])}) for item in record["made"])
    return WrapperOutcome(
        **{
            **record,
            "used": tuple(record["used"]),
            "made": made,
            "execs": tuples("execs", ExecRecord),
            "findings": tuples("findings", Finding),
            "metrics": tuples("metrics", Metric),
        }
    )
