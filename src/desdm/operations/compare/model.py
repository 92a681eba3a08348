"""Records of the comparison of two attempts."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "CalibrationDifference",
    "Comparison",
    "Difference",
    "FileDifference",
    "InputFile",
    "MessageCount",
    "MetricDifference",
    "RunTimes",
    "Side",
]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two attempts.

    Attributes
    ----------
    run, pipeline, state, data_state, run_class
        As ``desdm show`` prints them.
    """

    run: str
    pipeline: str
    state: str
    data_state: str
    run_class: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting, program or number that differs; None: the attempt has none."""

    key: str
    before: str | float | None
    after: str | float | None


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file of the archive that an attempt used."""

    filename: str
    filetype: str
    sha256: str


@dataclass(frozen=True, slots=True)
class CalibrationDifference:
    """Calibrations of a type, CCD and band that differ, with the rules that chose them; empty: the attempt took none."""

    filetype: str
    ccdnum: int | None
    band: str
    before: str
    after: str
    before_rule: str
    after_rule: str


@dataclass(frozen=True, slots=True)
class MessageCount:
    """How many messages of a level each attempt has, and which only one of them has."""

    level: int
    before: int
    after: int
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MetricDifference:
    """A QA number that differs; ``difference`` is after less before, None where one attempt has none."""

    module: str
    keys: str
    band: str
    name: str
    unit: str
    before: float | None
    after: float | None
    difference: float | None


@dataclass(frozen=True, slots=True)
class RunTimes:
    """Seconds from the first start to the last end, seconds of CPU, and seconds by module."""

    wall_s: float | None
    cpu_s: float
    modules: dict[str, float]


@dataclass(frozen=True, slots=True)
class FileDifference:
    """A pair of outputs whose contents differ, or one without a counterpart.

    Attributes
    ----------
    name
        Name of the file without the name of its run.
    part
        Plane or column; empty: the whole file.
    text
        What differs.
    count
        Pixels or rows that differ.
    largest
        Largest absolute difference; None where it has no meaning.
    """

    name: str
    part: str
    text: str
    count: int
    largest: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two attempts: each list is empty where nothing does; ``times`` are of each."""

    first: Side
    second: Side
    settings: tuple[Difference, ...]
    inputs_only_first: tuple[InputFile, ...]
    inputs_only_second: tuple[InputFile, ...]
    calibrations: tuple[CalibrationDifference, ...]
    software: tuple[Difference, ...]
    messages: tuple[MessageCount, ...]
    metrics: tuple[MetricDifference, ...]
    verdicts: tuple[Difference, ...]
    outputs: tuple[Difference, ...]
    times: tuple[RunTimes, RunTimes]
    #: None: contents of files were not compared
    files: tuple[FileDifference, ...] | None = None

    @property
    def same(self) -> bool:
        """Whether nothing differs, names, paths and times aside."""
        messages = any(m.only_before or m.only_after for m in self.messages)
        differing = (
            self.settings,
            self.inputs_only_first,
            self.inputs_only_second,
            self.calibrations,
            self.software,
            self.metrics,
            self.verdicts,
            self.outputs,
            self.files,
        )
        return not messages and not any(differing)
